"""The readout against its model: class and packet, order in time, early stop, reset."""

from itertools import islice

import pytest

from readout_bench import KINDS, Bench, Samples, check, compare, readout, run, window
from spikeloom.compiler.fixed import signed_range
from spikeloom.compiler.readouts import MEMBRANE_READOUTS
from spikeloom.rtl.readout import ReadoutModel
from spikeloom.rtl.stopwatch import PLACES


@pytest.mark.parametrize("order", [[5, 2, 4], [2, 4, 5], [4, 5, 2]])
def test_ties_go_to_the_lowest_class_whatever_the_order_of_events(order):
    bench = Bench(readout("spike_count", 6, 2))
    run(bench, [window(bench.dut, order, order), window(bench.dut, [], [])])
    assert [words[0] for words, _ in bench.packets] == [2, 1 << 16 | 0]


@pytest.mark.parametrize(
    ("kind", "classes", "group", "delay"),
    [("spike_count", 4, 1, 4 + 2), ("spike_count", 4, 3, 4 + 2), ("maximum_membrane", 4, 3, 18)],
)
def test_first_word_comes_as_many_cycles_after_the_decision_as_documented(
    kind, classes, group, delay
):
    for wait, there in ((delay - 2, False), (delay - 1, True)):
        bench = Bench(readout(kind, classes, 1, group))
        run(bench, [window(bench.dut, range(classes * group))], wait=wait)
        assert bench.model.valid == there


def test_next_window_is_counted_while_a_packet_waits_but_not_decided():
    bench = Bench(readout("spike_count", 4, 3))
    windows = [window(bench.dut, [2], [], []), window(bench.dut, [1], [3, 1], [0])]
    first, second = run(bench, windows, ready=False)
    assert (len(first), len(second)) == (len(windows[0]), len(windows[1]) - 1)
    assert (bench.model.valid, bench.model.word) == (True, 2)
    assert bench.model.steps_done == 5


def test_windows_follow_each_other_without_a_pause_while_packets_are_taken():
    classes = 6
    bench = Bench(readout("spike_count", classes, 3))
    windows = [window(bench.dut, *[range(classes)] * 3)] * 5
    for cycles in run(bench, windows):
        assert cycles == list(range(cycles[0], cycles[0] + len(windows[0])))
    assert [words[3:] for words, _ in bench.packets] == [[3] * classes] * 5


def test_window_may_be_decided_in_the_cycle_after_the_last_word_was_taken():
    classes = 9
    bench = Bench(readout("spike_count", classes, 1))
    taken = run(bench, [window(bench.dut, [3]), window(bench.dut, [4])])
    scan, packet = classes + 1, 3 + classes
    assert taken[1][-1] - taken[0][-1] == scan + packet + 1


def test_stop_lasts_from_the_decision_until_the_window_has_ended():
    bench = Bench(readout("first_spike", 3, 5, early_stop=True))
    stops = []
    plain = bench.step

    def step(event, taken, begin=False):
        stops.append(bench.model.stop)
        return (yield from plain(event, taken, begin))

    bench.step = step
    events = window(bench.dut, [], [1], [0, 2], [], [2])
    (taken,) = run(bench, [events])
    decision = taken[2]
    assert [cycle for cycle, stop in enumerate(stops) if stop] == list(
        range(decision + 1, taken[-1] + 1)
    )
    assert bench.packets[0][0] == [1, 2, decision - bench.begins[0], 0, 4, 0]


def test_no_sample_begins_while_as_many_as_there_are_places_are_on_their_way():
    bench = Bench(readout("spike_count", 2, 1))
    events = window(bench.dut, [1])

    def cycles():
        for _ in range(PLACES):
            assert bench.model.begin_ready
            yield from bench.step(None, True, begin=True)
        assert not bench.model.begin_ready
        for event in events:
            yield from bench.step(event, True)
        assert bench.model.begin_ready

    bench.run(cycles())


@pytest.mark.parametrize("kind", KINDS)
def test_reset_in_the_middle_of_a_window_leaves_nothing_of_it(kind):
    dut = readout(kind, 4, 3, group=2)
    bench = Bench(dut, ahead=2)
    samples = Samples(dut, 4, density=0.6, seed=3)

    def cycles():
        for length in (25, 40, 60):
            sending = bench.send(samples, 4)
            yield from islice(sending, length)
            next(sending)  # the model's part of the last cycle
            yield from bench.reset()
        yield from bench.send(samples, 4)

    bench.run(cycles())
    compare(bench, samples)


@pytest.mark.parametrize("kind", ["first_spike", "maximum_membrane"])
def test_every_state_and_every_legal_transition_is_seen(kind):
    dut = readout(kind, 3, 2, group=2)
    model = check(dut, Samples(dut, 3, density=0.5, seed=1)).model
    names = ReadoutModel.STATES
    seen = {(names[before], names[after]) for before, after in model.transitions}
    assert seen == model.legal_transitions


@pytest.mark.parametrize("extreme", [0, 1])
@pytest.mark.parametrize("kind", MEMBRANE_READOUTS)
def test_extreme_membranes_do_not_wrap_around(kind, extreme):
    dut = readout(kind, 2, 2, group=3, value_bits=9)
    samples = Samples(dut, 2, density=0, seed=1)
    for _, membranes in samples.arrays:
        membranes[:] = signed_range(9)[extreme]
    bench = check(dut, samples)
    assert bench.packets[0][0][3:] == [3 * signed_range(9)[extreme] % 2**32] * 2


def test_scores_that_do_not_fit_into_a_word_are_refused():
    readout("final_membrane", 2, 1, group=2, value_bits=31)
    with pytest.raises(AssertionError, match="does not fit into its word"):
        readout("final_membrane", 2, 1, group=3, value_bits=31)
