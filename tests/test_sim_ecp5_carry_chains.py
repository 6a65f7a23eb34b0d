"""Carry chains in ECP5 netlists: fewer cells that do the same, proven by yosys' own cell models."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amaranth import Cat, Module, Mux, Value, signed
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.ecp5_carry_cells import Position, reduced
from spikeloom.sim.ecp5_carry_chains import pack_carry_chains
from spikeloom.sim.toolchain import run_tool


class Sums(wiring.Component):  # type: ignore[misc]  # Amaranth has no types
    """Functions of sums, of two inputs of an even or of an odd width."""

    def __init__(self, kind: str, width: int):
        self.kind = kind
        super().__init__(
            {
                "a": In(signed(width)),
                "b": In(signed(width)),
                "c": In(signed(width)),
                "choice": In(1),
                "o": Out(4 * width + 8),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.o.eq(Cat(self._found()))
        return m

    def _found(self) -> Iterator[Value]:
        a, b, c, choice = self.a, self.b, self.c, self.choice
        match self.kind:
            case "sums":
                yield from (a + b, a - b, -b)
            case "constants":
                yield from (a + 77, a + a)
            case "comparisons":
                yield from (a >= b, (a - b) < 0, a >= 27, a < -5, a.as_unsigned() > 77)
            case "carries":
                yield from (a + b + choice, (a.as_unsigned() + b.as_unsigned())[-1])
            case "choices":
                yield from (Mux(choice, a + b, c), Mux(choice, 0, a - b), Mux(choice, a + 1, b))
            case "choice of sums":
                yield Mux(choice, a + b, a - c)
            case "carry that is not chosen":
                # The highest bit of the sum goes elsewhere as well.
                total = a + b
                yield from (Mux(choice, total[: len(a)], c), total[-1])
            case "constant in place of a sum":
                yield Mux(choice, a + b, -1)
            case "carry into a choice":
                yield Mux(choice, c, (a + b + c[0])[: len(a)])
            case "choice that depends on the sums":
                # Each bit that is not chosen is the one below, as it was chosen.
                found: list[Value] = [c[0]]
                for bit in (a + b)[: len(a)]:
                    found.append(Mux(choice, bit, found[-1]))
                yield Cat(found)


KINDS = (
    *("sums", "constants", "comparisons", "carries", "choices", "choice of sums"),
    *("carry that is not chosen", "constant in place of a sum", "carry into a choice"),
    "choice that depends on the sums",
)
SYNTHESISED = """
read_rtlil sums.il
synth_ecp5 -top top -noabc9
write_json before.json
"""
# What is not connected is free to be anything.
READ = """
design -reset
read_json {name}.json
read_verilog -overwrite +/ecp5/cells_sim.v
hierarchy -top top
proc
flatten -wb
setundef -anyseq
rename top {name}
design -stash {name}
"""
PROVEN = f"""
{READ.format(name="before")}
{READ.format(name="after")}
design -copy-from before before
design -copy-from after after
miter -equiv -flatten -make_assert before after both
sat -verify -prove-asserts -show-inputs both
"""


def yosys(script: str, folder: Path) -> None:
    (folder / "script.ys").write_text(script)
    run_tool("yosys", ["script.ys"], folder, folder / "yosys.log", lambda line: None)


def write(netlist: dict[str, Any], file: Path) -> None:
    """Write it without the outputs that are not connected, which yosys does not bear."""
    written = copy.deepcopy(netlist)
    for each in written["modules"]["top"]["cells"].values():
        for port, bits in list(each["connections"].items()):
            if bits == ["x"] and each["port_directions"][port] == "output":
                del each["connections"][port], each["port_directions"][port]
    file.write_text(json.dumps(written))


def synthesised(kind: str, width: int, folder: Path) -> dict[str, Any]:
    """The netlist of such sums, and `before.json`."""
    (folder / "sums.il").write_text(str(rtlil.convert(Sums(kind, width), name="top")))
    yosys(SYNTHESISED, folder)
    netlist: dict[str, Any] = json.loads((folder / "before.json").read_text())
    # The cells come from yosys' library, with what they do.
    netlist["modules"] = {"top": netlist["modules"]["top"]}
    write(netlist, folder / "before.json")
    return netlist


def luts(netlist: dict[str, Any]) -> int:
    """What nextpnr makes of the cells: a cell more where a carry comes in or goes out."""
    taken = {"LUT4": 1, "CCU2C": 2}
    total = 0
    for each in netlist["modules"]["top"]["cells"].values():
        total += taken.get(each["type"], 0)
        given = each["connections"].get("CIN", ["x"])[0]
        total += 2 * (given in ("0", "1"))
    return total


@pytest.mark.parametrize("width", [8, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_packed_carry_chains_add_the_same(kind: str, width: int, tmp_path: Path) -> None:
    netlist = synthesised(kind, width, tmp_path)
    before = luts(netlist)
    assert pack_carry_chains(netlist) > 0
    assert luts(netlist) <= before
    write(netlist, tmp_path / "after.json")
    yosys(PROVEN, tmp_path)


def test_chain_that_adds_something_else_is_refuted(tmp_path: Path) -> None:
    netlist = synthesised("choices", 9, tmp_path)
    pack_carry_chains(netlist)
    cells = netlist["modules"]["top"]["cells"].values()
    first = next(each for each in cells if each["connections"].get("CIN") == ["x"])
    first["parameters"]["INIT1"] = "0" * 16
    write(netlist, tmp_path / "after.json")
    with pytest.raises(SpikeloomError):
        yosys(PROVEN, tmp_path)


def test_signals_that_nothing_depends_on_are_left_out_one_after_the_other() -> None:
    position = Position(
        frozenset({2, 3, 4}), lambda values: values[3] & ~values[2] & values[2], lambda values: 1
    )
    assert reduced(position).signals == frozenset()
    kept = replace(position, carry=lambda values: values[4] | (values[2] & values[3] & 0))
    assert reduced(kept).signals == frozenset({4})
    assert [reduced(kept).carry({4: value}) for value in (0, 1)] == [0, 1]
