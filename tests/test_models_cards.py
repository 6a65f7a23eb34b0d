import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import cards


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of one network, which is no real one."""
    folder = tmp_path / "package" / "zoo"
    folder.mkdir(parents=True)
    monkeypatch.setattr("importlib.resources.files", lambda package: folder.parent)
    (folder / "some-mlp.onnx").write_bytes(b"network")
    (folder / "some-mlp.4bit.onnx").write_bytes(b"small network")
    small = cards.file_entry(folder / "some-mlp.4bit.onnx")
    card: dict[str, Any] = {
        "format": cards.FORMAT,
        "name": "some-mlp",
        "float": {"mean": 0.9812},
        "integers": [
            {"weight_bits": 8, "training": "floats"},
            {"weight_bits": 4, "training": "floats"},
            {"weight_bits": 4, "training": "fine-tuned", "file": small},
        ],
        "file": cards.file_entry(folder / "some-mlp.onnx"),
    }
    cards.write(card, folder / "some-mlp.json")
    return folder


@pytest.mark.usefixtures("zoo")
def test_accuracy_stands_on_the_card_if_there_is_one() -> None:
    assert cards.names() == ["some-mlp"]
    assert cards.test_accuracy("some-mlp") == 0.9812
    assert cards.test_accuracy("other-mlp") is None


@pytest.mark.usefixtures("zoo")
def test_entry_of_few_bits_is_the_trained_one() -> None:
    card = cards.read("some-mlp")
    trained, rounded = cards.integers(card, 4), cards.integers(card, 8)
    assert trained is not None and trained["training"] == "fine-tuned"
    assert rounded is not None and rounded["training"] == "floats"
    assert cards.integers(card, 5) is None


def test_network_is_copied_out_with_all_that_belongs_to_it(zoo: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    written = cards.copy_out("some-mlp", target)
    names = ["some-mlp.onnx", "some-mlp.4bit.onnx", "some-mlp.json"]
    assert [path.relative_to(target).name for path in written] == names
    for name in names:
        assert (target / name).read_bytes() == (zoo / name).read_bytes()
    entry = json.loads((target / "some-mlp.json").read_text())["file"]
    assert entry["sha256"] == hashlib.sha256(b"network").hexdigest()
    assert entry["bytes"] == 7


def test_files_that_the_card_does_not_describe_are_refused(zoo: Path, tmp_path: Path) -> None:
    (zoo / "some-mlp.onnx").write_bytes(b"netw0rk")
    with pytest.raises(SpikeloomError, match="is missing or not the file that the model card of"):
        cards.copy_out("some-mlp", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (zoo / "some-mlp.json").write_text('{"format": "something"}')
    with pytest.raises(SpikeloomError, match="has the format 'something'; wanted 'spikeloom model"):
        cards.read("some-mlp")


def test_unknown_network_offers_the_nearest(zoo: Path) -> None:
    with pytest.raises(SpikeloomError, match="no network 'sme-mlp' in the zoo; did you mean 'some"):
        cards.read("sme-mlp")
    (zoo / "some-mlp.json").unlink()
    with pytest.raises(SpikeloomError, match="no network 'some-mlp' in the zoo, which is empty"):
        cards.read("some-mlp")


def test_table_says_what_integers_lose_to_floats_of_the_same_seeds() -> None:
    card: cards.Card = {
        "name": "some-mlp",
        "steps": 8,
        "published": "98.1, unverified",
        "test_samples": 10000,
        "float": {
            "seeds": [0, 1],
            "test_accuracy": [0.98, 0.984],
            "mean": 0.982,
            "deviation": 0.002828,
        },
        "integers": [
            {"weight_bits": 8, "test_accuracy": [0.979, 0.984], "mean": 0.9815},
            {"weight_bits": 4, "test_accuracy": [0.981], "mean": 0.981, "seeds": [1]},
        ],
    }
    for entry, training in zip(card["integers"], ("floats", "fine-tuned"), strict=True):
        entry["training"] = training
    assert [round(cards.loss(card, entry), 6) for entry in card["integers"]] == [0.0005, 0.003]
    assert cards.table([card]).splitlines()[2] == (
        "| `some-mlp` | 8 | 98.1, unverified | 98.20 +- 0.28 | 2 | 0.13 | 98.15 (loses 0.05) "
        "| 98.10 (fine-tuned, 1 seed, loses 0.30) |"
    )
    card["integers"] = []
    card["float"] = {"seeds": [3], "test_accuracy": [0.9], "mean": 0.9, "deviation": None}
    assert cards.table([card]).splitlines()[2].endswith("| 90.00 | 1 | 0.30 |  |  |")
