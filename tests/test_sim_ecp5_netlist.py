"""Netlists for ECP5: registers that move into block RAMs, and carry chains that get shorter."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from amaranth import Cat, Module, signed
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.ecp5_netlist import shorten_carry_chains, use_output_registers
from spikeloom.sim.toolchain import run_tool

CLOCK, ENABLE, RESET = 2, 3, 4


def cell(kind: str, outputs: dict[str, list[Any]], **inputs: list[Any]) -> dict[str, Any]:
    return {
        "type": kind,
        "parameters": {},
        "connections": inputs | outputs,
        "port_directions": {
            **{port: "input" for port in inputs},
            **{port: "output" for port in outputs},
        },
    }


def register(data: int, output: int, **pins: list[Any]) -> dict[str, Any]:
    made = cell("TRELLIS_FF", {"Q": [output]}, DI=[data], CLK=[CLOCK], LSR=["0"])
    made["parameters"] = {"CLKMUX": "CLK", "CEMUX": "1 "}
    made["connections"] |= pins
    return made


def netlist() -> dict[str, Any]:
    """A memory of two bits, a register behind each, and one output that nobody reads."""
    ram = cell("DP16KD", {"DOA0": [10], "DOA1": [11], "DOA2": [12]}, CLKA=[CLOCK])
    ram["parameters"]["REGMODE_A"] = "NOREG"
    cells = {"ram": ram, "low": register(10, 20), "high": register(11, 21)}
    ports = {"o": {"direction": "output", "bits": [20, 21]}}
    return {"modules": {"top": {"cells": cells, "ports": ports}}}


def test_registers_move_into_the_memory() -> None:
    changed = netlist()
    assert use_output_registers(changed) == 1
    (ram,) = changed["modules"]["top"]["cells"].values()
    assert ram["parameters"]["REGMODE_A"] == "OUTREG"
    assert ram["connections"] == {"DOA0": [20], "DOA1": [21], "DOA2": [12], "CLKA": [CLOCK]}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("other clock", lambda cells: cells["low"]["connections"].update(CLK=[9])),
        ("falling edge", lambda cells: cells["low"]["parameters"].update(CLKMUX="INV")),
        ("enable", lambda cells: cells["low"]["parameters"].update(CEMUX="CE")),
        ("reset", lambda cells: cells["low"]["connections"].update(LSR=[RESET])),
        ("read twice", lambda cells: cells.update(more=register(10, 22))),
        ("read by logic", lambda cells: cells.update(low=cell("LUT4", {"Z": [20]}, A=[10]))),
        ("as an enable", lambda cells: cells["low"]["connections"].update(DI=[30], CE=[10])),
    ],
)
def test_memory_with_another_reader_stays_as_it_is(name: str, change: Any) -> None:
    given = netlist()
    change(given["modules"]["top"]["cells"])
    for item in given["modules"]["top"]["cells"].values():
        item["port_directions"] |= {
            port: "input" for port in item["connections"] if port not in item["port_directions"]
        }
    before = copy.deepcopy(given)
    assert use_output_registers(given) == 0
    assert given == before


def test_memory_that_is_a_port_of_the_design_stays_as_it_is() -> None:
    given = netlist()
    given["modules"]["top"]["ports"]["o"]["bits"] = [10, 21]
    assert use_output_registers(given) == 0


class Sums(wiring.Component):  # type: ignore[misc]  # Amaranth has no types
    """Sums, differences and comparisons, some with a constant, of an even and of an odd width."""

    def __init__(self) -> None:
        super().__init__({"a": In(signed(9)), "b": In(signed(9)), "o": Out(64)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        a, b = self.a, self.b
        high, low = a[1:].as_signed(), b[1:].as_signed()
        found = [a + b, a - b, a >= b, a + 77, -b, high + low, (low - high) >= 0, a + a]
        m.d.comb += self.o.eq(Cat(found))
        return m


SHORTENED = """
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


def test_shorter_carry_chains_add_the_same(tmp_path: Path) -> None:
    def write(netlist: dict[str, Any], name: str) -> None:
        """Write it without the outputs that are not connected, which yosys does not bear."""
        written = copy.deepcopy(netlist)
        for each in written["modules"]["top"]["cells"].values():
            for port, bits in list(each["connections"].items()):
                if bits == ["x"] and each["port_directions"][port] == "output":
                    del each["connections"][port], each["port_directions"][port]
        (tmp_path / f"{name}.json").write_text(json.dumps(written))

    def yosys(script: str) -> None:
        (tmp_path / "script.ys").write_text(script)
        run_tool("yosys", ["script.ys"], tmp_path, tmp_path / "yosys.log", lambda line: None)

    (tmp_path / "sums.il").write_text(str(rtlil.convert(Sums(), name="top")))
    yosys(SHORTENED)
    changed = json.loads((tmp_path / "before.json").read_text())
    # The cells come from yosys' library, with what they do.
    changed["modules"] = {"top": changed["modules"]["top"]}
    write(changed, "before")
    assert shorten_carry_chains(changed) > 5
    write(changed, "after")
    yosys(PROVEN)
    # A chain that is wrong is found.
    cells = changed["modules"]["top"]["cells"].values()
    first = next(each for each in cells if each["connections"].get("CIN") == ["x"])
    first["parameters"]["INIT0"] = "0" * 16
    write(changed, "after")
    with pytest.raises(SpikeloomError):
        yosys(PROVEN)
