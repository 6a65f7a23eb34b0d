"""The whole path on real digits, through the command line: each stage from the files before it."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.compiler import reference
from spikeloom.compiler.program import Program
from spikeloom.models.runtime import run_model
from spikeloom.sim.cli import main
from spikeloom.sim.spike_files import InputSpikes, read_spikes, write_spikes

pytestmark = pytest.mark.slow

Result = dict[str, Any]

STEPS, INPUTS, HIDDEN, CLASSES, TEST_SAMPLES = 8, 64, 64, 10, 360
LANES = {"hidden1": 8, "output": 5}
FEW = 3


def spikeloom(*words: object) -> Result:
    """What a command prints with --json."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main([*(str(word) for word in words), "--json"]) == 0
    result: Result = json.loads(printed.getvalue())
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("digits")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Result:
    return spikeloom("train", "digits", "--epochs", 3, "-o", folder / "train")


@pytest.fixture(scope="module")
def model(trained: Result, folder: Path) -> Path:
    """The ONNX file, exported from the checkpoint."""
    path = folder / "digits.onnx"
    assert spikeloom("export", trained["files"]["checkpoint"], "-o", path)["file"] == str(path)
    return path


@pytest.fixture(scope="module")
def samples(trained: Result) -> Path:
    return Path(trained["files"]["test_samples"])


@pytest.fixture(scope="module")
def compiled(model: Path, samples: Path, folder: Path) -> Result:
    lanes = [word for item in LANES.items() for word in ("--lanes", "{}={}".format(*item))]
    return spikeloom("compile", model, "-o", folder, "--check", samples, *lanes)


@pytest.fixture(scope="module")
def program(compiled: Result) -> Path:
    return Path(compiled["files"]["program"])


@pytest.fixture(scope="module")
def few(samples: Path, program: Path, folder: Path) -> Path:
    """The first test samples."""
    read = read_spikes(samples, Program.load(program).network)
    assert read.labels is not None
    path = folder / "few.npz"
    write_spikes(path, InputSpikes(read.spikes[:, :FEW], read.labels[:FEW]))
    return path


@pytest.fixture(scope="module")
def simulated(program: Path, few: Path) -> Result:
    return spikeloom("simulate", program, few)


@pytest.fixture(scope="module")
def emitted(program: Path, folder: Path) -> Result:
    return spikeloom("emit", program, "-o", folder / "verilog", "--probe")


def test_training_learns_and_exports_equal_spikes(trained: Result, model: Path) -> None:
    assert trained["test_accuracy"] > 0.85
    assert trained["spikes_compared_with_onnxruntime"] == TEST_SAMPLES * STEPS * (HIDDEN + CLASSES)
    assert model.read_bytes() == Path(trained["files"]["onnx"]).read_bytes()


def test_check_accepts_what_was_exported(model: Path) -> None:
    result = spikeloom("check", model)
    assert result["ok"]
    meanings = " ".join(item["meaning"] for item in result["nodes"])
    for layer in LANES:
        assert f"population {layer}" in meanings


def test_integers_equal_onnxruntime_and_classify_as_well(
    trained: Result, compiled: Result, program: Path, samples: Path
) -> None:
    numbers = STEPS * (HIDDEN + CLASSES) + CLASSES + 1
    assert compiled["numbers_checked"] == TEST_SAMPLES * numbers
    assert {row["layer"]: row["lanes"] for row in compiled["layers"]} == LANES
    result = spikeloom("simulate", program, samples)
    assert result["samples"] == TEST_SAMPLES
    assert result["accuracy"] == pytest.approx(trained["test_accuracy"], abs=0.02)


def test_trace_holds_what_the_fixed_onnx_file_gives(
    compiled: Result, program: Path, few: Path, folder: Path
) -> None:
    path = folder / "trace.npz"
    spikeloom("simulate", program, few, "-o", path)
    with np.load(path) as trace:
        spikes, scores, classes = trace["spikes/spikes"], trace["scores"], trace["classes"]
    got = run_model(Path(compiled["files"]["fixed_onnx"]), spikes)
    assert np.array_equal(got["counts"], scores)
    expected = reference.run(Program.load(program).network, spikes)
    assert np.array_equal(expected.scores, scores)
    assert np.array_equal(expected.classes, classes)


def test_emitted_design_has_the_lanes_asked_for(emitted: Result) -> None:
    assert emitted["lanes"] == LANES
    verilog = Path(emitted["files"]["verilog"]).read_text()
    assert "module accelerator(" in verilog
    words = Path(emitted["files"]["weights of hidden1"]).read_text().splitlines()
    assert len(words) == INPUTS * HIDDEN // LANES["hidden1"]


@pytest.mark.verilator
def test_emitted_verilog_equals_the_model_at_every_clock_edge(
    emitted: Result, program: Path, few: Path, folder: Path
) -> None:
    verdict = spikeloom(
        *("verify", program, few, "-o", folder / "verification", "--samples", 2, "--extremes"),
        *("--verilog", emitted["files"]["verilog"]),
    )
    assert (verdict["samples"], verdict["runs"]) == (2 + 2, 3)
    numbers = 2 * STEPS * (HIDDEN + CLASSES) + CLASSES + 3
    assert verdict["numbers"] == 3 * 4 * numbers
    # All inputs of the last sample spike: an event takes a cycle per group of lanes.
    assert verdict["cycles"] > 3 * STEPS * INPUTS * HIDDEN // LANES["hidden1"]
    # So few samples never make one of the two layers wait for a slow receiver.
    assert verdict["states"][0] >= verdict["states"][1] - 2
    seen, legal = verdict["transitions"]
    assert seen > 1 / 2 * legal


@pytest.mark.synthesis
def test_bitstream_takes_the_cycles_that_were_simulated(
    simulated: Result, program: Path, few: Path, folder: Path
) -> None:
    result = spikeloom(
        *("build", program, "--board", "icebreaker", "-o", folder / "board", "--spikes", few),
    )
    assert Path(result["bitstream"]).stat().st_size > 10_000
    assert result["lanes"] == LANES
    assert result["latency_cycles"] == simulated["cycles"]["cycles_to_class"]
    assert result["pipelined_cycles"] == simulated["cycles"]["cycles_pipelined"]
    assert min(result["fmax_mhz"].values()) > result["clock_mhz"]
    for usage in result["utilisation"].values():
        assert 0 <= usage["used"] <= usage["available"]
    assert result["utilisation"]["block RAM (4 Kbit)"]["used"] >= 10
