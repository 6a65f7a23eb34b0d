"""What a training reached, as a JSON file beside its checkpoint.

It holds all that a model card says of a training, so that nobody needs to look at the test samples
again for it, and nothing of the machine or the time. Shares are numbers in 0 .. 1.
"""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spikeloom.compiler import files
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.trained import Trained

FILE = "result.json"

PACKAGES = ("spikeloom", "torch", "numpy", "onnx")


def describe(trained: Trained, test_samples: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values: settings, where the weights came from, accuracies, versions.

    Parameters
    ----------
    options : of the command line that differ from the recipe, by their names with underscores
    """
    described: dict[str, Any] = {
        "recipe": trained.recipe.name,
        "options": dict(options),
        "settings": trained.recipe.to_json(),
        "start": trained.start._asdict() if trained.start is not None else None,
        "best_epoch": trained.best.epoch,
        "validation_accuracy": trained.best.accuracy,
        "validation_loss": trained.best.validation_loss,
        "versions": versions(),
    }
    if trained.test is not None:
        described |= {
            "test_samples": test_samples,
            "test_accuracy": trained.test.accuracy,
            "spikes_per_neuron_and_step": trained.test.spike_rate,
        }
    if trained.test_rounded is not None:
        described["test_accuracy_rounded"] = trained.test_rounded.accuracy
    return described


def versions() -> dict[str, str]:
    """Of this package, of Python, and of the packages that decide a training's numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def read(folder: Path) -> dict[str, Any] | None:
    """What stands in a training's output folder; None if it has no such file.

    Raises
    ------
    SpikeloomError
        If the file cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SpikeloomError(f"'{path}' is not JSON, or is cut short: {error}") from error
    missing = {"options", "versions"} - described.keys()
    if missing:
        raise SpikeloomError(f"'{path}' has no entry '{min(missing)}'")
    return described


def write(described: Mapping[str, Any], path: Path) -> None:
    """Write the file; equal values give equal bytes."""
    files.write_text(path, json.dumps(described, indent=2, sort_keys=True) + "\n")
