"""The membrane sender against its model: which membranes, in which order, at what pace."""

import random

import pytest

from sender_bench import send_vectors
from small_programs import small_program
from spikeloom.compiler.ir import Readout
from spikeloom.rtl.events import EventCode
from spikeloom.rtl.membranes import MembraneSender

STEPS = 3
KINDS = ["final_membrane", "maximum_membrane"]


def core_of(kind, neurons=5, lanes=2):
    program = small_program((3, neurons), lanes, steps=STEPS, readout=Readout("layer1", kind))
    core = program.cores[0]
    assert (core.sends, core.fire_lanes) == (kind, 1)
    return core


def scans(core, steps, seed=0):
    """Vectors of the rows of some scans, and the events that they stand for."""
    generator = random.Random(seed)
    bits = core.value_sent_bits
    code = EventCode(core.neurons, bits)
    half = 1 << (bits - 1)
    vectors, events = [], []
    for step in range(steps):
        last = step % STEPS == STEPS - 1
        ends = [-half, half - 1, *(generator.randrange(-half, half) for _ in range(core.rows))]
        generator.shuffle(ends)
        for row, membrane in enumerate(ends[: core.rows]):
            scan_end = row == core.rows - 1
            vectors.append(membrane & (2 * half - 1) | scan_end << bits | last << (bits + 1))
            if row < core.neurons and (last or core.sends == "maximum_membrane"):
                events.append(code.event(row, membrane))
        events.append(code.window_end if last else code.end)
    return vectors, events


def run(core, vectors, places=3, offer=0.5, ready=0.5):
    """Send all vectors in lockstep; gives the events and the cycles in which they were taken."""
    return send_vectors(MembraneSender(core, places), vectors, places, offer, ready, core.neurons)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("neurons", "lanes"), [(1, 1), (4, 4), (5, 2), (7, 3), (4, 1)])
@pytest.mark.parametrize(("offer", "ready"), [(1.0, 1.0), (1.0, 0.3), (0.3, 0.9)])
def test_sender_equals_its_model_and_sends_no_filling(kind, neurons, lanes, offer, ready):
    core = core_of(kind, neurons, lanes)
    vectors, expected = scans(core, 2 * STEPS)
    assert run(core, vectors, offer=offer, ready=ready)[0] == expected


def test_final_membranes_are_those_of_the_last_step_alone():
    core = core_of("final_membrane")
    vectors, _ = scans(core, STEPS)
    events, _ = run(core, vectors)
    code = EventCode(core.neurons, core.value_sent_bits)
    assert events[:2] == [code.end, code.end]
    assert [code.address(event) for event in events[2:-1]] == [0, 1, 2, 3, 4]
    assert events[-1] == code.window_end


def test_membranes_leave_in_successive_cycles():
    core = core_of("maximum_membrane", 4, 4)
    vectors, expected = scans(core, STEPS)
    events, times = run(core, vectors, offer=1.0, ready=1.0)
    assert events == expected
    assert times == list(range(times[0], times[0] + len(events)))
