"""Build the bitstream of a model for a board.

MODEL is a program file, or an ONNX file, which is compiled first with the default word widths.
Written into the output folder:
  NAME-BOARD.bit (.bin)  the bitstream
  NAME-BOARD.json        utilisation and timing
  NAME-BOARD-build/      netlists, constraints and logs of all programs

On the board, a host talks to the accelerator over the board's UART (1 Mbaud, 8N1; rtl/board.py
describes the bytes).
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeloom.sim.cli.console import Console
from spikeloom.sim.cli.folding import add_folding_arguments, given_folding, refolded

if TYPE_CHECKING:
    from spikeloom.compiler.inputs import Spikes
    from spikeloom.compiler.program import Program
    from spikeloom.sim.boards import Board
    from spikeloom.sim.latency import Cycles
    from spikeloom.sim.synthesis import BuildReport

HELP = "build the bitstream of a model for a board"

# Enough samples for a mean that tells; the cycle model takes a moment for each.
LATENCY_SAMPLES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a program file or an ONNX file")
    parser.add_argument(
        "--board", required=True, metavar="NAME", help="the board ('spikeloom boards' lists them)"
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path(), metavar="FOLDER", help="where to write"
    )
    add_folding_arguments(parser, "as a program says, or what fits the board")
    parser.add_argument(
        "--spikes",
        type=Path,
        metavar="FILE",
        help="an NPZ file with an array 'spikes' of 0 and 1, shape (T, samples, inputs), or a CSV "
        f"file of events: tell the cycles per sample, the mean over the first {LATENCY_SAMPLES}",
    )


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Compile if need be, build, and print what the design takes of the board."""
    from spikeloom.sim.boards import find_board

    board = find_board(args.board)
    program = load_program(args.model, board, args)
    return build_program(program, board, args.out, console, args.spikes)


def load_program(path: Path, board: "Board", args: argparse.Namespace) -> "Program":
    """The program in a program file or of an ONNX file, folded as the options say.

    Without them, an ONNX file gets the fastest folding that fits the board.
    """
    from spikeloom.compiler.onnx_import import examine, load_model
    from spikeloom.compiler.passes import lower
    from spikeloom.compiler.program import Program

    if path.suffix != ".onnx":
        return refolded(Program.load(path), args)
    network = lower(examine(load_model(path), path.stem).require())
    lanes, fire_lanes, together = given_folding(args)
    if "lanes" not in args:
        from spikeloom.compiler.folding import fold

        folding = fold(network, board.part.budget, together=[together])
        lanes, fire_lanes = folding.lanes, folding.fire_lanes | fire_lanes
    return Program(network, lanes, fire_lanes, together)


def build_program(
    program: "Program", board: "Board", folder: Path, console: Console, spikes: Path | None = None
) -> dict[str, Any]:
    """Build a program's bitstream; see this module's docstring for the files.

    Parameters
    ----------
    spikes : file of samples on which cycles are counted
    """
    from spikeloom.rtl.board import BoardShell
    from spikeloom.rtl.top import Accelerator
    from spikeloom.sim.latency import measure
    from spikeloom.sim.synthesis import PACK, PLACE_AND_ROUTE, SYNTHESISE, build

    samples = None if spikes is None else _read_samples(program, spikes)
    cycles = None if samples is None else measure(program, samples)
    shell = BoardShell(Accelerator(program), program.network.steps, board.clock_hz, board.baud)
    stages = (SYNTHESISE, PLACE_AND_ROUTE, PACK)
    with console.progress(f"build {program.network.name} for {board.name}", len(stages)) as advance:
        begun: list[str] = []

        def show(stage: str, line: str) -> None:
            if stage not in begun:
                advance(1 if begun else 0)
                begun.append(stage)
                console.detail(f"{stage} ...")
            console.detail(f"  {line}")

        report = build(shell, board, folder, program.network.name, show)
    _print(report, cycles, console)
    lanes = {core.name: core.lanes for core in program.cores}
    result = {**report.as_dict(), "lanes": lanes}
    return result if cycles is None else {**result, **_latency(report, cycles)}


def _read_samples(program: "Program", path: Path) -> "Spikes":
    from spikeloom.sim.spike_files import read_spikes

    return read_spikes(path, program.network).spikes[:, :LATENCY_SAMPLES]


def _latency(report: "BuildReport", cycles: "Cycles") -> dict[str, float]:
    """Mean cycles per sample and the time that they take: alone, and in a stream of samples."""
    figures: dict[str, float] = {}
    for name, counted in (("latency", cycles.to_class), ("pipelined", cycles.pipelined)):
        mean = float(counted.mean())
        figures[f"{name}_cycles"] = mean
        figures[f"{name}_microseconds"] = mean / (report.board.clock_hz / 1e6)
        figures[f"{name}_microseconds_at_fmax"] = mean / report.placement.slowest_mhz
    return figures


def _print(report: "BuildReport", cycles: "Cycles | None", console: Console) -> None:
    board, placement = report.board, report.placement
    rows = [
        (item.resource, f"{item.used:,}", f"{item.available:,}", f"{item.percent:.1f} %")
        for item in placement.utilisation
    ]
    console.table(
        f"{board.part.name} on {board.name}", ("resource", "used", "available", "share"), rows
    )
    clocks = ", ".join(f"{name} {mhz:.1f} MHz" for name, mhz in placement.fmax_mhz.items())
    console.say(f"highest clock: {clocks}; the board's: {board.clock_hz / 1e6:g} MHz")
    if cycles is not None:
        figures = _latency(report, cycles)
        for name, text in (("latency", "latency"), ("pipelined", "per sample in a stream")):
            console.say(
                f"{text}: {figures[f'{name}_cycles']:.1f} cycles, "
                f"{figures[f'{name}_microseconds']:.2f} us at the board's clock, "
                f"{figures[f'{name}_microseconds_at_fmax']:.2f} us at the highest"
            )
    console.say(f"wrote {report.bitstream}")
