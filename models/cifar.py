"""CIFAR-10 in its binary version.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. A record is one byte of
label and 3,072 bytes of pixels: 32 x 32 of red, then green, then blue, row by row.
"""

import tarfile
from pathlib import Path

import numpy as np

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.data import Dataset, Images, Split, split_off_validation
from spikeloom.models.sources import OnDownload, Source, locate, quietly

SHAPE = (3, 32, 32)
RECORDS = 10_000
VALIDATION = 5_000
CLASSES = 10
TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = "test_batch.bin"
FOLDER = "cifar-10-batches-bin"
SOURCE = Source(
    "CIFAR10/cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c32a1d4ab5d03f1284b67883e8d87530",
)
_RECORD_BYTES = 1 + int(np.prod(SHAPE))


def cifar10(folder: Path, seed: int = 0, on_download: OnDownload = quietly) -> Dataset:
    """50,000 + 10,000 colour pictures, 3 x 32 x 32; 5,000 of the 50,000 are for validation.

    Reads the folder `cifar-10-batches-bin` (as the archive unpacks) or the archive itself. Only the
    archive's MD5 sum is published; unpacked files are checked for their size and labels.
    """
    candidates = (f"CIFAR10/{FOLDER}", FOLDER, SOURCE.path, Path(SOURCE.path).name)
    found = locate("cifar10", folder, candidates, SOURCE, on_download)
    names = (*TRAIN, TEST)
    read = _read_folder(found, names) if found.is_dir() else _read_archive(found, names)
    *train, test = [parse_batch(f"{found}/{name}", read[name]) for name in names]
    merged = Split(
        Images(np.concatenate([_pixels(part) for part in train])),
        np.concatenate([part.labels for part in train]),
    )
    return Dataset("cifar10", CLASSES, *split_off_validation(merged, VALIDATION, seed), test)


def parse_batch(name: str, content: bytes) -> Split:
    """The records of one batch file.

    Raises
    ------
    SpikeloomError
        If the file has another size than 10,000 records, or a label is above 9.
    """
    if len(content) != RECORDS * _RECORD_BYTES:
        raise SpikeloomError(
            f"'{name}' is damaged: it has {len(content)} bytes; wanted {RECORDS} records of "
            f"{_RECORD_BYTES} bytes"
        )
    records = np.frombuffer(content, np.uint8).reshape(RECORDS, _RECORD_BYTES)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= CLASSES:
        raise SpikeloomError(
            f"'{name}' is damaged: record {int(labels.argmax())} has the label {labels.max()}; "
            f"wanted 0 .. {CLASSES - 1}"
        )
    return Split(Images(records[:, 1:].reshape(RECORDS, *SHAPE)), labels)


def _pixels(split: Split) -> np.ndarray:
    assert isinstance(split.samples, Images)
    return split.samples.pixels


def _read_folder(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in names}
    except OSError as error:
        raise SpikeloomError(f"cannot read '{error.filename}': {error.strerror}") from error


def _read_archive(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    read = {}
    try:
        with tarfile.open(path) as archive:
            for name in names:
                file = archive.extractfile(f"{FOLDER}/{name}")
                if file is None:
                    raise SpikeloomError(f"'{path}' is damaged: '{FOLDER}/{name}' is no file")
                read[name] = file.read()
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        raise SpikeloomError(f"'{path}' is damaged: {error}") from error
    return read
