"""The data sets as their authors publish them; skipped where they are not at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

from spikeloom.models import datasets
from spikeloom.models.data import Events, Images
from spikeloom.models.encoders import EventBins
from spikeloom.models.sources import VARIABLE

FOLDER = Path(os.environ.get(VARIABLE) or Path(__file__).parents[2] / "shared" / "data")


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not (FOLDER / name).is_dir(),
        reason=f"no folder {name} in ${VARIABLE} or ../shared/data",
    )


@needs("MNIST/raw")
def test_mnist_is_whole() -> None:
    dataset = datasets.load("mnist", FOLDER)
    sizes = [part.size for part in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [55_000, 5_000, 10_000]
    # LeCun's page shows these as the first test samples.
    assert dataset.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert isinstance(dataset.train.samples, Images)
    assert isinstance(dataset.validation.samples, Images)
    every = (dataset.train.samples.pixels, dataset.validation.samples.pixels)
    pixels = sum(float(part.sum(dtype=np.int64)) for part in every) / (60_000 * 784 * 255)
    assert pixels == pytest.approx(0.1307, abs=5e-5)
    counts = np.bincount(dataset.validation.labels) / 5_000
    assert counts == pytest.approx(np.bincount(dataset.train.labels) / 55_000, abs=2e-4)


@needs("MNIST/raw")
def test_half_resolution_keeps_the_light_of_mnist() -> None:
    large, small = (datasets.load(name, FOLDER) for name in ("mnist", "mnist16"))
    one, other = (item.test.take(np.arange(200)) for item in (large, small))
    assert isinstance(one, np.ndarray)
    assert isinstance(other, np.ndarray)
    assert other.shape == (200, 1, 16, 16)
    assert 4 * other.sum() == pytest.approx(one.sum(), rel=1e-2)


@needs("FashionMNIST/raw")
def test_fashion_mnist_is_whole() -> None:
    dataset = datasets.load("fashion-mnist", FOLDER)
    assert (dataset.train.size, dataset.test.size) == (55_000, 10_000)
    assert np.bincount(dataset.test.labels).tolist() == [1_000] * 10


@needs("NMNIST")
def test_stabilised_digits_of_n_mnist_stand_still() -> None:
    dataset = datasets.load("nmnist", FOLDER)
    events = dataset.test.samples
    assert isinstance(events, Events)
    assert dataset.test.labels[:6].tolist() == [7, 2, 1, 0, 4, 1]
    assert np.bincount(dataset.validation.labels).min() > 0
    # Centres of the first and of the third saccade; unstabilised they are three pixels apart.
    column = events.address % 34
    early = column[(events.microseconds > 70_000) & (events.microseconds < 105_000)].mean()
    late = column[(events.microseconds > 210_000) & (events.microseconds < 245_000)].mean()
    assert early == pytest.approx(late, abs=1)
    spikes = EventBins(30)(dataset.test.take(np.arange(10)))
    assert spikes.shape == (30, 10, 2, 34, 34)
    assert 0.005 < spikes.mean() < 0.05
