import json
from pathlib import Path

import pytest

from spikeloom.models import cards


def test_accuracy_stands_on_the_card_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo/some-mlp.json").write_text(json.dumps({"test_accuracy": 0.9812}))
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    assert cards.test_accuracy("some-mlp") == 0.9812
    assert cards.test_accuracy("other-mlp") is None
