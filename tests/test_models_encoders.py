import numpy as np
import pytest
import torch

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Events as InputEvents
from spikeloom.models.data import Events
from spikeloom.models.encoders import (
    ENCODERS,
    Bernoulli,
    ConstantCurrent,
    Encoder,
    EvenlySpaced,
    EventBins,
    SignedBernoulli,
    TimeToFirstSpike,
)
from spikeloom.models.noise import BITS, random_levels

MNIST = ((0.1307,), (0.3081,))
CIFAR = ((0.4914, 0.4822, 0.4465), (0.557, 0.549, 0.5534))

OF_IMAGES: list[Encoder] = [
    EvenlySpaced(7),
    Bernoulli(6, 3, 0.7),
    SignedBernoulli(6, *MNIST, 1, 0.5),
    SignedBernoulli(6, *CIFAR, 1),
    ConstantCurrent(5, *MNIST),
    ConstantCurrent(5, *CIFAR),
    TimeToFirstSpike(20, 15, 0.02),
]

EVENTS = Events(
    (2, 3, 3),
    np.array([4, 4, 5, 17, 0], np.int32),
    np.array([0, 2999, 3000, 8999, 9000], np.int32),
    np.array([0, 3, 5]),
)


@pytest.mark.parametrize("encoder", OF_IMAGES, ids=str)
def test_torch_gives_the_numbers_that_numpy_defines(encoder: Encoder) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (40, 3, 5, 4))
    intensities = pixels.astype(np.float32) / np.float32(255)
    numbers = random.integers(0, 60_000, 40)
    for epoch in (0, 7):
        expected = encoder(intensities, numbers, epoch)
        tensor = encoder.tensor(torch.from_numpy(intensities), numbers, epoch)
        assert tensor.dtype == torch.float32
        assert expected.shape == tensor.shape == (encoder.steps, 40, 3, 5, 4)
        assert np.array_equal(expected.astype(np.float32), tensor.numpy())


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
    intensities = np.linspace(0, 1, 201, dtype=np.float32)
    counts = EvenlySpaced(steps)(intensities).sum(0)
    assert np.array_equal(counts, np.floor(intensities.astype(float) * steps + 0.5))


def test_bernoulli_is_reproducible_and_has_the_rate() -> None:
    intensities = np.tile([0.0, 0.25, 1.0], (2000, 1))
    spikes = Bernoulli(10, seed=3)(intensities)
    assert np.array_equal(spikes, Bernoulli(10, seed=3)(intensities))
    assert not np.array_equal(spikes, Bernoulli(10, seed=4)(intensities))
    assert not np.array_equal(spikes, Bernoulli(10, seed=3)(intensities, epoch=1))
    assert spikes.mean((0, 1)) == pytest.approx([0, 0.25, 1], abs=0.01)
    halved = Bernoulli(10, gain=0.5)(intensities)
    assert halved.mean((0, 1)) == pytest.approx([0, 0.125, 0.5], abs=0.01)


def test_random_code_of_a_sample_does_not_depend_on_its_batch() -> None:
    intensities = np.full((6, 4), 0.5)
    together = Bernoulli(8)(intensities, np.arange(6))
    for number in (4, 1):
        alone = Bernoulli(8)(intensities[:1], np.array([number]))
        assert np.array_equal(alone[:, 0], together[:, number])


def test_random_levels_are_uniform_and_independent() -> None:
    levels = random_levels(0, 0, np.arange(500), (8, 100)).astype(np.float64) / (1 << BITS)
    assert ((levels >= 0) & (levels < 1)).all()
    assert np.histogram(levels, 16, (0, 1))[0] / levels.size == pytest.approx(1 / 16, abs=1e-3)
    samples, inputs = levels.transpose(1, 0, 2).reshape(500, -1), levels.reshape(-1, 100).T
    for rows in (samples[:100], inputs, levels.reshape(8, -1)):
        correlation = np.corrcoef(rows) - np.eye(len(rows))
        assert abs(correlation).max() < 6 / np.sqrt(rows.shape[1])


def test_signed_spikes_have_the_sign_and_rate_of_the_normalised_intensity() -> None:
    encoder = SignedBernoulli(50, (0.5,), (0.5,), 0, 0.5)
    spikes = encoder(np.tile([0.0, 0.25, 0.5, 1.0], (400, 1)))
    assert spikes.dtype == np.int8
    assert [set(spikes[..., place].flat) for place in range(4)] == [{-1, 0}, {-1, 0}, {0}, {0, 1}]
    assert spikes.mean((0, 1)) == pytest.approx([-0.5, -0.25, 0, 0.5], abs=0.02)


def test_constant_current_is_the_rounded_normalised_intensity_of_each_channel() -> None:
    intensities = np.full((2, 3, 4, 4), 0.5, np.float32)
    currents = ConstantCurrent(4, *CIFAR, fraction_bits=7)(intensities)
    assert currents.shape == (4, 2, 3, 4, 4)
    exact = [(0.5 - mean) / deviation for mean, deviation in zip(*CIFAR, strict=True)]
    assert (currents[3, 1, :, 2, 2] * 128).tolist() == [round(x * 128) for x in exact]


def test_events_bound_what_an_encoder_gives() -> None:
    ends = np.array([[0.0], [1.0]], np.float32)
    for encoder in (Bernoulli(4), ConstantCurrent(4, *MNIST), SignedBernoulli(99, *MNIST)):
        events = encoder.events
        units = encoder(ends).astype(np.float64) / events.step
        assert units.min() in (events.lowest, 0) and units.max() == events.highest
        assert not (units % 1).any()
    assert ConstantCurrent(4, *MNIST).events == InputEvents(-14, 90, 1 / 32, constant=True)


def test_brighter_inputs_spike_earlier_and_dark_ones_never() -> None:
    encoder = TimeToFirstSpike(12, t_max=9, dark=0.1)
    intensities = np.array([0, 0.1, 0.11, 0.5, 0.95, 1], np.float32)
    spikes = encoder(intensities)
    assert spikes.sum(0).tolist() == [0, 0, 1, 1, 1, 1]
    assert spikes.argmax(0).tolist()[2:] == [8, 5, 0, 0]
    times = encoder.times(torch.from_numpy(intensities))
    assert times.tolist() == [np.inf, np.inf, 8, 5, 0, 0]


def test_events_fall_into_bins_and_merge() -> None:
    encoder = EventBins(3, 3000)
    spikes = encoder(EVENTS)
    assert spikes.shape == (3, 2, 2, 3, 3)
    assert np.argwhere(spikes).tolist() == [[0, 0, 0, 1, 1], [1, 0, 0, 1, 2], [2, 1, 1, 2, 2]]
    assert np.array_equal(encoder.tensor(EVENTS, np.arange(2), 0).numpy(), spikes)


def test_encoders_refuse_samples_of_another_kind() -> None:
    with pytest.raises(SpikeloomError, match=r"'bernoulli' takes intensities, but .* events"):
        Bernoulli(4)(EVENTS)
    with pytest.raises(SpikeloomError, match=r"'event_bins' takes events, but .* images"):
        EventBins(4)(np.zeros((1, 2)))


@pytest.mark.parametrize("wrong", [-0.1, 1.01, float("nan")])
def test_intensity_outside_the_range_is_refused(wrong: float) -> None:
    with pytest.raises(SpikeloomError, match=r"intensity at \[1, 0\] is .*; wanted 0 .. 1"):
        EvenlySpaced(4)(np.array([[0.5, 1.0], [wrong, 0.5]]))


def test_settings_that_make_no_code_are_refused() -> None:
    with pytest.raises(SpikeloomError, match="T = 0 time steps"):
        EvenlySpaced(0)
    with pytest.raises(SpikeloomError, match=r"t_max = 8; wanted 0 .. 7"):
        TimeToFirstSpike(8, 8)
    with pytest.raises(SpikeloomError, match="bins of 0 us; wanted >= 1"):
        EventBins(8, 0)
    with pytest.raises(SpikeloomError, match=r"means \(0.5, 0.5\) and deviations \(1.0,\)"):
        ConstantCurrent(8, (0.5, 0.5), (1.0,))


def test_encoder_describes_itself_on_one_line() -> None:
    assert str(EvenlySpaced(8)) == "evenly_spaced(steps=8)"
    assert str(Bernoulli(5, seed=2)) == "bernoulli(steps=5, seed=2, gain=1.0)"
    assert str(EventBins(30)) == "event_bins(steps=30, microseconds=3000)"
    assert all(name == kind.name for name, kind in ENCODERS.items())
