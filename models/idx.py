"""MNIST and Fashion-MNIST, in their IDX files.

IDX (LeCun, Cortes, Burges, "The MNIST database of handwritten digits"): two bytes of 0, a type
(8 for uint8), the number of axes, each axis as a big-endian 32-bit integer, then the values.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.data import Dataset, Images, Split, half_resolution, split_off_validation
from spikeloom.models.sources import OnDownload, Source, check_md5, locate, quietly

VALIDATION = 5_000
CLASSES = 10
_UINT8 = 8


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the four files of a data set come from.

    Attributes
    ----------
    folder : below the data folder
    packed : MD5 sums of the gzip files
    unpacked : of what these hold; content of a file without a sum here is not checked
    """

    folder: str
    url: str
    packed: Mapping[str, str]
    unpacked: Mapping[str, str]


FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def _sums(*values: str) -> dict[str, str]:
    return dict(zip(FILES, values, strict=True))


MNIST = Origin(
    "MNIST/raw",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    _sums(
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    _sums(
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
)

# The authors publish the sums of the gzip files; those of the content were found elsewhere, the
# same ones in several places.
FASHION_MNIST = Origin(
    "FashionMNIST/raw",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    _sums(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    _sums(
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
)


def mnist(folder: Path, seed: int = 0, on_download: OnDownload = quietly) -> Dataset:
    """60,000 + 10,000 handwritten digits, 1 x 28 x 28; 5,000 of the 60,000 are for validation."""
    return _load("mnist", MNIST, folder, seed, on_download)


def mnist16(folder: Path, seed: int = 0, on_download: OnDownload = quietly) -> Dataset:
    """MNIST in 1 x 16 x 16 pixels; see `spikeloom.models.data.half_resolution`."""
    full = mnist(folder, seed, on_download)
    parts = (_halve(part) for part in (full.train, full.validation, full.test))
    return Dataset("mnist16", CLASSES, *parts)


def fashion_mnist(folder: Path, seed: int = 0, on_download: OnDownload = quietly) -> Dataset:
    """60,000 + 10,000 pictures of clothes, 1 x 28 x 28; 5,000 of the 60,000 for validation."""
    return _load("fashion-mnist", FASHION_MNIST, folder, seed, on_download)


def read_idx(path: Path, md5: str | None = None) -> NDArray[np.uint8]:
    """The array in an IDX file of bytes, packed with gzip if its name ends in `.gz`.

    Raises
    ------
    SpikeloomError
        If the file is no such file, is cut short, or its content has another MD5 sum.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise SpikeloomError(f"'{path}' is damaged or cannot be read: {error}") from error
    if len(content) < 4 or content[:3] != bytes((0, 0, _UINT8)):
        raise SpikeloomError(
            f"'{path}' starts with the bytes {content[:4].hex(' ')}; an IDX file of bytes starts "
            f"with 00 00 {_UINT8:02x}"
        )
    axes = content[3]
    if len(content) < 4 + 4 * axes:
        raise SpikeloomError(f"'{path}' is cut short: {len(content)} bytes do not hold its header")
    shape = struct.unpack_from(f">{axes}I", content, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if values.size != math.prod(shape):
        raise SpikeloomError(
            f"'{path}' is damaged: its header announces {'x'.join(map(str, shape))} = "
            f"{math.prod(shape)} bytes, but {values.size} follow"
        )
    if md5 is not None:
        check_md5(path, content, md5)
    return values.reshape(shape)


def _load(name: str, origin: Origin, folder: Path, seed: int, on_download: OnDownload) -> Dataset:
    arrays = []
    for file in FILES:
        path = f"{origin.folder}/{file}"
        source = Source(f"{path}.gz", f"{origin.url}{file}.gz", origin.packed[file])
        found = locate(name, folder, (path, f"{path}.gz"), source, on_download)
        arrays.append((found, read_idx(found, origin.unpacked.get(file))))
    train = _split(*arrays[0], *arrays[1])
    test = _split(*arrays[2], *arrays[3])
    return Dataset(name, CLASSES, *split_off_validation(train, VALIDATION, seed), test)


def _split(
    images_path: Path, images: NDArray[np.uint8], labels_path: Path, labels: NDArray[np.uint8]
) -> Split:
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise SpikeloomError(
            f"'{images_path}' holds an array of shape {images.shape} and '{labels_path}' one of "
            f"{labels.shape}; wanted N x rows x columns, and N"
        )
    if labels.size and labels.max() >= CLASSES:
        raise SpikeloomError(
            f"'{labels_path}' holds the label {labels.max()}; wanted 0 .. {CLASSES - 1}"
        )
    return Split(Images(images[:, None]), labels.astype(np.int64))


def _halve(split: Split) -> Split:
    assert isinstance(split.samples, Images)
    return Split(half_resolution(split.samples), split.labels)
