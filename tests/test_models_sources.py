import hashlib
from pathlib import Path

import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import datasets
from spikeloom.models.sources import VARIABLE, Source, data_folder, download, locate

CONTENT = b"some samples" * 50_000


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A file that an address of this machine serves."""
    published = tmp_path / "server" / "samples.bin"
    published.parent.mkdir()
    published.write_bytes(CONTENT)
    digest = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    return Source("set/samples.bin", published.as_uri(), digest)


def test_missing_file_is_downloaded_once(source: Source, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    for _ in range(2):
        path = locate("set", tmp_path, ["set/samples.bin"], source, lambda *now: seen.append(now))
        assert path.read_bytes() == CONTENT
    size = len(CONTENT)
    assert seen == [
        ("samples.bin", 1 << 18, size),
        ("samples.bin", 2 << 18, size),
        ("samples.bin", size, size),
    ]


def test_first_candidate_that_exists_is_taken(source: Source, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"")
    assert locate("set", tmp_path, ["a", "b"], source) == tmp_path / "b"


def test_download_of_another_content_leaves_nothing(source: Source, tmp_path: Path) -> None:
    wrong = Source(source.path, source.url, "0" * 32)
    with pytest.raises(SpikeloomError, match=rf"gives has the MD5 sum {source.md5}; wanted 000"):
        download(wrong, tmp_path)
    assert list((tmp_path / "set").iterdir()) == []


def test_source_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    gone = Source("set/a", (tmp_path / "gone").as_uri(), "")
    with pytest.raises(SpikeloomError, match=r"data set 'set' needs 'a' or 'b' in .*/gone failed"):
        locate("set", tmp_path, ["a", "b"], gone)


def test_folder_is_the_argument_then_the_variable_then_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, other = tmp_path / "named", tmp_path / "other"
    named.mkdir()
    other.mkdir()
    monkeypatch.setenv(VARIABLE, str(other))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_folder(named) == named
    assert data_folder() == other
    monkeypatch.delenv(VARIABLE)
    assert data_folder() == tmp_path / "cache/spikeloom/data"
    with pytest.raises(SpikeloomError, match=r"data folder '.*/gone' does not exist"):
        data_folder(tmp_path / "gone")


def test_unknown_data_set_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="no data set 'letters'; wanted one of"):
        datasets.load("letters")
