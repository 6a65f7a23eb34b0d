"""The page of measured figures: each command that measures writes a section of its own."""

from collections.abc import Sequence
from pathlib import Path

from spikeloom.compiler import files
from spikeloom.compiler.errors import SpikeloomError


def write_section(page: Path, name: str, command: str, body: str) -> None:
    """Replace a section of a Markdown page, or add it at the end; a missing page is begun.

    A section stands between two comments, and everything outside of these stays as it is.

    Parameters
    ----------
    name : title of the section
    command : what wrote the section, for whoever wants to write it again
    body : Markdown

    Raises
    ------
    SpikeloomError
        If the page cannot be read, or has only one of the section's two comments.
    """
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    section = f"{begin}\n## {name}\n\nWritten by `{command}`.\n\n{body.strip()}\n{end}"
    try:
        text = page.read_text(encoding="utf-8") if page.exists() else "# Performance\n"
    except (OSError, UnicodeDecodeError) as error:
        raise SpikeloomError(f"cannot read the page '{page}': {error}") from error
    counts = text.count(begin), text.count(end)
    if counts == (0, 0):
        text = f"{text.rstrip()}\n\n{section}\n"
    elif counts == (1, 1) and text.index(begin) < text.index(end):
        before, _, rest = text.partition(begin)
        text = before + section + rest.partition(end)[2]
    else:
        raise SpikeloomError(
            f"page '{page}' has '{begin}' {counts[0]} times and '{end}' {counts[1]} times; "
            "wanted each once, in this order"
        )
    files.write_text(page, text)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; whole numbers get separators of thousands."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
