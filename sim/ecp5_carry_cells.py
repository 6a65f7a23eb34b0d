"""What a position of an ECP5 carry chain does, and what its four inputs can hold.

A cell CCU2C has two positions, each a look-up table of four inputs A .. D. Its 16 entries P say
whether the position passes on the carry that comes, and the sum is P ^ carry. Where it does not,
its carry is one of the 4 entries for C = D = 0, by A and B alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import Any

Bit = Any
Values = Mapping[Bit, int]
Function = Callable[[Values], int]

PINS = "ABCD"


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


def zero(values: Values) -> int:
    return 0


def signals_of(bits: Iterable[Bit]) -> frozenset[Bit]:
    """Those of the bits that are not constant."""
    return frozenset(bit for bit in bits if isinstance(bit, int))


def value_of(bit: Bit) -> Function:
    """The value of a bit that may be a constant."""
    if isinstance(bit, int):
        return lambda values: values[bit]
    return lambda values: int(bit == "1")


def index_of(bits: Iterable[Bit]) -> Function:
    """The number that the bits make, lowest first."""
    functions = [value_of(bit) for bit in bits]
    return lambda values: sum(each(values) << place for place, each in enumerate(functions))


def combinations_of(signals: Iterable[Bit]) -> Iterator[dict[Bit, int]]:
    """All values of some signals; the last one changes fastest."""
    names = list(signals)
    for values in product((0, 1), repeat=len(names)):
        yield dict(zip(names, values, strict=True))


def reduced(position: Position) -> Position:
    """The same without signals that nothing depends on."""
    signals, left_out = position.signals, dict[Bit, int]()
    for signal in sorted(signals, key=str):
        others = signals - {signal}
        if all(
            _outcome(position, left_out | values | {signal: 0})
            == _outcome(position, left_out | values | {signal: 1})
            for values in combinations_of(others)
        ):
            signals, left_out = others, left_out | {signal: 0}
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


def joined(low: Position, high: Position) -> Position:
    """One position in the place of two, with the sum of none."""
    return reduced(
        Position(
            low.signals | high.signals,
            lambda values: low.passes(values) & high.passes(values),
            lambda values: low.carry(values) if high.passes(values) else high.carry(values),
        )
    )


def cell_of(position: Position) -> tuple[Sequence[Bit], str] | None:
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
    index, start = index_of(order), index_of(order[:2])
    entries: dict[int, int] = {}
    for values in combinations_of(position.signals):
        passes, carry = _outcome(position, values)
        if entries.setdefault(index(values), passes) != passes:
            return None
    for values in combinations_of(position.signals):
        passes, carry = _outcome(position, values)
        if not passes and entries.setdefault(start(values), carry) != carry:
            return None
    return init_text([entries.get(number, 0) for number in range(1 << len(PINS))])


def init_text(entries: Sequence[int]) -> str:
    """The text of INIT, the last entry first."""
    return "".join(map(str, reversed(entries)))
