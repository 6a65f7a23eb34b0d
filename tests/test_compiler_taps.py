"""Axes of convolutions, folded onto banks, against the definition of a convolution."""

import random

import pytest

from spikeloom.compiler.taps import AxisFolding, fold_axis


def reached_by_definition(
    position: int, pooling: int, positions: int, kernel: int, stride: int, padding: int, places: int
) -> dict[int, int]:
    """The tap by which an event reaches each place."""
    pooled = position // pooling
    if pooled >= positions // pooling:
        return {}
    taps = {place: pooled + padding - place * stride for place in range(places)}
    return {place: tap for place, tap in taps.items() if 0 <= tap < kernel}


def reached_by(folding: AxisFolding, position: int) -> list[tuple[int, int]]:
    found = []
    for visit in folding.visits[position]:
        for bank, place in enumerate(visit.places):
            tap = folding.words[visit.word][bank]
            if place is not None and tap is not None:
                found.append((place * folding.banks + bank, tap))
    return found


@pytest.mark.parametrize("seed", range(200))
def test_every_tap_is_visited_once(seed: int) -> None:
    draw = random.Random(seed)
    pooling, stride, banks = draw.randint(1, 3), draw.randint(1, 3), draw.randint(1, 5)
    positions, padding = draw.randint(pooling, 9), draw.randint(0, 3)
    padded = positions // pooling + 2 * padding
    kernel = draw.randint(1, min(5, padded))
    places = (padded - kernel) // stride + 1
    folding = fold_axis(positions, pooling, kernel, stride, padding, places, banks)
    for position in range(positions):
        wanted = reached_by_definition(
            position, pooling, positions, kernel, stride, padding, places
        )
        found = reached_by(folding, position)
        assert dict(found) == wanted and len(found) == len(wanted)
        assert folding.reached[position] == len(wanted)
        assert all(place < places for place, _ in found)


def test_one_bank_visits_what_it_reaches_and_no_more() -> None:
    folding = fold_axis(28, 1, 5, 1, 0, 24, 1)
    assert [len(visits) for visits in folding.visits[:6]] == [1, 2, 3, 4, 5, 5]
    assert len(folding.words) == 5


def test_borders_need_no_words_of_their_own() -> None:
    folding = fold_axis(12, 1, 5, 1, 0, 8, 5)
    assert all(len(visits) == 1 for visits in folding.visits)
    assert len(folding.words) == 5


def test_pixels_that_fill_no_square_reach_nothing() -> None:
    folding = fold_axis(7, 2, 3, 1, 1, 3, 2)
    (visit,) = folding.visits[6]
    assert visit.places == (None, None)
    assert folding.reached[6] == 0
