"""Emit the accelerator of a program as Verilog.

Written into the output folder:
  accelerator.v             the whole accelerator, the memories' contents included
  ports.json                name, direction and width of each port of the top module
  images/LAYER.weights.hex  the weights of a layer once more, one memory word per line

The same program gives the same bytes. Clock and reset are the ports clk and rst (synchronous,
high); samples come in and results go out over AXI4-Stream.
"""

import argparse
from pathlib import Path
from typing import Any

from spikeloom.sim.cli.console import Console
from spikeloom.sim.cli.folding import add_folding_arguments, refolded

HELP = "emit the accelerator of a program as Verilog"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("program", type=Path, metavar="PROGRAM", help="the program file")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        default=argparse.SUPPRESS,
        help="where to write",
    )
    add_folding_arguments(parser, "as the program says")
    parser.add_argument(
        "--probe",
        action="store_true",
        help="give the signals that the cycle model predicts ports of their own",
    )


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Write the files and list them."""
    from spikeloom.compiler.program import Program
    from spikeloom.rtl.emit import emit

    program = refolded(Program.load(args.program), args)
    paths = emit(program, args.out, args.probe)
    console.table(
        f"accelerator of {program.network.name}, {'with' if args.probe else 'without'} probes",
        ("layer", "neurons", "lanes", "groups", "weight memory bits"),
        [
            (core.name, core.neurons, core.lanes, core.groups, core.weight_memory_bits)
            for core in program.cores
        ],
    )
    for what, path in paths.items():
        console.say(f"wrote {path} ({what}, {path.stat().st_size:,} bytes)")
    return {
        "name": program.network.name,
        "probe": args.probe,
        "lanes": {core.name: core.lanes for core in program.cores},
        "files": {what: str(path) for what, path in paths.items()},
    }
