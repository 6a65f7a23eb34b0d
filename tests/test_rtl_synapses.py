"""The synapse engine against its model, and what it promises about order and time."""

import random
from itertools import pairwise

import pytest
from amaranth import Mux

from lockstep import Bench
from networks import LayerOptions, random_network
from spikeloom.compiler.program import Program
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.synapses import (
    Activity,
    Kind,
    SynapseEngine,
    SynapseEngineModel,
    weight_words,
)

ADD, FIRE, CLEAR = Kind.ADD.value, Kind.FIRE.value, Kind.CLEAR.value


def core_of(inputs=6, neurons=7, lanes=3, steps=3, weight_bits=5):
    layer = LayerOptions(weight_bits=weight_bits)
    network = random_network(4, [inputs, neurons], steps, [layer])
    return Program(network, {"layer1": lanes}).cores[0]


def probes_of(dut):
    adding = dut.apply.kind == Kind.ADD
    return [
        *dut.probes(),
        Probe("ready", dut.i.ready),
        Probe("weights", Mux(adding, dut.weights, 0)),
    ]


def values_of(core, model):
    weights = weight_words(core)[model.apply_row] if model.apply[0] == ADD else 0
    return (*model.values(), model.takes, weights)


def drive(dut, valid, event, release):
    return [
        (dut.i.valid, valid),
        (dut.i.payload.as_value(), event),
        (dut.release, release),
    ]


def event_list(core, generator, steps, share=0.5):
    """Events of some time steps in order; None is the end of a step."""
    events = []
    for _ in range(steps):
        events += [n for n in range(core.inputs) if generator.random() < share]
        events.append(None)
    return events


def run(core, events, latency=3, credits=2, valid=0.7, release=0.4, seed=0):
    """Send all events in lockstep; gives the model, its operations and states, cycle by cycle."""
    dut = SynapseEngine(core, latency, credits)
    model = dut.model()
    generator = random.Random(seed)
    operations, states = [], []
    end = 1 << model.address_bits

    def cycles():
        position, held = 0, False
        while position < len(events) or model.fetch[0] or model.apply[0] or model.wait:
            held = held or (position < len(events) and generator.random() < valid)
            event = events[position] if held else 0
            event = end if event is None else event
            freed = model.credits < credits and generator.random() < release
            model.settle(held, event)
            yield drive(dut, held, event, freed), values_of(core, model)
            operations.append((model.apply, model.apply_row))
            states.append(model.state)
            taken = held and model.takes
            model.clock(event, freed)
            if taken:
                position, held = position + 1, False

    Bench(dut, probes_of(dut)).run(cycles())
    return model, operations, states


GEOMETRIES = [(6, 7, 7, 3), (6, 7, 3, 3), (6, 7, 1, 2), (1, 1, 1, 1), (5, 12, 4, 1), (17, 4, 2, 5)]


@pytest.mark.parametrize(("inputs", "neurons", "lanes", "steps"), GEOMETRIES)
@pytest.mark.parametrize("latency", [1, 3])
def test_engine_equals_its_model_and_visits_every_group_in_order(
    inputs, neurons, lanes, steps, latency
):
    core = core_of(inputs, neurons, lanes, steps)
    events = event_list(core, random.Random(lanes), 3 * steps)
    _, operations, _ = run(core, events, latency)
    groups = range(core.groups)
    expected = [(CLEAR, group, group == core.groups - 1, 1) for group in groups]
    rows = []
    step = 0
    for event in events:
        if event is None:
            window_end = step % steps == steps - 1
            expected += [(FIRE, group, group == core.groups - 1, window_end) for group in groups]
            step += 1
        else:
            expected += [(ADD, group, 0, 0) for group in groups]
            rows += [event * core.groups + group for group in groups]
    assert [operation for operation, _ in operations if operation[0]] == expected
    assert [row for operation, row in operations if operation[0] == ADD] == rows


@pytest.mark.parametrize("latency", [1, 3])
@pytest.mark.parametrize("lanes", [1, 3, 7])
def test_step_takes_a_cycle_per_event_and_group_plus_the_write_back(latency, lanes):
    core = core_of(lanes=lanes)
    events = event_list(core, random.Random(5), 6)
    # As many credits as scans have groups: the encoder never holds anything up.
    _, operations, _ = run(core, events, latency, 6 * core.groups, valid=1.0, release=0.0)
    ends = [
        cycle
        for cycle, ((kind, _, scan_end, _), _) in enumerate(operations)
        if kind == FIRE and scan_end
    ]
    counts = [0]
    for event in events:
        if event is None:
            counts.append(0)
        else:
            counts[-1] += 1
    took = [after - before for before, after in pairwise(ends)]
    assert took == [(count + 1) * core.groups + latency for count in counts[1:-1]]


@pytest.mark.parametrize("latency", [1, 3])
@pytest.mark.parametrize("lanes", [1, 4, 7])
def test_operation_never_meets_the_write_of_an_earlier_one(latency, lanes):
    """The memory is read in `fetch`, and written one cycle (ADD) or `latency` cycles later."""
    core = core_of(lanes=lanes)
    _, operations, _ = run(core, event_list(core, random.Random(6), 9), latency, valid=1.0)
    pending = {}
    for cycle, ((kind, group, _, _), _) in enumerate(operations):
        if not kind:
            continue
        # An operation in `apply` in this cycle was read in the cycle before; registers (one
        # group) are read in `apply` itself.
        read = cycle if core.groups == 1 else cycle - 1
        assert pending.get(group, -1) < read
        pending[group] = cycle if kind == ADD else cycle + latency
    writes = [
        cycle + (0 if kind == ADD else latency)
        for cycle, ((kind, *_), _) in enumerate(operations)
        if kind
    ]
    assert len(set(writes)) == len(writes), "two operations write at once"


def test_scan_without_a_credit_waits():
    core = core_of(neurons=3, lanes=1)
    _, operations, states = run(core, [None, None], credits=2, valid=1.0, release=0.1, seed=2)
    assert Activity.BLOCKED.value in states
    assert sum(kind == FIRE for (kind, *_), _ in operations) == 6


def test_every_state_and_every_legal_transition_is_seen():
    core = core_of()
    seen = set()
    for seed, valid in enumerate([0.9, 0.1, 0.9, 0.1]):
        events = event_list(core, random.Random(seed), 40, 0.3)
        model, _, _ = run(core, events, credits=2, valid=valid, release=0.3, seed=seed)
        names = SynapseEngineModel.STATES
        seen |= {(names[before], names[after]) for before, after in model.transitions}
    assert seen == model.legal_transitions


def test_weight_words_hold_the_weights_lane_by_lane():
    core = core_of(weight_bits=5)
    words = weight_words(core)
    assert len(words) == core.inputs * core.groups
    for source in range(core.inputs):
        for neuron in range(core.neurons):
            group, lane = divmod(neuron, core.lanes)
            part = words[source * core.groups + group] >> (lane * 5) & 31
            assert part - 32 * (part >> 4) == core.weight[neuron, source]
    # 7 neurons on 3 lanes: the last two lanes of the last group are filling.
    assert all(word >> 5 == 0 for word in words[2::3])
