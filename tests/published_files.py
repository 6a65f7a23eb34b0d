"""Small data sets in the formats of their authors, for the tests of the readers."""

import gzip
import struct
from pathlib import Path

import numpy as np

from spikeloom.models.idx import FILES


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx_dataset(folder: Path, train: int, test: int, packed: bool = False) -> None:
    """Random pictures of 28 x 28 pixels whose top left one is ten times the label."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    arrays = []
    for samples in (train, test):
        labels = np.arange(samples) % 10
        images = random.integers(0, 256, (samples, 28, 28))
        images[:, 0, 0] = 10 * labels
        arrays += [images, labels]
    for name, array in zip(FILES, arrays, strict=True):
        content = idx_bytes(array)
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def recording(*events: tuple[int, int, int, int]) -> bytes:
    """An N-MNIST recording of events (x, y, polarity, microseconds)."""
    return b"".join(
        bytes((x, y, polarity << 7 | time >> 16, time >> 8 & 255, time & 255))
        for x, y, polarity, time in events
    )
