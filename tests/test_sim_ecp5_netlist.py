"""Netlists for ECP5: registers that move into block RAMs."""

import copy
from typing import Any

import pytest

from spikeloom.sim.ecp5_netlist import use_output_registers

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
    read = {"DOA0": [20], "DOA1": [21], "DOA2": [12]}
    assert ram["connections"] == read | {"CLKA": [CLOCK], "OCEA": ["1"]}


def two_ports(**parameters: str) -> dict[str, Any]:
    """A register behind an output of either port, which have clocks of their own."""
    ram = cell("DP16KD", {"DOA0": [10], "DOB0": [11]}, CLKA=[9], CLKB=[CLOCK])
    ram["parameters"] |= {"REGMODE_A": "NOREG", "REGMODE_B": "NOREG"} | parameters
    cells = {"ram": ram, "first": register(10, 20), "second": register(11, 21)}
    ports = {"o": {"direction": "output", "bits": [20, 21]}}
    return {"modules": {"top": {"cells": cells, "ports": ports}}}


def test_register_belongs_to_the_port_with_its_clock() -> None:
    changed = two_ports()
    assert use_output_registers(changed) == 1
    cells = changed["modules"]["top"]["cells"]
    assert cells.keys() == {"ram", "first"}
    assert cells["ram"]["parameters"] == {"REGMODE_A": "NOREG", "REGMODE_B": "OUTREG"}
    read = {"DOA0": [10], "DOB0": [21]}
    assert cells["ram"]["connections"] == read | {"CLKA": [9], "CLKB": [CLOCK], "OCEB": ["1"]}


@pytest.mark.parametrize("first_clock", [CLOCK, "0"])
def test_wide_memory_reads_all_outputs_with_its_second_clock(first_clock: int | str) -> None:
    """Also one that is never written, the clock of whose first port is tied."""
    changed = two_ports(DATA_WIDTH_A=f"{36:032b}")
    before = changed["modules"]["top"]["cells"]["ram"]
    before["connections"] |= {"CLKA": [first_clock], "OCEA": ["0"]}
    before["port_directions"]["OCEA"] = "input"
    assert use_output_registers(changed) == 1
    (ram,) = changed["modules"]["top"]["cells"].values()
    assert {ram["parameters"][f"REGMODE_{port}"] for port in "AB"} == {"OUTREG"}
    clocks = {"CLKA": [CLOCK], "CLKB": [CLOCK], "OCEA": ["1"], "OCEB": ["1"]}
    assert ram["connections"] == {"DOA0": [20], "DOB0": [21]} | clocks


def test_wide_memory_of_two_clocks_stays_as_it_is() -> None:
    before = two_ports(DATA_WIDTH_A=f"{36:032b}")
    changed = copy.deepcopy(before)
    assert use_output_registers(changed) == 0
    assert changed == before


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
