import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from published_files import idx_bytes, write_idx_dataset
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import idx
from spikeloom.models.data import Images
from spikeloom.models.idx import FILES, mnist, mnist16, read_idx


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few validation samples, no published sums, no network."""
    monkeypatch.setattr(idx, "VALIDATION", 20)
    monkeypatch.setattr(idx, "MNIST", replace(idx.MNIST, unpacked={}))

    def unreachable(*arguments: object, **options: object) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)


@pytest.mark.parametrize("packed", [False, True])
def test_files_are_read_packed_or_not(tmp_path: Path, packed: bool) -> None:
    write_idx_dataset(tmp_path / "MNIST/raw", 100, 30, packed)
    dataset = mnist(tmp_path)
    assert dataset.shape == (1, 28, 28)
    assert [dataset.train.size, dataset.validation.size, dataset.test.size] == [80, 20, 30]
    for part in (dataset.train, dataset.validation, dataset.test):
        assert isinstance(part.samples, Images)
        assert part.samples.pixels.dtype == np.uint8
        assert np.array_equal(part.samples.pixels[:, 0, 0, 0], 10 * part.labels)
    assert np.bincount(dataset.validation.labels).tolist() == [2] * 10


def test_split_follows_the_seed_and_leaves_the_test_samples(tmp_path: Path) -> None:
    write_idx_dataset(tmp_path / "MNIST/raw", 100, 30)
    one, same, other = mnist(tmp_path, 1), mnist(tmp_path, 1), mnist(tmp_path, 2)
    assert np.array_equal(one.train.labels, same.train.labels)
    assert not np.array_equal(one.train.labels, other.train.labels)
    assert np.array_equal(one.test.labels, other.test.labels)


def test_small_pictures_have_16_pixels_a_side(tmp_path: Path) -> None:
    write_idx_dataset(tmp_path / "MNIST/raw", 100, 30)
    assert mnist16(tmp_path).shape == (1, 16, 16)


def cut(content: bytes) -> bytes:
    return content[:-1]


def change_type(content: bytes) -> bytes:
    return content[:2] + b"\x0d" + content[3:]


def grow_header(content: bytes) -> bytes:
    return content[:3] + b"\xff" + content[4:]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, r"its header announces 5x2x2 = 20 bytes, but 19 follow"),
        (change_type, r"starts with the bytes 00 00 0d 03; an IDX file"),
        (grow_header, r"is cut short: 36 bytes do not hold its header"),
        (lambda content: b"", "starts with the bytes ; an IDX file"),
    ],
)
def test_damaged_files_are_named(
    tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = tmp_path / "images"
    path.write_bytes(damage(idx_bytes(np.zeros((5, 2, 2)))))
    with pytest.raises(SpikeloomError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_damaged_gzip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros((5, 2, 2))))[:-5])
    with pytest.raises(SpikeloomError, match=r"images.gz' is damaged or cannot be read"):
        read_idx(path)


def test_other_content_than_the_published_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(np.zeros((5, 2, 2))))
    with pytest.raises(SpikeloomError, match=r"has the MD5 sum [0-9a-f]{32}; wanted 6bbc9ace"):
        read_idx(path, "6bbc9ace898e44ae57da46a324031adb")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (FILES[1], np.zeros(99), r"holds an array of shape \(100, 28, 28\) and .* one of \(99,\)"),
        (FILES[1], np.full(100, 10), r"holds the label 10; wanted 0 .. 9"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    tmp_path: Path, name: str, array: np.ndarray, message: str
) -> None:
    write_idx_dataset(tmp_path / "MNIST/raw", 100, 30)
    (tmp_path / "MNIST/raw" / name).write_bytes(idx_bytes(array))
    with pytest.raises(SpikeloomError, match=message):
        mnist(tmp_path)


def test_missing_file_is_named_with_its_source(tmp_path: Path) -> None:
    write_idx_dataset(tmp_path / "MNIST/raw", 100, 30)
    (tmp_path / "MNIST/raw" / FILES[2]).unlink()
    with pytest.raises(SpikeloomError) as caught:
        mnist(tmp_path)
    text = str(caught.value)
    for part in (
        f"'MNIST/raw/{FILES[2]}' or 'MNIST/raw/{FILES[2]}.gz' in '{tmp_path}'",
        f"downloading https://ossci-datasets.s3.amazonaws.com/mnist/{FILES[2]}.gz failed",
        "--data or $SPIKELOOM_DATA",
    ):
        assert part in text
