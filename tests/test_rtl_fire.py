"""The fire unit against its model and the reference: each feature of a neuron, row by row."""

import random
from dataclasses import replace

import numpy as np
import pytest

from lockstep import Bench, compare_fired
from networks import LayerOptions
from small_programs import small_program
from spikeloom.compiler import reference
from spikeloom.compiler.core_pipeline import scan_pause, write_latency
from spikeloom.compiler.fixed import Decay, Reset
from spikeloom.compiler.ir import Events, Readout
from spikeloom.rtl.fire import FireUnit, vector_layout
from spikeloom.rtl.operations import NO_OPERATION, Kind, Operation
from wide_networks import random_events

FIRE, CLEAR = Kind.FIRE.value, Kind.CLEAR.value
FOLDINGS = [(7, 7), (7, 3), (3, 2), (1, 1)]


def scan(core, kind, window_end=0, window_start=0):
    """The operations of a scan."""
    return [
        Operation(
            kind, *divmod(row, core.parts), row, row == core.rows - 1, window_end, window_start
        )
        for row in range(core.rows)
    ]


def run(core, sums, pauses=0.2, clear_between=False):
    """Scan the sums, shape (scans, neurons), in lockstep; gives the model and the vectors.

    Parameters
    ----------
    pauses : share of cycles without an operation, beside those between scans
    clear_between : whether a scan that clears comes before each window, not only the first one
    """
    dut = FireUnit(core)
    model = dut.model()
    generator = random.Random(core.rows)
    sequence = []
    for number, given in enumerate(sums):
        step = number % core.steps
        # As after reset: the memories then hold what rest comes to.
        if number == 0 or (step == 0 and clear_between):
            sequence += [(operation, None) for operation in scan(core, CLEAR, 1)]
            sequence += [(NO_OPERATION, None)] * scan_pause(core)
        start = int(core.constant and step == 0)
        for operation in scan(core, FIRE, int(step == core.steps - 1), start):
            while generator.random() < pauses:
                sequence.append((NO_OPERATION, None))
            sequence.append((operation, given))
        sequence += [(NO_OPERATION, None)] * scan_pause(core)
    sequence += [(NO_OPERATION, None)] * (write_latency(core) + 2)
    vectors = []
    nothing = np.zeros(core.neurons, np.int64)
    mask = (1 << core.sum_bits) - 1

    def cycles():
        word = 0
        for operation, given in sequence:
            drive = [(dut.apply.as_value(), operation.packed(core)), (dut.sums, word)]
            yield drive, model.values()
            if model.vector is not None:
                vectors.append(model.vector)
            word = generator.getrandbits(core.fire_lanes * core.sum_bits)
            if given is not None:
                row = core.by_row(given)[operation.row]
                word = sum((int(v) & mask) << core.sum_bits * lane for lane, v in enumerate(row))
            model.clock(operation, lambda given=given: nothing if given is None else given)

    Bench(dut, dut.probes()).run(cycles())
    return model, vectors


def check(program, samples=3, **options):
    """Scan random events of a program; V, spikes and vectors are those of the reference."""
    core = program.cores[0]
    events = random_events(program.network, samples, 1)
    given = events.transpose(1, 0, 2).reshape(-1, core.inputs).astype(np.int64)
    sums = given @ core.sources[0].weight.T
    if core.constant:
        # Only those of a window's first step count.
        sums[np.arange(len(sums)) % core.steps > 0] = 0
    model, vectors = run(core, sums, **options)
    trace = reference.run(program.network, events, membranes=True)
    compare_fired(core, model, trace)
    if core.sends == "spikes":
        sent = [vector & ((1 << core.fire_lanes) - 1) for vector in vectors]
        lanes = np.array([[word >> n & 1 for n in range(core.fire_lanes)] for word in sent])
        by_scan = lanes.reshape(-1, core.rows, core.fire_lanes)
        fired = np.array([core.by_neuron(rows) for rows in by_scan])
        spikes = trace.spikes[core.name].transpose(1, 0, 2).reshape(-1, core.neurons)
        assert np.array_equal(fired, spikes)
        assert 0 < spikes.mean() < 1, "the features have no effect"
    return model


def program_of(folding=(3, 2), **options):
    """Seven neurons with a feature, over four steps."""
    known = {
        name: options.pop(name)
        for name in ("reset", "decay", "decay_bits", "state_bits", "per_neuron", "weight_shift")
        if name in options
    }
    layer = LayerOptions(**{"weight_bits": 5, "state_bits": 12, **known})
    return small_program((6, 7), *folding, seed=9, steps=4, options=layer, **options)


@pytest.mark.parametrize("folding", [(7, 7), (3, 2)])
@pytest.mark.parametrize("reset", Reset)
@pytest.mark.parametrize("decay", ["zero", "one", "half", "general", "per neuron"])
def test_every_reset_and_decay_is_that_of_the_reference(folding, reset, decay):
    check(program_of(folding, reset=reset, decay=decay))


@pytest.mark.parametrize("folding", [(7, 3), (1, 1)])
@pytest.mark.parametrize("current", [0.5, 0.7, 1.0])
@pytest.mark.parametrize("decay", ["half", "per neuron"])
def test_synaptic_current_decays_by_itself(folding, current, decay):
    check(program_of(folding, current=current, decay=decay))


@pytest.mark.parametrize("folding", [(7, 7), (3, 2)])
@pytest.mark.parametrize("reset", Reset)
@pytest.mark.parametrize("decay", ["one", "general"])
def test_neuron_of_a_single_spike_keeps_silent_until_the_window_ends(folding, reset, decay):
    model = check(program_of(folding, reset=reset, decay=decay, single_spike=True))
    counts = np.zeros((3, 7), int)
    for fired in model.fired:
        counts[fired.sample] += fired.spikes
    assert counts.max() == 1


@pytest.mark.parametrize("folding", FOLDINGS)
@pytest.mark.parametrize("decay", ["half", "general"])
def test_constant_input_acts_in_every_step(folding, decay):
    check(program_of(folding, decay=decay, events=Events(-2, 3, constant=True)))


@pytest.mark.parametrize("folding", FOLDINGS)
@pytest.mark.parametrize("decay", ["half", "general"])
def test_every_window_starts_from_rest_after_a_clear_too(folding, decay):
    check(program_of(folding, decay=decay), clear_between=True)


@pytest.mark.parametrize("bits", [4, 6])
@pytest.mark.parametrize("current", [None, 0.7])
def test_states_saturate(bits, current):
    program = program_of(decay="one", reset=Reset.NONE, state_bits=bits, current=current)
    assert program.cores[0].neuron.state_bits == bits
    check(program)


@pytest.mark.parametrize("shift", [1, 3])
def test_sums_are_raised_by_the_shift_of_the_weights(shift):
    check(program_of(weight_shift=shift))


@pytest.mark.parametrize("per_neuron", [True, False])
def test_thresholds_and_biases_may_differ_or_not(per_neuron):
    check(program_of(per_neuron=per_neuron))


@pytest.mark.parametrize("kind", ["final_membrane", "maximum_membrane"])
@pytest.mark.parametrize("lanes", [7, 3, 1])
def test_integrators_send_their_membranes(kind, lanes):
    program = program_of((lanes, 1), readout=Readout("layer1", kind))
    core = program.cores[0]
    events = random_events(program.network, 3, 1)
    given = events.transpose(1, 0, 2).reshape(-1, core.inputs).astype(np.int64)
    model, vectors = run(core, given @ core.sources[0].weight.T)
    trace = reference.run(program.network, events, membranes=True)
    compare_fired(core, model, trace)
    half = 1 << (core.value_sent_bits - 1)
    sent = [((vector & (2 * half - 1)) ^ half) - half for vector in vectors]
    expected = trace.membranes["layer1"].transpose(1, 0, 2).reshape(-1, 7)
    for row, membranes in zip(np.reshape(sent, (-1, core.rows)), expected, strict=True):
        assert row[:7].tolist() == membranes.tolist()


def integrator(**changes):
    """One neuron with one input of weight 1 .. 15, as plain integers tell it."""
    program = small_program((4, 1), 1, 1, steps=5, options=LayerOptions(weight_bits=5))
    core = program.cores[0]
    fields = {"bias": [0], "threshold": [10], "reset": Reset.SUBTRACT} | changes
    fields = {
        name: np.array(value) if isinstance(value, list) else value
        for name, value in fields.items()
    }
    return replace(core, neuron=replace(core.neuron, **fields))


def test_one_neuron_by_hand():
    core = integrator(decay=Decay(np.array([3]), 2), bias=[1])
    model, vectors = run(core, np.array([[4], [9], [0], [0], [7]]))
    # V = 3/4 Vr + sum + 1, rounded to nearest; a spike takes 10 away.
    assert [int(fired.membranes[0]) for fired in model.fired] == [5, 14, 4, 4, 11]
    assert [vector & 1 for vector in vectors] == [0, 1, 0, 0, 1]


def test_membrane_that_meets_its_threshold_spikes():
    core = integrator(decay=Decay(np.array([0]), 0))
    model, _ = run(core, np.array([[9], [10], [11], [-10], [10]]))
    assert [bool(fired.spikes[0]) for fired in model.fired] == [False, True, True, False, True]


def test_scan_pause_is_the_latency_that_the_rows_do_not_cover():
    for decay, latency in (("half", 2), ("general", 4)):
        for folding in FOLDINGS:
            core = program_of(folding, decay=decay).cores[0]
            assert write_latency(core) == latency
            assert scan_pause(core) == max(0, latency + 2 - core.rows)


def test_vector_has_a_bit_per_fire_lane_or_one_membrane():
    spikes = program_of((7, 3)).cores[0]
    assert vector_layout(spikes).size == 3 + 2
    membranes = program_of((7, 1), readout=Readout("layer1", "final_membrane")).cores[0]
    assert vector_layout(membranes).size == membranes.neuron.accumulator_bits + 2
