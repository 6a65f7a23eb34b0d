import numpy as np
import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.encoders import ENCODERS, Bernoulli, EvenlySpaced


def test_evenly_spaced_trains_are_as_defined() -> None:
    trains = EvenlySpaced(8)(np.arange(9) / 8).T
    assert ["".join(map(str, train)) for train in trains] == [
        "00000000",
        "00001000",
        "00100010",
        "01001010",
        "01010101",
        "10101101",
        "10111011",
        "11101111",
        "11111111",
    ]


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 13])
def test_evenly_spaced_counts_round_half_up(steps: int) -> None:
    intensities = np.linspace(0, 1, 201)
    counts = EvenlySpaced(steps)(intensities).sum(0)
    assert np.array_equal(counts, np.floor(intensities * steps + 0.5))


def test_bernoulli_is_reproducible_and_has_the_rate() -> None:
    intensities = np.tile([0.0, 0.25, 1.0], (2000, 1))
    spikes = Bernoulli(10, seed=3)(intensities)
    assert np.array_equal(spikes, Bernoulli(10, seed=3)(intensities))
    assert not np.array_equal(spikes, Bernoulli(10, seed=4)(intensities))
    assert spikes.mean((0, 1)) == pytest.approx([0, 0.25, 1], abs=0.01)


@pytest.mark.parametrize("encoder", [kind(4) for kind in ENCODERS.values()])
def test_time_is_the_first_axis(encoder: EvenlySpaced | Bernoulli) -> None:
    spikes = encoder(np.full((3, 2, 5), 0.5, np.float32))
    assert spikes.shape == (4, 3, 2, 5)
    assert spikes.dtype == np.uint8


@pytest.mark.parametrize("wrong", [-0.1, 1.01, float("nan")])
def test_intensity_outside_the_range_is_refused(wrong: float) -> None:
    with pytest.raises(SpikeloomError, match=r"intensity at \[1, 0\] is .*; wanted 0 .. 1"):
        EvenlySpaced(4)(np.array([[0.5, 1.0], [wrong, 0.5]]))


def test_no_time_steps_are_refused() -> None:
    with pytest.raises(SpikeloomError, match="T = 0 time steps"):
        EvenlySpaced(0)


def test_encoder_describes_itself_on_one_line() -> None:
    assert str(EvenlySpaced(8)) == "evenly_spaced(steps=8)"
    assert str(Bernoulli(5, seed=2)) == "bernoulli(steps=5, seed=2)"
