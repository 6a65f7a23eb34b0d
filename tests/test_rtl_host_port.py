"""The input of the host port against its model: legal and malformed words, early ends, samples."""

import random

import pytest
from amaranth import Mux

from lockstep import Bench
from small_programs import small_program
from spikeloom.compiler.ir import Events
from spikeloom.compiler.sources import value_bits
from spikeloom.rtl.events import EventCode, WordFormat
from spikeloom.rtl.host_port import IN_FLIGHT_BITS, EventInput
from spikeloom.rtl.probe import Probe

SIGNED, GRADED = Events(lowest=-1), Events(-5, 90)


def bits_of(network):
    return value_bits(network.events.lowest, network.events.highest)


def network_of(inputs, steps, events=None):
    return small_program((inputs, 2), steps=steps, events=events).network


def run(network, words, ready=0.67, begin_ready=1.0, decisions=(), patience=20_000, together=1):
    """Send (word, last) pairs in lockstep; gives the model, the events, and where samples begin.

    A word of None is a cycle without one. The block behind and the readout are ready in a share of
    the cycles. `decisions` are (sample, number of words taken): from then on, until the sample's
    last word, the sample is said to be decided.
    """
    dut = EventInput(network, together)
    model = dut.model()
    generator = random.Random(0)
    events, begins = [], []

    def cycles():
        pending, taken = [*words, (None, False)], 0
        stops = dict(decisions)
        for _ in range(patience):
            if not pending:
                return
            word, last = pending[0]
            queue_ready, may_begin = generator.random() < ready, generator.random() < begin_ready
            decided = model.samples_done
            stop = decided in stops and taken >= stops[decided]
            ends = model.ends_early(stop, decided % (1 << IN_FLIGHT_BITS))
            takes = model.ready(queue_ready, may_begin, ends)
            drive = [
                (dut.valid, word is not None),
                (dut.word, word or 0),
                (dut.last, last),
                (dut.o.ready, queue_ready),
                (dut.begin_ready, may_begin),
                (dut.stop, stop),
                (dut.decided, decided),
            ]
            begin = takes and word is not None and not model.begun
            before = model.values()
            event = None
            if ends and queue_ready:
                event = model.end_early()
            elif word is not None and takes:
                if begin:
                    begins.append(taken)
                event = model.clock(word, last)
                taken += 1
            if not (ends or (word is not None and not takes)):
                pending.pop(0)
            yield drive, (*before, takes, begin, event is not None, event or 0)
            if event is not None:
                events.append(event)
        raise AssertionError("words are left")

    gives = dut.o.valid & dut.o.ready
    probes = [
        *dut.probes(),
        Probe("ready", dut.ready),
        Probe("begin", dut.begin),
        Probe("gives", gives),
        Probe("event", Mux(gives, dut.o.payload.as_value(), 0)),
    ]
    Bench(dut, probes).run(cycles())
    return model, events, begins


def legal_words(network, samples, seed=0):
    """Random samples as words with pauses among them, and the events that they become."""
    generator = random.Random(seed)
    form, code = (kind(network.input.size, bits_of(network)) for kind in (WordFormat, EventCode))
    values = [value for value in range(network.events.lowest, network.events.highest + 1) if value]
    steps = 1 if network.events.constant else network.steps
    words, events = [], []
    for _ in range(samples):
        for step in range(steps):
            addresses = generator.sample(
                range(network.input.size), min(network.input.size, generator.randrange(6))
            )
            given = [(address, generator.choice(values)) for address in addresses]
            words += [(form.word(*event), False) for event in given]
            words += [(None, generator.random() < 0.5)] * generator.randrange(3)
            words.append((form.end, step == steps - 1))
            events += [code.event(*event) for event in given]
            events.append(code.window_end if step == steps - 1 else code.end)
    return words, events


@pytest.mark.parametrize("given", [Events(), SIGNED, GRADED], ids=str)
@pytest.mark.parametrize(("inputs", "steps"), [(1, 1), (2, 3), (5, 4), (64, 2), (40_000, 3)])
def test_legal_words_become_events_without_an_error(inputs, steps, given):
    network = network_of(inputs, steps, given)
    words, expected = legal_words(network, 3, inputs)
    model, events, begins = run(network, words, begin_ready=0.5)
    assert events == expected
    assert not model.error
    assert (model.samples_done, len(begins)) == (3, 3)


def test_constant_input_has_one_end_per_sample():
    network = network_of(5, 4, Events(-14, 90, constant=True))
    words, expected = legal_words(network, 4)
    model, events, begins = run(network, words)
    assert events == expected
    assert not model.error
    assert events.count(EventCode(5, bits_of(network)).window_end) == len(begins) == 4


@pytest.mark.parametrize("address", [5, 6, 7, 8, 0x4000, 0x7FFF])
def test_address_out_of_range_is_dropped_and_sets_the_error(address):
    network = network_of(5, 2)
    code = EventCode(5)
    words = [(1, False), (address, False), (4, False), (0x8000, False), (0x8000, True)]
    model, events, _ = run(network, words)
    assert events == [1, 4, code.end, code.window_end]
    assert model.error


def test_address_is_compared_in_its_whole_width():
    network = network_of(40_000, 1)
    model, events, _ = run(network, [(40_000, False), (39_999, False), (1 << 31, True)])
    assert events == [39_999, EventCode(40_000).window_end]
    assert model.error


@pytest.mark.parametrize(
    ("given", "legal", "illegal"),
    [
        (SIGNED, [-1, 0, 1], [-2]),
        (Events(0, 5, 2.0), [0, 1, 5], [-1, -8, 6, 7]),
        (GRADED, [-5, 0, 90], [-6, -128, 91, 127]),
        (Events(-7, 0), [-7, 0], [-8, 1, 7]),
    ],
    ids=str,
)
def test_value_out_of_range_is_dropped_and_sets_the_error(given, legal, illegal):
    network = network_of(5, 1, given)
    form, code = (kind(network.input.size, bits_of(network)) for kind in (WordFormat, EventCode))
    last = (form.end, True)
    model, events, _ = run(network, [*((form.word(3, value), False) for value in legal), last])
    assert not model.error
    assert events == [*(code.event(3, value) for value in legal), code.window_end]
    for value in illegal:
        model, events, _ = run(network, [(form.word(3, value), False), last])
        assert model.error
        assert events == [code.window_end]


def test_bits_above_the_value_must_be_0():
    network = network_of(5, 1, SIGNED)
    form = WordFormat(5, bits_of(network))
    bit = 1 << (form.address_bits + form.value_bits)
    model, events, _ = run(network, [(form.word(3, 1) | bit, False), (form.end, True)])
    assert model.error
    assert len(events) == 1


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([(0x8000, False), (0x8000, False)], id="missing"),
        pytest.param([(0x8000, True), (0x8000, True)], id="a step early"),
        pytest.param([(0x8000, False), (3, True), (0x8000, True)], id="on a spike"),
    ],
)
def test_last_in_a_wrong_place_sets_the_error_and_keeps_the_steps(words):
    model, events, _ = run(network_of(5, 2), words)
    ends = iter([EventCode(5).end, EventCode(5).window_end])
    assert model.error
    assert events == [next(ends) if word == 0x8000 else word for word, _ in words]
    assert (model.step, model.samples_done) == (0, 1)


@pytest.mark.parametrize("given", [Events(), GRADED], ids=str)
def test_random_words_are_treated_as_the_model_says(given):
    generator = random.Random(3)
    network = network_of(9, 3, given)
    words = [
        (generator.choice([0x8000, 0x8001, 0xFFFF, *range(0x400)]), generator.random() < 0.2)
        for _ in range(400)
    ]
    model, events, _ = run(network, words, begin_ready=0.6)
    assert model.error
    assert 3 < len(events) < 400


@pytest.mark.parametrize("ready", [0.2, 1.0])
@pytest.mark.parametrize("after", [1, 2, 4, 5, 7])
def test_decided_sample_ends_its_window_at_once_and_the_rest_of_it_is_dropped(after, ready):
    network, end = network_of(5, 3), WordFormat(5).end
    sample = [
        (1, False),
        (end, False),
        (2, False),
        (3, False),
        (end, False),
        (4, False),
        (end, True),
    ]
    code = EventCode(5)
    whole = [1, code.end, 2, 3, code.end, 4, code.window_end]
    model, events, begins = run(network, sample * 3, ready, decisions=[(1, 7 + after)])
    # Of the sample that has been decided behind its last word, nothing is left to drop.
    cut = [*whole[:after], code.window_end] if after < 7 else whole
    assert events == [*whole, *cut, *whole]
    assert begins == [0, 7, 14]
    assert not model.error
    assert (model.samples_done, model.step) == (3, 0)


def test_malformed_word_in_what_is_dropped_still_sets_the_error():
    network, end = network_of(5, 2), WordFormat(5).end
    words = [
        (1, False),
        (end, False),
        (6, False),
        (end, True),
        (2, False),
        (end, False),
        (end, True),
    ]
    model, events, _ = run(network, words, decisions=[(0, 1)])
    code = EventCode(5)
    assert events == [1, code.window_end, 2, code.end, code.window_end]
    assert model.error


def test_sample_waits_until_it_may_begin_and_is_not_held_up_later():
    network, end = network_of(5, 2), WordFormat(5).end
    sample = [(1, False), (end, False), (end, True)]
    model, events, begins = run(network, sample * 4, ready=1.0, begin_ready=0.05)
    assert begins == [0, 3, 6, 9]
    assert len(events) == 12
    assert model.samples_done == 4


def test_samples_are_numbered_modulo_what_their_number_holds():
    network = network_of(2, 1)
    model, _, _ = run(network, [(WordFormat(2).end, True)] * 35, ready=1.0)
    assert (model.samples_done, model.sample) == (35, 35 - (1 << IN_FLIGHT_BITS))


def test_word_is_as_wide_as_its_address_and_value_need():
    assert WordFormat(1 << 15).bits == 16
    assert WordFormat((1 << 15) + 1).bits == 32
    assert WordFormat(1 << 8, 7).bits == 16
    assert WordFormat(1 << 8, 8).bits == 32
    assert WordFormat(40_000).end == 1 << 31
    assert WordFormat(40_000).word(39_999) == 39_999
    assert WordFormat(6, 4).word(5, -3) == 5 | 0b1101 << 3


@pytest.mark.parametrize("given", [None, SIGNED, GRADED], ids=str)
def test_words_of_several_inputs_pass_if_all_their_values_are_legal(given):
    network, together = network_of(7, 1, given), 2
    low, high = network.events.lowest, network.events.highest
    form, code = (kind(4, bits_of(network), neurons=together) for kind in (WordFormat, EventCode))
    passing = [form.word(0, high, low), form.word(3, 0, high)]
    dropped = []
    if bits_of(network):
        dropped = [form.word(0, 1, high + 1), form.word(1, low - 1, 0)]
    words = [(word, False) for word in [*passing, *dropped]]
    model, events, _ = run(network, [*words, (form.end, True)], together=together)
    assert events == [*passing, code.window_end]
    assert model.error == bool(dropped)
