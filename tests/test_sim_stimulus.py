"""What the verification sends: words, extreme samples, pauses."""

from itertools import groupby, islice

import numpy as np
import pytest

from networks import LayerOptions, random_network, random_spikes
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Network
from spikeloom.rtl.events import event_word
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
    end = event_word(5, None)
    assert input_words(network, spikes) == [
        *((event_word(5, 1), False), (event_word(5, 4), False), (end, False)),
        *((end, False), (end, True)),
        *((end, False), (end, False), (event_word(5, 0), False), (end, True)),
    ]


def test_every_word_differs_from_the_end_of_a_step() -> None:
    for inputs in (1, 2, 3, 4, 64, 70):
        words = {event_word(inputs, address) for address in range(inputs)}
        assert len(words) == inputs
        assert event_word(inputs, None) not in words


def test_illegal_spikes_are_not_sent(network: Network) -> None:
    with pytest.raises(SpikeloomError, match="wanted 0 or 1"):
        input_words(network, np.full((3, 1, 5), 2, np.uint8))


def test_extremes_stand_behind_the_samples(network: Network) -> None:
    spikes = random_spikes(network, 4, 0.5)
    extended = with_extremes(spikes)
    assert extended.shape == (3, 6, 5)
    assert extended.dtype == np.uint8
    assert np.array_equal(extended[:, :4], spikes)
    assert not extended[:, 4].any()
    assert extended[:, 5].all()


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
