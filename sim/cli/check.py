"""Say of every node of an ONNX file whether it can be lowered, what it becomes, or why not.

Nothing is written. A model that passes can be compiled with the default word widths onto the
default number of lanes.
"""

import argparse
from pathlib import Path
from typing import Any

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.cli.console import Console

HELP = "say node by node whether an ONNX file can be compiled"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="the ONNX file")


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Print the table of verdicts; raise SpikeloomError if one of them is a refusal."""
    from spikeloom.compiler.onnx_import import examine, load_model
    from spikeloom.compiler.passes import lower
    from spikeloom.compiler.program import Program

    report = examine(load_model(args.model), args.model.stem)
    console.table(
        str(args.model),
        ("node", "operator", "", "becomes"),
        [
            (item.node, item.operator, "yes" if item.ok else "NO", item.meaning)
            for item in report.verdicts
        ],
    )
    result = {
        "file": str(args.model),
        "ok": report.ok,
        "nodes": [
            {
                "node": item.node,
                "operator": item.operator,
                "ok": item.ok,
                "meaning": item.meaning,
            }
            for item in report.verdicts
        ],
    }
    if report.network is None:
        console.result(result)
        count = len(report.refused)
        raise SpikeloomError(
            f"'{args.model}' cannot be compiled: {count} of {len(report.verdicts)} verdicts are no"
        )
    Program(lower(report.network), {})
    return result
