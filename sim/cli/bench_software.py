"""The measurement `software` of `spikeloom bench`."""

import argparse
import itertools
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.cli.console import Console

if TYPE_CHECKING:
    from spikeloom.compiler.inputs import Spikes
    from spikeloom.compiler.program import Program

SECTION = "Software"

# The network of docs/performance.md where the zoo has none.
DEFAULT_SIZES, DEFAULT_STEPS = (784, 128, 10), (8, 25)

EXPLANATION = """\
Samples per second of the integer reference (`compiler/reference.py`) and of the same network as a
plain loop in torch (`sim/torch_loop.py`): per time step and layer a linear map, leak, threshold and
reset, in float32 and without gradients. The loop gets its events in float32, the reference in
integers. Each rate is the best of several turns, in which the two follow each other; a turn is one
batch, or as many as make 32 samples. Rates depend on the machine and on what else it does, their
ratio less so. Seconds of compile and emit are of processor time, the command's start left out."""

HEADER = ("network", "T", "batch", "integer reference", "torch loop", "ratio")


def sizes(text: str) -> tuple[int, ...]:
    """Neurons per layer, from text such as `784-128-10`."""
    parts = text.split("-")
    if len(parts) < 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form INPUTS-NEURONS-CLASSES")
    return tuple(int(part) for part in parts)


def batch_sizes(text: str) -> tuple[int, ...]:
    """Batch sizes, from text such as `1,32,256`."""
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form N,N,... with each N >= 1")
    return tuple(int(part) for part in parts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this measurement's arguments."""
    parser.add_argument("programs", nargs="*", type=Path, metavar="PROGRAM", help="program files")
    parser.add_argument(
        "--spikes",
        type=Path,
        metavar="SPIKES",
        default=argparse.SUPPRESS,
        help="the input of a PROGRAM, .npz or .csv",
    )
    parser.add_argument(
        "--density",
        type=float,
        default=10.0,
        metavar="PERCENT",
        help="random events: share of the inputs that give one in a time step, 0 .. 100",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of all that is random")
    parser.add_argument(
        "--batches", type=batch_sizes, default="1,32,256", metavar="N,...", help="batch sizes"
    )
    parser.add_argument(
        "--compile",
        type=sizes,
        default="784-800-10",
        metavar="SIZES",
        help="random network that is compiled and emitted",
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="PAGE",
        default=argparse.SUPPRESS,
        help="Markdown page whose section 'Software' gets the figures",
    )


def measure(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Time the integer reference beside a plain torch loop, the cycle model, compile and emit.

    Without PROGRAM, takes the networks of the zoo, or if it is empty a random 784-128-10 with 8 and
    25 time steps. Without --spikes, events are random. The random network of --compile goes through
    'compile' and 'emit' as the commands do it, but for the time that these take to start. Rates are
    the best of several turns, the two loops one after the other: compare the ratios, and set
    OMP_NUM_THREADS, which numpy and torch heed, on a machine that others use too.
    """
    if not 0 <= args.density <= 100:
        raise SpikeloomError(f"--density is {args.density:g}; wanted 0 .. 100")
    if args.seed < 0:
        raise SpikeloomError(f"--seed is {args.seed}; wanted >= 0")
    if "spikes" in args and len(args.programs) != 1:
        raise SpikeloomError(f"--spikes goes with one PROGRAM, not with {len(args.programs)}")
    programs = _programs(args)
    given = [_spikes(args, program) for program in programs]
    networks = []
    with console.progress("measure rates", len(programs) * (len(args.batches) + 1)) as advance:
        for program, (spikes, data) in zip(programs, given, strict=True):
            networks.append(_measure_network(program, spikes, data, args.batches, advance))
    with console.progress("compile and emit", 2) as advance:
        compiled = _measure_compile(args.compile, args.seed, advance)
    result = {"networks": networks, "compile": compiled}
    _print(result, console)
    if "write" in args:
        from spikeloom.sim.performance_page import write_section

        write_section(args.write, SECTION, _command(args), _markdown(result))
        console.say(f"wrote {args.write}")
        result["files"] = {"page": str(args.write)}
    return result


def _programs(args: argparse.Namespace) -> list["Program"]:
    from spikeloom.compiler.onnx_import import import_network, load_model
    from spikeloom.compiler.passes import lower
    from spikeloom.compiler.program import Program
    from spikeloom.models import cards
    from spikeloom.sim.random_networks import random_model

    if args.programs:
        return [Program.load(path) for path in args.programs]
    names = cards.names()
    models = {name: load_model(cards.folder() / f"{name}.onnx") for name in names} or {
        f"random T={steps}": random_model(DEFAULT_SIZES, steps, args.seed)
        for steps in DEFAULT_STEPS
    }
    return [Program(lower(import_network(model, name)), {}) for name, model in models.items()]


def _spikes(args: argparse.Namespace, program: "Program") -> tuple["Spikes", str]:
    """Events for a network, and what they are."""
    from spikeloom.sim.random_networks import random_spikes
    from spikeloom.sim.spike_files import read_spikes

    if "spikes" in args:
        spikes = read_spikes(args.spikes, program.network).spikes
        return spikes, f"{args.spikes.name}, {spikes.shape[1]} samples"
    samples = max(args.batches)
    spikes = random_spikes(program.network, samples, args.density / 100, args.seed)
    return spikes, f"random events, seed {args.seed}, {samples} samples"


def _measure_network(
    program: "Program", spikes: "Spikes", data: str, batches: tuple[int, ...], advance: Any
) -> dict[str, Any]:
    import numpy as np
    import torch

    from spikeloom.sim import benchmarks, software_speed

    rates = software_speed.measure_rates(program.network, spikes, batches, advance)
    cycles = None
    if program.refusal is None:
        cycles = software_speed.measure_cycle_model(program, spikes)
    advance(1)
    told = benchmarks.circumstances(program)
    told["versions"]["torch"] = torch.__version__
    told["data"] = f"{data}, {np.count_nonzero(spikes) / spikes.size:.1%} of the inputs give events"
    return {
        "circumstances": told,
        "rows": [asdict(row) | {"ratio": row.ratio} for row in rates.rows],
        "samples": rates.samples,
        "samples_of_equal_class": rates.equal,
        "cycle_model_cycles_per_second": cycles,
    }


def _measure_compile(layers: tuple[int, ...], seed: int, advance: Any) -> dict[str, Any]:
    """Seconds that the commands 'compile' and 'emit' take for a random network.

    Of processor time, child processes included: others on the machine hardly change it.
    """
    from spikeloom.sim.cli import compile, emit
    from spikeloom.sim.random_networks import random_model

    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.onnx"
        path.write_bytes(random_model(layers, DEFAULT_STEPS[0], seed).SerializeToString())
        program = path.with_suffix(".program.safetensors")
        for command, given in ((compile, path), (emit, program)):
            parser = argparse.ArgumentParser()
            command.add_arguments(parser)
            parsed = parser.parse_args([str(given), "-o", folder])
            start = _processor_seconds()
            command.run(parsed, Console(as_json=True))
            seconds[command] = _processor_seconds() - start
            advance(1)
    weights = sum(pre * post for pre, post in itertools.pairwise(layers))
    return {
        "network": "-".join(map(str, layers)),
        "weights": weights,
        "compile_seconds": seconds[compile],
        "emit_seconds": seconds[emit],
        "compile_seconds_per_layer": seconds[compile] / (len(layers) - 1),
        "compile_seconds_per_million_weights": seconds[compile] * 1e6 / weights,
    }


def _processor_seconds() -> float:
    return sum(os.times()[:4])


def _rate_rows(result: dict[str, Any]) -> list[tuple[object, ...]]:
    return [
        (
            network["circumstances"]["network"],
            network["circumstances"]["steps"],
            row["batch"],
            round(row["reference"]),
            round(row["torch_loop"]),
            round(row["ratio"], 2),
        )
        for network in result["networks"]
        for row in network["rows"]
    ]


def _sentences(result: dict[str, Any]) -> list[str]:
    """What the table does not hold."""
    lines = []
    for network in result["networks"]:
        told = network["circumstances"]
        widths = ", ".join(f"{name} {bits}" for name, bits in told["state_bits"].items())
        cycles = network["cycle_model_cycles_per_second"]
        model = "none" if cycles is None else f"{cycles:,.0f} clock cycles per second"
        lines.append(
            f"{told['network']}: {told['layers']}, T = {told['steps']}, weights of "
            f"{told['weight_bits']} bits, states of {widths} bits; {told['data']}; the loop gives "
            f"the class of the reference in {network['samples_of_equal_class']:,} of "
            f"{network['samples']:,} samples; cycle model: {model}"
        )
    told = result["networks"][0]["circumstances"]
    versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
    made = result["compile"]
    return [
        *lines,
        f"{versions}; {told['machine']}; threads: {told['threads']}",
        f"random {made['network']}, {made['weights']:,} weights, processor time: compile "
        f"{made['compile_seconds']:.2f} s ({made['compile_seconds_per_layer']:.2f} s per layer, "
        f"{made['compile_seconds_per_million_weights']:.2f} s per million weights), emit "
        f"{made['emit_seconds']:.1f} s",
    ]


def _print(result: dict[str, Any], console: Console) -> None:
    console.table("samples per second", HEADER, _rate_rows(result))
    for line in _sentences(result):
        console.say(line)


def _markdown(result: dict[str, Any]) -> str:
    from spikeloom.sim.performance_page import table

    points = "\n".join(f"- {line}" for line in _sentences(result))
    return f"{EXPLANATION}\n\n{table(HEADER, _rate_rows(result))}\n\n{points}"


def _command(args: argparse.Namespace) -> str:
    """What to type to measure the same again, but for the name of the page."""
    threads = os.environ.get("OMP_NUM_THREADS")
    words = [f"OMP_NUM_THREADS={threads}"] if threads else []
    words += ["spikeloom bench software", *(path.name for path in args.programs)]
    if "spikes" in args:
        words += ["--spikes", args.spikes.name]
    else:
        words += ["--density", f"{args.density:g}"]
    words += ["--seed", str(args.seed), "--batches", ",".join(map(str, args.batches))]
    words += ["--compile", "-".join(map(str, args.compile)), "--write", args.write.name]
    return " ".join(words)
