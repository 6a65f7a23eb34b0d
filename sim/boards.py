"""The boards that `spikeloom build` knows, and what fits on their parts."""

import difflib
import importlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from spikeloom.compiler.budget import Budget
from spikeloom.compiler.errors import SpikeloomError

if TYPE_CHECKING:
    from amaranth.build.plat import TemplatedPlatform


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of cell of an FPGA family.

    Attributes
    ----------
    name : what a report calls it
    placed : its name in nextpnr's report
    cells : how many of it a cell of yosys' netlist takes at least
    """

    name: str
    placed: str
    cells: MappingProxyType[str, int]


@dataclass(frozen=True, slots=True)
class Part:
    """An FPGA: device, package and speed grade.

    Attributes
    ----------
    synthesis : yosys' command for the family
    multipliers : its options with products in multipliers, and with products in look-up tables
    place_and_route : the program and the options that name the part
    capacity : number of cells by the name of the resource
    budget : what the folding may plan with: `LUT_SHARE` of the look-up tables
    """

    name: str
    synthesis: str
    multipliers: tuple[str, str]
    place_and_route: tuple[str, ...]
    resources: tuple[Resource, ...]
    capacity: MappingProxyType[str, int]
    budget: Budget


@dataclass(frozen=True, slots=True)
class Board:
    """A board: its part, and the description of its pins in amaranth-boards.

    Attributes
    ----------
    clock_hz : frequency of the oscillator that clocks the design
    baud : of the UART to the host: a divisor of `clock_hz`, so that the bit time is exact
    platform : module and class in amaranth_boards
    bitstream : file name ending of what the part loads
    """

    name: str
    title: str
    part: Part
    clock_hz: int
    baud: int
    platform: tuple[str, str]
    bitstream: str

    def make_platform(self) -> "TemplatedPlatform":
        """A new Amaranth platform; one serves a single build."""
        module, name = self.platform
        platform: TemplatedPlatform = getattr(
            importlib.import_module(f"amaranth_boards.{module}"), name
        )()
        return platform


def _resource(name: str, placed: str, **cells: int) -> Resource:
    return Resource(name, placed, MappingProxyType(cells))


# A distributed memory turns four look-up tables into storage; a carry cell is two of them.
ECP5 = (
    _resource("LUT4", "TRELLIS_COMB", LUT4=1, CCU2C=2, TRELLIS_DPR16X4=4),
    _resource("flip-flops", "TRELLIS_FF", TRELLIS_FF=1),
    _resource("block RAM (18 Kbit)", "DP16KD", DP16KD=1),
    _resource("multipliers (18x18)", "MULT18X18D", MULT18X18D=1),
)

# A logic cell holds a look-up table, a carry and a flip-flop. Which of them share a cell is known
# after packing only; the look-up tables alone are the bound before.
ICE40 = (
    _resource("LUT4", "ICESTORM_LC", SB_LUT4=1),
    _resource("block RAM (4 Kbit)", "ICESTORM_RAM", SB_RAM40_4K=1),
    _resource("SPRAM (256 Kbit)", "ICESTORM_SPRAM", SB_SPRAM256KA=1),
    _resource("multipliers (16x16)", "ICESTORM_DSP", SB_MAC16=1),
)

# A fuller part routes badly, and look-up tables are estimated. Block RAMs and multipliers are
# counted, so all of them may be used.
LUT_SHARE = 0.75

LFE5U_85F = Part(
    name="LFE5U-85F-6BG381C",
    synthesis="synth_ecp5",
    multipliers=("", "-nodsp"),
    place_and_route=("nextpnr-ecp5", "--85k", "--package", "CABGA381", "--speed", "6"),
    resources=ECP5,
    capacity=MappingProxyType(
        {
            "LUT4": 83_640,
            "flip-flops": 83_640,
            "block RAM (18 Kbit)": 208,
            "multipliers (18x18)": 156,
        }
    ),
    budget=Budget(
        luts=int(LUT_SHARE * 83_640),
        multipliers=156,
        blocks=208,
        block_width=36,
        block_depth=512,
        block_byte=9,
        has_distributed=True,
        has_block_registers=True,
        packs_choices=True,
    ),
)

ICE40UP5K = Part(
    name="iCE40UP5K-SG48",
    synthesis="synth_ice40",
    multipliers=("-spram -dsp", "-spram"),
    place_and_route=("nextpnr-ice40", "--up5k", "--package", "sg48"),
    resources=ICE40,
    capacity=MappingProxyType(
        {
            "LUT4": 5_280,
            "block RAM (4 Kbit)": 30,
            "SPRAM (256 Kbit)": 4,
            "multipliers (16x16)": 8,
        }
    ),
    budget=Budget(
        luts=int(LUT_SHARE * 5_280),
        multipliers=8,
        blocks=30,
        block_width=16,
        block_depth=256,
        block_cost=64,
        multiplier_width=16,
        multiplied_bits=11,
        large_blocks=4,
    ),
)

BOARDS = (
    Board(
        name="ulx3s-85f",
        title="Radiona ULX3S with an ECP5-85F",
        part=LFE5U_85F,
        clock_hz=25_000_000,
        baud=1_000_000,
        platform=("ulx3s", "ULX3S_85F_Platform"),
        bitstream=".bit",
    ),
    Board(
        name="icebreaker",
        title="1BitSquared iCEBreaker with an iCE40 UltraPlus 5K",
        part=ICE40UP5K,
        clock_hz=12_000_000,
        baud=1_000_000,
        platform=("icebreaker", "ICEBreakerPlatform"),
        bitstream=".bin",
    ),
)


def find_board(name: str) -> Board:
    """The board of that name.

    Raises
    ------
    SpikeloomError
        If there is none; the text offers the names that come near.
    """
    for board in BOARDS:
        if board.name == name:
            return board
    names = [board.name for board in BOARDS]
    near = difflib.get_close_matches(name.lower(), names, n=2, cutoff=0.4)
    offer = f"did you mean {' or '.join(near)}?" if near else f"known boards: {', '.join(names)}"
    raise SpikeloomError(f"unknown board '{name}'; {offer}")


def find_target(name: str) -> Part:
    """The part of that name, or of the board of that name.

    Raises
    ------
    SpikeloomError
        If there is none; the text names all that there are.
    """
    targets = {board.name: board.part for board in BOARDS}
    targets |= {board.part.name: board.part for board in BOARDS}
    if name not in targets:
        raise SpikeloomError(f"unknown target '{name}'; known targets: {', '.join(targets)}")
    return targets[name]


def find_part(name: str) -> Part:
    """The part of that name.

    Raises
    ------
    SpikeloomError
        If there is none; the text names those that there are.
    """
    parts = {board.part.name: board.part for board in BOARDS}
    if name not in parts:
        raise SpikeloomError(f"unknown part '{name}'; known parts: {', '.join(sorted(parts))}")
    return parts[name]
