"""Export a torch module to ONNX and compare its spikes in onnxruntime with torch's.

SOURCE is a model of your own, mymodel.py:build, where build() gives a torch.nn.Module that takes
spikes [T, N, inputs] and gives counts [N, classes] (needs --steps and --inputs; compared on random
spikes); or a checkpoint that `spikeloom train` wrote (compared on up to 1,000 test samples).
Nothing is written unless all spikes are equal.
"""

import argparse
from pathlib import Path
from typing import Any

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.cli.console import Console

HELP = "export a torch module to ONNX"

SAMPLES = 64
TEST_SAMPLES = 1000
DENSITY = 0.3


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"shape '{text}' is not a number, nor numbers joined by 'x'"
        ) from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("source", metavar="SOURCE", help="mymodel.py:build, or NAME.safetensors")
    parser.add_argument(
        "--steps", type=int, metavar="T", default=argparse.SUPPRESS, help="time steps, >= 1"
    )
    parser.add_argument(
        "--inputs",
        type=_shape,
        metavar="SHAPE",
        default=argparse.SUPPRESS,
        help="shape of one sample at one time step, such as 64 or 1x28x28",
    )
    parser.add_argument(
        "--encoder",
        metavar="TEXT",
        default=argparse.SUPPRESS,
        help="how the input spikes are made, noted in the file (default: 'binary events')",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="folder with the test samples of a checkpoint's data set (see 'spikeloom train')",
    )
    parser.add_argument(
        "--exact-sums",
        action="store_true",
        help="round the weights of linear layers, by at most 2**-23 of a row's sum, so that no "
        "sum depends on its order (trained recipes are already so)",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="the ONNX file to write",
    )


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Export, compare, write."""
    import numpy as np
    from torch import nn

    from spikeloom.models import checkpoint, export
    from spikeloom.models.check import check_export
    from spikeloom.models.encoders import Bernoulli, Encoder
    from spikeloom.models.exact import make_sums_exact
    from spikeloom.models.source import load_module

    given = vars(args)
    if args.source.endswith(".safetensors"):
        for name in ("steps", "inputs", "encoder"):
            if name in given:
                raise SpikeloomError(
                    f"--{name} does not go with a checkpoint, which states its own"
                )
        stored = checkpoint.load(Path(args.source))
        recipe = stored.recipe
        module: nn.Module = stored.module
        name, shape = recipe.name, recipe.shape
        steps, events = recipe.encoder.steps, recipe.encoder.events
        described: Encoder | str = recipe.encoder
        test = recipe.load_data(given.get("data")).test
        spikes = recipe.code(test, 0, min(test.size, TEST_SAMPLES))
    else:
        if "steps" not in given or "inputs" not in given:
            raise SpikeloomError(f"model '{args.source}' needs --steps and --inputs")
        module, name = load_module(args.source), args.out.stem
        steps, shape, described = args.steps, args.inputs, given.get("encoder", "binary events")
        encoder = Bernoulli(steps)
        spikes, events = encoder(np.full((SAMPLES, *shape), DENSITY)), encoder.events
    if args.exact_sums:
        make_sums_exact(module, events)
    model = export.convert(module, steps, shape, described, name)
    compared = check_export(module, model, spikes)
    export.write(model, args.out)

    console.table(
        f"{args.out}: T = {steps}, inputs {'x'.join(map(str, shape))}",
        ("layer", "spikes compared with torch", "different"),
        [(layer, count, 0) for layer, count in compared.items()],
    )
    return {
        "file": str(args.out),
        "steps": steps,
        "inputs": list(shape),
        "encoder": str(described),
        "spikes_compared": compared,
        "spikes_different": 0,
    }
