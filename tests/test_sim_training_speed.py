import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.recipes import find
from spikeloom.sim import training_speed


def test_both_loops_train_as_many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = find("digits")
    calls = 0
    judge = type(recipe.algorithm).judge

    def count(self: object, *arguments: object) -> object:
        nonlocal calls
        calls += 1
        return judge(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(type(recipe.algorithm), "judge", count)
    rate = training_speed.measure(recipe, recipe.load_data(), 3)
    assert calls == 2 * (3 + 1)
    assert rate.batches == 3
    assert rate.ratio == rate.loop / rate.plain > 0


def test_more_batches_than_an_epoch_has_are_refused() -> None:
    recipe = find("digits")
    for batches in (0, 19):
        with pytest.raises(SpikeloomError, match=rf"--batches is {batches}; wanted 1 .. 18"):
            training_speed.measure(recipe, recipe.load_data(), batches)
