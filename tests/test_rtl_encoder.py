"""The spike encoder against its model: order of the events, back-pressure, time."""

import random

import pytest

from lockstep import Bench
from spikeloom.rtl.encoder import WORD, SpikeEncoder
from spikeloom.rtl.events import event_layout
from spikeloom.rtl.probe import Probe

GEOMETRIES = [(1, 1), (2, 2), (10, 10), (16, 16), (17, 17), (70, 70), (7, 3), (40, 20), (70, 33)]


def scans(neurons, lanes, densities, seed):
    """Spike vectors of some scans as (spikes, scan_end), and the events that they stand for."""
    generator = random.Random(seed)
    end = 1 << (event_layout(neurons).size - 1)
    vectors, events = [], []
    for density in densities:
        fired = [n for n in range(neurons) if generator.random() < density]
        events += [*fired, end]
        groups = -(-neurons // lanes)
        for group in range(groups):
            first = group * lanes
            spikes = sum(1 << n - first for n in fired if first <= n < first + lanes)
            vectors.append((spikes, group == groups - 1))
    return vectors, events


def run(neurons, lanes, vectors, depth=3, offer=0.5, ready=0.5, seed=0):
    """Send all vectors in lockstep; gives the events and the cycles in which they were taken."""
    dut = SpikeEncoder(neurons, lanes, depth)
    model = dut.model()
    generator = random.Random(seed)
    events, times = [], []

    def cycles():
        pending, places, time = list(vectors), depth, 0
        while pending or model.vectors or model.valid:
            # As the synapse engine does it: a vector is only sent where there is a place.
            vector = pending.pop(0) if pending and places and generator.random() < offer else None
            taken = generator.random() < ready
            load = model.loads(taken)
            release = model.releases(load)
            places += release - (vector is not None)
            spikes, scan_end = vector or (0, 0)
            drive = [
                (dut.vector_valid, vector is not None),
                (dut.vector.as_value(), spikes | scan_end << lanes),
                (dut.o.ready, taken),
            ]
            yield drive, (*model.values(), release)
            if model.valid and taken:
                events.append(model.event)
                times.append(time)
            model.clock(vector, taken, load)
            time += 1
        assert places == depth

    Bench(dut, [*dut.probes(), Probe("release", dut.release)]).run(cycles())
    return events, times


@pytest.mark.parametrize(("neurons", "lanes"), GEOMETRIES)
@pytest.mark.parametrize(("offer", "ready"), [(1.0, 1.0), (1.0, 0.3), (0.3, 0.9)])
def test_encoder_equals_its_model_and_sends_each_spike_once_in_order(neurons, lanes, offer, ready):
    vectors, expected = scans(neurons, lanes, [0.3, 0.0, 1.0, 0.05, 0.6, 0.0, 0.0, 0.2], lanes)
    events, _ = run(neurons, lanes, vectors, offer=offer, ready=ready, seed=neurons)
    assert events == expected


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_any_number_of_places_gives_the_same_events(depth):
    vectors, expected = scans(40, 9, [0.5] * 6, 1)
    assert run(40, 9, vectors, depth, offer=1.0, ready=0.6)[0] == expected


@pytest.mark.parametrize(("neurons", "lanes"), [(10, 10), (70, 70), (70, 35), (64, 16)])
def test_events_leave_in_successive_cycles(neurons, lanes):
    """Neither a change of words nor of vectors costs a cycle."""
    vectors, expected = scans(neurons, lanes, [1.0, 1.0, 1.0], 1)
    events, times = run(neurons, lanes, vectors, offer=1.0, ready=1.0)
    assert events == expected
    assert times == list(range(times[0], times[0] + len(events)))


def test_silent_words_cost_no_cycle():
    lanes = 5 * WORD
    spikes = 1 | 1 << (lanes - 1)
    events, times = run(lanes, lanes, [(spikes, 1), (0, 1), (spikes, 1)], offer=1.0, ready=1.0)
    end = 1 << (event_layout(lanes).size - 1)
    assert events == [0, lanes - 1, end, end, 0, lanes - 1, end]
    assert times == list(range(times[0], times[0] + 7))


def test_silent_vector_takes_one_cycle():
    vectors = [(0b0111, 0), (0, 0), (0, 0), (0b0101, 1)]
    events, times = run(16, 4, vectors, depth=4, offer=1.0, ready=1.0)
    assert events == [0, 1, 2, 12, 14, 16]
    assert [time - times[0] for time in times] == [0, 1, 2, 5, 6, 7]
