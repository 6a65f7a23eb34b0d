"""Formal proofs: assertions about a block, and SymbiYosys, which proves or refutes them.

A proof holds for every input in every clock cycle, where a simulation shows some. It starts from
the state after reset; by induction it holds for all time, else up to a number of clock cycles.
"""

import re
import shlex
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from amaranth import ClockDomain, Module, Signal
from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Cover

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.files import make_folder
from spikeloom.sim.toolchain import require_tool, run_command, tool_environment

# What Amaranth writes for a claim, and how smtbmc tells which one failed.
_CLAIM = re.compile(r'cell \$check \S+(\n\s+parameter \\FORMAT "(.*)"\n)')
_REFUTED = re.compile(r"(?:Assert failed in|Unreached cover statement at) \S+: claim(\d+)")
# Zeros that a memory begins with: what Amaranth writes for one that was given no contents.
_ZEROS = re.compile(
    r"  cell \$meminit_v2 \S+\n(?:    .*\n)*?    connect \\DATA \d+'0+\n(?:    .*\n)*?  end\n"
)


class Proof:
    """A module in which a block stands amid inputs that may do anything, and claims about it.

    There is no reset: the registers begin with what a reset gives them. A memory begins with
    anything, unless it has contents of its own: a reset clears none.

    Attributes
    ----------
    module : the Amaranth module; blocks are its submodules
    inputs : the clock and the signals made by `anything`
    """

    def __init__(self) -> None:
        self.module = Module()
        self.module.domains.sync = domain = ClockDomain(reset_less=True)
        self.inputs: list[Any] = [domain.clk]

    def anything(self, shape: Any, name: str) -> Any:
        """A signal that has any value in any clock cycle."""
        signal = Signal(shape, name=name)
        self.inputs.append(signal)
        return signal

    def suppose(self, condition: Any) -> None:
        """Leave out all that follows once the condition was false in a clock cycle."""
        self.module.d.comb += Assume(condition)

    def claim(self, text: str, condition: Any, when: Any = 1) -> None:
        """Claim that in every clock cycle with `when` the condition is true."""
        with self.module.If(when):
            self.module.d.comb += Assert(condition, text)

    def reach(self, text: str, condition: Any) -> None:
        """Claim that the condition can become true: else other claims may be about nothing."""
        self.module.d.comb += Cover(condition, text)


class Method(Enum):
    """How a proof is made; the values are SymbiYosys' names."""

    INDUCTION = "prove"
    BOUNDED = "bmc"
    REACH = "cover"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a proof.

    Attributes
    ----------
    proven : whether all claims hold
    refuted : the claims that are false in the first clock cycle in which one is
    unproven : the claims at which an induction fails although nothing is refuted: it needs more
        claims about the registers, or more depth
    log : what SymbiYosys said; beside it, in the folder `proof`, is the waveform of a refutation
    """

    proven: bool
    refuted: tuple[str, ...]
    unproven: tuple[str, ...]
    log: Path


def check(proof: Proof, directory: Path, depth: int, method: Method = Method.INDUCTION) -> Verdict:
    """Prove or refute the claims of a proof.

    Parameters
    ----------
    directory : for the files of the tools
    depth : clock cycles from reset in which all claims are checked; with induction also the number
        of cycles in which they are supposed to hold before the one in which they must

    Raises
    ------
    ToolMissing
        If SymbiYosys, Yosys or the solver is not installed.
    SpikeloomError
        If one of them fails.
    """
    design, claims = _to_rtlil(proof)
    tools = {name: require_tool(name) for name in ("sby", "yosys", "yosys-smtbmc", "z3")}
    make_folder(directory)
    (directory / "design.il").write_text(design)
    job = directory / "proof.sby"
    job.write_text(
        f"[options]\nmode {method.value}\ndepth {depth}\nexpect pass,fail,unknown\n"
        "[engines]\nsmtbmc z3\n"
        "[script]\nread_rtlil design.il\nprep -flatten -top top\nmemory_map\nopt -full\n"
        "[files]\ndesign.il\n"
    )
    programs = [
        f"--{option}={shlex.quote(str(tools[name].path))}"
        for option, name in (("yosys", "yosys"), ("smtbmc", "yosys-smtbmc"))
    ]
    log = directory / "proof.log"
    lines: list[str] = []
    run_command(
        "sby",
        [str(tools["sby"].path), *programs, "-f", job.name],
        tool_environment(*tools),
        directory,
        log,
        lines.append,
    )
    status = (directory / "proof" / "status").read_text().split()[0]
    refuted, unproven = _named(lines, claims) if status != "PASS" else ((), ())
    if status not in ("PASS", "FAIL", "UNKNOWN") or (status == "FAIL") != bool(refuted):
        raise SpikeloomError(f"sby ended with {status}, which is not understood; see {log}")
    return Verdict(status == "PASS", refuted, unproven, log)


def _named(lines: list[str], claims: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The claims that are refuted and, if there are none, those at which the induction fails."""
    said: dict[bool, list[str]] = {False: [], True: []}
    for line in lines:
        if match := _REFUTED.search(line):
            said[".induction:" in line].append(claims[int(match[1])])
    return tuple(said[False]), tuple(() if said[False] else said[True])


def _to_rtlil(proof: Proof) -> tuple[str, list[str]]:
    """The module `top`, with clock and free inputs as its ports, and the texts of its claims.

    Cells without a name of their own are told by numbers that Yosys makes up; these get the number
    of their claim.
    """
    claims: list[str] = []

    def name(match: re.Match[str]) -> str:
        claims.append(match[2])
        return f"cell $check \\claim{len(claims) - 1}{match[1]}"

    text = str(rtlil.convert(proof.module, name="top", ports=proof.inputs, emit_src=False))
    return _CLAIM.sub(name, _ZEROS.sub("", text)), claims
