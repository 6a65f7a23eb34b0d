"""The lanes against their model and plain sums: every folding and input, a row at a time."""

import random

import numpy as np
import pytest
from amaranth import Mux, Signal

from lockstep import Bench
from small_programs import small_program
from spikeloom.compiler.core_pipeline import product_bits
from spikeloom.compiler.ir import Events
from spikeloom.rtl.lanes import LaneArray
from spikeloom.rtl.operations import NO_OPERATION, NONE, Kind, Operation
from spikeloom.rtl.probe import Probe, lane_bits, pack_lanes

ADD, FIRE, CLEAR = Kind.ADD.value, Kind.FIRE.value, Kind.CLEAR.value

FOLDINGS = [(7, 7, 7), (7, 7, 3), (7, 3, 3), (7, 3, 2), (7, 1, 1), (1, 1, 1), (12, 4, 2)]
EVENTS = [
    Events(),
    Events(lowest=-1),
    Events(-7, 0),
    Events(0, 200),
    Events(-14, 90, constant=True),
]


def step_of(core, events, kind):
    """Operations of a step's (address, value) events and of its scan: with weights' row, value."""
    operations = [
        (Operation(ADD, group), address * core.groups + group, (value,))
        for address, value in events
        for group in range(core.groups)
    ]
    for row in range(core.rows):
        group, part = divmod(row, core.parts)
        scan = Operation(kind, group, part, row, int(row == core.rows - 1))
        operations.append((scan, 0, ()))
    return operations


def products(core, row, values):
    """The bits of a row of weights times a value."""
    bits = product_bits(core)
    word = 0
    for lane, weight in enumerate(core.weight_table[row]):
        product = int(weight) * values[0]
        assert -(1 << (bits - 1)) <= product < 1 << (bits - 1), "the product does not fit"
        word |= (product & ((1 << bits) - 1)) << (bits * lane)
    return word


def run(core, steps, pauses=0.3):
    """Carry out steps of events in lockstep; gives the sums that were taken, step by step."""
    dut = LaneArray(core)
    model = dut.model()
    taken = Signal()
    generator = random.Random(core.lanes)
    sequence = []
    for events, kind in steps:
        for item in step_of(core, events, kind):
            while generator.random() < pauses:
                sequence.append((NO_OPERATION, 0, ()))
            sequence.append(item)
    sequence.append((NO_OPERATION, 0, ()))
    bits = lane_bits(core.sum_bits)
    scans = []

    def cycles():
        shown = 0
        for (operation, row, values), (following, _, _) in zip(
            sequence, [*sequence[1:], sequence[-1]], strict=True
        ):
            model.settle(operation, row, values)
            weights = products(core, row, values) if operation.kind == ADD else 0
            drive = [
                (dut.before.as_value(), following.packed(core)),
                (dut.apply.as_value(), operation.packed(core)),
                (dut.weights, weights),
                (taken, shown != 0),
            ]
            yield drive, (*model.values(), shown)
            shown = 0
            if operation.kind in (FIRE, CLEAR):
                if operation.row == 0:
                    scans.append(model.sums())
                row_of_sums = core.by_row(scans[-1])[operation.row]
                shown = pack_lanes(row_of_sums, bits) if bits > 1 else int(row_of_sums[0])
            model.clock()

    sums = Probe("sums", Mux(taken, dut.sums, 0), core.fire_lanes)
    Bench(dut, [*dut.probes(), sums]).run(cycles())
    return scans


def random_steps(core, count, seed=0):
    generator = random.Random(seed)
    values = [value for value in (core.lowest, core.highest, 1, -1) if value]
    values = [value for value in values if core.lowest <= value <= core.highest]
    for _ in range(count):
        share = generator.choice([0, 0.4, 1])
        addresses = [n for n in range(core.inputs) if generator.random() < share]
        yield [(n, generator.choice(values)) for n in addresses], FIRE


@pytest.mark.parametrize("events", EVENTS, ids=str)
@pytest.mark.parametrize(("neurons", "lanes", "fire_lanes"), FOLDINGS)
def test_scan_takes_the_sums_of_weighted_events_and_clears_them(neurons, lanes, fire_lanes, events):
    core = small_program((5, neurons), lanes, fire_lanes, events=events).cores[0]
    steps = list(random_steps(core, 5))
    scans = run(core, steps)
    for (given, _), sums in zip(steps, scans, strict=True):
        expected = sum(
            (core.sources[0].weight[:, n] * value for n, value in given), np.zeros(neurons, int)
        )
        assert sums.tolist() == expected.tolist()


@pytest.mark.parametrize("lanes", [7, 3])
def test_clear_takes_the_sums_away(lanes):
    core = small_program((5, 7), lanes).cores[0]
    scans = run(core, [([(0, 1), (2, 1)], CLEAR), ([(2, 1)], FIRE)])
    assert scans[1].tolist() == core.sources[0].weight[:, 2].tolist()


@pytest.mark.parametrize("lowest_first", [True, False])
def test_sums_reach_both_ends_of_their_width(lowest_first):
    core = small_program((9, 3), 3, 3, events=Events(-8, 7)).cores[0]
    weight = core.sources[0].weight[0]
    order = np.argsort(weight)[:: 1 if lowest_first else -1]
    least = [(int(n), 7 if weight[n] < 0 else -8) for n in order]
    most = [(int(n), -8 if weight[n] < 0 else 7) for n in order]
    scans = run(core, [(least, FIRE), (most, FIRE)], pauses=0)
    assert scans[0][0] == sum(int(weight[n]) * value for n, value in least)
    assert scans[1][0] == sum(int(weight[n]) * value for n, value in most)
    half = 1 << (core.sum_bits - 1)
    assert all(-half <= total < half for sums in scans for total in sums)


def test_nothing_moves_without_an_operation():
    core = small_program((5, 7), 3).cores[0]
    assert NO_OPERATION.kind == NONE
    scans = run(core, [([(1, 1)], FIRE), ([], FIRE)], pauses=0.8)
    assert scans[0].tolist() == core.sources[0].weight[:, 1].tolist()
    assert not scans[1].any()
