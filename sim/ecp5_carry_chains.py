"""Carry chains of ECP5 netlists in fewer cells than yosys and nextpnr make of them.

yosys uses two inputs of each position (sim/ecp5_carry_cells.py), for the two bits that are added.
With all four

- a chain starts without a carry. nextpnr gives each chain one more cell that brings in a constant,
  and one that brings out a carry that nobody takes; a chain per lane makes that a sixth of all
  look-up tables.
- a choice behind a sum, `chosen ? sum : other`, is a part of the position.
- in a comparison with a constant, two bits share a position.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spikeloom.sim.ecp5_carry_cells import (
    PINS,
    Bit,
    Function,
    Position,
    Values,
    cell_of,
    combinations_of,
    index_of,
    init_text,
    joined,
    reduced,
    signals_of,
    value_of,
    zero,
)
from spikeloom.sim.ecp5_netlist import NOTHING, Netlist, Readers, readers_of

_INPUTS = ("CIN", *(f"{pin}{place}" for place in (0, 1) for pin in PINS))
DIRECTIONS = dict.fromkeys(_INPUTS, "input") | dict.fromkeys(("S0", "S1", "COUT"), "output")


@dataclass(frozen=True)
class Choice:
    """Look-up tables that choose between the sums of a chain and something else.

    Attributes
    ----------
    signal, value : the sums are chosen where this bit has that value
    tables : by the bit of the sum, the look-up table
    """

    signal: Bit
    value: int
    tables: Mapping[Bit, str]


def pack_carry_chains(netlist: Netlist) -> int:
    """Build carry chains anew, in place.

    Parameters
    ----------
    netlist : what yosys' `write_json` wrote

    Returns
    -------
    The number of chains that were changed.
    """
    return sum(_Packer(module).run() for module in netlist["modules"].values())


class _Packer:
    """The chains of a module."""

    def __init__(self, module: dict[str, Any]):
        self.cells: dict[str, Any] = module["cells"]
        self.readers: Readers = readers_of(module)
        self.drivers = {
            bit: name
            for name, cell in self.cells.items()
            for port, bits in cell["connections"].items()
            if cell["port_directions"][port] == "output"
            for bit in bits
        }
        numbers = [
            bit
            for cell in self.cells.values()
            for bits in cell["connections"].values()
            for bit in bits
            if isinstance(bit, int)
        ]
        self.next_bit = max(numbers, default=1) + 1

    def run(self) -> int:
        changed = 0
        for names in self._chains():
            chain = self._read(names)
            if chain is not None:
                self._write(names, self._start(*self._merge(*self._choose(*chain))))
                changed += 1
        return changed

    def _chains(self) -> list[list[str]]:
        """The cells of each chain, lowest first."""
        cells = {name: cell for name, cell in self.cells.items() if cell["type"] == "CCU2C"}
        behind = {cell["connections"]["CIN"][0]: name for name, cell in cells.items()}
        driven = {_carry_out(cell) for cell in cells.values()} - {None}
        chains = []
        for name, cell in cells.items():
            if cell["connections"]["CIN"][0] not in driven:
                chain = [name]
                while (carry := _carry_out(cells[chain[-1]])) in behind:
                    chain.append(behind[carry])
                chains.append(chain)
        return chains

    def _read(self, names: list[str]) -> tuple[Bit, list[Position]] | None:
        """The carry that a chain starts with, and its positions; None for a chain with a branch."""
        positions = [
            self._position(self.cells[name], number) for name in names for number in (0, 1)
        ]
        for name in names[:-1]:
            if len(self.readers[_carry_out(self.cells[name])]) != 1:
                return None
        last = _carry_out(self.cells[names[-1]])
        if self.readers[last]:
            positions.append(Position(frozenset(), zero, zero, last))
        while positions and positions[-1].total is None:
            positions.pop()
        if not positions:
            return None
        return self.cells[names[0]]["connections"]["CIN"][0], positions

    def _position(self, cell: dict[str, Any], number: int) -> Position:
        pins = {pin: cell["connections"][f"{pin}{number}"][0] for pin in PINS}
        entries = [int(entry) for entry in reversed(cell["parameters"][f"INIT{number}"])]
        index, start = index_of(pins.values()), index_of([pins["A"], pins["B"]])
        (total,) = cell["connections"].get(f"S{number}", NOTHING)
        return reduced(
            Position(
                signals_of(pins.values()),
                lambda values: entries[index(values)],
                lambda values: entries[start(values)],
                total if self.readers[total] else None,
            )
        )

    def _choose(self, carry: Bit, positions: list[Position]) -> tuple[Bit, list[Position], bool]:
        """Take a choice behind all sums into the positions."""
        choice = self._choice(positions)
        if choice is None:
            return carry, positions, False
        chosen = [self._chosen(position, choice) for position in positions]
        # Where the sums are not chosen no carry may come.
        given = Position(signals_of([carry]), zero, value_of(carry))
        chosen.insert(0, self._chosen(given, choice))
        if not all(cell_of(position) for position in chosen):
            return carry, positions, False
        for name in choice.tables.values():
            del self.cells[name]
        return "0", chosen, True

    def _choice(self, positions: list[Position]) -> Choice | None:
        tables = {}
        for position in positions:
            if position.total is None:
                continue
            readers = self.readers[position.total]
            if len(readers) != 1 or not readers[0][0]:
                return None
            name = readers[0][0]
            if self.cells.get(name, {}).get("type") != "LUT4":
                return None
            tables[position.total] = name
        # What a chain is lengthened by to take them in must be worth it.
        if len(tables) < 3 or len(set(tables.values())) < len(tables):
            return None
        inputs = [self._table_signals(name) for name in tables.values()]
        if self._is_loop(frozenset().union(*inputs) - tables.keys(), set(tables.values())):
            return None
        for signal in sorted(frozenset.intersection(*inputs) - tables.keys(), key=str):
            for value in (0, 1):
                if all(self._lets_pass(*item, signal, value) for item in tables.items()):
                    return Choice(signal, value, tables)
        return None

    def _is_loop(self, bits: Iterable[Bit], tables: set[str]) -> bool:
        """Whether any of the bits depends on one of the tables with no register in between."""
        waiting: list[Bit] = list(bits)
        seen: set[str] = set()
        while waiting:
            name = self.drivers.get(waiting.pop(), "")
            if name in tables:
                return True
            cell = self.cells.get(name)
            if name in seen or cell is None or cell["type"] in ("TRELLIS_FF", "DP16KD"):
                continue
            seen.add(name)
            for port, given in cell["connections"].items():
                if cell["port_directions"][port] == "input":
                    waiting += given
        return False

    def _table_signals(self, name: str) -> frozenset[Bit]:
        return signals_of(self.cells[name]["connections"][pin][0] for pin in PINS)

    def _table_value(self, name: str, given: Values) -> Function:
        """What a table makes of other signals beside those that are given."""
        cell = self.cells[name]
        entries = [int(entry) for entry in reversed(cell["parameters"]["INIT"])]
        index = index_of(cell["connections"][pin][0] for pin in PINS)
        return lambda values: entries[index({**values, **given})]

    def _lets_pass(self, total: Bit, name: str, signal: Bit, value: int) -> bool:
        """Whether a table gives the sum where `signal` is `value`, and else does not look at it."""
        others = self._table_signals(name) - {total, signal}
        low, high = (self._table_value(name, {total: bit}) for bit in (0, 1))
        chosen, not_chosen = {signal: value}, {signal: 1 - value}
        return len(others) <= 1 and all(
            (low(values | chosen), high(values | chosen)) == (0, 1)
            and low(values | not_chosen) == high(values | not_chosen)
            for values in combinations_of(others)
        )

    def _chosen(self, position: Position, choice: Choice) -> Position:
        """A position that takes the choice behind its sum."""
        signals, total = position.signals | {choice.signal}, None
        other: Function = zero
        if position.total is not None:
            name = choice.tables[position.total]
            other = self._table_value(name, {position.total: 0})
            signals |= self._table_signals(name) - {position.total}
            total = self.cells[name]["connections"]["Z"][0]

        def passes(values: Values) -> int:
            chosen = values[choice.signal] == choice.value
            return position.passes(values) if chosen else other(values)

        def carry(values: Values) -> int:
            return position.carry(values) if values[choice.signal] == choice.value else 0

        return reduced(Position(signals, passes, carry, total))

    def _merge(
        self, carry: Bit, positions: list[Position], chosen: bool
    ) -> tuple[Bit, list[Position], bool]:
        """Join neighbours whose sums nobody reads."""
        merged: list[Position] = []
        for position in positions:
            before = merged[-1] if merged else None
            signals = position.signals | (before.signals if before else frozenset())
            if before and before.total is None and position.total is None and len(signals) <= 2:
                merged[-1] = joined(before, position)
            else:
                merged.append(position)
        return carry, merged, chosen

    def _start(self, carry: Bit, positions: list[Position], chosen: bool) -> list[Position]:
        """Let a chain start without a carry."""
        first = Position(signals_of([carry]), zero, value_of(carry))
        if chosen:
            # It has a position for that.
            return positions
        begun = joined(first, positions[0])
        outside = positions[0].total is not None
        if len(begun.signals) > 2 or (outside and len(positions) % 2 == 1):
            return [first, *positions]
        if outside:
            self._add_table(positions[0], carry)
        return [replace(begun, total=None), *positions[1:]]

    def _add_table(self, position: Position, carry: Bit) -> None:
        """The sum of a chain's first position in a look-up table."""
        signals = sorted(position.signals | signals_of([carry]), key=str)
        given = value_of(carry)
        entries = [
            position.passes(values) ^ given(values)
            # The first pin changes fastest.
            for values in combinations_of(reversed(signals))
        ]
        unused = len(PINS) - len(signals)
        padded = [*signals, *["0"] * unused]
        self.cells[f"$first_bit${position.total}"] = {
            "hide_name": 1,
            "type": "LUT4",
            "parameters": {"INIT": init_text(entries * (1 << unused))},
            "attributes": {},
            "port_directions": {**dict.fromkeys(PINS, "input"), "Z": "output"},
            "connections": {pin: [bit] for pin, bit in zip(PINS, padded, strict=True)}
            | {"Z": [position.total]},
        }

    def _write(self, names: list[str], positions: list[Position]) -> None:
        """Put cells of these positions in the place of a chain's."""
        pattern = self.cells[names[0]]
        for name in names:
            del self.cells[name]
        if len(positions) % 2:
            positions = [*positions, Position(frozenset(), zero, zero)]
        names = [*names, *(f"{names[-1]}_more" for _ in range(len(positions) // 2 - len(names)))]
        carry = NOTHING
        for name, number in zip(names, range(0, len(positions), 2), strict=False):
            pins: dict[str, list[Bit]] = {"CIN": carry}
            carry = NOTHING
            if number + 2 < len(positions):
                carry, self.next_bit = [self.next_bit], self.next_bit + 1
            pins["COUT"] = carry
            parameters = dict(pattern["parameters"])
            for place, position in enumerate(positions[number : number + 2]):
                found = cell_of(position)
                assert found is not None, "a position of a carry chain that no cell can hold"
                inputs, parameters[f"INIT{place}"] = found
                pins |= {f"{pin}{place}": [bit] for pin, bit in zip(PINS, inputs, strict=True)}
                pins[f"S{place}"] = NOTHING if position.total is None else [position.total]
            self.cells[name] = pattern | {
                "parameters": parameters,
                "port_directions": dict(DIRECTIONS),
                "connections": pins,
            }


def _carry_out(cell: dict[str, Any]) -> Bit | None:
    """The bit that a cell's carry drives, None where it is not connected."""
    (bit,) = cell["connections"].get("COUT", NOTHING)
    return bit if isinstance(bit, int) else None
