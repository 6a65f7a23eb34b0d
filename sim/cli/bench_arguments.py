"""The arguments that all measurements on networks of the zoo take."""

import argparse
from pathlib import Path


def add_zoo_arguments(parser: argparse.ArgumentParser, section: str, kept: str) -> None:
    """Add `--network`, `--samples`, `--data`, `--out` and `--write`.

    Parameters
    ----------
    section : of the page that `--write` names
    kept : what `--out` is for
    """
    parser.add_argument(
        "--network",
        action="append",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="only this network of the zoo; may be given more than once",
    )
    parser.add_argument(
        "--samples", type=int, default=50, metavar="N", help="test samples that are run, >= 1"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="folder with the data sets (see 'spikeloom train')",
    )
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FOLDER", default=argparse.SUPPRESS, help=kept
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="PAGE",
        default=argparse.SUPPRESS,
        help=f"Markdown page whose section '{section}' gets the figures",
    )
