import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import cifar
from spikeloom.models.cifar import FOLDER, TEST, TRAIN, cifar10
from spikeloom.models.data import Images

RECORDS = 20


def batch(first: int) -> bytes:
    """Records whose first red, green and blue pixels are first + k, 100 and 200."""
    records = np.zeros((RECORDS, 3073), np.uint8)
    records[:, 0] = np.arange(RECORDS) % 10
    records[:, 1] = first + np.arange(RECORDS)
    records[:, 1 + 1024], records[:, 1 + 2048] = 100, 200
    return records.tobytes()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "RECORDS", RECORDS)
    monkeypatch.setattr(cifar, "VALIDATION", 10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir()
    for number, name in enumerate((*TRAIN, TEST)):
        (tmp_path / FOLDER / name).write_bytes(batch(RECORDS * number))
    return tmp_path


def pack(folder: Path, target: Path, names: tuple[str, ...]) -> None:
    with tarfile.open(target, "w:gz") as archive:
        for name in names:
            content = (folder / FOLDER / name).read_bytes()
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_records_are_label_then_red_green_blue(folder: Path) -> None:
    dataset = cifar10(folder)
    assert dataset.shape == (3, 32, 32)
    assert [dataset.train.size, dataset.validation.size, dataset.test.size] == [90, 10, 20]
    samples = dataset.test.samples
    assert isinstance(samples, Images)
    assert samples.pixels[:, 0, 0, 0].tolist() == list(range(100, 120))
    assert set(samples.pixels[:, 1, 0, 0]) == {100}
    assert set(samples.pixels[:, 2, 0, 0]) == {200}
    assert dataset.test.labels.tolist() == [*range(10), *range(10)]


def test_archive_gives_the_same_as_the_folder(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    pack(folder, other / "cifar-10-binary.tar.gz", (*TRAIN, TEST))
    one, two = cifar10(folder), cifar10(other)
    assert np.array_equal(one.train.labels, two.train.labels)
    assert isinstance(one.train.samples, Images)
    assert isinstance(two.train.samples, Images)
    assert np.array_equal(one.train.samples.pixels, two.train.samples.pixels)


def test_damaged_files_are_named(folder: Path, tmp_path: Path) -> None:
    path = folder / FOLDER / TRAIN[2]
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(SpikeloomError, match=r"data_batch_3.bin' is damaged: it has 61459 bytes"):
        cifar10(folder)
    path.write_bytes(content[:3073] + b"\x0b" + content[3074:])
    with pytest.raises(SpikeloomError, match=r"record 1 has the label 11; wanted 0 .. 9"):
        cifar10(folder)
    path.unlink()
    with pytest.raises(SpikeloomError, match=r"cannot read '.*data_batch_3.bin': No such file"):
        cifar10(folder)


def test_damaged_archives_are_named(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    path = other / "cifar-10-binary.tar.gz"
    pack(folder, path, TRAIN)
    with pytest.raises(SpikeloomError, match=r"tar.gz' is damaged: .*test_batch.bin' not found"):
        cifar10(other)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(SpikeloomError, match=r"tar.gz' is damaged: "):
        cifar10(other)
