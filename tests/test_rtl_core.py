"""One core against its model: back-pressure on both sides, time per step, reset."""

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lockstep import Bench, compare_fired
from networks import LayerOptions, random_network, random_spikes
from spikeloom.compiler import reference
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.program import Program
from spikeloom.rtl.core import LayerCore
from spikeloom.rtl.events import event_layout
from spikeloom.rtl.probe import Probe

STEPS = 4


def program_of(inputs, neurons, lanes, decay="general"):
    network = random_network(3, [inputs, neurons], STEPS, [LayerOptions(decay=decay)])
    return Program(network, {"layer1": lanes})


def event_list(spikes):
    """Events of spikes of shape (T, samples, neurons), sample by sample."""
    end = 1 << (event_layout(spikes.shape[2]).size - 1)
    return [
        event
        for sample in range(spikes.shape[1])
        for step in range(spikes.shape[0])
        for event in [*np.flatnonzero(spikes[step, sample]).tolist(), end]
    ]


def bench_of(dut):
    ports = [
        Probe("ready", dut.i.ready),
        Probe("valid", dut.o.valid),
        Probe("event", dut.o.payload.as_value()),
    ]
    return Bench(dut, [*dut.probes(), *ports])


def send(dut, model, events, received, offer=1.0, take=1.0, seed=0):
    """Cycles without end that send events and collect (event, cycle) in `received`."""
    generator = random.Random(seed)
    position = time = 0
    held = False
    while True:
        held = held or (position < len(events) and generator.random() < offer)
        taken = generator.random() < take
        drive = [
            (dut.i.valid, held),
            (dut.i.payload.as_value(), events[position] if held else 0),
            (dut.o.ready, taken),
        ]
        ports = model.queue.ready, model.encoder.valid, model.encoder.event
        yield drive, (*model.values(), *ports)
        pushed = held and model.queue.ready
        if model.encoder.valid and taken:
            received.append((model.encoder.event, time))
        model.clock(events[position] if pushed else None, taken)
        if pushed:
            position, held = position + 1, False
        time += 1


def until(cycles, received, count):
    """The cycles in which the first `count` events come out."""
    while len(received) < count:
        yield next(cycles)


def run(program, samples, density, **rates):
    """Run samples in lockstep, compare with the reference; gives the events with their cycles."""
    core = program.cores[0]
    spikes = random_spikes(program.network, samples, density)
    trace = reference.run(program.network, spikes, membranes=True)
    expected = event_list(trace.spikes["layer1"])
    dut = LayerCore(core)
    model = dut.model()
    received = []
    cycles = send(dut, model, event_list(spikes), received, **rates)
    bench_of(dut).run(until(cycles, received, len(expected)))
    assert [event for event, _ in received] == expected
    compare_fired(core, model.neurons, trace)
    return received


@pytest.mark.parametrize(
    ("inputs", "neurons", "lanes"), [(1, 1, 1), (9, 5, 5), (9, 20, 20), (9, 20, 3), (4, 7, 1)]
)
@pytest.mark.parametrize(("offer", "take"), [(1.0, 1.0), (0.3, 1.0), (1.0, 0.2), (0.6, 0.4)])
def test_core_equals_its_model_and_the_reference(inputs, neurons, lanes, offer, take):
    run(program_of(inputs, neurons, lanes), 3, 0.5, offer=offer, take=take, seed=neurons)


@pytest.mark.parametrize("decay", ["half", "general"])
@pytest.mark.parametrize("lanes", [12, 4, 1])
def test_step_takes_a_cycle_per_event_and_group_plus_the_write_back(decay, lanes):
    program = program_of(8, 12, lanes, decay)
    silent = replace(
        program.network.layers[0].neuron, threshold=np.full(12, 1 << 20), accumulator_bits=0
    )
    layer = replace(program.network.layers[0], neuron=silent)
    network = replace(program.network, populations=(program.network.input, layer))
    program = Program(bound_accumulators(network), program.lanes)
    samples = 2
    received = run(program, samples, 0.5)
    spikes = random_spikes(network, samples, 0.5)
    counts = spikes.sum(axis=2).T.reshape(-1).tolist()
    ends = [cycle for _, cycle in received]
    latency = 1 if decay == "half" else 3
    groups = program.cores[0].groups
    took = [after - before for before, after in pairwise(ends)]
    assert took == [(count + 1) * groups + latency for count in counts[1:]]


def test_receiver_that_takes_nothing_stops_the_core_without_a_loss():
    program = program_of(9, 20, 3)
    core = program.cores[0]
    spikes = random_spikes(program.network, 2, 0.8)
    dut = LayerCore(core)
    model = dut.model()
    received = []
    bench = bench_of(dut)
    stuck = send(dut, model, event_list(spikes), received, take=0.0)
    bench.run(next(stuck) for _ in range(400))
    assert not received
    assert not model.queue.ready and model.engine.credits == 0


@pytest.mark.parametrize("lanes", [12, 5])
@pytest.mark.parametrize("cut", [1, 2, 3, 7, 20, 33, 60])
def test_reset_in_the_middle_of_a_sample_leaves_nothing_behind(lanes, cut):
    program = program_of(8, 12, lanes)
    spikes = random_spikes(program.network, 2, 0.6)
    trace = reference.run(program.network, spikes, membranes=True)
    expected = event_list(trace.spikes["layer1"])
    dut = LayerCore(program.cores[0])
    bench = bench_of(dut)
    received = []

    def cycles():
        before = send(dut, dut.model(), event_list(spikes), [], take=0.5)
        for _ in range(cut):
            yield next(before)
        drive, values = next(before)
        yield [*drive, (bench.rst, 1)], values
        after = send(dut, model, event_list(spikes), received)
        drive, values = next(after)
        yield [*drive, (bench.rst, 0)], values
        yield from until(after, received, len(expected))

    model = dut.model()
    bench.run(cycles())
    assert [event for event, _ in received] == expected
    compare_fired(program.cores[0], model.neurons, trace)
