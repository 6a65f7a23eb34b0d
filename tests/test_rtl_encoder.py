"""The spike encoder against its model: order of the events, back-pressure, time."""

import random
from dataclasses import replace

import pytest

from sender_bench import send_vectors
from small_programs import small_program
from spikeloom.rtl.encoder import SpikeEncoder
from spikeloom.rtl.events import EventCode

# Neurons, lanes, fire lanes: one row, one group of several rows, several groups, and filling
# behind the last neuron of a group and of the layer.
GEOMETRIES = [
    *[(1, 1, 1), (2, 2, 2), (16, 16, 16), (20, 20, 8), (7, 3, 3)],
    *[(7, 3, 1), (40, 20, 7), (9, 5, 2), (12, 4, 3), (33, 16, 16)],
]
STEPS = 3


def core_of(neurons, lanes, fire_lanes):
    return small_program((2, neurons), lanes, fire_lanes, steps=STEPS).cores[0]


def scans(core, densities, seed=0):
    """Vectors of the rows of some scans, and the events that they stand for."""
    generator = random.Random(seed)
    code = EventCode(core.neurons)
    vectors, events = [], []
    for step, density in enumerate(densities):
        fired = {n for n in range(core.neurons) if generator.random() < density}
        last = step % STEPS == STEPS - 1
        events += [*sorted(fired), code.window_end if last else code.end]
        for row, start in enumerate(core.row_starts):
            end_of_group = (row // core.parts + 1) * core.lanes
            lanes = range(start, min(start + core.fire_lanes, end_of_group))
            spikes = sum(1 << n - start for n in lanes if n in fired)
            ends = (row == core.rows - 1) << core.fire_lanes | last << (core.fire_lanes + 1)
            vectors.append(spikes | ends)
    return vectors, events


def run(core, vectors, places=3, offer=0.5, ready=0.5, seed=0):
    """Send all vectors in lockstep; gives the events and the cycles in which they were taken."""
    return send_vectors(SpikeEncoder(core, places), vectors, places, offer, ready, seed)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(("offer", "ready"), [(1.0, 1.0), (1.0, 0.3), (0.3, 0.9)])
def test_encoder_equals_its_model_and_sends_each_spike_once_in_order(geometry, offer, ready):
    core = core_of(*geometry)
    vectors, expected = scans(core, [0.3, 0.0, 1.0, 0.05, 0.6, 0.0, 0.0, 0.2])
    events, _ = run(core, vectors, offer=offer, ready=ready, seed=core.neurons)
    assert events == expected


# Neurons, lanes, fire lanes, neurons of an event.
BLOCKS = [(16, 16, 16, 4), (20, 20, 8, 2), (40, 20, 4, 4), (7, 7, 7, 8), (33, 16, 16, 2)]


@pytest.mark.parametrize("geometry", BLOCKS)
@pytest.mark.parametrize(("offer", "ready"), [(1.0, 1.0), (0.5, 0.4)])
def test_spikes_of_neighbours_leave_as_one_event(geometry, offer, ready):
    *folding, together = geometry
    core = replace(core_of(*folding), sent_per_cycle=together)
    vectors, single = scans(core, [0.3, 0.0, 1.0, 0.05, 0.6, 0.0, 0.0, 0.2])
    code, expected = EventCode(core.event_addresses_out.count, neurons=together), []
    blocks = {}
    for event in single:
        if event < EventCode(core.neurons).end:
            blocks.setdefault(event // together, [0] * together)[event % together] = 1
        else:
            expected += [code.event(block, *spikes) for block, spikes in blocks.items()]
            last = event == EventCode(core.neurons).window_end
            expected.append(code.window_end if last else code.end)
            blocks = {}
    events, _ = run(core, vectors, offer=offer, ready=ready, seed=core.neurons)
    assert events == expected
    assert len(expected) < len(single)


@pytest.mark.parametrize("places", [2, 5, 8])
def test_any_number_of_places_gives_the_same_events(places):
    core = core_of(20, 10, 3)
    vectors, expected = scans(core, [0.5] * 6, 1)
    assert run(core, vectors, places, offer=1.0, ready=0.6)[0] == expected


@pytest.mark.parametrize("geometry", [(10, 10, 10), (20, 20, 7), (20, 5, 2), (32, 16, 16)])
def test_events_leave_in_successive_cycles(geometry):
    """A change of vectors costs no cycle, nor does the end of a step."""
    core = core_of(*geometry)
    vectors, expected = scans(core, [1.0, 1.0, 1.0])
    events, times = run(core, vectors, offer=1.0, ready=1.0)
    assert events == expected
    assert times == list(range(times[0], times[0] + len(events)))


def test_silent_vector_takes_neither_a_cycle_nor_a_place():
    core = core_of(16, 4, 4)
    vectors = [0b0111, 0, 0, 0b0101 | 1 << 4]
    events, times = run(core, vectors, places=2, offer=1.0, ready=1.0)
    assert events == [0, 1, 2, 12, 14, EventCode(16).end]
    assert [time - times[0] for time in times] == [0, 1, 2, 3, 4, 5]
