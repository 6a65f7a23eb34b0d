"""Finding the files of a data set: in a folder of the user's, or at the official source.

The folder is the one named by `--data`, else by the environment variable `SPIKELOOM_DATA`, else
`~/.cache/spikeloom/data`. What is missing there is downloaded into it.
"""

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeloom.compiler import files
from spikeloom.compiler.errors import SpikeloomError

VARIABLE = "SPIKELOOM_DATA"
_CHUNK = 1 << 18
_TIMEOUT = 30.0

OnDownload = Callable[[str, int, int], None]
"""Called with a file's name, the bytes so far, and all bytes (0 if the server does not say)."""


def quietly(name: str, done: int, total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file as its authors publish it.

    Attributes
    ----------
    path : where it belongs, relative to the data folder
    url : of the official source
    md5 : published checksum of the file as downloaded, in hexadecimal digits
    """

    path: str
    url: str
    md5: str


def data_folder(given: Path | None = None) -> Path:
    """The folder that holds the data sets.

    Raises
    ------
    SpikeloomError
        If a folder was named, by argument or environment, and is none.
    """
    named = given or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is None:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "spikeloom" / "data"
    if not named.is_dir():
        raise SpikeloomError(f"data folder '{named}' does not exist or is not a folder")
    return named


def locate(
    dataset: str,
    folder: Path,
    candidates: Sequence[str],
    source: Source,
    on_download: OnDownload = quietly,
) -> Path:
    """The first of `candidates` that exists in `folder`, else the downloaded `source`.

    Raises
    ------
    SpikeloomError
        If no candidate exists and the download fails; the text names them, and the URL.
    """
    for candidate in candidates:
        if (folder / candidate).exists():
            return folder / candidate
    try:
        return download(source, folder, on_download)
    except SpikeloomError as error:
        wanted = " or ".join(f"'{candidate}'" for candidate in candidates)
        raise SpikeloomError(
            f"data set '{dataset}' needs {wanted} in '{folder}', and {error}; put the file there, "
            f"or name another folder with --data or ${VARIABLE}"
        ) from error


def download(source: Source, folder: Path, on_download: OnDownload = quietly) -> Path:
    """Fetch a file; it appears under its name only when whole and of the published checksum.

    Raises
    ------
    SpikeloomError
        If the source cannot be reached, the file cannot be written, or the checksum differs.
    """
    path = folder / source.path
    digest = hashlib.md5(usedforsecurity=False)
    request = urllib.request.Request(source.url, headers={"User-Agent": "spikeloom"})
    try:
        with (
            urllib.request.urlopen(request, timeout=_TIMEOUT) as answer,
            files.replacing(path) as temporary,
            temporary.open("wb") as file,
        ):
            total = int(answer.headers.get("Content-Length") or 0)
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                on_download(path.name, file.tell(), total)
            if digest.hexdigest() != source.md5:
                raise SpikeloomError(
                    f"what {source.url} gives has the MD5 sum {digest.hexdigest()}; "
                    f"wanted {source.md5}"
                )
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise SpikeloomError(f"downloading {source.url} failed: {reason}") from error
    return path


def check_md5(path: Path, content: bytes, wanted: str) -> None:
    """Raise SpikeloomError if the content that `path` holds has another checksum."""
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != wanted:
        raise SpikeloomError(
            f"'{path}' is damaged: its content has the MD5 sum {found}; wanted {wanted}"
        )
