# amaranth: UnusedElaboratable=no
"""The queues of events against their models."""

import random

import pytest

from lockstep import Bench
from spikeloom.rtl.events import event_layout
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.queue import HEAD_PLACES, DeepQueue, EventQueue

# How often the sender offers and the receiver takes: balanced, filling, draining, full rate.
RATES = [(0.5, 0.5), (0.9, 0.2), (0.2, 0.9), (1.0, 1.0), (1.0, 0.0), (0.3, 0.3)]


def probes_of(dut):
    return [*dut.probes(), Probe("ready", dut.i.ready), Probe("valid", dut.o.valid)]


def drive(dut, push, item, pop):
    return [
        (dut.i.valid, push),
        (dut.i.payload.as_value(), item),
        (dut.o.ready, pop),
    ]


@pytest.mark.parametrize(
    ("kind", "depth"), [(EventQueue, 2), (EventQueue, 5), (DeepQueue, 4), (DeepQueue, 7)]
)
def test_queue_equals_its_model_and_keeps_the_order(kind, depth):
    dut = kind(event_layout(50), depth)
    model = dut.model()
    generator = random.Random(depth)
    given, taken = [], []
    full = []

    def cycles():
        for offer, take in RATES * 2:
            for _ in range(60):
                push, pop = generator.random() < offer, generator.random() < take
                item = generator.randrange(1 << 7)
                yield drive(dut, push, item, pop), (*model.values(), model.ready, model.valid)
                full.append(not model.ready)
                pushed = push and model.ready
                popped = pop and model.valid
                given.extend([item] * pushed)
                taken.extend([model.head] * popped)
                model.clock(item if pushed else None, popped)

    Bench(dut, probes_of(dut)).run(cycles())
    assert len(taken) > 100 and sum(full) > 50
    assert taken == given[: len(taken)]
    assert len(given) - len(taken) <= depth + (HEAD_PLACES if kind is DeepQueue else 0)


def test_queue_passes_one_item_per_cycle_through_its_smallest_depth():
    dut = EventQueue(event_layout(50))
    model = dut.model()

    def cycles():
        for item in range(20):
            assert model.ready and (model.valid or item == 0)
            yield drive(dut, 1, item, 1), (*model.values(), 1, item > 0)
            model.clock(item, model.valid)

    Bench(dut, probes_of(dut)).run(cycles())
    assert model.head == 19


def test_deep_queue_passes_one_item_per_cycle():
    dut = DeepQueue(event_layout(50), 4)
    model = dut.model()
    taken = []

    def cycles():
        for item in range(30):
            assert model.ready
            yield drive(dut, 1, item, 1), (*model.values(), 1, model.valid)
            if model.valid:
                taken.append(model.head)
            model.clock(item, model.valid)

    Bench(dut, probes_of(dut)).run(cycles())
    assert taken == list(range(27))


def test_queue_of_one_item_is_refused():
    with pytest.raises(AssertionError, match="halves the rate"):
        EventQueue(event_layout(4), 1)
