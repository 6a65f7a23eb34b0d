"""One core against its model and the reference: back-pressure, time per step, reset."""

import operator
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lockstep import Bench, compare_fired
from networks import LayerOptions, random_network, random_spikes
from spikeloom.compiler import reference
from spikeloom.compiler.addresses import in_blocks
from spikeloom.compiler.core_pipeline import scan_pause
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.program import Program
from spikeloom.rtl.core import LayerCore
from spikeloom.rtl.events import EventCode
from spikeloom.rtl.probe import Probe
from wide_networks import dense_chain, folding, random_events

# Shares of cycles in which an event is offered, and in which one is taken.
RATES = [(1.0, 1.0), (0.3, 1.0), (1.0, 0.3), (0.5, 0.5)]
# More cycles than any core here needs between two events.
PATIENCE = 2000


def random_program(seed):
    network = dense_chain(seed, 1)
    return Program(network, *folding(network, seed))


def is_small(core):
    """Whether Amaranth's simulator runs the core in a fraction of a second."""
    steps_in = 1 if core.constant else core.steps
    cycles = steps_in * core.inputs * core.groups + core.steps * core.rows
    return cycles < 200 and core.lanes <= 12


SEEDS = [seed for seed in range(60) if is_small(random_program(seed).cores[0])]


def small_program(inputs=8, neurons=12, lanes=5, fire_lanes=3, decay="general"):
    options = LayerOptions(Reset.SUBTRACT, decay)
    network = random_network(3, [inputs, neurons], 4, [options])
    return Program(network, {"layer1": lanes}, {"layer1": min(fire_lanes, lanes)})


def events_in(core, events):
    """What comes in for events of shape (T, samples, inputs), sample by sample."""
    code = EventCode.joined(core)
    steps = 1 if core.constant else core.steps
    blocks = in_blocks(events, core.events_per_cycle)
    return [
        event
        for sample in range(events.shape[1])
        for step, given in enumerate(blocks[:steps, sample])
        for event in [
            *(code.event(n, *given[n].tolist()) for n in given.any(axis=1).nonzero()[0].tolist()),
            code.window_end if step == steps - 1 else code.end,
        ]
    ]


def events_out(core, trace):
    """What must come out for a trace of the reference."""
    code = EventCode(core.neurons, core.value_sent_bits)
    events = []
    for sample in range(trace.spikes[core.name].shape[1]):
        for step in range(core.steps):
            last = step == core.steps - 1
            membranes = trace.membranes[core.name][step, sample]
            if core.sends == "spikes":
                events += trace.spikes[core.name][step, sample].nonzero()[0].tolist()
            elif core.sends == "maximum_membrane" or last:
                events += [code.event(n, int(v)) for n, v in enumerate(membranes)]
            events.append(code.window_end if last else code.end)
    return events


def bench_of(dut):
    return Bench(dut, [*dut.probes(), Probe("ready", dut.i0.ready), Probe("valid", dut.o.valid)])


def send(dut, model, events, received, offer=1.0, take=1.0, stuck=0, seed=0):
    """Cycles without end that send events and collect (event, cycle) in `received`.

    In the first `stuck` cycles nothing is taken.
    """
    generator = random.Random(seed)
    position = time = 0
    held = False
    while True:
        held = held or (position < len(events) and generator.random() < offer)
        taken = time >= stuck and generator.random() < take
        drive = [
            (dut.i0.valid, held),
            (dut.i0.payload.as_value(), events[position] if held else 0),
            (dut.o.ready, taken),
        ]
        yield drive, (*model.values(), model.queue.ready, model.encoder.valid)
        pushed = held and model.queue.ready
        if model.encoder.valid and taken:
            received.append((model.encoder.event, time))
        if pushed:
            model.push(0, events[position])
        model.clock(taken)
        if pushed:
            position, held = position + 1, False
        time += 1


def until(cycles, received, count):
    """The cycles in which the first `count` events come out."""
    while len(received) < count:
        waited = received[-1][1] if received else 0
        yield next(cycles)
        assert not received or received[-1][1] - waited < PATIENCE


def run(program, events, **rates):
    """Run samples in lockstep, compare with the reference; gives the events with their cycles."""
    core = program.cores[0]
    trace = reference.run(program.network, events, membranes=True)
    expected = events_out(core, trace)
    dut = LayerCore(core)
    model = dut.model()
    received = []
    cycles = send(dut, model, events_in(core, events), received, **rates)
    bench_of(dut).run(until(cycles, received, len(expected)))
    assert [event for event, _ in received] == expected
    compare_fired(core, model.fire, trace)
    names = model.engine.STATES
    assert {(names[a], names[b]) for a, b in model.engine.transitions} <= (
        model.engine.legal_transitions
    )
    return received


@pytest.mark.parametrize("seed", SEEDS)
def test_core_of_any_neuron_input_and_folding_equals_its_model_and_the_reference(seed):
    program = random_program(seed)
    offer, take = RATES[seed % len(RATES)]
    run(program, random_events(program.network, 3, seed), offer=offer, take=take, seed=seed)


def test_cores_above_have_every_feature():
    cores = [random_program(seed).cores[0] for seed in SEEDS]
    seen = {
        "sends": {core.sends for core in cores},
        "reset": {core.neuron.reset for core in cores},
        "events": {(core.lowest, core.highest, core.constant) for core in cores},
        "several groups, several rows per group": {
            (core.groups > 1, core.parts > 1) for core in cores
        },
        "lanes filled up": {core.lanes % core.fire_lanes > 0 for core in cores},
        "neurons filled up": {core.neurons % core.lanes > 0 for core in cores},
        "multiplier": {core.needs_multiplier for core in cores},
        "current": {core.neuron.current_decay is not None for core in cores},
        "single spike": {core.neuron.single_spike and core.neuron.fire for core in cores},
        "pause": {scan_pause(core) > 0 for core in cores},
    }
    assert {name: len(values) for name, values in seen.items()} == {
        "sends": 3,
        "reset": 3,
        "events": 6,
        "several groups, several rows per group": 4,
        "lanes filled up": 2,
        "neurons filled up": 2,
        "multiplier": 2,
        "current": 2,
        "single spike": 2,
        "pause": 2,
    }


def silent(program):
    """The program with thresholds that nobody reaches."""
    layer = program.network.layers[0]
    neuron = replace(layer.neuron, threshold=np.full(layer.size, 1 << 20), accumulator_bits=0)
    network = replace(
        program.network, populations=(program.network.input, replace(layer, neuron=neuron))
    )
    return Program(bound_accumulators(network), program.lanes, program.fire_lanes)


@pytest.mark.parametrize("decay", ["half", "general"])
@pytest.mark.parametrize(
    ("lanes", "fire_lanes"), [(12, 12), (12, 6), (12, 4), (4, 4), (3, 3), (12, 2), (4, 1), (1, 1)]
)
def test_step_takes_a_cycle_per_event_and_group_and_one_per_row(decay, lanes, fire_lanes):
    program = silent(small_program(8, 12, lanes, fire_lanes, decay))
    core = program.cores[0]
    spikes = random_spikes(program.network, 3, 0.3)
    spikes[:, 0] = 0
    counts = spikes.sum(axis=2).T.reshape(-1)[1:].tolist()
    took = [after - before for (_, before), (_, after) in pairwise(run(program, spikes))]
    # Where there are few rows and few events, the scan waits until the states are written ..
    pause = max(0, (6 if decay == "general" else 4) - core.rows)
    expected = [core.rows + max(count * core.groups, pause) for count in counts]
    # .. and for the credits of the rows of the scan before.
    most = expected if core.rows == 1 else [max(cycles, 6) for cycles in expected]
    assert all(map(operator.le, expected, took))
    assert all(map(operator.le, took, most))


def test_receiver_that_takes_nothing_stops_the_core_without_a_loss():
    program = small_program(9, 20, 3, 2)
    core = program.cores[0]
    spikes = random_spikes(program.network, 2, 0.8)
    trace = reference.run(program.network, spikes, membranes=True)
    events, expected = events_in(core, spikes), events_out(core, trace)
    dut = LayerCore(core)
    model = dut.model()
    received = []

    def cycles():
        sending = send(dut, model, events, received, stuck=300)
        for _ in range(300):
            yield next(sending)
        assert not model.queue.ready and model.engine.credits == 0
        yield from until(sending, received, len(expected))

    bench_of(dut).run(cycles())
    assert received[0][1] == 300
    assert [event for event, _ in received] == expected


@pytest.mark.parametrize("lanes", [12, 5])
@pytest.mark.parametrize("cut", [1, 2, 3, 7, 20, 33, 60])
def test_reset_in_the_middle_of_a_sample_leaves_nothing_behind(lanes, cut):
    program = small_program(lanes=lanes)
    core = program.cores[0]
    spikes = random_spikes(program.network, 2, 0.6)
    trace = reference.run(program.network, spikes, membranes=True)
    events, expected = events_in(core, spikes), events_out(core, trace)
    dut = LayerCore(core)
    bench = bench_of(dut)
    received = []

    def cycles():
        before = send(dut, dut.model(), events, [], take=0.5)
        for _ in range(cut):
            yield next(before)
        drive, values = next(before)
        yield [*drive, (bench.rst, 1)], values
        after = send(dut, model, events, received)
        drive, values = next(after)
        yield [*drive, (bench.rst, 0)], values
        yield from until(after, received, len(expected))

    model = dut.model()
    bench.run(cycles())
    assert [event for event, _ in received] == expected
    compare_fired(core, model.fire, trace)
