"""Data sets, split once and for all into training, validation and test samples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Samples and their classes.

    Attributes
    ----------
    intensities : float32 array, shape (samples, inputs), each in 0 .. 1
    labels : int64 array, shape (samples,), each in 0 .. classes - 1
    """

    intensities: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


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
    def inputs(self) -> int:
        """Number of intensities per sample."""
        return int(self.train.intensities.shape[1])


def digits(seed: int = 0) -> Dataset:
    """1,797 handwritten digits of 8 x 8 pixels, as scikit-learn brings them.

    Scans of real handwriting (UCI, "Optical Recognition of Handwritten Digits", the test part).
    20 % are for test and 15 % for validation, drawn per class with `seed`; the 17 levels of
    a pixel become 0, 1/16 .. 1.
    """
    pixels, labels = load_digits(return_X_y=True)
    intensities = (pixels / 16).astype(np.float32)
    labels = labels.astype(np.int64)
    rest, test = train_test_split(
        np.arange(len(labels)), test_size=0.20, stratify=labels, random_state=seed
    )
    train, validation = train_test_split(
        rest, test_size=0.15 / 0.80, stratify=labels[rest], random_state=seed
    )
    parts = (Split(intensities[part], labels[part]) for part in (train, validation, test))
    return Dataset("digits", 10, *parts)
