"""Run input spikes through the integer reference, which is what the chip does, bit for bit.

SPIKES is an NPZ file with an array `spikes`, shape (T, samples, inputs), and if you like `labels`,
such as the `test.npz` of a training; or a CSV file of events with the header `sample,step,input`.
With `labels` the accuracy is told. Clock cycles are counted on the cycle model of the accelerator,
of networks that it takes.

The trace that -o writes is an NPZ file: `spikes/POPULATION` (integers, shape (T, samples,
neurons); the input's are its events in whole numbers), with --membranes `membranes/LAYER` (int64,
the same shape, before the reset), `scores` (samples, classes) and `classes` (samples).
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeloom.sim.cli.console import Console

if TYPE_CHECKING:
    from spikeloom.compiler.reference import Trace

HELP = "run input spikes through the integer reference"

# Enough samples for a mean that tells; the cycle model takes a moment for each.
CYCLE_SAMPLES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("program", type=Path, metavar="PROGRAM", help="the program file")
    parser.add_argument("spikes", type=Path, metavar="SPIKES", help="the input, .npz or .csv")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="write the trace of all samples into this NPZ file",
    )
    parser.add_argument(
        "--membranes", action="store_true", help="keep the membranes in the trace as well"
    )
    parser.add_argument(
        "--sample", type=int, default=0, metavar="N", help="the sample in the pictures, from 0 on"
    )
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="draw the spikes of all populations, for instance into raster.png",
    )
    parser.add_argument(
        "--membrane-picture",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="draw the membranes of the readout's neurons",
    )


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Simulate, print the figures, write what is asked for."""
    from spikeloom.compiler import reference
    from spikeloom.compiler.program import Program
    from spikeloom.sim import latency, pictures
    from spikeloom.sim.spike_files import read_spikes, write_arrays

    program = Program.load(args.program)
    network = program.network
    samples = read_spikes(args.spikes, network)
    count = samples.spikes.shape[1]
    keep = args.membranes or "membrane_picture" in args
    shown = any(name in args for name in ("out", "picture", "membrane_picture"))
    trace = reference.run(network, samples.spikes, membranes=keep, keep_spikes=shown)
    cycles = None
    if program.refusal is None:
        cycles = latency.measure(program, samples.spikes[:, :CYCLE_SAMPLES])

    files: dict[str, Path] = {}
    for name, draw in (
        ("picture", pictures.spike_raster),
        ("membrane_picture", pictures.membrane_plot),
    ):
        if name in args:
            files[name] = getattr(args, name)
            draw(network, trace, args.sample, files[name], _title(trace, args, samples.labels))
    if "out" in args:
        files["trace"] = args.out
        write_arrays(args.out, _arrays(trace, args.membranes))

    correct = None if samples.labels is None else int((trace.classes == samples.labels).sum())
    events = {name: float(item.mean()) for name, item in trace.event_counts().items()}
    console.table(
        f"{network.name}: {count:,} samples of {network.steps} time steps",
        ("population", "neurons", "events per sample", "per neuron and step"),
        [
            (
                item.name,
                item.size,
                round(events[item.name], 1),
                round(events[item.name] / item.size / network.steps, 4),
            )
            for item in network.populations
        ],
    )
    if correct is not None:
        console.say(f"accuracy: {correct / count:.2%} ({correct:,} of {count:,})")
    for name, number in trace.saturated.items():
        if number:
            share = number / (count * network.steps * network.population(name).size)
            console.say(
                f"note: layer '{name}': {share:.2%} of its states were saturated; a larger "
                "--state-bits when compiling avoids it"
            )
    figures = None if cycles is None else cycles.as_dict()
    if figures is None:
        console.say(f"clock cycles: none, {program.refusal}")
    else:
        console.say(
            f"clock cycles, mean of the first {figures['samples']} samples: "
            f"{figures['cycles_to_class']:.1f} from the first event to the class "
            f"({figures['latency_over_bound']:.3f} times the lower bound), "
            f"{figures['cycles_pipelined']:.1f} per sample in a stream "
            f"({figures['pipelined_over_bound']:.3f} times)"
        )
    for path in files.values():
        console.say(f"wrote {path}")
    return {
        "name": network.name,
        "samples": count,
        "steps": network.steps,
        "accuracy": None if correct is None else correct / count,
        "correct": correct,
        "events_per_sample": events,
        "saturated": trace.saturated,
        "cycles": figures,
        "files": {name: str(path) for name, path in files.items()},
    }


def _title(trace: "Trace", args: argparse.Namespace, labels: Any) -> str | None:
    """What stands over a picture if the class that was wanted is known."""
    if labels is None or not 0 <= args.sample < len(labels):
        return None
    found, wanted = trace.classes[args.sample], labels[args.sample]
    verdict = "as labelled" if found == wanted else f"labelled {wanted}"
    return f"{args.spikes.name}, sample {args.sample}: class {found}, {verdict}"


def _arrays(trace: "Trace", membranes: bool) -> dict[str, Any]:
    arrays: dict[str, Any] = {f"spikes/{name}": item for name, item in trace.spikes.items()}
    if membranes:
        arrays |= {f"membranes/{name}": item for name, item in trace.membranes.items()}
    return arrays | {"scores": trace.scores, "classes": trace.classes}
