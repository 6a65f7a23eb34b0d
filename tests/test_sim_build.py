"""The commands `build` and `doctor`."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from spikeloom.compiler.errors import SpikeloomError, ToolMissing
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.ir import Network, Neuron, Population, Projection, Readout
from spikeloom.compiler.passes import lower
from spikeloom.compiler.program import Program
from spikeloom.sim.boards import find_board
from spikeloom.sim.cli import build as command
from spikeloom.sim.cli import doctor
from spikeloom.sim.cli.console import Console
from spikeloom.sim.toolchain import TOOLS, Tool

STEPS, INPUTS, CLASSES = 3, 5, 4


@pytest.fixture(scope="module")
def program() -> Program:
    rng = np.random.default_rng(0)
    neuron = Neuron(
        np.zeros(CLASSES),
        np.full(CLASSES, 0.5),
        np.ones(CLASSES),
        np.zeros(CLASSES),
        Reset.SUBTRACT,
    )
    network = Network(
        name="small",
        steps=STEPS,
        populations=(
            Population("input", (INPUTS,), None, "input"),
            Population("out", (CLASSES,), neuron, "neurons"),
        ),
        projections=(Projection("input", "out", rng.normal(size=(CLASSES, INPUTS)), "fc"),),
        readout=Readout("out"),
    )
    return Program(lower(network), {"out": 2})


@pytest.fixture(scope="module")
def spikes() -> Spikes:
    rng = np.random.default_rng(1)
    return (rng.random((STEPS, 3, INPUTS)) < 0.4).astype(np.uint8)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.slow
@pytest.mark.synthesis
def test_build_of_a_program_file_tells_utilisation_and_latency(
    program: Program, spikes: Spikes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program.save(tmp_path / "small.program.safetensors")
    np.savez(tmp_path / "spikes.npz", spikes=spikes)
    result = command.run(
        parse(
            str(tmp_path / "small.program.safetensors"),
            *("--board", "icebreaker", "--out", str(tmp_path / "out")),
            *("--spikes", str(tmp_path / "spikes.npz")),
        ),
        Console(),
    )
    assert Path(result["bitstream"]) == tmp_path / "out" / "small-icebreaker.bin"
    assert Path(result["bitstream"]).is_file()
    assert result["lanes"] == {"out": 2}
    assert result["latency_cycles"] / 12 == pytest.approx(result["latency_microseconds"])
    assert result["pipelined_cycles"] < result["latency_cycles"]
    assert json.dumps(result)
    printed = capsys.readouterr().out
    assert "5,280" in printed
    assert "highest clock" in printed
    assert f"latency: {result['latency_cycles']:.1f} cycles" in printed


def test_lanes_given_replace_those_of_the_program_file(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "small.program.safetensors"
    program.save(path)
    board = find_board("icebreaker")
    given = argparse.Namespace(lanes={"out": 4}, fire_lanes={"out": 3})
    core = command.load_program(path, board, argparse.Namespace()).cores[0]
    assert (core.lanes, core.fire_lanes) == (2, 2)
    core = command.load_program(path, board, given).cores[0]
    assert (core.lanes, core.fire_lanes) == (4, 3)


def test_unknown_board_stops_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SpikeloomError, match="unknown board 'nexys'"):
        command.run(parse("missing.onnx", "--board", "nexys", "-o", str(tmp_path)), Console())
    assert not list(tmp_path.iterdir())


def test_spikes_without_a_sample_are_refused(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "small.program.safetensors")
    np.savez(tmp_path / "none.npz", spikes=np.zeros((STEPS, 0, INPUTS), np.uint8))
    arguments = parse(
        str(tmp_path / "small.program.safetensors"),
        *("--board", "icebreaker", "--spikes", str(tmp_path / "none.npz")),
    )
    with pytest.raises(SpikeloomError, match=r"none\.npz' holds no samples"):
        command.run(arguments, Console())


def test_doctor_lists_tools_and_packages(capsys: pytest.CaptureFixture[str]) -> None:
    result = doctor.run(argparse.Namespace(), Console())
    names = {item["name"] for item in result["items"]}
    assert {*TOOLS, "amaranth", "numpy", "torch", "cocotb", "onnxruntime"} <= names
    assert "mypy" not in names, "what only developers need is not the user's concern"
    assert "stages that work: check, compile, emit, simulate" in capsys.readouterr().out


def test_doctor_fails_where_a_tool_is_missing_and_names_what_still_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = Tool("no-such-packer", ("build",), "pip install no-such-packer", "no-such-packer")
    monkeypatch.setitem(TOOLS, tool.name, tool)
    with pytest.raises(ToolMissing) as caught:
        doctor.run(argparse.Namespace(), Console())
    assert caught.value.exit_code == 3
    assert str(caught.value) == "not installed: no-such-packer; so these do not work: build"
    # Icarus, which is optional, may be absent as well.
    assert "install with: pip install no-such-packer" in caught.value.__notes__
    working = capsys.readouterr().out.rpartition("stages that work: ")[2].split()
    assert "build" not in working
    assert "compile," in working
