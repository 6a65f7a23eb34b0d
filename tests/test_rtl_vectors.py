"""The queue of vectors against a list, for any number of places."""

import random

import pytest
from amaranth.lib import data

from lockstep import Bench
from small_programs import small_program
from spikeloom.compiler.core_pipeline import vector_places
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.vectors import VectorQueue

LAYOUT = data.StructLayout({"spikes": 5, "scan_end": 1})


def run(places, push, pop, cycles=150):
    """Push and pop at random in lockstep with a list; gives the vectors that came out."""
    dut = VectorQueue(LAYOUT, places)
    generator = random.Random(places)
    held, out, most = [], [], 0

    def drive():
        nonlocal most
        for number in range(cycles):
            pushed = len(held) < places and generator.random() < push
            popped = bool(held) and generator.random() < pop
            vector = number % 64
            inputs = [
                (dut.vector_valid, pushed),
                (dut.vector.as_value(), vector),
                (dut.pop, popped),
            ]
            yield inputs, (len(held), bool(held), held[0] if held else 0)
            if popped:
                out.append(held.pop(0))
            if pushed:
                held.append(vector)
            most = max(most, len(held))

    # What stands at the head of an empty queue is nobody's business.
    head = Probe("head", dut.head.as_value() & dut.valid.replicate(LAYOUT.size))
    Bench(dut, [*dut.probes(), Probe("valid", dut.valid), head]).run(drive())
    return out, most


@pytest.mark.parametrize("places", [2, 3, 5, 8])
@pytest.mark.parametrize(("push", "pop"), [(0.9, 0.3), (0.3, 0.9), (0.6, 0.6), (1.0, 1.0)])
def test_queue_is_a_list_at_every_clock_edge(places, push, pop):
    out, most = run(places, push, pop)
    assert len(out) > 10
    assert most == places or push <= pop


@pytest.mark.parametrize(
    ("neurons", "lanes", "fire_lanes", "places"),
    [
        *[(7, 7, 7, 2), (7, 7, 4, 8), (12, 4, 2, 8), (9, 1, 1, 16), (16, 1, 1, 16)],
        *[(90, 1, 1, 16), (200, 1, 1, 32), (600, 1, 1, 64)],
    ],
)
def test_queue_holds_a_short_scan_or_an_eighth_of_a_long_one(neurons, lanes, fire_lanes, places):
    assert vector_places(small_program((5, neurons), lanes, fire_lanes).cores[0]) == places
