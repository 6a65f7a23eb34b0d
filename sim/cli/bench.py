"""Measure what a program costs.

  density    clock cycles per time step against the share of inputs that spike
  software   samples per second of the integer reference beside a torch loop, clock cycles per
             second of the cycle model, seconds that compile and emit take
  hardware   size and speed of the zoo's networks after place and route, cycles on real samples
  verification
             the zoo's networks in Verilator, every signal at every clock edge, on real samples
  large      what VGG9 and ResNet11 need, and their kinds of layers one by one
  train      samples per second of the training loop, beside a loop written by hand

Cycles are exact and the same on every machine. Rates depend on the machine: compare only those of
one run.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.cli import bench_hardware, bench_large, bench_software, bench_verification
from spikeloom.sim.cli.console import Console

HELP = "measure cycles and size of hardware, or the speed of software and training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's measurements, each with arguments of its own."""
    measurements = parser.add_subparsers(dest="measurement", metavar="MEASUREMENT", required=True)
    density = _add(measurements, "density", _density, "cycles per time step against density")
    density.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FOLDER",
        default=argparse.SUPPRESS,
        help="draw the curve into NAME-density.png in this folder",
    )
    density.add_argument(
        "--samples", type=int, default=32, metavar="N", help="samples per density, >= 1"
    )
    density.add_argument("--seed", type=int, default=0, metavar="S", help="of the spikes, >= 0")
    software = _add(measurements, "software", bench_software.measure, "speed of the software", None)
    bench_software.add_arguments(software)
    text = "size, speed and cycles of the zoo's networks"
    hardware = _add(measurements, "hardware", bench_hardware.measure, text, None)
    bench_hardware.add_arguments(hardware)
    text = "the zoo's networks, clock cycle by clock cycle"
    verification = _add(measurements, "verification", bench_verification.measure, text, None)
    bench_verification.add_arguments(verification)
    text = "networks that fit no part, layer by layer"
    large = _add(measurements, "large", bench_large.measure, text, None)
    bench_large.add_arguments(large)
    train = _add(measurements, "train", _train, "speed of the training loop", "recipe")
    train.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="folder with the data sets (see 'spikeloom train')",
    )
    train.add_argument(
        "--batches", type=int, default=30, metavar="N", help="timed per loop, at most an epoch"
    )


def _add(
    measurements: Any,
    name: str,
    measure: Callable[[argparse.Namespace, Console], dict[str, Any]],
    text: str,
    source: Literal["program", "recipe"] | None = "program",
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = measurements.add_parser(
        name,
        help=text,
        description=measure.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    if source == "program":
        parser.add_argument("program", type=Path, metavar="PROGRAM", help="the program file")
    elif source == "recipe":
        parser.add_argument("recipe", metavar="RECIPE", help="as 'spikeloom train --list' shows it")
    # Every command takes these two behind its other arguments; without a default they leave alone
    # what was said in front of the measurement's name.
    for flags, what in ((("--json",), "the result as JSON"), (("-v", "--verbose"), "more detail")):
        parser.add_argument(
            *flags, action="store_true", default=argparse.SUPPRESS, help=f"print {what}"
        )
    parser.set_defaults(measure=measure)
    return parser


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Carry out the measurement named."""
    result: dict[str, Any] = args.measure(args, console)
    return result


def _density(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Count cycles under random spikes, samples following on each other without a gap."""
    from spikeloom.compiler.program import Program
    from spikeloom.sim import benchmarks, hardware, pictures

    for name, least in (("samples", 1), ("seed", 0)):
        value = getattr(args, name)
        if value < least:
            raise SpikeloomError(f"--{name} is {value}; wanted >= {least}")
    program = Program.load(args.program)
    densities = benchmarks.DENSITIES_PERCENT
    with console.progress("count cycles", len(densities)) as advance:
        rows = benchmarks.sweep_density(program, args.samples, args.seed, advance)
    line = benchmarks.fit_line(rows)
    data = f"random spikes, seed {args.seed}, {args.samples} samples per density"
    result: dict[str, Any] = {
        "circumstances": benchmarks.circumstances(program) | {"data": data},
        "rows": [asdict(row) for row in rows],
        "line": asdict(line),
        "reference": hardware.SPIKER,
    }
    _say_circumstances(result["circumstances"], console)
    console.table(
        "clock cycles per time step, samples in a stream",
        ("inputs that spike", "input events", "hidden events", "cycles", "lower bound", "line"),
        [
            (
                f"{row.density_percent:g} %",
                round(row.events_per_step, 2),
                round(row.hidden_events_per_step, 2),
                round(row.cycles_per_step, 2),
                round(row.bound_per_step, 2),
                round(line.cycles_at_rest + line.cycles_per_event * row.events_per_step, 2),
            )
            for row in rows
        ],
    )
    console.say(
        f"line of least squares: {line.cycles_at_rest:.2f} cycles + {line.cycles_per_event:.3f} "
        f"per input event; the farthest count is {line.largest_deviation_percent:.1f} % off it"
    )
    console.say(hardware.SPIKER)
    if "out" in args:
        name = program.network.name
        picture = args.out / f"{name}-density.png"
        lanes = ", ".join(f"{core.name} {core.lanes}" for core in program.cores)
        pictures.density_plot(rows, line, picture, f"{name}, lanes: {lanes}")
        console.say(f"wrote {picture}")
        result["picture"] = str(picture)
    return result


def _train(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Time the training loop against a plain torch loop of the same network, batch by batch."""
    from spikeloom.models import recipes, result
    from spikeloom.sim import training_speed

    recipe = recipes.find(args.recipe)
    dataset = recipe.load_data(vars(args).get("data"))
    rate = training_speed.measure(recipe, dataset, args.batches)
    console.table(
        f"{recipe.name}: samples per second of processor time, batches of {recipe.training.batch}",
        ("training loop", "plain torch loop", "ratio"),
        [(round(rate.loop), round(rate.plain), round(rate.ratio, 3))],
    )
    return {
        "recipe": recipe.name,
        "batch": recipe.training.batch,
        "threads": recipe.training.threads,
        "versions": result.versions(),
        **asdict(rate),
        "ratio": rate.ratio,
    }


def _say_circumstances(circumstances: dict[str, Any], console: Console) -> None:
    for name, value in circumstances.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {item}" for key, item in value.items())
        if value is not None:
            console.say(f"{name.replace('_', ' ')}: {value}")
