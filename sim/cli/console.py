"""What the commands print: text and tables for people, one JSON object for machines."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

Advance = Callable[[int], None]


class AdvanceWithText(Protocol):
    """Moves a progress bar on, and may change the text behind it."""

    def __call__(self, steps: int, text: str = "") -> None: ...


class Console:
    """Where a command writes.

    Text goes to standard output, progress to standard error. With `as_json` nothing but the
    command's result is written to standard output.
    """

    def __init__(self, as_json: bool = False, verbose: bool = False) -> None:
        self.as_json = as_json
        self.verbose = verbose

    def say(self, text: str) -> None:
        """Print a line for people."""
        if not self.as_json:
            print(text, flush=True)

    def detail(self, text: str) -> None:
        """Print a line that only `-v` shows."""
        if self.verbose:
            self.say(text)

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table; columns whose cells are all numbers are aligned to the right."""
        if self.as_json:
            return
        from rich import box
        from rich.console import Console as Screen
        from rich.table import Table

        table = Table(title=title, title_justify="left", box=box.SIMPLE)
        for column, name in enumerate(header):
            numeric = all(isinstance(row[column], int | float) for row in rows)
            table.add_column(name, justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        screen = Screen(markup=False, highlight=False)
        if not screen.is_terminal:
            screen.width = 120
        screen.print(table)

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[AdvanceWithText]:
        """A progress bar with the time left; call what it gives with the steps done since."""
        if self.as_json or not sys.stderr.isatty():
            self.say(f"{label} ...")
            yield lambda steps, text="": None
            return
        from rich.console import Console as Screen
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn(label),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
        )
        with Progress(*columns, console=Screen(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=total, text="")

            def advance(steps: int, text: str = "") -> None:
                bar.update(task, advance=steps, text=text)

            yield advance

    def result(self, value: dict[str, Any]) -> None:
        """Print the result of the command as one JSON object, with `--json` only."""
        if self.as_json:
            print(json.dumps(value, indent=2, sort_keys=True, default=str), flush=True)
