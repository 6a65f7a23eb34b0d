"""The synapse engine against its model, and what it promises about order and time."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from amaranth import Mux

from lockstep import Bench
from networks import LayerOptions
from small_programs import small_program
from spikeloom.compiler.core_pipeline import product_bits
from spikeloom.compiler.ir import Events
from spikeloom.rtl.events import EventCode
from spikeloom.rtl.operations import Kind, Operation
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.synapses import Activity, SynapseEngine
from spikeloom.rtl.weight_memory import weight_words

ADD, FIRE, CLEAR = Kind.ADD.value, Kind.FIRE.value, Kind.CLEAR.value

# The end of a time step in a list of events.
END = None
VALUED = Events(-5, 30)


def core_of(
    neurons=7, lanes=3, fire_lanes=2, inputs=6, steps=3, events=None, weight_bits=5, together=1
):
    options = LayerOptions(weight_bits=weight_bits)
    sizes = (inputs, neurons)
    program = small_program(sizes, lanes, fire_lanes, steps=steps, events=events, options=options)
    return replace(program, events_per_cycle={"input": together}).cores[0]


def event_list(core, generator, steps, share=0.5):
    """Address and values of the events of some time steps in order, END at the end of each."""
    together = core.events_per_cycle
    values = [n for n in range(core.lowest, core.highest + 1) if n or together > 1]
    events = []
    for _ in range(steps):
        addresses = [n for n in range(core.senders) if generator.random() < share]
        events += [(address, *generator.choices(values, k=together)) for address in addresses]
        events.append(END)
    return events


def coded(core, events):
    """The events as integers."""
    code, step = EventCode.joined(core), 0
    steps = 1 if core.constant else core.steps
    integers = []
    for event in events:
        if event is END:
            integers.append(code.window_end if step % steps == steps - 1 else code.end)
            step += 1
        else:
            integers.append(code.event(*event))
    return integers


def weights_of(core, row, values):
    """What the engine gives the lanes: the weights of a row times the values, summed."""
    bits = product_bits(core)
    weights = core.weight_table[row].tolist()
    sums = [
        sum(
            weight * value
            for weight, value in zip(weights[lane :: core.lanes], values, strict=True)
        )
        for lane in range(core.lanes)
    ]
    assert all(-(1 << (bits - 1)) <= each < 1 << (bits - 1) for each in sums), "a sum does not fit"
    return sum((each & ((1 << bits) - 1)) << (bits * lane) for lane, each in enumerate(sums))


def run(core, events, pause=3, credits=4, valid=0.7, release=0.4, seed=0):
    """Send all events in lockstep; gives the model, its operations and states, cycle by cycle."""
    dut = SynapseEngine(core, pause, credits)
    model = dut.model()
    generator = random.Random(seed)
    operations, states = [], []

    def cycles():
        position, held = 0, False
        integers = coded(core, events)
        while position < len(events) or any(stage is not model.nothing for stage in model.stages):
            held = held or (position < len(events) and generator.random() < valid)
            event = integers[position] if held else 0
            freed = model.credits < credits and generator.random() < release
            model.settle(held, event)
            operation, row, value = model.apply
            weights = weights_of(core, row, value) if operation.kind == ADD else 0
            drive = [
                (dut.i.valid, held),
                (dut.i.payload.as_value(), event),
                (dut.release, freed),
            ]
            yield drive, (*model.values(), model.takes, weights)
            operations.append(model.apply)
            states.append(model.state)
            taken = held and model.takes
            model.clock(event, freed)
            if taken:
                position, held = position + 1, False

    adding = dut.apply.kind == Kind.ADD
    probes = [Probe("ready", dut.i.ready), Probe("weights", Mux(adding, dut.weights, 0))]
    Bench(dut, [*dut.probes(), *probes]).run(cycles())
    return model, operations, states


def scan(core, kind, window_end, window_start=0):
    """The operations of a scan."""
    return [
        Operation(
            kind, *divmod(row, core.parts), row, row == core.rows - 1, window_end, window_start
        )
        for row in range(core.rows)
    ]


# Neurons, lanes, fire lanes, inputs, steps.
GEOMETRIES = [
    *[(7, 7, 7, 6, 3), (7, 7, 2, 6, 3), (7, 3, 2, 6, 3), (7, 1, 1, 6, 2)],
    *[(1, 1, 1, 1, 1), (12, 4, 2, 5, 1), (4, 2, 2, 17, 5)],
]


@pytest.mark.parametrize(
    ("geometry", "together"),
    [(each, count) for each in GEOMETRIES for count in (1, 2, 4) if count <= each[3]],
)
@pytest.mark.parametrize("given", [Events(), Events(lowest=-1), VALUED], ids=str)
def test_engine_equals_its_model_and_visits_every_group_and_row_in_order(geometry, given, together):
    core = core_of(*geometry, events=given, together=together)
    events = event_list(core, random.Random(core.lanes), 2 * core.steps + 1)
    _, operations, _ = run(core, events, pause=2)
    expected, step = [(operation, 0, ()) for operation in scan(core, CLEAR, 1)], 0
    for event in events:
        if event is END:
            window_end = step % core.steps == core.steps - 1
            expected += [(operation, 0, ()) for operation in scan(core, FIRE, window_end)]
            step += 1
        else:
            address, *values = event
            expected += [
                (Operation(ADD, group), address * core.groups + group, tuple(values))
                for group in range(core.groups)
            ]
    assert [item for item in operations if item[0].kind] == expected


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("lanes", [7, 3])
def test_constant_input_comes_once_and_is_scanned_in_every_step(lanes, steps):
    core = core_of(7, lanes, events=Events(-14, 90, constant=True), steps=steps)
    events = event_list(core, random.Random(1), 2)
    _, operations, _ = run(core, events)
    window = [
        operation
        for step in range(steps)
        for operation in scan(core, FIRE, int(step == steps - 1), int(step == 0))
    ]
    scans = [operation for operation, _, _ in operations if operation.kind == FIRE]
    assert scans == 2 * window
    adds = sum(operation.kind == ADD for operation, _, _ in operations)
    assert adds == core.groups * sum(event is not END for event in events)


@pytest.mark.parametrize("pause", [0, 1, 5])
@pytest.mark.parametrize(("lanes", "fire_lanes"), [(1, 1), (3, 2), (7, 2), (7, 7)])
def test_step_takes_a_cycle_per_event_and_group_and_one_per_row(pause, lanes, fire_lanes):
    core = core_of(7, lanes, fire_lanes)
    events = event_list(core, random.Random(5), 8, 0.2)
    # As many credits as there are rows: whoever takes the vectors never holds anything up.
    _, operations, _ = run(core, events, pause, 8 * core.rows, valid=1.0, release=0.0)
    ends = [
        cycle
        for cycle, (operation, _, _) in enumerate(operations)
        if operation.kind == FIRE and operation.scan_end
    ]
    counts = [0]
    for event in events:
        if event is END:
            counts.append(0)
        else:
            counts[-1] += 1
    took = [after - before for before, after in pairwise(ends)]
    assert took == [core.rows + max(count * core.groups, pause) for count in counts[1:-1]]


@pytest.mark.parametrize("pause", [0, 1, 5])
def test_row_comes_again_no_sooner_than_the_pause_allows(pause):
    core = core_of(7, 3, 3)
    _, operations, _ = run(core, [END] * 6, pause, 6 * core.rows, valid=1.0)
    seen = {}
    for cycle, (operation, _, _) in enumerate(operations):
        if operation.kind in (FIRE, CLEAR):
            assert cycle - seen.get(operation.row, -99) >= core.rows + pause
            seen[operation.row] = cycle


def test_scan_without_a_credit_waits():
    core = core_of(3, 1, 1)
    _, operations, states = run(core, [END, END], credits=2, valid=1.0, release=0.1, seed=2)
    assert Activity.BLOCKED.value in states
    assert sum(operation.kind == FIRE for operation, _, _ in operations) == 6


@pytest.mark.parametrize(
    ("lanes", "fire_lanes", "pause"), [(3, 3, 0), (3, 3, 1), (3, 3, 5), (3, 2, 2), (7, 7, 3)]
)
def test_every_state_and_every_legal_transition_is_seen(lanes, fire_lanes, pause):
    core = core_of(7, lanes, fire_lanes)
    seen = set()
    # Shares of inputs with an event, and of cycles in which one is offered and a credit comes back.
    rates = [(0.2, 0.9, 0.3), (0.2, 0.1, 0.3), (0.2, 0.1, 0.05), (0.5, 1.0, 0.1)]
    for seed, (share, valid, release) in enumerate(rates):
        events = event_list(core, random.Random(seed), 20, share)
        model, _, _ = run(core, events, pause, 3, valid=valid, release=release, seed=seed)
        seen |= {(model.STATES[a], model.STATES[b]) for a, b in model.transitions}
    assert seen == model.legal_transitions


@pytest.mark.parametrize(
    ("given", "bits"), [(Events(), 5), (Events(lowest=-1), 6), (Events(-1, 0), 6), (VALUED, 11)]
)
def test_product_of_the_smallest_weight_and_any_value_fits(given, bits):
    core = core_of(events=given)
    assert product_bits(core) == bits
    assert abs(-16 * core.lowest) < 1 << (bits - 1)
    assert -16 * core.highest >= -(1 << (bits - 1))


def test_weight_words_hold_the_weights_lane_by_lane():
    core = core_of(weight_bits=5)
    words = weight_words(core)
    assert len(words) == core.inputs * core.groups
    for source in range(core.inputs):
        for neuron in range(core.neurons):
            group, lane = divmod(neuron, core.lanes)
            part = words[source * core.groups + group] >> (lane * 5) & 31
            assert part - 32 * (part >> 4) == core.sources[0].weight[neuron, source]
    # 7 neurons on 3 lanes: the last two lanes of the last group are filling.
    assert all(word >> 5 == 0 for word in words[2::3])
