"""From an Amaranth design to a bitstream: yosys, the capacity of the part, nextpnr, the packer."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.files import make_folder, write_bytes, write_text
from spikeloom.sim.boards import Board, Part
from spikeloom.sim.ecp5_carry_chains import pack_carry_chains
from spikeloom.sim.ecp5_netlist import use_output_registers
from spikeloom.sim.memory_attributes import apply_memory_attributes
from spikeloom.sim.report import (
    Placement,
    Usage,
    check_capacity,
    estimate_usage,
    read_cell_counts,
    read_packed_usage,
    read_placement,
)
from spikeloom.sim.toolchain import require_tool, run_tool

OnProgress = Callable[[str, str], None]

# nextpnr starts from random places: with a fixed seed the same design gives the same bitstream.
SEED = 1

# Of a clock cycle, what logic may take; the wires take the rest.
LOGIC_SHARE = 0.45

# nextpnr's first router finds the faster ways, but takes hours for more look-up tables than this,
# where its second one takes minutes.
MOST_FOR_ROUTER1 = 30_000

SYNTHESISE = "synthesise"
PLACE_AND_ROUTE = "place and route"
PACK = "pack"

_STAGES = {
    "yosys": SYNTHESISE,
    "nextpnr-ecp5": PLACE_AND_ROUTE,
    "nextpnr-ice40": PLACE_AND_ROUTE,
    "ecppack": PACK,
    "icepack": PACK,
}

_STATISTICS = "cells.json"
_NETLIST = "top.json"
_PLACEMENT = "placement.json"
_TELL_CELLS = f"tee -q -o {_STATISTICS} stat -json"


@dataclass(frozen=True, slots=True)
class BuildReport:
    """A bitstream and what it takes of the part.

    Attributes
    ----------
    bitstream : path of the file that the board loads
    logs : folder with the netlists, constraints and logs of all programs
    """

    board: Board
    placement: Placement
    bitstream: Path
    logs: Path

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "board": self.board.name,
            "part": self.board.part.name,
            "clock_mhz": self.board.clock_hz / 1e6,
            **self.placement.as_dict(),
            "bitstream": str(self.bitstream),
            "logs": str(self.logs),
        }


def build(
    design: Any,
    board: Board,
    directory: Path,
    name: str = "top",
    on_progress: OnProgress = lambda stage, line: None,
) -> BuildReport:
    """Build the bitstream of a design.

    Writes `<name>-<board>.bit` (or `.bin`) and `<name>-<board>.json` (the report) into
    `directory`, and everything in between into the folder `<name>-<board>-build` beside them.

    Parameters
    ----------
    design : Amaranth elaboratable that requests its pins from the platform
    name : of the bitstream
    on_progress : called with the step and a line of the running program's output

    Raises
    ------
    ToolMissing
        If a program is not installed.
    SpikeloomError
        If the design does not fit the part, misses the board's clock, or a program fails.
    """
    commands, work = _prepare(design, board, directory / f"{name}-{board.name}-build")
    placement = _run(commands, work, board.part, on_progress)
    bitstream = directory / f"{name}-{board.name}{board.bitstream}"
    report = BuildReport(board, placement, bitstream, work)
    write_bytes(bitstream, (work / f"top{board.bitstream}").read_bytes())
    write_text(bitstream.with_suffix(".json"), json.dumps(report.as_dict(), indent=2) + "\n")
    return report


def synthesise_alone(
    design: wiring.Component,
    part: Part,
    directory: Path,
    target_mhz: float = 200.0,
    on_progress: OnProgress = lambda stage, line: None,
) -> Placement:
    """Place and route a design without a board, to see its own size and speed.

    No pins are assigned: the ports go to whatever pins the placer likes, and paths to and from
    them do not count towards the highest frequency.

    Parameters
    ----------
    design : in the clock domain `sync`
    part : with at least as many pins as the design's ports have bits
    target_mhz : what place and route aims at; missing it is no error

    Raises
    ------
    ToolMissing
        If a program is not installed.
    SpikeloomError
        If the design does not fit the part, or a program fails.
    """
    make_folder(directory)
    work = directory.resolve()
    write_text(work / "top.il", apply_memory_attributes(rtlil.convert(design, name="top")))
    synthesis = f"{part.synthesis} {part.multipliers[0]} -top top"
    script = (
        *("read_rtlil top.il", delay_target(target_mhz), synthesis),
        *(_TELL_CELLS, "write_json top.json"),
    )
    write_text(work / "top.ys", "\n".join(script) + "\n")
    free_pins = {"ecp5": "--lpf-allow-unconstrained", "ice40": "--pcf-allow-unconstrained"}
    program, *options = part.place_and_route
    place = [program, *options, free_pins[program.removeprefix("nextpnr-")], *_place_options()]
    place += ["--freq", f"{target_mhz:g}", "--timing-allow-fail", "--json", "top.json"]
    return _run([["yosys", "top.ys"], place], work, part, on_progress)


def delay_target(mhz: float) -> str:
    """Tell yosys how fast logic must be: what is faster than that costs look-up tables.

    Wires take the larger part of a clock cycle, which yosys leaves out of account.
    """
    return f"scratchpad -set abc9.D {LOGIC_SHARE * 1e6 / mhz:.0f}"


def _place_options() -> list[str]:
    return ["--seed", str(SEED), "--report", _PLACEMENT]


def _prepare(design: Any, board: Board, directory: Path) -> tuple[list[list[str]], Path]:
    """Write Amaranth's build plan; its commands, and the folder in which they run."""
    plan = board.make_platform().prepare(
        design,
        "top",
        verbose=True,
        synth_opts=board.part.multipliers[0],
        script_after_read=delay_target(board.clock_hz / 1e6),
        script_after_synth=_TELL_CELLS,
        nextpnr_opts=_place_options(),
    )
    make_folder(directory)
    plan.extract(directory)
    netlist = directory / "top.il"
    write_text(netlist, apply_memory_attributes(netlist.read_text(encoding="utf-8")))
    commands: list[list[str]] = json.loads(plan.files["build_top.json"])["commands"]
    return commands, directory.resolve()


def _run(
    commands: Sequence[Sequence[str]], work: Path, part: Part, on_progress: OnProgress
) -> Placement:
    """Run the steps of the flow in a folder; what the placed design takes of the part."""
    for command in commands:
        require_tool(command[0])
    for program, *arguments in commands:
        stage = _STAGES[program]
        log = work / f"{program}.log"
        if stage == PLACE_AND_ROUTE and _is_large(work, part):
            arguments += ["--router", "router2"]
        try:
            run_tool(program, arguments, work, log, partial(on_progress, stage))
        except SpikeloomError:
            # Packing finds cells that the netlist does not show.
            if stage == PLACE_AND_ROUTE:
                check_capacity(read_packed_usage(log, part), part)
            raise
        if stage == SYNTHESISE:
            if _lacks_multipliers(work, part):
                _move_products_to_luts(work / "top.ys", part)
                run_tool(program, arguments, work, log, partial(on_progress, stage))
            check_capacity(_estimate(work, part), part)
            if part.synthesis == "synth_ecp5":
                netlist = json.loads((work / _NETLIST).read_text())
                use_output_registers(netlist)
                pack_carry_chains(netlist)
                write_text(work / _NETLIST, json.dumps(netlist))
    return read_placement(work / _PLACEMENT, part)


def _estimate(work: Path, part: Part) -> tuple[Usage, ...]:
    return estimate_usage(read_cell_counts(work / _STATISTICS, "top"), part)


def _is_large(work: Path, part: Part) -> bool:
    """Whether a design has so many look-up tables that routing becomes hard."""
    tables, *_ = _estimate(work, part)
    return tables.used > MOST_FOR_ROUTER1


def _lacks_multipliers(work: Path, part: Part) -> bool:
    return any(
        item.used > item.available
        for item in _estimate(work, part)
        if item.resource.startswith("multipliers")
    )


def _move_products_to_luts(script: Path, part: Part) -> None:
    """Change the options of synthesis: yosys makes either all products of multipliers or none."""
    in_multipliers, in_luts = part.multipliers
    before = f"{part.synthesis} {in_multipliers} -top"
    text = script.read_text()
    assert before in text, f"no '{before}' in {script}"
    write_text(script, text.replace(before, f"{part.synthesis} {in_luts} -top"))
