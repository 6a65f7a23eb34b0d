import numpy as np
import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.data import (
    Events,
    Images,
    Split,
    digits,
    half_resolution,
    split_off_validation,
)


def pixels_of(split: Split) -> np.ndarray:
    assert isinstance(split.samples, Images)
    return split.samples.pixels


def test_digits_are_split_without_overlap_and_per_class() -> None:
    dataset = digits()
    parts = (dataset.train, dataset.validation, dataset.test)
    assert [part.size for part in parts] == [1167, 270, 360]
    samples = np.concatenate([pixels_of(part) for part in parts])
    assert len(np.unique(samples, axis=0)) == 1797
    for part in parts:
        share = np.bincount(part.labels, minlength=10) / part.size
        assert (abs(share - 0.1) < 0.01).all()


def test_digits_are_intensities() -> None:
    dataset = digits()
    assert (dataset.shape, dataset.classes) == ((64,), 10)
    intensities = dataset.train.take(np.arange(dataset.train.size))
    assert isinstance(intensities, np.ndarray)
    assert intensities.dtype == np.float32
    assert set(np.unique(intensities * 16)) == set(range(17))


def test_split_follows_the_seed() -> None:
    assert np.array_equal(digits(1).test.labels, digits(1).test.labels)
    assert not np.array_equal(digits(1).test.labels, digits(2).test.labels)


def test_validation_samples_that_are_too_many_are_refused() -> None:
    split = Split(Images(np.zeros((4, 2), np.uint8)), np.array([0, 0, 1, 1]))
    with pytest.raises(SpikeloomError, match="cannot draw 9 validation samples from 4"):
        split_off_validation(split, 9, 0)


def test_halving_frames_the_picture_and_rounds_means_half_up() -> None:
    pixels = np.zeros((1, 1, 28, 28), np.uint8)
    pixels[0, 0, 0, :4] = 255, 255, 1, 1
    pixels[0, 0, 1, :4] = 255, 255, 0, 0
    halved = half_resolution(Images(pixels)).pixels
    assert halved.shape == (1, 1, 16, 16)
    assert halved[0, 0, 1, 1:3].tolist() == [255, 1]
    assert int(halved.astype(int).sum()) == 256


def test_events_are_taken_in_the_order_asked_for() -> None:
    address, time = np.arange(6, dtype=np.int32), np.arange(10, 16, dtype=np.int32)
    events = Events((2, 3, 3), address, time, np.array([0, 1, 1, 4, 6]))
    taken = events.take(np.array([2, 0, 1]))
    assert taken.address.tolist() == [1, 2, 3, 0]
    assert taken.microseconds.tolist() == [11, 12, 13, 10]
    assert taken.start.tolist() == [0, 3, 4, 4]


def test_flat_samples_keep_their_picture() -> None:
    split = Split(Images(np.zeros((3, 1, 4, 5), np.uint8)), np.zeros(3, np.int64))
    flat = split._replace(flat=True)
    assert (split.shape, flat.shape, flat.part(np.arange(2)).shape) == ((1, 4, 5), (20,), (20,))
    samples = flat.take(np.arange(2))
    assert isinstance(samples, np.ndarray)
    assert samples.shape == (2, 1, 4, 5)
