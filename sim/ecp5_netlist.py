"""What yosys' netlists for ECP5 leave to be done before place and route.

A DP16KD answers 5.6 ns after the clock edge, or 0.6 ns if the register at its own output is used.
yosys builds a register behind a memory of flip-flops beside it; here the two become one.

nextpnr gives each carry chain one more cell at its start, which brings in a carry that is constant,
and one at its end, which brings out a carry that nobody takes. A chain per lane makes that a sixth
of all look-up tables. Here the first bit of a chain is added in a look-up table and its cell makes
the carry, and carries that nobody takes are not connected.
"""

from collections import defaultdict
from typing import Any

Netlist = dict[str, Any]

# What a pin is joined to that is not connected; nextpnr does not bear a pin that is not there.
NOTHING = ["x"]


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


def shorten_carry_chains(netlist: Netlist) -> int:
    """Let carry chains start without a carry and end with their last bit, in place.

    A cell CCU2C adds two bits: from its inputs A .. D it computes whether a bit passes a carry on
    (P, 16 entries of INIT, and the sum is P ^ carry), and if not, which carry it makes (G, the
    first 4 entries, of A and B alone). A chain with the constant carry c begins with the carry
    P ? c : G, a function of A and B as C and D are constant in all sums that yosys makes; so with
    P = 0 this cell needs no carry.

    Parameters
    ----------
    netlist : what yosys' `write_json` wrote

    Returns
    -------
    The number of chains that were changed.
    """
    return sum(_shorten_chains(module) for module in netlist["modules"].values())


def _shorten_chains(module: dict[str, Any]) -> int:
    cells, readers = module["cells"], _readers(module)
    carries = {name: cell for name, cell in cells.items() if cell["type"] == "CCU2C"}
    changed = 0
    for name, cell in carries.items():
        pins = cell["connections"]
        if not readers[pins["COUT"][0]]:
            pins["COUT"] = NOTHING
        constant = {"0": 0, "1": 1}
        given = [pins[pin][0] for pin in ("CIN", "C0", "D0")]
        if cell["parameters"]["INJECT1_0"] == "NO" and all(bit in constant for bit in given):
            carry, high, low = (constant[bit] for bit in given)
            passes, makes = _entries(cell["parameters"]["INIT0"], high, low)
            if readers[pins["S0"][0]]:
                sums = [each ^ carry for each in passes]
                cells[f"{name}_first_bit"] = _lut(pins["A0"], pins["B0"], pins["S0"], sums)
            begun = [carry if p else g for p, g in zip(passes, makes, strict=True)]
            cell["parameters"]["INIT0"] = _bits([*begun, *[0] * 12])
            pins |= {"CIN": NOTHING, "S0": NOTHING, "C0": ["1"], "D0": ["1"]}
            changed += 1
    return changed


def _entries(init: str, c: int, d: int) -> tuple[list[int], list[int]]:
    """P for each A + 2 B with these C and D, and G, from the text of INIT."""
    entries = [int(bit) for bit in reversed(init)]
    start = 4 * c + 8 * d
    return entries[start : start + 4], entries[:4]


def _bits(entries: list[int]) -> str:
    """The text of INIT, the last entry first."""
    return "".join(map(str, reversed(entries)))


def _lut(a: list[Any], b: list[Any], z: list[Any], entries: list[int]) -> dict[str, Any]:
    """A LUT4 of two inputs."""
    return {
        "hide_name": 1,
        "type": "LUT4",
        "parameters": {"INIT": _bits(entries * 4)},
        "attributes": {},
        "port_directions": {**dict.fromkeys("ABCD", "input"), "Z": "output"},
        "connections": {"A": a, "B": b, "C": ["0"], "D": ["0"], "Z": z},
    }
