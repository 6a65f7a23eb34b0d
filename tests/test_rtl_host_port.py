"""The input of the host port against its model: legal and malformed words."""

import random

import pytest

from lockstep import Bench
from spikeloom.rtl.events import event_word, event_word_bits
from spikeloom.rtl.host_port import EventInput
from spikeloom.rtl.probe import Probe


def run(inputs, steps, words):
    """Send (word, last) pairs in lockstep; gives the model and the events that come out.

    A word of None is a cycle without one. The block behind is ready in two cycles of three.
    """
    dut = EventInput(inputs, steps)
    model = dut.model()
    generator = random.Random(0)
    events = []

    def cycles():
        pending = [*words, (None, False)]
        while pending:
            (word, last), ready = pending[0], generator.random() < 0.67
            offered = word or 0
            end = offered >> (event_word_bits(inputs) - 1)
            legal = word is not None and bool(end or word < inputs)
            event = model.end_event if end else offered & (model.end_event - 1)
            drive = [
                (dut.valid, word is not None),
                (dut.word, offered),
                (dut.last, last),
                (dut.o.ready, ready),
            ]
            yield drive, (*model.values(), ready, legal, event)
            if word is not None and not ready:
                continue
            pending.pop(0)
            if word is not None:
                became = model.clock(word, last)
                assert became == (event if legal else None)
                events.extend([event] if legal else [])

    probes = [
        *dut.probes(),
        Probe("ready", dut.ready),
        Probe("valid", dut.o.valid),
        Probe("event", dut.o.payload.as_value()),
    ]
    Bench(dut, probes).run(cycles())
    return model, events


@pytest.mark.parametrize(("inputs", "steps"), [(1, 1), (2, 3), (5, 4), (64, 2), (40_000, 3)])
def test_legal_words_become_events_without_an_error(inputs, steps):
    generator = random.Random(inputs)
    words, expected = [], []
    end = 1 << max(1, (inputs - 1).bit_length())
    for _ in range(3):
        for step in range(steps):
            addresses = generator.sample(range(inputs), min(inputs, generator.randrange(6)))
            words += [(event_word(inputs, address), False) for address in addresses]
            words += [(None, generator.random() < 0.5)] * generator.randrange(3)
            words.append((event_word(inputs, None), step == steps - 1))
            expected += [*addresses, end]
    model, events = run(inputs, steps, words)
    assert events == expected
    assert not model.error
    assert model.steps_done == 3 * steps


@pytest.mark.parametrize("address", [5, 6, 7, 8, 0x4000, 0x7FFF])
def test_address_out_of_range_is_dropped_and_sets_the_error(address):
    end = event_word(5, None)
    model, events = run(5, 2, [(1, False), (address, False), (4, False), (end, False), (end, True)])
    assert events == [1, 4, 8, 8]
    assert model.error


def test_address_is_compared_in_its_whole_width():
    model, events = run(40_000, 1, [(40_000, False), (39_999, False), (1 << 31, True)])
    assert events == [39_999, 1 << 16]
    assert model.error


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([(0x8000, False), (0x8000, False)], id="missing"),
        pytest.param([(0x8000, True), (0x8000, True)], id="a step early"),
        pytest.param([(0x8000, False), (3, True), (0x8000, True)], id="on a spike"),
    ],
)
def test_last_in_a_wrong_place_sets_the_error_and_keeps_the_steps(words):
    model, events = run(5, 2, words)
    assert model.error
    assert events == [8 if word == 0x8000 else word for word, _ in words]
    assert (model.step, model.steps_done) == (0, 2)


def test_random_words_are_treated_as_the_model_says():
    generator = random.Random(3)
    words = [
        (generator.choice([0x8000, 0x8001, 0xFFFF, *range(12)]), generator.random() < 0.2)
        for _ in range(400)
    ]
    model, events = run(9, 3, words)
    assert model.error
    assert len(events) == sum(word >= 0x8000 or word < 9 for word, _ in words)


def test_widest_word_is_taken_only_for_many_inputs():
    assert event_word_bits(1 << 15) == 16
    assert event_word_bits((1 << 15) + 1) == 32
    assert event_word(1 << 15, None) == 0x8000
    assert event_word(40_000, None) == 1 << 31
    assert event_word(40_000, 39_999) == 39_999
