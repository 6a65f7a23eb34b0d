"""The output folders of `spikeloom train` as a model card needs them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from torch import nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import cards, checkpoint, export, recipes, result
from spikeloom.models.check import check_export
from spikeloom.models.data import Dataset
from spikeloom.models.described import first_difference
from spikeloom.models.evaluate import evaluate
from spikeloom.models.recipe import Recipe
from spikeloom.models.trained import Start

COMPARED = 64
"""Test samples on which torch and onnxruntime are compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A training's output folder.

    Attributes
    ----------
    options : of the command line, by their names with underscores
    model : exported anew, its spikes equal to torch's on some test samples
    checkpoint_sha256 : what a training that starts from this one notes
    """

    folder: Path
    recipe: Recipe
    module: nn.Sequential
    start: Start | None
    options: dict[str, Any]
    versions: dict[str, str]
    best_epoch: int
    validation_accuracy: float
    test_accuracy: float
    model: onnx.ModelProto
    checkpoint_sha256: str


def read_run(folder: Path, dataset: Dataset) -> Run:
    """Read what a training left; a missing test accuracy is found here, with torch.

    Raises
    ------
    SpikeloomError
        If the folder does not hold one checkpoint, or its training is not the recipe of that name
        with the options that result.json states.
    """
    path = find_checkpoint(folder)
    stored = checkpoint.load(path)
    recipe = stored.recipe
    told = result.read(folder)
    options = told["options"] if told is not None else _options_of(recipe)
    _check_recipe(folder, recipe, options)
    accuracy = stored.test_accuracy
    if accuracy is None:
        settings = (recipe.encoder, recipe.algorithm, dataset.test, recipe.training.batch)
        accuracy = evaluate(stored.module, *settings).accuracy
    model = export.convert(
        stored.module, recipe.encoder.steps, recipe.shape, recipe.encoder, recipe.name
    )
    check_export(
        stored.module, model, recipe.code(dataset.test, 0, min(COMPARED, dataset.test.size))
    )
    return Run(
        folder=folder,
        recipe=recipe,
        module=stored.module,
        start=stored.start,
        options=options,
        versions=told["versions"] if told is not None else result.versions(),
        best_epoch=stored.best_epoch,
        validation_accuracy=stored.validation_accuracy,
        test_accuracy=accuracy,
        model=model,
        checkpoint_sha256=cards.file_entry(path)["sha256"],
    )


def find_checkpoint(folder: Path) -> Path:
    """The checkpoint in a training's output folder."""
    found = [
        path
        for path in sorted(folder.glob("*.safetensors"))
        if not path.name.endswith(".state.safetensors")
    ]
    if len(found) != 1:
        raise SpikeloomError(
            f"folder '{folder}' holds {len(found)} checkpoints; wanted one, of a finished training"
        )
    return found[0]


def _options_of(recipe: Recipe) -> dict[str, Any]:
    """What a command line must have said, for trainings that did not note it."""
    named = recipes.find(recipe.name)
    options = {
        name: getattr(recipe.training, name)
        for name in ("seed", "epochs", "batch", "learning_rate", "weight_bits", "threads")
        if getattr(recipe.training, name) != getattr(named.training, name)
    }
    if recipe.encoder.steps != named.encoder.steps:
        options["steps"] = recipe.encoder.steps
    return options


def _check_recipe(folder: Path, recipe: Recipe, options: dict[str, Any]) -> None:
    """The command on the card must give this training again."""
    changes = dict(options)
    wanted = recipes.find(recipe.name)
    if "steps" in changes:
        wanted = wanted.with_steps(changes.pop("steps"))
    wanted = replace(wanted.with_training(**changes), published=recipe.published)
    difference = first_difference(recipe.to_json(), wanted.to_json())
    if difference is not None:
        name, found, needed = difference
        raise SpikeloomError(
            f"the training in '{folder}' has {name} = {found}, but recipe '{recipe.name}' now has "
            f"{needed}; train it anew"
        )


def command(run: Run) -> str:
    """The command line that gives this training again."""
    told = (f"--{name.replace('_', '-')} {value}" for name, value in sorted(run.options.items()))
    start = () if run.start is None else (f"--from {run.start.file}",)
    return " ".join(("spikeloom train", run.recipe.name, *start, *told))
