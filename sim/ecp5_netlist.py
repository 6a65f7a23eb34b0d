"""What yosys' netlists for ECP5 leave to be done before place and route.

A DP16KD answers 5.6 ns after the clock edge, or 0.6 ns if the register at its own output is used.
yosys builds a register behind a memory of flip-flops beside it; here the two become one.
"""

from collections import defaultdict
from typing import Any

Netlist = dict[str, Any]


def use_output_registers(netlist: Netlist) -> int:
    """Move registers that only take a block RAM's output into the block RAM, in place.

    A register qualifies if its clock is the block RAM's and it has neither enable nor reset, and if
    nothing else reads what the block RAM says. Either all outputs that are in use qualify, or the
    block RAM stays as it is.

    Parameters
    ----------
    netlist : what yosys' `write_json` wrote

    Returns
    -------
    The number of block RAMs that were changed.
    """
    return sum(_change_module(module) for module in netlist["modules"].values())


def _readers(module: dict[str, Any]) -> dict[Any, list[tuple[str, str]]]:
    """Cell and port of all that reads a bit; two empty texts for a port of the module."""
    readers: dict[Any, list[tuple[str, str]]] = defaultdict(list)
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
    cells, readers = module["cells"], _readers(module)
    changed = 0
    for cell in [cell for cell in cells.values() if cell["type"] == "DP16KD"]:
        registers = _registers(cell, cells, readers)
        if not registers:
            continue
        for port, name in registers.items():
            cell["connections"][port] = cells.pop(name)["connections"]["Q"]
        cell["parameters"]["REGMODE_A"] = "OUTREG"
        changed += 1
    return changed


def _registers(
    cell: dict[str, Any], cells: dict[str, Any], readers: dict[Any, list[tuple[str, str]]]
) -> dict[str, str] | None:
    """The register behind each output of port A that is in use; None if one does not qualify."""
    clock = cell["connections"]["CLKA"]
    registers: dict[str, str] = {}
    for port, bits in cell["connections"].items():
        if not port.startswith("DOA") or not bits or not readers[bits[0]]:
            continue
        if len(readers[bits[0]]) != 1:
            return None
        name, reading = readers[bits[0]][0]
        if not name or reading != "DI" or not _is_plain(cells[name], clock):
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
