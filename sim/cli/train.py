"""Train a recipe's network and export it.

Writes into the output folder, with NAME the recipe's name: NAME.safetensors (weights and recipe),
metrics.csv (one line per epoch, from the first epoch on), learning_curve.png, result.json
(settings, accuracies, versions), test.npz (coded test samples: `spikes`, of shape [T, N, inputs],
and `labels`) and NAME.onnx (float, its spikes compared with torch's on test samples). The best
epoch is picked on the validation samples; the test samples are looked at once, at the end, and
with --no-test never.

--from takes the weights of an earlier training of the same network, or of the zoo's: for a longer
window (--steps), or for few bits after a training in floats (--weight-bits).

NAME.state.safetensors holds the state of a training that is not finished: after an interruption
--resume goes on from it, to the very same weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeloom.compiler import files
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.cli.console import Console

if TYPE_CHECKING:
    from spikeloom.models.loop import Batch, Epoch
    from spikeloom.models.recipe import Recipe
    from spikeloom.models.trained import Trained

HELP = "train a recipe's network, and export it to ONNX"

TEST_FILE_BYTES = 100_000_000
"""How large the coded test samples may be before compression; then only the first are written."""

COMPARED = 1000
"""How many samples torch and onnxruntime are compared on, at most."""

TRAINING_OPTIONS = ("epochs", "seed", "batch", "weight_bits", "threads", "learning_rate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "recipe",
        nargs="?",
        metavar="RECIPE",
        default=argparse.SUPPRESS,
        help="name of the recipe, as --list shows it",
    )
    parser.add_argument("--list", action="store_true", help="list the recipes and stop")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="folder with MNIST/raw, FashionMNIST/raw, NMNIST or CIFAR10 in it (default: "
        "$SPIKELOOM_DATA, else a cache; what is missing is downloaded)",
    )
    for name, kind, text in (
        ("steps", int, "time steps, >= 1; the encoder's other settings stay"),
        ("epochs", int, "passes over the training samples, >= 1; milestones keep their share"),
        ("batch", int, "samples per update, >= 1"),
        ("learning-rate", float, "at the start, > 0 and <= 1e6"),
        (
            "seed",
            int,
            "draws initial weights, augmentation and the order of samples, 0 .. 2**63 - 1",
        ),
        (
            "weight-bits",
            int,
            "train for weights of 2 .. 8 bits and integer membranes, as the compiler makes them; "
            "0 for floats",
        ),
        ("threads", int, "that torch computes with, >= 1; another number changes the last bits"),
    ):
        parser.add_argument(
            f"--{name}",
            type=kind,
            metavar="N" if kind is int else "X",
            default=argparse.SUPPRESS,
            help=f"{text} (default: the recipe's)",
        )
    parser.add_argument(
        "--from",
        dest="start",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="start from the weights of the same network: a checkpoint, or NAME.onnx of 'spikeloom "
        "zoo NAME' with its card beside it",
    )
    parser.add_argument(
        "--no-test",
        action="store_true",
        help="leave the test samples alone: for trials on settings, which the validation samples "
        "decide",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with a training that was interrupted"
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("out"), metavar="FOLDER", help="where to write"
    )


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """List the recipes, or train one."""
    from spikeloom.models import recipes

    if args.list:
        return _list(console)
    given = vars(args)
    if "recipe" not in given:
        raise SpikeloomError("no recipe named; 'spikeloom train --list' shows them")
    changes = {name: given[name] for name in TRAINING_OPTIONS if name in given}
    recipe = recipes.find(args.recipe).with_training(**changes)
    if "steps" in given:
        recipe = recipe.with_steps(args.steps)
        changes["steps"] = args.steps
    return train(
        recipe,
        args.out,
        console,
        given.get("data"),
        resume=args.resume,
        start=given.get("start"),
        test=not args.no_test,
        options=changes,
    )


def train(
    recipe: Recipe,
    folder: Path,
    console: Console,
    data: Path | None = None,
    *,
    resume: bool = False,
    start: Path | None = None,
    test: bool = True,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train `recipe` and write this command's files into `folder`.

    Parameters
    ----------
    data, resume, start, test : see `spikeloom.models.train.train`
    options : what in `recipe` differs from the named one, for result.json
    """
    import numpy as np

    from spikeloom.models import checkpoint, export, result
    from spikeloom.models import train as training

    dataset = recipe.load_data(data, _Download(console))
    files.make_folder(folder)
    written = {
        "checkpoint": folder / f"{recipe.name}.safetensors",
        "metrics": folder / "metrics.csv",
        "learning_curve": folder / "learning_curve.png",
        "test_samples": folder / "test.npz",
        "onnx": folder / f"{recipe.name}.onnx",
        "result": folder / result.FILE,
    }
    if not test:
        del written["test_samples"]
    state = folder / f"{recipe.name}.state.safetensors"
    batches = -(-dataset.train.size // recipe.training.batch)
    with console.progress(f"train {recipe.name}", recipe.training.epochs * batches) as advance:
        done = 0

        def on_batch(batch: Batch) -> None:
            nonlocal done
            now = (batch.epoch - 1) * batches + batch.batch
            advance(now - done, _describe(batch, recipe.training.epochs))
            done = now

        def on_epoch(epochs: tuple[Epoch, ...]) -> None:
            checkpoint.write_metrics(epochs, written["metrics"])
            epoch = epochs[-1]
            console.detail(
                f"epoch {epoch.epoch}: loss {epoch.loss:.5f}, validation loss "
                f"{epoch.validation_loss:.5f}, accuracy {epoch.accuracy:.2%}, "
                f"{epoch.spike_rate:.3f} spikes per neuron and step"
            )

        trained = training.train(
            recipe,
            dataset,
            on_batch=on_batch,
            on_epoch=on_epoch,
            state=state,
            resume=resume,
            start=start,
            test=test,
        )
    # Before the comparison, which may fail: hours of training must not be lost to it.
    checkpoint.save(trained, written["checkpoint"])
    _draw_learning_curve(trained, written["learning_curve"])
    model = export.convert(
        trained.module, recipe.encoder.steps, recipe.shape, recipe.encoder, recipe.name
    )
    step_bytes = int(np.prod(recipe.shape)) * recipe.encoder.steps
    split = dataset.test if test else dataset.validation
    kept = min(split.size, max(1, TEST_FILE_BYTES // step_bytes) if test else COMPARED)
    coded = recipe.code(split, 0, kept)
    compared = _compare(trained, model, coded)

    checkpoint.write_metrics(trained.epochs, written["metrics"])
    if test:
        with files.replacing(written["test_samples"]) as path:
            np.savez_compressed(path, spikes=coded, labels=split.labels[:kept])
    export.write(model, written["onnx"])
    described = result.describe(trained, dataset.test.size, options or {})
    result.write(described, written["result"])
    state.unlink(missing_ok=True)
    figures = described | {
        "seconds": round(trained.seconds, 2),
        "spikes_compared_with_onnxruntime": compared,
        "spikes_different_from_onnxruntime": 0,
        "files": {name: str(path) for name, path in written.items()},
    }
    _report(trained, figures, console)
    return figures


def _compare(trained: Trained, model: Any, coded: Any) -> int:
    """Compare torch with onnxruntime on up to `COMPARED` samples; gives the equal spikes."""
    from spikeloom.models.check import check_export

    compared = 0
    samples = min(coded.shape[1], COMPARED)
    for first in range(0, samples, 250):
        part = coded[:, first : min(first + 250, samples)]
        compared += sum(check_export(trained.module, model, part).values())
    return compared


def _report(trained: Trained, figures: dict[str, Any], console: Console) -> None:
    rows = [
        ("validation accuracy", f"{trained.best.accuracy:.2%} (epoch {trained.best.epoch})"),
        (
            "spikes equal in onnxruntime",
            f"all of {figures['spikes_compared_with_onnxruntime']:,}",
        ),
        *((name.replace("_", " "), path) for name, path in figures["files"].items()),
    ]
    if trained.test is not None:
        rows[:0] = [
            (
                "test accuracy",
                f"{trained.test.accuracy:.2%} of {figures['test_samples']:,} samples",
            ),
            ("spikes per neuron and step", f"{trained.test.spike_rate:.3f}"),
        ]
    if trained.test_rounded is not None:
        bits = trained.recipe.training.weight_bits
        name = f"test accuracy in integers, {bits}-bit weights"
        rows.insert(1, (name, f"{trained.test_rounded.accuracy:.2%}"))
    console.table(f"{trained.recipe.name}, trained in {trained.seconds:.1f} s", ("", "value"), rows)


def _list(console: Console) -> dict[str, Any]:
    from spikeloom.models.cards import test_accuracy
    from spikeloom.models.recipes import RECIPES

    own = {recipe.name: test_accuracy(recipe.name) for recipe in RECIPES}
    header = ("name", "network", "data", "algorithm", "T", "published, %", "own, %")
    rows = [
        (
            recipe.name,
            recipe.full_notation,
            recipe.dataset,
            type(recipe.algorithm).__name__,
            recipe.encoder.steps,
            recipe.published,
            "" if (accuracy := own[recipe.name]) is None else f"{100 * accuracy:.2f}",
        )
        for recipe in RECIPES
    ]
    console.table("recipes", header, rows)
    return {
        "recipes": [{**recipe.to_json(), "test_accuracy": own[recipe.name]} for recipe in RECIPES]
    }


def _describe(batch: Batch, epochs: int) -> str:
    return (
        f"epoch {batch.epoch}/{epochs}  loss {batch.loss:.4f}  accuracy {batch.accuracy:.2%}  "
        f"{batch.spike_rate:.3f} spikes per neuron and step"
    )


class _Download:
    """Says once per file that it is downloaded, and in verbose mode how far."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.tenths = -1
        self.name = ""

    def __call__(self, name: str, done: int, total: int) -> None:
        if name != self.name:
            self.name, self.tenths = name, -1
            size = f", {total / 1e6:.1f} MB" if total else ""
            self.console.say(f"download {name}{size} ...")
        tenths = 10 * done // total if total else -1
        if tenths > self.tenths:
            self.tenths = tenths
            self.console.detail(f"{name}: {done / 1e6:.1f} MB")


def _draw_learning_curve(trained: Trained, path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    epochs = trained.epochs
    numbers = [epoch.epoch for epoch in epochs]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    losses.semilogy(numbers, [epoch.loss for epoch in epochs], label="training")
    losses.semilogy(numbers, [epoch.validation_loss for epoch in epochs], label="validation")
    losses.set_ylabel("loss")
    accuracies.plot(numbers, [epoch.train_accuracy for epoch in epochs], label="training")
    accuracies.plot(numbers, [epoch.accuracy for epoch in epochs], label="validation")
    if trained.test is not None:
        label = "test, weights of the best epoch"
        accuracies.plot(trained.best.epoch, trained.test.accuracy, "C2o", label=label)
    accuracies.yaxis.set_major_formatter(PercentFormatter(1))
    accuracies.set_ylabel("accuracy")
    for axes in (losses, accuracies):
        axes.axvline(trained.best.epoch, color="0.7", linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.legend(frameon=False)
    with files.replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
