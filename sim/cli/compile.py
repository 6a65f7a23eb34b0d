"""Compile an ONNX file to a fixed-point network and a program for the accelerator.

Written into the output folder:
  NAME.program.safetensors  the program: all numbers of the accelerator and what they mean
  NAME.fixed.onnx           the same network in integers, for any ONNX runtime
  passes/NN-PASS.txt        the network after each pass, as text
"""

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeloom.compiler.errors import ToolMissing, VerificationMismatch
from spikeloom.sim.cli.console import Console

if TYPE_CHECKING:
    from spikeloom.compiler.ir import Network
    from spikeloom.compiler.program import Program
    from spikeloom.compiler.reference import Spikes

HELP = "compile an ONNX file to a fixed-point network and a program"


def parse_lanes(text: str) -> dict[str, int]:
    """Lanes per layer, from text such as `fc1=16,fc2=10`."""
    lanes: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = part.partition("=")
        if not equals or not name or not number.isdecimal():
            raise argparse.ArgumentTypeError(f"'{part}' is not of the form LAYER=LANES")
        if name in lanes:
            raise argparse.ArgumentTypeError(f"layer '{name}' is given twice")
        lanes[name] = int(number)
    return lanes


class AddLanes(argparse.Action):
    """Lanes of some layers, beside those that the option gave before."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add lanes; raise argparse.ArgumentError if a layer has some already."""
        before = getattr(namespace, self.dest, None) or {}
        for name in before.keys() & values:
            raise argparse.ArgumentError(self, f"layer '{name}' is given twice")
        setattr(namespace, self.dest, {**before, **values})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="the ONNX file")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FOLDER", help="where to write"
    )
    parser.add_argument(
        "--weight-bits", type=int, default=8, metavar="BITS", help="width of a weight, 2 .. 8"
    )
    parser.add_argument(
        "--state-bits",
        type=int,
        default=16,
        metavar="BITS",
        help="largest width of a membrane between time steps, 4 .. 24",
    )
    parser.add_argument(
        "--decay-bits",
        type=int,
        default=8,
        metavar="BITS",
        help="fraction bits of a decay, 1 .. 16",
    )
    parser.add_argument(
        "--lanes",
        type=parse_lanes,
        action=AddLanes,
        default={},
        metavar="LAYER=P,...",
        help="neurons of a layer that are processed at once (layers not named: all of them)",
    )
    parser.add_argument(
        "--check",
        type=Path,
        metavar="SPIKES",
        help="an NPZ file with an array 'spikes' of 0 and 1, shape (T, samples, inputs), or a CSV "
        "file of events: run them after each integer pass and in onnxruntime, and stop at the "
        "first difference",
    )


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Import, lower, check, write."""
    from spikeloom.compiler.fixed_onnx import fixed_model
    from spikeloom.compiler.ir import Precision
    from spikeloom.compiler.onnx_import import examine, load_model
    from spikeloom.compiler.passes import lower
    from spikeloom.compiler.program import Program

    name = args.model.stem
    precision = Precision(args.weight_bits, args.state_bits, args.decay_bits)
    report = examine(load_model(args.model), name)
    network = replace(report.require(), precision=precision)
    stages: list[tuple[str, Network]] = [("import", network)]
    fixed = lower(network, lambda step, result: stages.append((step, result)))
    program = Program(fixed, args.lanes)
    oracle = fixed_model(fixed)
    compared = None
    if args.check is not None:
        from spikeloom.sim.spike_files import read_spikes

        try:
            from spikeloom.sim.oracle import compare_fixed
        except ImportError as error:
            raise ToolMissing(
                f"--check needs {error.name}; install it with 'pip install spikeloom[verify]'"
            ) from error
        spikes = read_spikes(args.check, fixed).spikes
        _compare_passes(stages, spikes)
        compared = compare_fixed(fixed, oracle, spikes)

    paths = {
        "program": args.out / f"{name}.program.safetensors",
        "fixed_onnx": args.out / f"{name}.fixed.onnx",
    }
    _write(program, oracle.SerializeToString(deterministic=True), stages, args.out, paths)

    for verdict in report.verdicts:
        if verdict.meaning.startswith("unused"):
            console.say(f"note: node '{verdict.node}' ({verdict.operator}) is {verdict.meaning}")
    layers = _summarise(program)
    console.table(
        f"{name}: T = {fixed.steps}, inputs {fixed.input.size}",
        tuple(key.replace("_", " ") for key in layers[0]),
        [tuple(layer.values()) for layer in layers],
    )
    if compared is not None:
        console.say(f"checked: {compared:,} numbers in onnxruntime equal the integer reference")
    for path in paths.values():
        console.say(f"wrote {path}")
    return {
        "name": name,
        "steps": fixed.steps,
        "files": {key: str(path) for key, path in paths.items()},
        "passes": [step for step, _ in stages],
        "layers": layers,
        "numbers_checked": compared,
    }


def _compare_passes(stages: "list[tuple[str, Network]]", spikes: "Spikes") -> None:
    """Raise VerificationMismatch at the first integer pass that changes a spike."""
    from spikeloom.compiler import reference
    from spikeloom.sim.oracle import first_difference

    integer = [(step, network) for step, network in stages if network.is_fixed]
    first, network = integer[0]
    expected = reference.run(network, spikes)
    for step, network in integer[1:]:
        got = reference.run(network, spikes)
        for layer in network.layers:
            where = first_difference(expected.spikes[layer.name], got.spikes[layer.name])
            if where is not None:
                time_step, sample, neuron = where
                raise VerificationMismatch(
                    f"pass {step} changes what {first} made: layer '{layer.name}', step "
                    f"{time_step}, sample {sample}, neuron {neuron}: expected spike "
                    f"{expected.spikes[layer.name][where]}, got {got.spikes[layer.name][where]}"
                )


def _write(
    program: "Program",
    oracle: bytes,
    stages: "list[tuple[str, Network]]",
    folder: Path,
    paths: dict[str, Path],
) -> None:
    from spikeloom.compiler.files import replacing

    # All files take their names only after all of them have been written.
    with ExitStack() as stack:
        program.save(stack.enter_context(replacing(paths["program"])))
        stack.enter_context(replacing(paths["fixed_onnx"])).write_bytes(oracle)
        for number, (step, network) in enumerate(stages):
            path = folder / "passes" / f"{number:02}-{step}.txt"
            text = f"{network}\n"
            stack.enter_context(replacing(path)).write_text(text, encoding="utf-8")


def _summarise(program: "Program") -> list[dict[str, Any]]:
    """One row per layer; memory in bits, weights as they lie in the memory, with its filling."""
    rows = []
    for core in program.cores:
        zeros = float((core.weight == 0).mean())
        rows.append(
            {
                "layer": core.name,
                "inputs": core.inputs,
                "neurons": core.neurons,
                "lanes": core.lanes,
                "weight_bits": core.weight_bits,
                "zero_weights_percent": round(100 * zeros, 1),
                "state_bits": core.neuron.state_bits,
                "accumulator_bits": core.neuron.accumulator_bits,
                "weight_memory_bits": core.weight_memory_bits,
                "membrane_memory_bits": core.groups * core.lanes * core.neuron.accumulator_bits,
            }
        )
    return rows
