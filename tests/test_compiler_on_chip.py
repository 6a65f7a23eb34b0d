"""Encoders on the chip: their arithmetic, what they refuse, and the options that name them."""

from dataclasses import replace

import numpy as np
import pytest

from networks import LayerOptions, random_network
from spikeloom.compiler.addresses import Addresses
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Events, Network
from spikeloom.compiler.on_chip import (
    OnChipEncoder,
    lane_seeds,
    next_register,
    pixel_lanes,
    random_bytes,
)
from spikeloom.models.encoders import TimeToFirstSpike


def network(inputs: int = 5, steps: int = 4) -> Network:
    return random_network(1, [inputs, 3], steps, [LayerOptions()])


@pytest.mark.parametrize(("steps", "t_max", "dark"), [(16, 15, 0), (64, 47, 12), (8, 4, 25)])
def test_first_spikes_are_those_of_training(steps: int, t_max: int, dark: int) -> None:
    pixels = np.arange(256)
    ours = OnChipEncoder("first_spike", t_max=t_max, dark=dark).encode(pixels[None], (256,), steps)
    intensities = (pixels / 255).astype(np.float32)
    trained = TimeToFirstSpike(steps, t_max, float(intensities[dark]))
    assert np.array_equal(ours, trained(intensities[None]))
    assert ours.sum() == 255 - dark


def test_random_bytes_are_those_of_a_shift_register_of_one_bit_at_a_time() -> None:
    """Eight shifts of the register at once equal eight single ones."""

    def shift(register: int) -> int:
        fresh = (register >> 30 ^ register >> 27) & 1
        return (register << 1 | fresh) & ((1 << 31) - 1)

    (register,) = lane_seeds(9, 1)
    for _ in range(100):
        single = register
        for _ in range(8):
            single = shift(single)
        register = next_register(register)
        assert register == single != 0


def test_random_bytes_are_uniform_and_independent_of_the_shape_of_the_input() -> None:
    drawn = random_bytes(3, (784,), 32)
    assert drawn.shape == (32, 784)
    counts = np.bincount(drawn.reshape(-1), minlength=256)
    # Chi-squared with 255 degrees of freedom: 350 is more than four standard deviations off.
    assert float((np.square(counts - counts.mean()) / counts.mean()).sum()) < 350
    flat = drawn.reshape(-1) - 127.5
    for distance in (1, 8, 784):
        assert abs(float(np.corrcoef(flat[:-distance], flat[distance:])[0, 1])) < 0.03
    maps = random_bytes(3, (1, 4, 4), 2)
    assert np.array_equal(maps, random_bytes(3, (16,), 2))


def test_a_pixel_spikes_as_often_as_it_is_bright() -> None:
    pixels = np.array([[0, 64, 128, 255]])
    spikes = OnChipEncoder("bernoulli", seed=5).encode(pixels, (4,), 4000)
    assert spikes[:, 0, 0].sum() == 0
    assert np.allclose(spikes.mean(axis=(0, 1)), pixels[0] / 256, atol=0.03)


def test_seeds_differ_from_lane_to_lane_and_are_never_zero() -> None:
    seeds = [seed for number in range(200) for seed in lane_seeds(number, 8)]
    assert len(set(seeds)) == len(seeds) and min(seeds) > 0 and max(seeds) < 1 << 31


@pytest.mark.parametrize(("shape", "lanes"), [((1,), 1), ((2,), 2), ((3,), 4), ((784,), 8)])
def test_lanes_are_a_power_of_two(shape: tuple[int, ...], lanes: int) -> None:
    assert pixel_lanes(Addresses(shape)) == lanes


@pytest.mark.parametrize(
    ("text", "encoder"),
    [
        ("bernoulli", OnChipEncoder("bernoulli")),
        ("bernoulli:seed=7", OnChipEncoder("bernoulli", seed=7)),
        ("first_spike:t_max=3,dark=9", OnChipEncoder("first_spike", t_max=3, dark=9)),
    ],
)
def test_texts_name_encoders(text: str, encoder: OnChipEncoder) -> None:
    assert OnChipEncoder.parse(text) == encoder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poisson", "no encoder 'poisson' on the chip; wanted bernoulli or first_spike"),
        ("bernoulli:t_max=3", "encoder 'bernoulli' has the option 't_max=3'; wanted seed=N"),
        ("first_spike:dark=x", "'dark=x'; wanted t_max=N, dark=N"),
        ("first_spike:dark=1,dark=2", "'dark=2'; wanted t_max=N, dark=N"),
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(SpikeloomError, match=message):
        OnChipEncoder.parse(text)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (OnChipEncoder("first_spike", t_max=4), "t_max is 4; wanted 0 .. 3"),
        (OnChipEncoder("first_spike", dark=256), "dark is 256; wanted 0 .. 255"),
        (OnChipEncoder("bernoulli", seed=-1), "seed is -1; wanted 0"),
    ],
)
def test_encoders_that_do_not_fit_are_refused(encoder: OnChipEncoder, message: str) -> None:
    with pytest.raises(SpikeloomError, match=message):
        network().with_on_chip(encoder)


def test_a_network_that_takes_other_events_is_refused() -> None:

    signed = replace(network(), events=Events(lowest=-1))
    with pytest.raises(SpikeloomError, match=r"takes events of -1 \.\. 1 in steps of 1"):
        signed.with_on_chip(OnChipEncoder("bernoulli"))
    odd = replace(network(), on_chip=OnChipEncoder("bernoulli"))
    with pytest.raises(SpikeloomError, match=r"constant pixels of 0 \.\. 255, but events of 0"):
        odd.verify()


def test_layers_get_spikes_of_pixels() -> None:
    given = network().with_on_chip(OnChipEncoder("bernoulli", seed=2))
    assert (given.events.highest, given.events.constant) == (255, True)
    assert given.input_events == Events(folded=True)
    assert "encoder on the chip bernoulli(seed=2)" in str(given)
