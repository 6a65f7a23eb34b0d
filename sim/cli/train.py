"""Train a recipe's network and export it.

Writes into the output folder, with NAME the recipe's name: NAME.safetensors (weights and recipe),
metrics.csv (one line per epoch), learning_curve.png, test.npz (the encoded test samples: `spikes`,
uint8 of shape [T, N, inputs], and `labels`) and NAME.onnx (float, its spikes compared with torch's
on every test sample). The best epoch is picked on the validation samples; the test samples are
looked at once, at the end.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeloom.compiler import files
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.cli.console import Console

if TYPE_CHECKING:
    from spikeloom.models.recipes import Recipe
    from spikeloom.models.train import Trained

HELP = "train a recipe's network, and export it to ONNX"


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
        "--epochs",
        type=int,
        metavar="N",
        default=argparse.SUPPRESS,
        help="passes over the training samples, >= 1 (default: the recipe's)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="S",
        default=argparse.SUPPRESS,
        help="draws initial weights, noise and the order of samples, 0 .. 2**63 - 1 "
        "(default: the recipe's)",
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("out"), metavar="FOLDER", help="where to write"
    )


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """List the recipes, or train one."""
    from spikeloom.models import recipes

    if args.list:
        header = ("name", "layers", "steps", "epochs", "seed", "encoder", "data")
        rows = [
            (
                each.name,
                "-".join(map(str, each.layers)),
                each.steps,
                each.epochs,
                each.seed,
                each.encoder,
                each.dataset,
            )
            for each in recipes.RECIPES
        ]
        console.table("recipes", header, rows)
        return {"recipes": [asdict(each) for each in recipes.RECIPES]}
    given = vars(args)
    if "recipe" not in given:
        raise SpikeloomError("no recipe named; 'spikeloom train --list' shows them")
    changes = {name: given[name] for name in ("epochs", "seed") if name in given}
    recipe = replace(recipes.find(args.recipe), **changes)
    return train(recipe, args.out, console)


def train(recipe: Recipe, folder: Path, console: Console) -> dict[str, Any]:
    """Train `recipe` and write this command's files into `folder`."""
    import numpy as np

    from spikeloom.models import checkpoint, export
    from spikeloom.models import train as training
    from spikeloom.models.check import check_export

    files.make_folder(folder)
    with console.progress(f"train {recipe.name}", recipe.epochs) as advance:

        def on_epoch(epoch: training.Epoch) -> None:
            advance(1)
            console.detail(
                f"epoch {epoch.epoch}: loss {epoch.loss:.5f}, validation loss "
                f"{epoch.validation_loss:.5f}, accuracy {epoch.accuracy:.2%}, "
                f"{epoch.spike_rate:.3f} spikes per neuron and step"
            )

        trained = training.train(recipe, on_epoch)
    encoder, test = recipe.build_encoder(), recipe.load_data().test
    spikes = encoder(test.intensities)
    model = export.convert(trained.module, recipe.steps, recipe.layers[:1], encoder, recipe.name)
    compared = check_export(trained.module, model, spikes)

    written = {
        "checkpoint": folder / f"{recipe.name}.safetensors",
        "metrics": folder / "metrics.csv",
        "learning_curve": folder / "learning_curve.png",
        "test_samples": folder / "test.npz",
        "onnx": folder / f"{recipe.name}.onnx",
    }
    checkpoint.save(trained, written["checkpoint"])
    checkpoint.write_metrics(trained.epochs, written["metrics"])
    _draw_learning_curve(trained, written["learning_curve"])
    with files.replacing(written["test_samples"]) as path:
        np.savez_compressed(path, spikes=spikes, labels=test.labels)
    export.write(model, written["onnx"])

    figures: dict[str, Any] = {
        "recipe": recipe.name,
        "seconds": round(trained.seconds, 2),
        "best_epoch": trained.best.epoch,
        "validation_accuracy": trained.best.accuracy,
        "test_accuracy": trained.test_accuracy,
        "test_samples": len(test),
        "spikes_per_neuron_and_step": trained.best.spike_rate,
        "spikes_compared_with_onnxruntime": sum(compared.values()),
        "spikes_different_from_onnxruntime": 0,
        "files": {name: str(path) for name, path in written.items()},
    }
    console.table(
        f"{recipe.name}, trained in {trained.seconds:.1f} s",
        ("", "value"),
        (
            ("test accuracy", f"{trained.test_accuracy:.2%} of {len(test)} samples"),
            ("validation accuracy", f"{trained.best.accuracy:.2%} (epoch {trained.best.epoch})"),
            ("spikes per neuron and step", f"{trained.best.spike_rate:.3f}"),
            ("spikes equal in onnxruntime", f"all of {sum(compared.values()):,}"),
            *((name.replace("_", " "), str(path)) for name, path in written.items()),
        ),
    )
    return figures


def _draw_learning_curve(trained: Trained, path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    numbers = [epoch.epoch for epoch in trained.epochs]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    losses.semilogy(numbers, [epoch.loss for epoch in trained.epochs], label="training")
    losses.semilogy(
        numbers, [epoch.validation_loss for epoch in trained.epochs], label="validation"
    )
    losses.set_ylabel("loss")
    accuracies.plot(
        numbers, [epoch.accuracy for epoch in trained.epochs], color="C1", label="validation"
    )
    accuracies.plot(
        trained.best.epoch, trained.test_accuracy, "C2o", label="test, weights of the best epoch"
    )
    accuracies.yaxis.set_major_formatter(PercentFormatter(1))
    accuracies.set_ylabel("accuracy")
    for axes in (losses, accuracies):
        axes.axvline(trained.best.epoch, color="0.7", linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.legend(frameon=False)
    with files.replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
