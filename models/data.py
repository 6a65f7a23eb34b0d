"""What a data set is: samples, their classes, and three parts that share no sample.

Samples stay in the small types of their files; `Split.take` turns as many as a batch needs into
intensities or events.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from spikeloom.compiler.errors import SpikeloomError

Intensities = NDArray[np.floating]
"""Shape `[N, ...]`, each in 0 .. 1."""

Indices = NDArray[np.intp]


class Images(NamedTuple):
    """Still images.

    Attributes
    ----------
    pixels : uint8 array, shape `[samples, *shape]`, channels before rows before columns
    white : the pixel value that stands for an intensity of 1
    """

    pixels: NDArray[np.uint8]
    white: int = 255

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self.pixels.shape[1:]

    def take(self, indices: Indices) -> NDArray[np.float32]:
        """Intensities pixel / white in float32, shape `[N, *shape]`."""
        levels = np.arange(256, dtype=np.float32) / np.float32(self.white)
        return levels[self.pixels[indices]]


class Events(NamedTuple):
    """Recordings of an event camera, one after the other.

    Attributes
    ----------
    shape : of the sensor: polarities, rows, columns
    address : int32 array, position of each event in `shape`, the last axis running fastest
    microseconds : int32 array, time of each event since the start of its recording
    start : int64 array, shape (samples + 1,): recording k holds events `start[k] .. start[k + 1]`
    """

    shape: tuple[int, ...]
    address: NDArray[np.int32]
    microseconds: NDArray[np.int32]
    start: NDArray[np.int64]

    def take(self, indices: Indices) -> "Events":
        """The events of some recordings, in the order of `indices`."""
        counts = self.start[indices + 1] - self.start[indices]
        start = np.concatenate(([0], np.cumsum(counts)))
        kept = np.arange(start[-1]) + np.repeat(self.start[indices] - start[:-1], counts)
        return Events(self.shape, self.address[kept], self.microseconds[kept], start)


class Split(NamedTuple):
    """Samples and their classes.

    Attributes
    ----------
    samples : images or recordings
    labels : int64 array, shape (samples,), each in 0 .. classes - 1
    flat : whether a network takes a sample as a vector; coding and augmentation see its shape
    """

    samples: Images | Events
    labels: NDArray[np.int64]
    flat: bool = False

    @property
    def size(self) -> int:
        """Number of samples."""
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample, of a recording at one time step, as a network takes it."""
        shape = self.samples.shape
        return (math.prod(shape),) if self.flat else shape

    def take(self, indices: Indices) -> NDArray[np.float32] | Events:
        """The samples of a batch, as an encoder takes them."""
        return self.samples.take(indices)

    def part(self, indices: Indices) -> "Split":
        """A split that holds these samples only."""
        samples = self.samples
        if isinstance(samples, Images):
            samples = Images(samples.pixels[indices], samples.white)
        else:
            samples = samples.take(indices)
        return Split(samples, self.labels[indices], self.flat)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A data set in three parts that share no sample.

    Training sees `train`; choices (the epoch, settings) look at `validation`; `test` is looked at
    once, at the end.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample, of a recording at one time step, as a network takes it."""
        return self.train.shape

    def flattened(self) -> "Dataset":
        """The same samples for a network that takes vectors."""
        parts = (part._replace(flat=True) for part in (self.train, self.validation, self.test))
        return Dataset(self.name, self.classes, *parts)


def split_off_validation(split: Split, samples: int, seed: int) -> tuple[Split, Split]:
    """Training and validation samples, drawn with `seed` so that each class keeps its share.

    Raises
    ------
    SpikeloomError
        If there are too few samples to draw from.
    """
    try:
        train, validation = train_test_split(
            np.arange(split.size), test_size=samples, stratify=split.labels, random_state=seed
        )
    except ValueError as error:
        raise SpikeloomError(
            f"cannot draw {samples} validation samples from {split.size}: {error}"
        ) from error
    return split.part(train), split.part(validation)


def digits(seed: int = 0) -> Dataset:
    """1,797 handwritten digits of 8 x 8 pixels, as scikit-learn brings them.

    Scans of real handwriting (UCI, "Optical Recognition of Handwritten Digits", the test part).
    20 % are for test and 15 % for validation, drawn per class with `seed`; the 17 levels of
    a pixel become 0, 1/16 .. 1.
    """
    pixels, labels = load_digits(return_X_y=True)
    everything = Split(Images(pixels.astype(np.uint8), 16), labels.astype(np.int64))
    rest, test = split_off_validation(everything, 360, seed)
    return Dataset("digits", 10, *split_off_validation(rest, 270, seed), test)


def half_resolution(images: Images) -> Images:
    """28 x 28 pixels to 16 x 16: two rows and columns of black around, then means of 2 x 2 pixels.

    The mean is rounded to the nearest pixel value, halves up: (a + b + c + d + 2) >> 2.
    """
    framed = np.pad(images.pixels, ((0, 0), (0, 0), (2, 2), (2, 2))).astype(np.uint16)
    rows = framed[:, :, 0::2] + framed[:, :, 1::2]
    blocks = rows[..., 0::2] + rows[..., 1::2]
    return Images(((blocks + 2) >> 2).astype(np.uint8), images.white)
