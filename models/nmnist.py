"""N-MNIST: recordings of MNIST digits by an event camera that moves in three saccades.

Orchard, Jayawant, Cohen, Thakor, "Converting Static Image Datasets to Spiking Neuromorphic Datasets
Using Saccades", Frontiers in Neuroscience 9:437, 2015. An event is five bytes: x, y, then one bit
of polarity and 23 bits of microseconds, the most significant first.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.data import Dataset, Events, Split, split_off_validation
from spikeloom.models.sources import OnDownload, Source, locate, quietly

SIDE = 34
SHAPE = (2, SIDE, SIDE)
CLASSES = 10
SACCADE_US = 105_000
_EVENT_BYTES = 5
_RECORDING = re.compile(r"(?:^|/)([0-9])/([0-9]+)\.bin$")
_URL = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files"

# The sums of the whole archives; a subset has others, so that files at hand are not held to them.
SOURCES = {
    "Train": Source(
        "NMNIST/Train.zip",
        f"{_URL}/39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
        "20959b8e626244a1b502305a9e6e2031",
    ),
    "Test": Source(
        "NMNIST/Test.zip",
        f"{_URL}/05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
        "69ca8762b2fe404d9b9bad1103e97832",
    ),
}


def nmnist(folder: Path, seed: int = 0, on_download: OnDownload = quietly) -> Dataset:
    """The recordings in `NMNIST/Train` and `NMNIST/Test`, or in `.zip` archives of these names.

    Every recording is stabilised. A tenth of the training recordings, and at least ten, are for
    validation. Works on any subset of the data set; recordings stand in the order of their numbers.
    """
    parts = []
    for name, source in SOURCES.items():
        candidates = (f"NMNIST/{name}", f"NMNIST/{name}.zip", f"NMNIST/{name.lower()}.zip")
        parts.append(_load(locate("nmnist", folder, candidates, source, on_download)))
    train, test = parts
    validation = split_off_validation(train, max(CLASSES, train.size // 10), seed)
    return Dataset("nmnist", CLASSES, *validation, test)


def parse_recording(name: str, content: bytes) -> NDArray[np.int32]:
    """Events of a recording, shape (events, 4): x, y, polarity, microseconds.

    Raises
    ------
    SpikeloomError
        If the size is no multiple of five bytes, a pixel lies outside the sensor, or time runs
        backwards.
    """
    if not content or len(content) % _EVENT_BYTES:
        raise SpikeloomError(
            f"'{name}' is damaged: it has {len(content)} bytes; wanted events of {_EVENT_BYTES}"
        )
    columns = np.frombuffer(content, np.uint8).reshape(-1, _EVENT_BYTES).astype(np.int32).T
    x, y = columns[:2]
    microseconds = (columns[2] & 127) << 16 | columns[3] << 8 | columns[4]
    outside = np.flatnonzero((x >= SIDE) | (y >= SIDE))
    if len(outside):
        event = outside[0]
        raise SpikeloomError(
            f"'{name}' is damaged: event {event} is at ({x[event]}, {y[event]}); wanted 0 .. "
            f"{SIDE - 1}"
        )
    backwards = np.flatnonzero(np.diff(microseconds) < 0)
    if len(backwards):
        raise SpikeloomError(
            f"'{name}' is damaged: event {backwards[0] + 1} is earlier than the one before it"
        )
    return np.stack([x, y, columns[2] >> 7, microseconds], axis=1)


def stabilise(events: NDArray[np.int32]) -> NDArray[np.int32]:
    """Undo the motion of the image in the three saccades of 105 ms each.

    The image moves by (3.5, 7), by (3.5, -7) and back by (-7, 0) pixels, at constant speeds; an
    event at time t is moved back by what the image has moved until t, and rounded to the nearest
    pixel (halves up). Events that leave the sensor are dropped. This is the data set authors'
    `stabilize.m`, which TSSL-BP uses.
    """
    x, y, _, time = events.T
    share = time / SACCADE_US
    first, second = time <= SACCADE_US, time <= 2 * SACCADE_US
    moved_x = np.where(second, 3.5 * share, 7 - 7 * (share - 2))
    moved_y = np.select([first, second], [7 * share, 7 - 7 * (share - 1)], 0.0)
    moved = events.copy()
    moved[:, 0] = np.floor(x - moved_x + 0.5)
    moved[:, 1] = np.floor(y - moved_y + 0.5)
    inside = ((moved[:, :2] >= 0) & (moved[:, :2] < SIDE)).all(1)
    return moved[inside]


def _load(path: Path) -> Split:
    addresses, times, labels = [], [], []
    for label, name, content in _recordings(path):
        events = stabilise(parse_recording(name, content))
        addresses.append((events[:, 2] * SIDE + events[:, 1]) * SIDE + events[:, 0])
        times.append(events[:, 3])
        labels.append(label)
    if not labels:
        raise SpikeloomError(f"'{path}' holds no recordings; wanted <label>/<number>.bin in it")
    start = np.concatenate(([0], np.cumsum([len(item) for item in times])))
    samples = Events(SHAPE, np.concatenate(addresses), np.concatenate(times), start)
    return Split(samples, np.array(labels, np.int64))


def _recordings(path: Path) -> Iterator[tuple[int, str, bytes]]:
    """Label, name and content of each recording, by number."""
    if path.is_dir():
        for label, name in _sorted([item.as_posix() for item in path.rglob("*.bin")]):
            yield label, name, Path(name).read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for label, name in _sorted(archive.namelist()):
                yield label, f"{path}/{name}", archive.read(name)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise SpikeloomError(f"'{path}' is damaged: {error}") from error


def _sorted(names: list[str]) -> list[tuple[int, str]]:
    found = [(match, name) for name in names if (match := _RECORDING.search(name))]
    found.sort(key=lambda item: (int(item[0][2]), item[0][1]))
    return [(int(match[1]), name) for match, name in found]
