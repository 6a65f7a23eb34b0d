# amaranth: UnusedElaboratable=no
"""From a program to files: Verilog, memory images and the list of ports."""

import json
import re
from pathlib import Path

from amaranth.back import verilog

from spikeloom.compiler.cores import Core
from spikeloom.compiler.files import write_text
from spikeloom.compiler.program import Program
from spikeloom.rtl.top import Accelerator
from spikeloom.rtl.weight_memory import weight_words

TOP = "accelerator"

# Yosys gives each module a register whose first value is meant to start the combinational blocks
# (`always @*`) at time 0. A value in the declaration comes before any block waits for it, and an
# event-driven simulator then leaves undefined what depends on registers that have not changed yet.
# A non-blocking assignment comes when all blocks are waiting.
_START = re.compile(r"reg (\\\$auto\$verilog_backend\S*) +=.*;")


def to_verilog(program: Program, probe: bool = False) -> str:
    """The accelerator of a program as one self-contained Verilog file.

    The same program gives the same text. The memories' contents are in the text; clock and reset
    are the ports `clk` and `rst` (synchronous, high).
    """
    text = verilog.convert(
        Accelerator(program, probe), name=TOP, emit_src=False, strip_internal_attrs=True
    )
    return _START.sub(r"reg \1 ;\n  initial \1 <= 0;", text)


def emit(program: Program, directory: Path, probe: bool = False) -> dict[str, Path]:
    """Write `accelerator.v`, `ports.json` and the memory image of each layer's weights.

    The images say again what the Verilog holds, one word per line in hexadecimal, for whoever
    wants to look at the weights or put them elsewhere.

    Returns
    -------
    The paths by what they hold.
    """
    paths = {"verilog": directory / f"{TOP}.v", "ports": directory / "ports.json"}
    write_text(paths["verilog"], to_verilog(program, probe))
    write_text(paths["ports"], json.dumps(ports(program, probe), indent=2) + "\n")
    for core in program.cores:
        path = directory / "images" / f"{core.name}.weights.hex"
        write_text(path, memory_image(core))
        paths[f"weights of {core.name}"] = path
    return paths


def memory_image(core: Core) -> str:
    """The weight memory of a core in the format of `$readmemh`."""
    digits = -(-core.word_weights * core.weight_bits // 4)
    return "".join(f"{word:0{digits}x}\n" for word in weight_words(core))


def ports(program: Program, probe: bool = False) -> list[dict[str, object]]:
    """Name, direction and width of each port of the top module, clock and reset first."""
    accelerator = Accelerator(program, probe)
    listed: list[dict[str, object]] = [
        {"name": name, "direction": "in", "width": 1} for name in ("clk", "rst")
    ]
    for path, member, value in accelerator.signature.flatten(accelerator):
        direction = "in" if member.flow.name == "In" else "out"
        listed.append(
            {"name": "__".join(map(str, path)), "direction": direction, "width": len(value)}
        )
    return listed
