"""Writing output files so that an interrupted run leaves no half-written one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spikeloom.compiler.errors import SpikeloomError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` when the block ends without an error.

    Missing folders are made. The temporary name keeps the file's ending, which some writers
    look at.

    Raises
    ------
    SpikeloomError
        If the file cannot be written.
    """
    make_folder(path.parent)
    if path.is_dir():
        raise SpikeloomError(f"cannot write '{path}': it is a folder")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=f".tmp{path.suffix}")
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
    except OSError as error:
        raise SpikeloomError(f"cannot write '{path}': {error.strerror or error}") from error


def make_folder(path: Path) -> None:
    """Make a folder for output, and those that it lies in; nothing is done if it is there.

    Raises
    ------
    SpikeloomError
        If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SpikeloomError(f"cannot write into '{path}': it is not a folder") from error
    except OSError as error:
        raise SpikeloomError(f"cannot write into '{path}': {error.strerror}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole binary file, or nothing."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 text file, or nothing."""
    write_bytes(path, content.encode())
