"""Model cards: how they are made, and whether the networks that ship keep what theirs say."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.onnx_import import examine, load_model
from spikeloom.models import cards, checkpoint, zoo_cards
from spikeloom.models.check import check_export
from spikeloom.models.encoders import EventBins
from spikeloom.models.export import convert
from spikeloom.models.recipe import Recipe
from spikeloom.models.recipes import find
from spikeloom.models.start import network_of, start_from
from spikeloom.models.tssl import Tssl
from spikeloom.models.zoo_runs import Run, command, read_run
from spikeloom.sim.cli import train
from spikeloom.sim.cli.console import Console

DATA = Path(os.environ.get("SPIKELOOM_DATA") or Path(__file__).parents[2] / "shared" / "data")

LARGEST_ZOO = 25_000_000

SHIPPED = sorted(cards.folder().glob("*.onnx"))


def run_of(folder: Path, start: Path | None = None, **options: Any) -> Path:
    """The output of a short training."""
    recipe = find("digits").with_training(**options)
    train.train(recipe, folder, Console(as_json=True), start=start, options=options)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two trainings in floats and one that goes on from the first in 4 bits."""
    place = tmp_path_factory.mktemp("runs")
    first = run_of(place / "0", epochs=4)
    start = first / "digits.safetensors"
    return [
        first,
        run_of(place / "1", epochs=4, seed=1),
        run_of(place / "few", start, epochs=1, weight_bits=4),
    ]


@pytest.fixture(scope="module")
def runs(folders: list[Path]) -> list[Run]:
    dataset = find("digits").load_data()
    return [read_run(folder, dataset) for folder in folders]


def make_card(runs: list[Run], target: Path) -> cards.Card:
    return zoo_cards.make_card(runs[:2], runs[2:], find("digits").load_data(), target)


def test_card_states_how_the_networks_were_trained_and_judged(
    runs: list[Run], folders: list[Path], tmp_path: Path
) -> None:
    card = make_card(runs, tmp_path)
    results = [json.loads((folder / "result.json").read_text()) for folder in folders]
    shares = [result["test_accuracy"] for result in results]
    assert card["float"]["test_accuracy"] == shares[:2]
    assert card["float"]["mean"] == pytest.approx(sum(shares[:2]) / 2, abs=1e-6)
    assert card["float"]["deviation"] == pytest.approx(
        abs(shares[0] - shares[1]) / 2**0.5, abs=1e-6
    )
    assert card["float"]["commands"][1] == "spikeloom train digits --epochs 4 --seed 1"
    assert card["parameters"] == 64 * 64 + 64 + 64 * 10 + 10
    assert card["versions"]["torch"] == torch.__version__

    eight, tuned = card["integers"]
    assert [item["weight_bits"] for item in (eight, tuned)] == [8, 4]
    assert len(eight["test_accuracy"]) == 2
    assert eight["mean"] == pytest.approx(card["float"]["mean"], abs=0.02)
    assert eight["spikes_per_sample"].keys() == {"spikes", "hidden1", "output"}
    assert tuned["test_accuracy"] == [results[2]["test_accuracy_rounded"]]
    assert tuned["commands"] == [
        "spikeloom train digits --from digits.safetensors --epochs 1 --weight-bits 4"
    ]
    assert {path.name for path in tmp_path.iterdir()} == {
        *("digits.json", "digits.onnx", "digits.4bit.onnx")
    }
    assert card["file"] == cards.file_entry(tmp_path / "digits.onnx")
    assert (tmp_path / "digits.onnx").read_bytes() == (folders[0] / "digits.onnx").read_bytes()
    assert json.loads((tmp_path / "digits.json").read_text()) == card
    assert str(folders[0].parent) not in (tmp_path / "digits.json").read_text()


def test_card_is_the_same_every_time(runs: list[Run], tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_card(runs, tmp_path / name)
    assert (tmp_path / "a/digits.json").read_bytes() == (tmp_path / "b/digits.json").read_bytes()


def test_training_without_notes_or_test_accuracy_is_judged_anew(
    folders: list[Path], runs: list[Run], tmp_path: Path
) -> None:
    path = tmp_path / "digits.safetensors"
    content = (folders[1] / path.name).read_bytes()
    accuracy = f'\\"test_accuracy\\": {runs[1].test_accuracy!r}'
    blank = '\\"test_accuracy\\": null'
    assert accuracy.encode() in content
    path.write_bytes(content.replace(accuracy.encode(), blank.ljust(len(accuracy)).encode()))
    assert checkpoint.load(path).test_accuracy is None
    again = read_run(tmp_path, find("digits").load_data())
    assert again.test_accuracy == runs[1].test_accuracy
    assert command(again) == command(runs[1])


def test_trainings_that_do_not_belong_together_are_refused(
    runs: list[Run], folders: list[Path], tmp_path: Path
) -> None:
    first, second, tuned = runs
    dataset = find("digits").load_data()
    for floats, few, message in (
        ([first, first], [], r"have the seeds \[0, 0\]; wanted different ones"),
        ([tuned], [], "holds a training for 4-bit weights; wanted one in floats"),
        ([first], [second], "holds a training in floats; wanted weight bits"),
        ([second], [tuned], "started from another 'digits.safetensors' than that of the card"),
    ):
        with pytest.raises(SpikeloomError, match=message):
            zoo_cards.make_card(floats, few, dataset, tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(SpikeloomError, match="holds 0 checkpoints; wanted one"):
        read_run(tmp_path, dataset)
    (tmp_path / "result.json").write_bytes((folders[1] / "result.json").read_bytes())
    (tmp_path / "digits.safetensors").write_bytes((folders[0] / "digits.safetensors").read_bytes())
    message = r"has training.seed = 0, but recipe 'digits' now has 1; train it anew"
    with pytest.raises(SpikeloomError, match=message):
        read_run(tmp_path, dataset)


def test_card_that_is_there_takes_a_network_trained_on_from_its_file(
    runs: list[Run], folders: list[Path], tmp_path: Path
) -> None:
    dataset, place = find("digits").load_data(), tmp_path / "zoo"
    before = zoo_cards.make_card(runs[:1], [], dataset, place)
    few = run_of(tmp_path / "few", place / "digits.onnx", epochs=1, weight_bits=4)
    card = zoo_cards.add_tuned("digits", [read_run(few, dataset)], dataset, place)
    eight, tuned = card["integers"]
    assert eight == before["integers"][0]
    assert tuned["training"] == "fine-tuned"
    assert tuned["start"][0]["sha256"] == before["file"]["sha256"]
    assert tuned["file"] == cards.file_entry(place / "digits.4bit.onnx")
    assert tuned["commands"] == [
        "spikeloom train digits --from digits.onnx --epochs 1 --weight-bits 4"
    ]
    assert card | {"integers": before["integers"]} == before
    assert cards.read_file(place / "digits.json") == card
    # From the checkpoint, whose weights are the same ones, but the card does not show that.
    message = "started from another 'digits.safetensors' than that of the card"
    with pytest.raises(SpikeloomError, match=message):
        zoo_cards.add_tuned("digits", [runs[2]], dataset, place)
    with pytest.raises(SpikeloomError, match=r"model card '.*' does not exist"):
        zoo_cards.add_tuned("digits", [runs[2]], dataset, tmp_path)


def test_start_from_a_file_that_its_card_does_not_describe_is_refused(
    runs: list[Run], tmp_path: Path
) -> None:
    make_card(runs, tmp_path)
    recipe = find("digits")
    with pytest.raises(SpikeloomError, match=r"model card '.*4bit.json' does not exist"):
        start_from(tmp_path / "digits.4bit.onnx", recipe, recipe.build())
    (tmp_path / "digits.4bit.onnx").replace(tmp_path / "digits.onnx")
    with pytest.raises(SpikeloomError, match="is not the network in floats that"):
        start_from(tmp_path / "digits.onnx", recipe, recipe.build())
    (tmp_path / "digits.json").write_text("[]")
    with pytest.raises(SpikeloomError, match="has the format 'None'"):
        start_from(tmp_path / "digits.onnx", recipe, recipe.build())


def test_network_is_built_again_from_its_file(runs: list[Run]) -> None:
    """Also one whose decays were rounded, and stand in the file once for all layers."""
    first = runs[0]
    recipe = replace(first.recipe, algorithm=Tssl(5, 3))
    rounded = recipe.build()
    for name, item in rounded.state_dict().items():
        if name.endswith(("alpha", "beta")):
            item.fill_(0.75)
    for model, original in (
        (first.model, first),
        (convert(rounded, 4, recipe.shape), replace(first, recipe=recipe, module=rounded)),
    ):
        wanted = original.module.state_dict()
        for name, item in network_of(model, original.recipe).state_dict().items():
            assert torch.equal(item, wanted[name]), name


def card_of(path: Path) -> cards.Card:
    return cards.read(path.name.partition(".")[0])


def samples_of(recipe: Recipe, count: int) -> np.ndarray[Any, Any]:
    """Coded noise: as images, or as spikes where a recipe takes recordings."""
    random = np.random.default_rng(0)
    shape = (count, *recipe.shape)
    if isinstance(recipe.encoder, EventBins):
        return (random.random((recipe.encoder.steps, *shape)) < 0.05).astype(np.uint8)
    # As dark as drawn digits are in the mean.
    return recipe.encoder(random.random(shape) * (random.random(shape) < 0.2))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_network_gives_torchs_spikes_and_can_be_compiled(path: Path) -> None:
    card = card_of(path)
    assert cards.file_entry(path) in cards.file_entries(card)
    recipe = Recipe.from_json(card["recipe"])
    model = load_model(path)
    module = network_of(model, recipe)
    assert sum(item.numel() for item in module.parameters()) == card["parameters"]
    assert sum(check_export(module, model, samples_of(recipe, 4)).values()) > 0
    assert all(verdict.ok for verdict in examine(model).verdicts)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_network_classifies_in_integers_as_its_card_says(path: Path) -> None:
    """Exactly as many of the first test samples: integers leave no room for a tolerance."""
    card = card_of(path)
    recipe = Recipe.from_json(card["recipe"])
    if recipe.dataset != "digits" and not DATA.is_dir():
        pytest.skip(f"no data sets in '{DATA}'; $SPIKELOOM_DATA names another folder")
    tuned = [
        entry for entry in card["integers"] if (entry.get("file") or {}).get("name") == path.name
    ]
    entry = tuned[0] if tuned else cards.integers(card, 8)
    assert entry is not None
    test = recipe.load_data(DATA).test
    part = test.part(np.arange(min(test.size, zoo_cards.FIRST)))
    score = zoo_cards.classify(onnx.load(path), recipe, part, entry["weight_bits"])
    assert score.first_correct == entry[f"correct_of_first_{zoo_cards.FIRST}"]


def test_zoo_stays_small_and_every_file_has_a_card() -> None:
    found = sorted(cards.folder().iterdir()) if cards.folder().is_dir() else []
    assert sum(path.stat().st_size for path in found) <= LARGEST_ZOO
    described = {
        item["name"] for name in cards.names() for item in cards.file_entries(cards.read(name))
    }
    assert {path.name for path in found} == described | {f"{name}.json" for name in cards.names()}
