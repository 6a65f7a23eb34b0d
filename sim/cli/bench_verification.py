"""The measurement `verification` of `spikeloom bench`."""

import argparse
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.cli.bench_arguments import add_zoo_arguments
from spikeloom.sim.cli.console import Console
from spikeloom.sim.cli.verify import verify_with_progress

if TYPE_CHECKING:
    from spikeloom.sim.verify import Verdict

SECTION = "Verification"

HEADER = (
    *("network", "bits", "T", "images", "clock cycles", "signals", "bits per cycle"),
    *("numbers", "states", "transitions", "cycles per second"),
)

NOTES = (
    "The first test images of each network, in Verilator: the RTL equals the cycle model in every "
    "signal at every clock edge, without pauses, with random pauses on both sides, and behind a "
    "slow receiver; membranes, spikes and scores ('numbers') equal the integer reference. All "
    "lanes of dense layers; of convolutions all channels at all columns that an event reaches. "
    "Transitions that were not seen need input that these images are not, such as a time "
    "step without a spike."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this measurement's arguments."""
    add_zoo_arguments(parser, SECTION, "keep the files of the simulator here")
    parser.add_argument(
        "--map-samples",
        type=int,
        metavar="N",
        default=3,
        help="as --samples, of networks with feature maps, whose cycles are many and wide",
    )


def measure(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Verify the zoo's networks clock cycle by clock cycle on real test samples.

    Each network with 8-bit weights, as 'spikeloom verify' does it. Stops with exit code 2 at the
    first difference. Takes a minute or two per network, with feature maps several.
    """
    from spikeloom.sim import hardware

    for option in ("samples", "map_samples"):
        if getattr(args, option) < 1:
            flag = option.replace("_", "-")
            raise SpikeloomError(f"--{flag} is {getattr(args, option)}; wanted >= 1")
    rows, results = [], {}
    with nullcontext(args.out) if "out" in args else TemporaryDirectory() as folder:
        for name in _networks(getattr(args, "network", None)):
            case = hardware.Case(name, "all lanes")
            program, _ = hardware.build_program(case)
            has_maps = len(program.network.input.shape) == 3
            samples = args.map_samples if has_maps else args.samples
            events = hardware.test_events(case, program, samples, getattr(args, "data", None))
            console.say(name)
            verdict = verify_with_progress(program, events, Path(folder) / name, console)
            results[name] = verdict.as_dict()
            rows.append(_row(name, program.network.steps, verdict))
    console.table("verification", HEADER, rows)
    console.say(NOTES)
    if "write" in args:
        from spikeloom.sim.performance_page import table, write_section

        options = f" --samples {args.samples} --map-samples {args.map_samples}"
        options += "".join(f" --network {name}" for name in getattr(args, "network", []))
        command = f"spikeloom bench verification{options} --write {args.write}"
        write_section(args.write, SECTION, command, f"{NOTES}\n\n{table(HEADER, rows)}")
        console.say(f"wrote {args.write}")
    return {"networks": results}


def _networks(wanted: list[str] | None) -> list[str]:
    """Names of all networks in the zoo, or those of them asked for."""
    from spikeloom.models import cards

    known = cards.names()
    for name in wanted or []:
        if name not in known:
            raise SpikeloomError(f"no network '{name}' in the zoo; there are {', '.join(known)}")
    return known if wanted is None else wanted


def _row(name: str, steps: int, verdict: "Verdict") -> tuple[object, ...]:
    covered = verdict.coverage
    return (
        *(name, 8, steps, verdict.samples, verdict.cycles, verdict.signals, verdict.bits),
        verdict.numbers,
        f"{covered.states[0]} of {covered.states[1]}",
        f"{covered.transitions[0]} of {covered.transitions[1]}",
        round(verdict.cycles_per_second),
    )
