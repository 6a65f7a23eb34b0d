"""Carry chains of ECP5 netlists in fewer cells than yosys and nextpnr make of them.

A cell CCU2C has two positions, each a look-up table of four inputs A .. D. Its 16 entries P say
whether the position passes on the carry that comes, and the sum is P ^ carry. Where it does not,
its carry is one of the 4 entries for C = D = 0, by A and B alone. yosys uses two inputs, for the
two bits that are added. With all four

- a chain starts without a carry. nextpnr gives each chain one more cell that brings in a constant,
  and one that brings out a carry that nobody takes; a chain per lane makes that a sixth of all
  look-up tables.
- a choice behind a sum, `chosen ? sum : other`, is a part of the position.
- in a comparison with a constant, two bits share a position.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import Any

from spikeloom.sim.ecp5_netlist import NOTHING, Netlist, Readers, readers_of

Bit = Any
Values = Mapping[Bit, int]
Function = Callable[[Values], int]

PINS = "ABCD"
_INPUTS = ("CIN", *(f"{pin}{place}" for place in (0, 1) for pin in PINS))
DIRECTIONS = dict.fromkeys(_INPUTS, "input") | dict.fromkeys(("S0", "S1", "COUT"), "output")


@dataclass(frozen=True)
class Position:
    """A bit of a chain.

    Attributes
    ----------
    signals : what `passes` and `carry` depend on
    passes : whether the carry is passed on
    carry : the carry where it is not
    total : the bit that the sum drives; None where nobody reads it
    """

    signals: frozenset[Bit]
    passes: Function
    carry: Function
    total: Bit | None = None


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
            positions.append(Position(frozenset(), _zero, _zero, last))
        while positions and positions[-1].total is None:
            positions.pop()
        if not positions:
            return None
        return self.cells[names[0]]["connections"]["CIN"][0], positions

    def _position(self, cell: dict[str, Any], number: int) -> Position:
        pins = {pin: cell["connections"][f"{pin}{number}"][0] for pin in PINS}
        entries = [int(entry) for entry in reversed(cell["parameters"][f"INIT{number}"])]
        index, start = _index(pins.values()), _index([pins["A"], pins["B"]])
        (total,) = cell["connections"].get(f"S{number}", NOTHING)
        return _reduced(
            Position(
                _signals(pins.values()),
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
        given = Position(_signals([carry]), _zero, _constant_or(carry))
        chosen.insert(0, self._chosen(given, choice))
        if not all(_table(position) for position in chosen):
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
        return _signals(self.cells[name]["connections"][pin][0] for pin in PINS)

    def _table_value(self, name: str, given: Values) -> Function:
        """What a table makes of other signals beside those that are given."""
        cell = self.cells[name]
        entries = [int(entry) for entry in reversed(cell["parameters"]["INIT"])]
        index = _index(cell["connections"][pin][0] for pin in PINS)
        return lambda values: entries[index({**values, **given})]

    def _lets_pass(self, total: Bit, name: str, signal: Bit, value: int) -> bool:
        """Whether a table gives the sum where `signal` is `value`, and else does not look at it."""
        others = self._table_signals(name) - {total, signal}
        low, high = (self._table_value(name, {total: bit}) for bit in (0, 1))
        chosen, not_chosen = {signal: value}, {signal: 1 - value}
        return len(others) <= 1 and all(
            (low(values | chosen), high(values | chosen)) == (0, 1)
            and low(values | not_chosen) == high(values | not_chosen)
            for values in _combinations(others)
        )

    def _chosen(self, position: Position, choice: Choice) -> Position:
        """A position that takes the choice behind its sum."""
        signals, total = position.signals | {choice.signal}, None
        other: Function = _zero
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

        return _reduced(Position(signals, passes, carry, total))

    def _merge(
        self, carry: Bit, positions: list[Position], chosen: bool
    ) -> tuple[Bit, list[Position], bool]:
        """Join neighbours whose sums nobody reads."""
        merged: list[Position] = []
        for position in positions:
            before = merged[-1] if merged else None
            signals = position.signals | (before.signals if before else frozenset())
            if before and before.total is None and position.total is None and len(signals) <= 2:
                merged[-1] = _joined(before, position)
            else:
                merged.append(position)
        return carry, merged, chosen

    def _start(self, carry: Bit, positions: list[Position], chosen: bool) -> list[Position]:
        """Let a chain start without a carry."""
        first = Position(_signals([carry]), _zero, _constant_or(carry))
        if chosen:
            # It has a position for that.
            return positions
        joined = _joined(first, positions[0])
        outside = positions[0].total is not None
        if len(joined.signals) > 2 or (outside and len(positions) % 2 == 1):
            return [first, *positions]
        if outside:
            self._add_table(positions[0], carry)
        return [replace(joined, total=None), *positions[1:]]

    def _add_table(self, position: Position, carry: Bit) -> None:
        """The sum of a chain's first position in a look-up table."""
        signals = sorted(position.signals | _signals([carry]), key=str)
        given = _constant_or(carry)
        entries = [
            position.passes(values) ^ given(values)
            # The first pin changes fastest.
            for values in _combinations(reversed(signals))
        ]
        unused = len(PINS) - len(signals)
        padded = [*signals, *["0"] * unused]
        self.cells[f"$first_bit${position.total}"] = {
            "hide_name": 1,
            "type": "LUT4",
            "parameters": {"INIT": _bits(entries * (1 << unused))},
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
            positions = [*positions, Position(frozenset(), _zero, _zero)]
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
                found = _table(position)
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


def _zero(values: Values) -> int:
    return 0


def _signals(bits: Iterable[Bit]) -> frozenset[Bit]:
    """Those of the bits that are not constant."""
    return frozenset(bit for bit in bits if isinstance(bit, int))


def _constant_or(bit: Bit) -> Function:
    """The value of a bit that may be a constant."""
    if isinstance(bit, int):
        return lambda values: values[bit]
    return lambda values: int(bit == "1")


def _index(bits: Iterable[Bit]) -> Function:
    """The number that the bits make, lowest first."""
    functions = [_constant_or(bit) for bit in bits]
    return lambda values: sum(each(values) << place for place, each in enumerate(functions))


def _combinations(signals: Iterable[Bit]) -> Iterator[dict[Bit, int]]:
    """All values of some signals; the last one changes fastest."""
    names = list(signals)
    for values in product((0, 1), repeat=len(names)):
        yield dict(zip(names, values, strict=True))


def _reduced(position: Position) -> Position:
    """The same without signals that nothing depends on."""
    signals = position.signals
    for signal in sorted(signals, key=str):
        others = signals - {signal}
        if all(
            _outcome(position, values | {signal: 0}) == _outcome(position, values | {signal: 1})
            for values in _combinations(others)
        ):
            signals = others
    left_out = dict.fromkeys(position.signals - signals, 0)
    if not left_out:
        return position
    return replace(
        position,
        signals=signals,
        passes=lambda values: position.passes(left_out | dict(values)),
        carry=lambda values: position.carry(left_out | dict(values)),
    )


def _outcome(position: Position, values: Values) -> tuple[int, int]:
    passes = position.passes(values)
    return passes, 0 if passes else position.carry(values)


def _joined(low: Position, high: Position) -> Position:
    """One position in the place of two, with the sum of none."""
    return _reduced(
        Position(
            low.signals | high.signals,
            lambda values: low.passes(values) & high.passes(values),
            lambda values: low.carry(values) if high.passes(values) else high.carry(values),
        )
    )


def _table(position: Position) -> tuple[Sequence[Bit], str] | None:
    """The bits at the pins A .. D and the entries of a position; None if no cell can hold it."""
    signals = sorted(position.signals, key=str)
    if len(signals) > len(PINS):
        return None
    # A pin of its own for the constant 1 keeps the entries of P apart from those of the carry.
    filled = [*signals, *["1"] * (len(PINS) - len(signals))]
    for order in permutations(filled):
        entries = _entries(position, order)
        if entries is not None:
            return order, entries
    return None


def _entries(position: Position, order: Sequence[Bit]) -> str | None:
    index, start = _index(order), _index(order[:2])
    entries: dict[int, int] = {}
    for values in _combinations(position.signals):
        passes, carry = _outcome(position, values)
        if entries.setdefault(index(values), passes) != passes:
            return None
    for values in _combinations(position.signals):
        passes, carry = _outcome(position, values)
        if not passes and entries.setdefault(start(values), carry) != carry:
            return None
    return _bits([entries.get(number, 0) for number in range(1 << len(PINS))])


def _bits(entries: Sequence[int]) -> str:
    """The text of INIT, the last entry first."""
    return "".join(map(str, reversed(entries)))
