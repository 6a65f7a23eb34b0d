"""Which neurons of feature maps an event reaches, and how that is folded onto banks of lanes.

Along one axis of the maps, rows or columns, `banks` neighbouring places are added to in one clock
cycle. Place o lies in bank o % banks, so that neighbours never meet in one bank.
"""

from dataclasses import dataclass

import numpy as np

from spikeloom.compiler.fixed import IntArray

Taps = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Visit:
    """What one clock cycle does with an event along an axis.

    Attributes
    ----------
    word : number of the taps in `AxisFolding.words`
    places : per bank the place along the axis divided by the number of banks; None for a bank
        that the event does not reach
    """

    word: int
    places: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class AxisFolding:
    """One axis of a convolution, folded onto banks.

    Attributes
    ----------
    banks : places that are added to at once
    places : of the feature maps along this axis
    visits : per position of an event, before pooling, at least one; a position from which nothing
        is reached has one that reaches nothing
    words : per set of taps that are needed together, the tap of each bank
    reached : per position of an event, how many places it reaches
    """

    banks: int
    places: int
    visits: tuple[tuple[Visit, ...], ...]
    words: tuple[Taps, ...]
    reached: IntArray

    @property
    def depth(self) -> int:
        """Places in a bank."""
        return -(-self.places // self.banks)

    @property
    def most_visits(self) -> int:
        """Of any position."""
        return max(map(len, self.visits))


def fold_axis(
    positions: int,
    pooling: int,
    kernel: int,
    stride: int,
    padding: int,
    places: int,
    banks: int,
) -> AxisFolding:
    """Fold an axis of a convolution.

    Parameters
    ----------
    positions : of events along the axis, before pooling
    pooling : side of the squares that are summed before the convolution; 1 for none
    kernel, stride : of the convolution along this axis
    padding : before the first position
    places : of the result along this axis
    banks : neighbouring places that are added to at once
    """
    pooled = positions // pooling
    numbers: dict[Taps, int] = {}
    visits, reached = [], []
    for position in range(positions):
        origin = position // pooling + padding
        first, last = -(-(origin - kernel + 1) // stride), origin // stride
        inside = range(max(first, 0), min(last, places - 1) + 1)
        if position // pooling >= pooled or not inside:
            inside = range(0)
        found = []
        # From the same tap on at every position, also where it lies outside: so the borders need
        # no words of their own. Cycles that would reach nothing are left out.
        for start in range(first, last + 1, banks):
            covered = _by_bank(start, banks)
            if any(place in inside for place in covered):
                taps = [origin - place * stride for place in covered]
                word = tuple(tap if 0 <= tap < kernel else None for tap in taps)
                number = numbers.setdefault(word, len(numbers))
                held = (place // banks if place in inside else None for place in covered)
                found.append(Visit(number, tuple(held)))
        visits.append(tuple(found) or (Visit(0, (None,) * banks),))
        reached.append(len(inside))
    # Where strides and padding leave out all positions, there is a word for none of the taps.
    words = tuple(numbers) or ((None,) * banks,)
    return AxisFolding(banks, places, tuple(visits), words, np.asarray(reached, np.int64))


def _by_bank(start: int, banks: int) -> list[int]:
    """The places from `start` on, one per bank, in the order of the banks."""
    return [start + (bank - start) % banks for bank in range(banks)]
