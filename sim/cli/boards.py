"""List the boards that `spikeloom build` knows, with the capacity of their parts."""

import argparse
from typing import Any

from spikeloom.sim.cli.console import Console

HELP = "list the boards that can be built for"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This command takes no arguments of its own."""


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Print the table of boards."""
    from spikeloom.sim.boards import BOARDS

    rows = [
        (
            board.name,
            board.title,
            board.part.name,
            f"{board.clock_hz / 1e6:g} MHz",
            "\n".join(f"{count:,} {name}" for name, count in board.part.capacity.items()),
        )
        for board in BOARDS
    ]
    console.table("boards", ("name", "board", "part", "clock", "capacity"), rows)
    return {
        "boards": [
            {
                "name": board.name,
                "title": board.title,
                "part": board.part.name,
                "clock_hz": board.clock_hz,
                "baud": board.baud,
                "capacity": dict(board.part.capacity),
            }
            for board in BOARDS
        ]
    }
