"""The readout against its model: counts, the class, the packet, back-pressure."""

import random

import numpy as np
import pytest

from lockstep import Bench
from spikeloom.rtl.events import event_layout
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.readout import SpikeCountReadout, SpikeCountReadoutModel


def run(spikes, valid=0.8, ready=0.6, seed=0, shuffled=True):
    """Send spikes of shape (samples, T, classes) in lockstep; gives the packets and the model."""
    samples, steps, classes = spikes.shape
    dut = SpikeCountReadout(classes, steps)
    model = dut.model()
    generator = random.Random(seed)
    end = 1 << (event_layout(classes).size - 1)
    events = []
    for step in spikes.reshape(-1, classes):
        fired = np.flatnonzero(step).tolist()
        # The result must not depend on the order of the events within a step.
        if shuffled:
            generator.shuffle(fired)
        events += [*fired, end]
    packets = [[]]

    def cycles():
        position = 0
        while len(packets) <= samples:
            offered = position < len(events) and generator.random() < valid
            event = events[position] if offered else 0
            taken = generator.random() < ready
            drive = [
                (dut.i.valid, offered),
                (dut.i.payload.as_value(), event),
                (dut.o.ready, taken),
            ]
            ready_now = model.ready(event)
            yield drive, (*model.values(), ready_now)
            if model.valid and taken:
                packets[-1].append(model.word)
                if model.last:
                    packets.append([])
            counted = offered and ready_now
            model.clock(event if counted else None, taken)
            position += counted

    Bench(dut, [*dut.probes(), Probe("ready", dut.i.ready)]).run(cycles())
    return packets[:-1], model


def expected_packets(spikes):
    scores = spikes.sum(axis=1)
    return [[int(row.argmax()), *row.tolist()] for row in scores]


@pytest.mark.parametrize(("classes", "steps"), [(1, 1), (1, 5), (2, 3), (10, 8), (17, 2), (33, 1)])
@pytest.mark.parametrize("density", [0.0, 0.2, 0.7, 1.0])
def test_readout_equals_its_model_and_counts_every_spike(classes, steps, density):
    random = np.random.default_rng(classes)
    spikes = (random.random((4, steps, classes)) < density).astype(int)
    packets, model = run(spikes)
    assert packets == expected_packets(spikes)
    assert model.steps_done == 4 * steps


@pytest.mark.parametrize("seed", range(5))
def test_ties_go_to_the_lowest_class_whatever_the_order_of_events(seed):
    spikes = np.zeros((3, 2, 6), int)
    spikes[0, :, [5, 2, 4]] = 1
    spikes[1, 0, [3, 1]] = spikes[1, 1, [5, 1, 3]] = 1
    spikes[2, 0, 5] = spikes[2, 1, 4] = 1
    packets, _ = run(spikes, seed=seed)
    assert [packet[0] for packet in packets] == [2, 1, 4]
    assert packets == expected_packets(spikes)


def test_waiting_receiver_holds_the_packet_and_nothing_is_counted_twice():
    spikes = np.ones((3, 3, 4), int)
    packets, _ = run(spikes, valid=1.0, ready=0.05)
    assert packets == [[0, 3, 3, 3, 3]] * 3


def test_every_state_and_every_legal_transition_is_seen():
    _, model = run(np.ones((2, 2, 3), int))
    names = SpikeCountReadoutModel.STATES
    seen = {(names[before], names[after]) for before, after in model.transitions}
    assert seen == model.legal_transitions


def test_next_window_is_counted_while_a_packet_waits_but_does_not_end():
    steps = 3
    dut = SpikeCountReadout(4, steps)
    model = dut.model()
    end = 1 << (event_layout(4).size - 1)
    events = [2, end, end, end, 1, end, 3, 1, end, 0, end, 2]

    def cycles():
        for _ in range(30):
            event = events[taken[0]]
            yield (
                [(dut.i.valid, 1), (dut.i.payload.as_value(), event), (dut.o.ready, 0)],
                (*model.values(), model.ready(event)),
            )
            counted = model.ready(event)
            model.clock(event if counted else None, False)
            taken[0] += counted

    taken = [0]
    Bench(dut, [*dut.probes(), Probe("ready", dut.i.ready)]).run(cycles())
    assert model.steps_done == 2 * steps - 1
    assert events[taken[0] :] == [end, 2]
    assert (model.valid, model.word) == (True, 2)
