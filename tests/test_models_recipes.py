import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.data import Dataset, Events, Images, Split
from spikeloom.models.encoders import Bernoulli
from spikeloom.models.loop import Batch
from spikeloom.models.networks import Architecture
from spikeloom.models.recipe import Recipe
from spikeloom.models.recipes import RECIPES, find
from spikeloom.models.train import train


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_recipe_survives_being_written_as_json(recipe: Recipe) -> None:
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"kind": "Path"}, KeyError),
        ({"kind": "Training"}, TypeError),
        ({"colour": "red"}, TypeError),
        ({"training": {"kind": "Augmentation"}}, None),
    ],
)
def test_descriptions_of_something_else_are_refused(
    change: dict[str, Any], error: type[Exception] | None
) -> None:
    values = {**RECIPES[0].to_json(), **change}
    if error is None:
        assert Recipe.from_json(values).training != RECIPES[0].training
    else:
        with pytest.raises(error):
            Recipe.from_json(values)


def tiny_dataset(recipe: Recipe) -> Dataset:
    """Samples of noise in the shape of the recipe's data set: eight to train on, four others."""
    random = np.random.default_rng(0)
    samples: Images | Events
    if recipe.dataset == "nmnist":
        address = random.integers(0, 2 * 34 * 34, 4_000, np.int32)
        times = np.tile(np.arange(0, 90_000, 90, dtype=np.int32), 4)
        samples = Events((2, 34, 34), address, times, np.arange(5) * 1_000)
    else:
        shape = {"digits": (64,), "mnist16": (1, 16, 16)}.get(recipe.dataset, (1, 28, 28))
        samples = Images(random.integers(0, 256, (4, *shape), np.uint8))
    split = Split(samples, np.arange(4), flat=len(recipe.shape) == 1)
    return Dataset("tiny", 10, split.part(np.arange(8) % 4), split, split)


@pytest.mark.parametrize(
    "recipe",
    [recipe for recipe in RECIPES if recipe.dataset != "cifar10"],
    ids=lambda recipe: recipe.name,
)
def test_recipe_trains_for_two_batches(recipe: Recipe) -> None:
    seen: list[Batch] = []
    dataset = tiny_dataset(recipe)
    assert dataset.shape == recipe.shape
    trained = train(recipe.with_training(epochs=1, batch=4), dataset, on_batch=seen.append)
    assert [batch[:3] for batch in seen] == [(1, 1, 2), (1, 2, 2)]
    assert np.isfinite(trained.best.validation_loss)


def test_names_of_recipes_are_unique() -> None:
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)


def test_unknown_recipe_offers_the_nearest() -> None:
    with pytest.raises(SpikeloomError, match="no recipe 'digit'; did you mean 'digits'"):
        find("digit")
    with pytest.raises(SpikeloomError, match=r"did you mean .*'stbp-mnist-mlp128'"):
        find("stbp-mnist-128")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "has epochs = 0; wanted >= 1"),
        ({"batch": 0}, "has batch = 0; wanted >= 1"),
        ({"threads": 0}, "has threads = 0; wanted >= 1"),
        ({"seed": -1}, "has seed = -1; wanted 0"),
        ({"weight_bits": 1}, "has weight_bits = 1; wanted 2 .. 8, as one bit holds a sign and"),
        ({"weight_bits": 9}, "has weight_bits = 9; wanted 2 .. 8"),
        ({"optimiser": "magic"}, "has optimiser 'magic'; wanted one of"),
        ({"learning_rate": 0.0}, "has learning_rate = 0; wanted a number > 0"),
        (
            {"learning_rate": 1e38},
            "has learning_rate = 1e\\+38; wanted a number > 0 and <= 1e\\+06",
        ),
        ({"learning_rate": float("nan")}, "has learning_rate = nan; wanted a number > 0"),
        ({"schedule": "often"}, "has schedule 'often'; wanted one of"),
    ],
)
def test_trainings_that_cannot_run_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpikeloomError, match=message):
        find("digits").with_training(**changes)


def test_time_steps_must_hold_the_last_input_spike() -> None:
    recipe = find("stdbp-mnist-mlp400")
    assert recipe.with_steps(16).encoder == replace(recipe.encoder, steps=16)
    with pytest.raises(SpikeloomError, match=r"t_max = 15; wanted 0 .. 7, the window's last step"):
        recipe.with_steps(8)
    with pytest.raises(SpikeloomError, match="encoder has T = 0 time steps; wanted >= 1"):
        find("digits").with_steps(0)


def test_data_set_that_does_not_exist_or_fit_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="has dataset 'letters'; wanted one of"):
        replace(find("digits"), dataset="letters")
    with pytest.raises(SpikeloomError, match=r"shape \(65,\), but those of 'digits' have \(64,\)"):
        replace(find("digits"), network=Architecture("10", (65,), "test")).load_data()


def test_coding_of_a_sample_does_not_depend_on_what_is_coded_with_it() -> None:
    recipe = replace(find("digits"), encoder=Bernoulli(8))
    test = recipe.load_data().test
    assert np.array_equal(recipe.code(test, 0, 9)[:, 4:], recipe.code(test, 4, 9))


def test_building_a_network_follows_the_seed() -> None:
    recipe = find("digits")
    one, same, other = recipe.build(), recipe.build(), recipe.with_training(seed=1).build()
    weights = [network.state_dict()["hidden1_current.weight"] for network in (one, same, other)]
    assert bool((weights[0] == weights[1]).all())
    assert not bool((weights[0] == weights[2]).all())


def test_data_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpikeloomError, match=r"data folder .*/gone' does not exist"):
        find("stbp-mnist-mlp128").load_data(tmp_path / "gone")
