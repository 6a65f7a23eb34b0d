from dataclasses import replace

import numpy as np
import pytest
import torch

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.check import check_export
from spikeloom.models.export import convert
from spikeloom.models.recipes import RECIPES, Recipe, find
from spikeloom.models.train import Epoch, evaluate, stbp_loss, train

SHORT = replace(find("digits"), epochs=3, layers=(64, 16, 10), steps=4, batch=128)


def test_training_learns_and_repeats_itself() -> None:
    seen: list[Epoch] = []
    first, second = train(SHORT, seen.append), train(SHORT)
    assert tuple(seen) == first.epochs == second.epochs
    assert [epoch.epoch for epoch in seen] == [1, 2, 3]
    assert seen[-1].loss < seen[0].loss
    assert first.test_accuracy > 0.2
    for name, tensor in first.module.state_dict().items():
        assert torch.equal(tensor, second.module.state_dict()[name])


def test_best_epoch_has_the_lowest_validation_loss_and_its_weights_are_kept() -> None:
    trained = train(SHORT)
    assert trained.best == min(trained.epochs, key=lambda epoch: epoch.validation_loss)
    score = evaluate(trained.module, SHORT.build_encoder(), SHORT.load_data().validation)
    assert score == trained.best[2:]


def test_seed_changes_the_weights_but_not_the_split() -> None:
    other = replace(SHORT, seed=1)
    weights = [
        train(replace(recipe, epochs=1)).module.state_dict()["output_current.weight"]
        for recipe in (SHORT, other)
    ]
    assert not torch.equal(*weights)
    assert np.array_equal(SHORT.load_data().test.labels, other.load_data().test.labels)


def test_diverging_weights_stop_and_say_where() -> None:
    message = r"'hidden1_current.weight' holds NaN or infinite numbers after epoch 1, batch 1, loss"
    with pytest.raises(SpikeloomError, match=message):
        train(replace(SHORT, learning_rate=float("inf")))


def test_loss_is_the_mean_square_of_rates_against_one_hot() -> None:
    counts = torch.tensor([[4.0, 0.0], [1.0, 2.0]])
    loss = stbp_loss(counts, torch.tensor([0, 0]), 4)
    assert loss.item() == (0 + 0 + 0.75**2 + 0.5**2) / 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "has epochs = 0; wanted >= 1"),
        ({"steps": 0}, "has steps = 0; wanted >= 1"),
        ({"seed": -1}, "has seed = -1; wanted 0"),
        ({"dataset": "letters"}, "has dataset 'letters'; wanted one of"),
        ({"encoder": "morse"}, "has encoder 'morse'; wanted one of"),
    ],
)
def test_recipes_that_cannot_run_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SpikeloomError, match=message):
        replace(SHORT, **changes)  # type: ignore[arg-type]


def test_unknown_recipe_offers_the_nearest() -> None:
    with pytest.raises(SpikeloomError, match="no recipe 'digit'; did you mean 'digits'"):
        find("digit")


def test_names_of_recipes_are_unique() -> None:
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)


@pytest.mark.slow
def test_digits_recipe_reaches_96_percent_and_exports_exactly() -> None:
    recipe: Recipe = find("digits")
    trained = train(recipe)
    assert trained.test_accuracy >= 0.96
    model = convert(trained.module, recipe.steps, recipe.layers[:1])
    spikes = recipe.build_encoder()(recipe.load_data().test.intensities)
    assert sum(check_export(trained.module, model, spikes).values()) == 8 * 360 * (64 + 10)
