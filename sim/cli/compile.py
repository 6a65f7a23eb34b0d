"""Compile an ONNX file to a fixed-point network and a program for the accelerator.

Written into the output folder:
  NAME.program.safetensors  the program: all numbers of the network and what they mean
  NAME.fixed.onnx           the same network in integers, for any ONNX runtime
  passes/NN-PASS.txt        the network after each pass, as text
  NAME.foldings.png         with --target: look-up tables against cycles of the foldings that fit
  NAME.weights.bin          where weights can be loaded: what loads those of this network

With --target the lanes are chosen: those that take fewest clock cycles per sample within the part,
or within --budget. What a folding takes is estimated before synthesis; the cycles are those for the
spikes of --check, or for events from a tenth of each population in each time step.

With --weights reloadable or loaded the accelerator takes other weights, thresholds and biases while
it works; --for makes those of another network that was trained in the same shape.
"""

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from spikeloom.compiler.errors import ToolMissing, VerificationMismatch
from spikeloom.compiler.weight_storage import WeightStorage
from spikeloom.sim.cli.compile_for import folded_like, given_chip
from spikeloom.sim.cli.compile_notes import changed_decays, narrow_states, silent_neurons
from spikeloom.sim.cli.console import Console
from spikeloom.sim.cli.folding import (
    add_folding_arguments,
    add_target_arguments,
    choose_folding,
    given_folding,
)

if TYPE_CHECKING:
    from spikeloom.compiler.inputs import Spikes
    from spikeloom.compiler.ir import Network
    from spikeloom.compiler.program import Program
    from spikeloom.compiler.weight_image import Words

HELP = "compile an ONNX file to a fixed-point network and a program"

COUNTED_SAMPLES = 20
"""Samples of which the cycles of each layer are told."""


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
        metavar="BITS",
        help="largest width of a membrane or current between time steps, 4 .. 24 (default: 16, or "
        "what 8 times the threshold of a layer takes)",
    )
    parser.add_argument(
        "--decay-bits",
        type=int,
        default=8,
        metavar="BITS",
        help="fraction bits of a decay, 1 .. 16",
    )
    add_folding_arguments(parser, "all neurons of a layer")
    add_target_arguments(parser)
    parser.add_argument(
        "--encode",
        metavar="ENCODER",
        help="make the input's spikes on the chip, which then takes pixels of 0 .. 255, once per "
        "sample: 'bernoulli:seed=N' (random spikes) or 'first_spike:t_max=N,dark=N' (one spike per "
        "pixel, the brighter the earlier)",
    )
    parser.add_argument(
        "--weights",
        choices=get_args(WeightStorage),
        default="fixed",
        help="whether weights, thresholds and biases are part of the bitstream for good, can be "
        "replaced at run time (which takes twice the memory), or are loaded before the first "
        "sample (default: %(default)s)",
    )
    parser.add_argument(
        "--for",
        dest="chip",
        type=Path,
        metavar="PROGRAM",
        help="take precision, folding and word widths of this program, whose accelerator then "
        "takes NAME.weights.bin",
    )
    parser.add_argument(
        "--early-stop",
        action="store_true",
        help="answer at the end of the first time step in which an output neuron spikes, and drop "
        "the rest of the window; for a readout of first spikes",
    )
    parser.add_argument(
        "--check",
        type=Path,
        metavar="SPIKES",
        help="an NPZ file with an array 'spikes', shape (T, samples, inputs), or a CSV file of "
        "events: run them after each integer pass and in onnxruntime, and stop at the first "
        "difference",
    )


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Import, lower, check, write."""
    from spikeloom.compiler.exchange import weight_image
    from spikeloom.compiler.fixed_onnx import fixed_model
    from spikeloom.compiler.ir import Precision
    from spikeloom.compiler.on_chip import OnChipEncoder
    from spikeloom.compiler.onnx_import import examine, load_model
    from spikeloom.compiler.passes import lower
    from spikeloom.compiler.program import Program

    name = args.model.stem
    chip = given_chip(args)
    precision = Precision(args.weight_bits, args.state_bits, args.decay_bits)
    report = examine(load_model(args.model), name)
    network = replace(report.require(), precision=precision, weights=args.weights)
    if args.early_stop:
        network = network.with_early_stop()
    if args.encode is not None:
        network = network.with_on_chip(OnChipEncoder.parse(args.encode))
    stages: list[tuple[str, Network]] = [("import", network)]
    fixed = lower(
        network,
        lambda step, result: stages.append((step, result)),
        None if chip is None else chip.network,
    )
    spikes = None
    if args.check is not None:
        from spikeloom.sim.spike_files import read_spikes

        spikes = read_spikes(args.check, fixed).spikes
    choice = choose_folding(fixed, args, spikes)
    folding = given_folding(args) if choice is None else choice.folding
    program = Program(fixed, *folding) if chip is None else folded_like(fixed, chip)
    image = weight_image(chip or program, program) if fixed.has_run_time_weights else None
    oracle = fixed_model(fixed)
    compared = None
    if spikes is not None:
        try:
            from spikeloom.sim.oracle import compare_fixed
        except ImportError as error:
            raise ToolMissing(
                f"--check needs {error.name}; install it with 'pip install spikeloom[verify]'"
            ) from error
        _compare_passes(stages, spikes)
        compared = compare_fixed(fixed, oracle, spikes)

    silent = silent_neurons(fixed)
    paths = {
        "program": args.out / f"{name}.program.safetensors",
        "fixed_onnx": args.out / f"{name}.fixed.onnx",
    }
    if image is not None:
        paths["weights"] = args.out / f"{name}.weights.bin"
    _write(program, image, oracle.SerializeToString(deterministic=True), stages, args.out, paths)

    for verdict in report.verdicts:
        if verdict.meaning.startswith("unused"):
            console.say(f"note: node '{verdict.node}' ({verdict.operator}) is {verdict.meaning}")
    layers = _summarise(program, spikes)
    console.table(
        f"{name}: T = {fixed.steps}, inputs {fixed.input.size}",
        tuple(key.replace("_", " ") for key in layers[0]),
        [tuple(layer.values()) for layer in layers],
    )
    console.say(_needs(layers))
    if image is not None:
        into = "" if chip is None else f" into the accelerator of '{chip.network.name}'"
        console.say(
            f"weights, thresholds and biases can be loaded{into}: {len(image):,} words of 32 bits"
        )
    if choice is not None:
        choice.show(console)
        choice.draw(args.out / f"{name}.foldings.png")
        paths["foldings"] = args.out / f"{name}.foldings.png"
    for note in (*changed_decays(network, fixed), *narrow_states(fixed), *silent):
        console.say(f"note: {note}")
    if program.refusal is not None:
        console.say(
            f"note: 'spikeloom emit' will refuse this program, which can be simulated: "
            f"{program.refusal}"
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
        "folding": choice.as_dict() if choice is not None else None,
        "accelerator_refusal": program.refusal,
        "weights": fixed.weights,
        "weight_image_words": None if image is None else len(image),
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
    image: "Words | None",
    oracle: bytes,
    stages: "list[tuple[str, Network]]",
    folder: Path,
    paths: dict[str, Path],
) -> None:
    from spikeloom.compiler.files import replacing
    from spikeloom.compiler.weight_image import to_bytes

    # All files take their names only after all of them have been written.
    with ExitStack() as stack:
        program.save(stack.enter_context(replacing(paths["program"])))
        stack.enter_context(replacing(paths["fixed_onnx"])).write_bytes(oracle)
        if image is not None:
            stack.enter_context(replacing(paths["weights"])).write_bytes(to_bytes(image))
        for number, (step, network) in enumerate(stages):
            path = folder / "passes" / f"{number:02}-{step}.txt"
            text = f"{network}\n"
            stack.enter_context(replacing(path)).write_text(text, encoding="utf-8")


def _summarise(program: "Program", spikes: "Spikes | None") -> list[dict[str, Any]]:
    """One row per layer; memory in bits, cycles of the first samples.

    Where the accelerator takes the network, memories are its own, with their filling.
    """
    from spikeloom.compiler.ir import FixedNeuron

    network = program.network
    cores = {} if program.refusal else {core.name: core for core in program.cores}
    rows = []
    for layer in network.layers:
        edges = network.projections_to(layer.name)
        neuron, core = layer.neuron, cores.get(layer.name)
        assert isinstance(neuron, FixedNeuron)
        weights = sum(edge.weight.size for edge in edges)
        zeros = sum(int((edge.weight == 0).sum()) for edge in edges)
        state_bits = neuron.state_bits + neuron.current_bits
        row = {
            "layer": layer.name,
            "inputs": sum(edge.inputs for edge in edges),
            "neurons": layer.size,
            "lanes": None if core is None else core.lanes,
            "weight_bits": max(edge.weight_bits for edge in edges),
            "zero_weights_percent": round(100 * zeros / weights, 1),
            "state_bits": neuron.state_bits,
            "accumulator_bits": neuron.accumulator_bits,
            "weight_memory_bits": sum(edge.weight.size * edge.weight_bits for edge in edges),
            "state_memory_bits": layer.size * state_bits,
        }
        if core is not None:
            row["weight_memory_bits"] = core.weight_memory_bits
            row["state_memory_bits"] = core.rows * core.fire_lanes * state_bits
        rows.append(row)
    if spikes is not None and cores:
        from spikeloom.compiler.reference import run as run_reference
        from spikeloom.sim.layer_cycles import layer_cycles

        trace = run_reference(network, spikes[:, :COUNTED_SAMPLES])
        for row, counted in zip(rows, layer_cycles(program, trace), strict=True):
            row["cycles_per_sample"] = round(counted.cycles)
            row["cycle_bound"] = round(counted.bound)
    return rows


def _needs(rows: list[dict[str, Any]]) -> str:
    """One line on all layers together."""
    weights, states = (
        sum(row[f"{what}_memory_bits"] for row in rows) for what in ("weight", "state")
    )
    line = f"memory: {weights / 1e6:.2f} Mbit of weights, {states / 1e6:.2f} Mbit of states"
    if "cycles_per_sample" in rows[0]:
        busiest = max(rows, key=lambda row: int(row["cycles_per_sample"]))
        line += (
            f"; busiest: layer '{busiest['layer']}' with {busiest['cycles_per_sample']:,} clock "
            f"cycles per sample, at least {busiest['cycle_bound']:,}"
        )
    return line
