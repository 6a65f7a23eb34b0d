"""What the verification sends: words, extreme samples, pauses."""

from dataclasses import replace
from itertools import groupby, islice

import numpy as np
import pytest

from networks import LayerOptions, random_network, random_spikes
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Events, Network
from spikeloom.rtl.events import WordFormat
from spikeloom.sim.stimulus import Pauses, input_words, with_extremes
from spikeloom.sim.verify import PAUSES

CYCLES = 200_000


@pytest.fixture
def network() -> Network:
    return random_network(0, [5, 3], 3, [LayerOptions()])


def test_words_are_the_events_and_ends_of_steps_in_order(network: Network) -> None:
    spikes = np.zeros((3, 2, 5), np.uint8)
    spikes[0, 0, [4, 1]] = 1
    spikes[2, 1, 0] = 1
    end = WordFormat(5).end
    assert input_words(network, spikes) == [
        *((1, False), (4, False), (end, False)),
        *((end, False), (end, True)),
        *((end, False), (end, False), (0, False), (end, True)),
    ]


def test_words_carry_the_values_of_graded_events(network: Network) -> None:
    network = replace(network, events=Events(-3, 5, folded=True))
    spikes = np.zeros((3, 1, 5), np.int16)
    spikes[1, 0, [0, 2, 3]] = -3, 5, 1
    form = WordFormat(5, 4)
    assert input_words(network, spikes) == [
        (form.end, False),
        *((form.word(0, -3), False), (form.word(2, 5), False), (form.word(3, 1), False)),
        *((form.end, False), (form.end, True)),
    ]
    assert form.word(0, -3) == 0b1101 << 3


def test_neighbouring_inputs_share_a_word(network: Network) -> None:
    network = replace(network, events=Events(-3, 5, folded=True))
    spikes = np.zeros((3, 1, 5), np.int16)
    spikes[1, 0, [0, 2, 4]] = -3, 5, 1
    form = WordFormat(3, 4, 2)
    assert input_words(network, spikes, 2) == [
        (form.end, False),
        *((form.word(0, -3, 0), False), (form.word(1, 5, 0), False), (form.word(2, 1, 0), False)),
        *((form.end, False), (form.end, True)),
    ]
    assert form.word(1, 5, -1) == 1 | 5 << 2 | 15 << 6


def test_constant_input_is_sent_once(network: Network) -> None:
    network = replace(network, events=Events(0, 5, constant=True, folded=True))
    spikes = np.zeros((3, 2, 5), np.int16)
    spikes[:, 0, 4] = 5
    form = WordFormat(5, 4)
    assert input_words(network, spikes) == [
        *((form.word(4, 5), False), (form.end, True)),
        (form.end, True),
    ]


def test_every_word_differs_from_the_end_of_a_step() -> None:
    for inputs in (1, 2, 3, 4, 64, 70):
        form = WordFormat(inputs)
        words = {form.word(address) for address in range(inputs)}
        assert len(words) == inputs
        assert form.end not in words


def test_illegal_spikes_are_not_sent(network: Network) -> None:
    with pytest.raises(SpikeloomError, match="wanted 0 or 1"):
        input_words(network, np.full((3, 1, 5), 2, np.uint8))


def test_extremes_stand_behind_the_samples(network: Network) -> None:
    spikes = random_spikes(network, 4, 0.5)
    extended = with_extremes(network, spikes)
    assert extended.shape == (3, 6, 5)
    assert extended.dtype == np.uint8
    assert np.array_equal(extended[:, :4], spikes)
    assert not extended[:, 4].any()
    assert extended[:, 5].all()


def test_extremes_are_those_of_the_network_s_events(network: Network) -> None:
    network = replace(network, events=Events(-3, 5, folded=True))
    extended = with_extremes(network, np.zeros((3, 1, 5), np.int16))
    assert [np.unique(sample).tolist() for sample in extended.swapaxes(0, 1)] == [
        [0],
        [-3],
        [0],
        [5],
    ]


@pytest.mark.parametrize(("share", "burst"), [(0.0, 1), (0.3, 3), (0.5, 1), (0.75, 3), (0.95, 60)])
def test_pauses_have_the_share_and_the_length_asked_for(share: float, burst: int) -> None:
    pausing = list(islice(Pauses(input=share, burst=burst).on_input(), CYCLES))
    assert np.mean(pausing) == pytest.approx(share, abs=0.05)
    lengths = [len(list(run)) for pause, run in groupby(pausing) if pause]
    if share:
        assert np.mean(lengths) == pytest.approx(burst, rel=0.1)


def test_pauses_follow_their_seed_and_differ_between_the_sides() -> None:
    def both(seed: int) -> tuple[list[bool], list[bool]]:
        pauses = Pauses(input=0.5, output=0.5, seed=seed)
        return list(islice(pauses.on_input(), 200)), list(islice(pauses.on_output(), 200))

    assert both(1) == both(1)
    assert both(1) != both(2)
    assert both(1)[0] != both(1)[1]


@pytest.mark.parametrize("pauses", PAUSES)
def test_pauses_of_the_verification_can_be_kept(pauses: Pauses) -> None:
    # A share above this would need pauses that follow on each other without a gap.
    assert max(pauses.input, pauses.output) <= pauses.burst / (pauses.burst + 1)
    assert Pauses(**pauses.as_dict()) == pauses  # type: ignore[arg-type]  # as read from JSON
