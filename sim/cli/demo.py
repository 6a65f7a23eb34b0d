"""Run the whole path on real handwritten digits: from training to two bitstreams.

Trains a 64-64-10 network of leaky integrate-and-fire neurons on scikit-learn's digits, exports it
to ONNX, compiles it, verifies the accelerator at every clock edge and builds it for an ECP5 and an
iCE40 board. Takes some minutes; every file that it writes is named at the end.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from spikeloom.sim.cli.console import Console

if TYPE_CHECKING:
    from spikeloom.compiler.program import Program

HELP = "run the whole path on handwritten digits"

RECIPE = "digits"
BOARDS = ("ulx3s-85f", "icebreaker")
# Icarus interprets the design, which takes as many times longer.
VERIFIED_SAMPLES = {"verilator": 20, "icarus": 3}
PICTURED_SAMPLE = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("demo"), metavar="FOLDER", help="where to write"
    )
    parser.add_argument(
        "--no-build", action="store_true", help="stop before the bitstreams, which take longest"
    )


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run all stages; the first bitstream is built while the verification runs."""
    from spikeloom.models import recipes
    from spikeloom.sim.boards import find_board
    from spikeloom.sim.cli import check, compile, emit, train

    out = args.out
    results: dict[str, Any] = {}
    console.say("[1/7] train and export")
    results["train"] = train.train(recipes.find(RECIPE), out, console)
    onnx, samples = out / f"{RECIPE}.onnx", out / "test.npz"

    console.say("[2/7] check")
    results["check"] = check.run(argparse.Namespace(model=onnx), console)

    console.say("[3/7] compile")
    results["compile"] = compile.run(
        _arguments(compile, onnx, "-o", out, "--check", samples), console
    )
    path = Path(results["compile"]["files"]["program"])

    console.say("[4/7] emit")
    results["emit"] = emit.run(_arguments(emit, path, "-o", out / "verilog"), console)

    programs = {name: _folded(path, find_board(name).part.budget) for name in BOARDS}
    with ThreadPoolExecutor(1) as pool:
        # yosys and nextpnr run on one core, the simulator and this process on the other.
        large, small = BOARDS
        waiting = None
        if not args.no_build:
            console.say(f"[7/7] build for {large}, meanwhile")
            waiting = pool.submit(_build, programs[large], large, out, samples, Console(True))
        console.say("[5/7] verify")
        results["verify"] = _verify(programs[large], samples, out, console)
        console.say("[6/7] simulate all test samples, draw one")
        results["simulate"] = _simulate(path, samples, out, console)
        if waiting is not None:
            console.say(f"[7/7] build for {small}")
            results["build"] = {small: _build(programs[small], small, out, samples, console)}
            with console.progress(f"finish the build for {large}", 1):
                results["build"][large] = waiting.result()
    _summarise(results, console)
    return results


def _arguments(command: ModuleType, *words: object) -> argparse.Namespace:
    """The arguments of another command, as if these words had been typed."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def _folded(path: Path, budget: Any) -> "Program":
    from spikeloom.compiler.folding import fold
    from spikeloom.compiler.program import Program

    program = Program.load(path)
    folding = fold(program.network, budget)
    return program.with_lanes(folding.lanes, folding.fire_lanes)


def _build(
    program: "Program", board: str, out: Path, samples: Path, console: Console
) -> dict[str, Any]:
    from spikeloom.sim.boards import find_board
    from spikeloom.sim.cli.build import build_program

    return build_program(program, find_board(board), out, console, samples)


def _verify(program: "Program", samples: Path, out: Path, console: Console) -> dict[str, Any]:
    from spikeloom.sim.cli.verify import verify_with_progress
    from spikeloom.sim.simulator import available
    from spikeloom.sim.spike_files import read_spikes
    from spikeloom.sim.stimulus import with_extremes

    spikes = read_spikes(samples, program.network).spikes
    verdicts = {}
    for simulator, count in VERIFIED_SAMPLES.items():
        if simulator == "icarus" and not available(simulator):
            console.say("icarus: not installed, left out")
            continue
        chosen = with_extremes(program.network, spikes[:, :count])
        folder = out / "verification" / simulator
        verdict = verify_with_progress(program, chosen, folder, console, simulator)
        verdicts[simulator] = verdict.as_dict()
    return verdicts


def _simulate(path: Path, samples: Path, out: Path, console: Console) -> dict[str, Any]:
    from spikeloom.compiler import reference
    from spikeloom.compiler.program import Program
    from spikeloom.sim.latency import measure
    from spikeloom.sim.pictures import membrane_plot, spike_raster
    from spikeloom.sim.spike_files import read_spikes

    program = Program.load(path)
    test = read_spikes(samples, program.network)
    trace = reference.run(program.network, test.spikes, membranes=True)
    pictures = {"raster": out / "raster.png", "membranes": out / "membranes.png"}
    spike_raster(program.network, trace, PICTURED_SAMPLE, pictures["raster"])
    membrane_plot(program.network, trace, PICTURED_SAMPLE, pictures["membranes"])
    cycles = measure(program, test.spikes[:, :100])
    return {
        "accuracy": float((trace.classes == test.labels).mean()),
        "samples": len(trace.scores),
        "cycles": cycles.as_dict(),
        "files": {name: str(file) for name, file in pictures.items()},
    }


def _summarise(results: dict[str, Any], console: Console) -> None:
    trained, compiled = results["train"], results["compile"]
    simulated = results["simulate"]
    cycles = simulated["cycles"]
    loss = 100 * (trained["test_accuracy"] - simulated["accuracy"])
    rows: list[tuple[str, str]] = [
        (
            "train",
            f"{trained['test_accuracy']:.2%} of {trained['test_samples']} test images, in floats; "
            f"{trained['seconds']:.0f} s",
        ),
        ("export", f"{trained['spikes_compared_with_onnxruntime']:,} spikes: onnxruntime = torch"),
        ("compile", f"{simulated['accuracy']:.2%} in integers, a loss of {loss:.2f} points"),
        ("", f"{compiled['numbers_checked']:,} numbers: onnxruntime = integer reference"),
        (
            "emit",
            f"{cycles['cycles_pipelined']:.0f} cycles per image in a stream, "
            f"{cycles['pipelined_over_bound']:.2f} of the bound",
        ),
        (
            "",
            f"{cycles['cycles_to_class']:.0f} cycles from image to class in an idle accelerator, "
            f"{cycles['latency_over_bound']:.2f} of the bound",
        ),
    ]
    for simulator, verdict in results["verify"].items():
        seen, legal = verdict["transitions"]
        rows.append(
            (
                "verify",
                f"{simulator}: {verdict['samples']} samples, {verdict['cycles']:,} cycles x "
                f"{verdict['signals']} signals: RTL = cycle model; "
                f"{seen} of {legal} state transitions",
            )
        )
    for board, build in results.get("build", {}).items():
        used = ", ".join(
            f"{item['used']:,} {resource}"
            for resource, item in build["utilisation"].items()
            if item["used"]
        )
        rows.append(("build", f"{board}: {used}"))
        rows.append(
            (
                "",
                f"{board}: up to {min(build['fmax_mhz'].values()):.1f} MHz, "
                f"{build['pipelined_cycles']:.0f} cycles = "
                f"{build['pipelined_microseconds_at_fmax']:.2f} us per image",
            )
        )
    console.table("the whole path", ("stage", "result"), rows)
    console.table("files", ("what", "path"), sorted(_files(results).items()))


def _files(results: dict[str, Any]) -> dict[str, str]:
    """Every file named in the results, by what it is."""
    files: dict[str, str] = {}
    for stage in ("train", "compile", "emit", "simulate"):
        files |= {name.replace("_", " "): path for name, path in results[stage]["files"].items()}
    for board, build in results.get("build", {}).items():
        files[f"bitstream for {board}"] = build["bitstream"]
    return files
