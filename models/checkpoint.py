"""What a training run leaves behind: the weights with their recipe, and the metrics.

A checkpoint is a safetensors file: tensors and a JSON text in its header, and no code.
"""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import nn

from spikeloom.compiler import files
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.loop import Epoch
from spikeloom.models.recipe import Recipe
from spikeloom.models.source import describe_error
from spikeloom.models.trained import Start, Trained

FORMAT = "spikeloom checkpoint 2"
_HEADER = "spikeloom"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A trained network as read from a file.

    Attributes
    ----------
    best_epoch : number of the epoch whose weights these are
    validation_accuracy, test_accuracy : shares of correctly classified samples; the latter is None
        if the training did not look at the test samples
    start : where the training took its first weights from; None if they were drawn
    """

    recipe: Recipe
    module: nn.Sequential
    best_epoch: int
    validation_accuracy: float
    test_accuracy: float | None
    start: Start | None


def save(trained: Trained, path: Path) -> None:
    """Write a trained network; equal networks give equal bytes."""
    header = {
        "format": FORMAT,
        "recipe": trained.recipe.to_json(),
        "best_epoch": trained.best.epoch,
        "validation_accuracy": trained.best.accuracy,
        "test_accuracy": trained.test.accuracy if trained.test is not None else None,
        "start": trained.start._asdict() if trained.start is not None else None,
    }
    # One entry only: safetensors writes several in no fixed order.
    metadata = {_HEADER: json.dumps(header, sort_keys=True)}
    files.write_bytes(path, safetensors.torch.save(trained.module.state_dict(), metadata))


def load(path: Path) -> Checkpoint:
    """Read a trained network.

    Raises
    ------
    SpikeloomError
        If the file is missing, is not a checkpoint of this format, or holds other weights than its
        recipe's network has.
    """
    if not path.is_file():
        raise SpikeloomError(f"checkpoint '{path}' does not exist")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            weights = {name: file.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise SpikeloomError(
            f"'{path}' is not a safetensors file, or is cut short: {error}"
        ) from error
    try:
        header = json.loads(metadata[_HEADER])
        if header.pop("format") != FORMAT:
            raise SpikeloomError(f"'{path}' has another format than '{FORMAT}'")
        recipe = Recipe.from_json(header.pop("recipe"))
        module = recipe.build()
        module.load_state_dict(weights)
        # Files of trainings without a choice of the start do not speak of it.
        start = header.pop("start", None)
        origin = Start(**start) if start is not None else None
        return Checkpoint(recipe, module, **header, start=origin)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise SpikeloomError(
            f"'{path}' is not a Spikeloom checkpoint: {describe_error(error)}"
        ) from error


def write_metrics(epochs: tuple[Epoch, ...], path: Path) -> None:
    """Write one line of comma-separated values per epoch, under a line of names."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Epoch._fields)
    writer.writerows(epochs)
    files.write_text(path, text.getvalue())
