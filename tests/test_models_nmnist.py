import zipfile
from pathlib import Path

import numpy as np
import pytest

from published_files import recording
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.data import Events
from spikeloom.models.nmnist import nmnist, parse_recording, stabilise


def recordings(samples: int) -> dict[str, bytes]:
    """Of ten classes in turn: recording k has k + 1 events at (k, 2), one a millisecond."""
    return {
        f"{number % 10}/{number + 1:05}.bin": recording(
            *((number, 2, number % 2, 1000 * event) for event in range(number + 1))
        )
        for number in range(samples)
    }


def write(folder: Path, zipped: bool) -> None:
    folder.mkdir()
    for name, samples in (("Train", 34), ("Test", 10)):
        if zipped:
            with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
                archive.writestr("notes.txt", "no recording")
                for path, content in recordings(samples).items():
                    archive.writestr(f"{name}/{path}", content)
        else:
            for path, content in recordings(samples).items():
                (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / name / path).write_bytes(content)


@pytest.fixture(params=[False, True], ids=["folders", "archives"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write(tmp_path / "NMNIST", request.param)
    return tmp_path


def test_recordings_are_read_in_the_order_of_their_numbers(folder: Path) -> None:
    dataset = nmnist(folder)
    assert dataset.shape == (2, 34, 34)
    assert [dataset.train.size, dataset.validation.size, dataset.test.size] == [24, 10, 10]
    assert dataset.test.labels.tolist() == list(range(10))
    events = dataset.test.samples
    assert isinstance(events, Events)
    assert np.diff(events.start).tolist() == list(range(1, 11))
    assert events.address[events.start[5]] == (1 * 34 + 2) * 34 + 5
    assert events.microseconds[events.start[5] : events.start[6]].tolist() == [
        1000 * event for event in range(6)
    ]


def test_event_is_x_y_then_polarity_and_23_bits_of_time() -> None:
    content = bytes((3, 33, 0x80 | 0x12, 0x34, 0x56))
    assert parse_recording("a", content).tolist() == [[3, 33, 1, 0x123456]]


@pytest.mark.parametrize(
    ("time", "moved"),
    [
        (0, (0, 0)),
        (15_000, (0.5, 1)),
        (105_000, (3.5, 7)),
        (150_000, (5, 4)),
        (210_000, (7, 0)),
        (270_000, (3, 0)),
        (315_000, (0, 0)),
    ],
)
def test_motion_of_the_saccades_is_undone(time: int, moved: tuple[float, float]) -> None:
    stable = stabilise(np.array([[20, 20, 1, time]], np.int32))
    assert stable.tolist() == [
        [int(np.floor(20.5 - moved[0])), int(np.floor(20.5 - moved[1])), 1, time]
    ]


def test_events_that_leave_the_sensor_are_dropped() -> None:
    events = np.array([[2, 20, 0, 105_000], [4, 20, 0, 105_000], [4, 6, 0, 105_000]], np.int32)
    assert stabilise(events).tolist() == [[1, 13, 0, 105_000]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has 0 bytes; wanted events of 5"),
        (recording((1, 1, 0, 5))[:-1], "has 4 bytes; wanted events of 5"),
        (recording((1, 1, 0, 5), (34, 1, 0, 6)), r"event 1 is at \(34, 1\); wanted 0 .. 33"),
        (recording((1, 1, 0, 5), (1, 1, 0, 4)), "event 1 is earlier than the one before it"),
    ],
)
def test_damaged_recordings_are_named(content: bytes, message: str) -> None:
    with pytest.raises(SpikeloomError, match=f"'5/00001.bin' is damaged: .*{message}"):
        parse_recording("5/00001.bin", content)


def test_damaged_or_empty_archives_are_named(tmp_path: Path) -> None:
    write(tmp_path / "NMNIST", True)
    path = tmp_path / "NMNIST" / "Test.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Test/1/notes.txt", "")
    with pytest.raises(SpikeloomError, match=r"Test.zip' holds no recordings; wanted <label>"):
        nmnist(tmp_path)
    path.write_bytes(b"no archive")
    with pytest.raises(SpikeloomError, match=r"Test.zip' is damaged: File is not a zip file"):
        nmnist(tmp_path)
