"""What yosys' netlists for ECP5 leave to be done before place and route.

A DP16KD answers 5.6 ns after the clock edge, or 0.6 ns if the register at its own output is used.
yosys builds a register behind a memory of flip-flops beside it; here the two become one.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

Netlist = dict[str, Any]
# By bit the cell and the port of all that reads it; two empty texts for a port of the module.
Readers = dict[Any, list[tuple[str, str]]]

# What a pin is joined to that is not connected; nextpnr does not bear a pin that is not there.
NOTHING: list[Any] = ["x"]


def use_output_registers(netlist: Netlist) -> int:
    """Move registers that only take a block RAM's output into the block RAM, in place.

    A register qualifies if its clock is that of the port and it has neither enable nor reset, and
    if nothing else reads what the block RAM says. Either all outputs of a port that are in use
    qualify, or the port stays as it is.

    Parameters
    ----------
    netlist : what yosys' `write_json` wrote

    Returns
    -------
    The number of ports that were changed.
    """
    return sum(_change_module(module) for module in netlist["modules"].values())


def readers_of(module: dict[str, Any]) -> Readers:
    """What reads each bit of a module."""
    readers: Readers = defaultdict(list)
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                for bit in bits:
                    readers[bit].append((name, port))
    for port in module["ports"].values():
        if port["direction"] != "input":
            for bit in port["bits"]:
                readers[bit].append(("", ""))
    return readers


def _change_module(module: dict[str, Any]) -> int:
    cells, readers = module["cells"], readers_of(module)
    changed = 0
    for cell in [cell for cell in cells.values() if cell["type"] == "DP16KD"]:
        for clock, outputs, modes in _sides(cell):
            registers = _registers(cell, clock, outputs, cells, readers)
            if registers and _is_of_one_clock(cell["connections"], clock, modes):
                for port, name in registers.items():
                    cell["connections"][port] = cells.pop(name)["connections"]["Q"]
                cell["parameters"] |= dict.fromkeys(modes, "OUTREG")
                for mode in modes:
                    _let_run(cell["connections"], mode[-1], clock)
                changed += 1
    return changed


def _is_of_one_clock(pins: dict[str, list[Any]], clock: str, modes: Iterable[str]) -> bool:
    """Whether the sides whose registers are used have that clock, or none."""
    clocks = [pins[f"CLK{mode[-1]}"] for mode in modes]
    return all(each == pins[clock] or not isinstance(each[0], int) for each in clocks)


def _let_run(pins: dict[str, list[Any]], side: str, clock: str) -> None:
    """Give the register of a side its clock and its enable.

    Half of what a block RAM of 36 bits says leaves by the side that writes. yosys ties that side's
    clock where nothing is ever written, and its enable for the register, which it did not use.
    """
    pins[f"OCE{side}"] = ["1"]
    if not isinstance(pins[f"CLK{side}"][0], int):
        pins[f"CLK{side}"] = pins[clock]


# Clock, outputs and parameters of the two ports of a block RAM. If it is 36 bits wide, they are one
# port that writes, and one that reads with the second clock.
_PORTS = (("CLKA", ("DOA",), ("REGMODE_A",)), ("CLKB", ("DOB",), ("REGMODE_B",)))
_WIDE = (("CLKB", ("DOA", "DOB"), ("REGMODE_A", "REGMODE_B")),)


def _sides(cell: dict[str, Any]) -> tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]:
    """Which outputs of a block RAM are registered together."""
    return _WIDE if int(cell["parameters"].get("DATA_WIDTH_A", "0"), 2) == 36 else _PORTS


def _registers(
    cell: dict[str, Any],
    clock: str,
    outputs: tuple[str, ...],
    cells: dict[str, Any],
    readers: Readers,
) -> dict[str, str] | None:
    """The register behind each of these outputs that is in use; None if one does not qualify."""
    registers: dict[str, str] = {}
    for port, bits in cell["connections"].items():
        if not port.startswith(outputs) or not bits or not readers[bits[0]]:
            continue
        if len(readers[bits[0]]) != 1:
            return None
        name, reading = readers[bits[0]][0]
        if not name or reading != "DI" or not _is_plain(cells[name], cell["connections"][clock]):
            return None
        registers[port] = name
    return registers


def _is_plain(cell: dict[str, Any], clock: list[Any]) -> bool:
    """Whether a cell is a flip-flop of that clock without enable and reset."""
    if cell["type"] != "TRELLIS_FF":
        return False
    pins, options = cell["connections"], cell["parameters"]
    return bool(
        pins["CLK"] == clock
        and options.get("CLKMUX") == "CLK"
        and options.get("CEMUX", "1").strip() == "1"
        and pins.get("LSR", ["0"]) == ["0"]
    )
