"""Compare the RTL of a program with its cycle model at every clock edge, in a real simulator.

The samples run three times: without pauses, with random pauses on both sides, and behind a slow
receiver; the last two begin with a sample that a reset cuts short. Every probed signal and every
port is compared in every clock cycle, and the model's spikes, membranes and scores with the integer
reference. Exit code 2 and the first difference, where there is one.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeloom.sim.cli.console import Console
from spikeloom.sim.cli.folding import add_folding_arguments, refolded

if TYPE_CHECKING:
    from spikeloom.sim.verify import Verdict

HELP = "compare the RTL with the cycle model at every clock edge"

SIMULATORS = ("verilator", "icarus")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("program", type=Path, metavar="PROGRAM", help="a program file")
    parser.add_argument("spikes", type=Path, metavar="SPIKES", help="input spikes, NPZ or CSV")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("verification"),
        metavar="FOLDER",
        help="for the simulator's files; the compiled model is used again if nothing has changed",
    )
    parser.add_argument(
        "--simulator", choices=SIMULATORS, default="verilator", help="which simulator runs the RTL"
    )
    parser.add_argument(
        "--verilog",
        type=Path,
        metavar="FILE",
        help="the design, emitted with --probe (by default it is emitted afresh)",
    )
    parser.add_argument(
        "--samples", type=int, default=20, metavar="N", help="take the first N samples"
    )
    add_folding_arguments(parser, "as the program says")
    parser.add_argument(
        "--extremes",
        action="store_true",
        help="add a sample without any input spike and one with all of them",
    )
    parser.add_argument(
        "--waves", action="store_true", help="keep the waveform in the output folder"
    )


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Verify and print what was covered."""
    from spikeloom.compiler.errors import SpikeloomError
    from spikeloom.compiler.inputs import check_spikes
    from spikeloom.compiler.program import Program
    from spikeloom.sim.spike_files import read_spikes
    from spikeloom.sim.stimulus import with_extremes

    program = refolded(Program.load(args.program), args)
    if args.verilog is not None and not args.verilog.is_file():
        raise SpikeloomError(f"there is no Verilog file '{args.verilog}'")
    if args.samples < 1:
        raise SpikeloomError(f"--samples must be at least 1, not {args.samples}")
    spikes = read_spikes(args.spikes, program.network).spikes[:, : args.samples]
    check_spikes(program.network, spikes)
    if args.extremes:
        spikes = with_extremes(program.network, spikes)
    verdict = verify_with_progress(
        program, spikes, args.out, console, args.simulator, args.verilog, args.waves
    )
    return verdict.as_dict()


def verify_with_progress(
    program: Any,
    spikes: Any,
    folder: Path,
    console: Console,
    simulator: str = "verilator",
    verilog: Path | None = None,
    waves: bool = False,
) -> "Verdict":
    """`sim.verify.verify` with a progress bar, and its verdict in words."""
    from spikeloom.sim.verify import PAUSES, verify

    total = spikes.shape[1] * len(PAUSES)
    with console.progress(f"verify in {simulator}", total) as advance:
        verdict = verify(
            program,
            spikes,
            folder,
            simulator=simulator,
            verilog=verilog,
            waves=waves,
            on_sample=lambda: advance(1),
        )
    covered = verdict.coverage
    console.say(
        f"{simulator}: {verdict.cycles:,} clock cycles, {verdict.signals} signals of "
        f"{verdict.bits:,} bits in each, {verdict.samples} samples in {verdict.runs} runs: "
        "no difference"
    )
    console.say(
        f"  spikes, membranes and scores: {verdict.numbers:,} numbers equal the integer reference"
    )
    console.say(
        f"  state machines: {covered.states[0]} of {covered.states[1]} states, "
        f"{covered.transitions[0]} of {covered.transitions[1]} transitions seen"
    )
    console.detail(f"  features: {', '.join(verdict.features)}")
    for transition in covered.missing:
        console.detail(f"  not seen: {transition}")
    console.detail(f"  {verdict.cycles_per_second:,.0f} clock cycles per second")
    return verdict
