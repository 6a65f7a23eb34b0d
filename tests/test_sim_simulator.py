# amaranth: UnusedElaboratable=no
"""Building a simulator's model and running the bench on it: what is refused, what is kept."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from networks import LayerOptions, random_network, random_spikes
from spikeloom.compiler.errors import SpikeloomError, ToolMissing
from spikeloom.compiler.program import Program
from spikeloom.rtl.emit import to_verilog
from spikeloom.rtl.top import Accelerator
from spikeloom.sim import simulator, toolchain
from spikeloom.sim.difference import Observation
from spikeloom.sim.simulator import available, build_model, run_bench
from spikeloom.sim.toolchain import decisive_lines
from spikeloom.sim.verify import verify
from spikeloom.sim.wrapper import drive_word, wrapper_verilog


def needs_icarus(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that runs Icarus Verilog."""
    reason = "Icarus Verilog is not installed"
    skipped = pytest.mark.skipif(not available("icarus"), reason=reason)
    marked: Callable[..., None] = pytest.mark.icarus(skipped(test))
    return marked


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(random_network(1, [3, 2], 2, [LayerOptions()]), {})


@pytest.fixture(scope="module")
def verilog(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The ending is the user's own affair.
    path = tmp_path_factory.mktemp("design") / "accelerator.txt"
    path.write_text(to_verilog(program))
    return path


@needs_icarus
def test_model_is_built_again_only_if_something_changed(
    program: Program, verilog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[str] = []
    run_job = simulator._run_job

    def count(job: dict[str, Any], directory: Path, stage: str, *more: Any) -> Path:
        stages.append(stage)
        return run_job(job, directory, stage, *more)

    monkeypatch.setattr(simulator, "_run_job", count)
    accelerator = Accelerator(program)
    build_model("icarus", accelerator, verilog, tmp_path)
    build_model("icarus", accelerator, verilog, tmp_path)
    assert stages == ["build"]
    build_model("icarus", accelerator, verilog, tmp_path, waves=True)
    other = tmp_path / "other.v"
    other.write_text(verilog.read_text() + "// changed\n")
    build_model("icarus", accelerator, other, tmp_path, waves=True)
    assert stages == ["build"] * 3


@needs_icarus
def test_build_that_failed_leaves_no_model_to_be_used_again(
    program: Program, verilog: Path, tmp_path: Path
) -> None:
    accelerator = Accelerator(program)
    build_model("icarus", accelerator, verilog, tmp_path)
    broken = tmp_path / "broken.v"
    broken.write_text("module accelerator(\n")
    for _ in range(2):
        with pytest.raises(
            SpikeloomError, match=r"icarus \(build\) failed: .*syntax error"
        ) as error:
            build_model("icarus", accelerator, broken, tmp_path)
        assert error.value.__notes__[-1] == f"the whole output is in {tmp_path / 'build.log'}"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None], ids=["bytes", "missing"])
def test_design_that_is_no_text_is_refused(
    content: bytes | None, program: Program, tmp_path: Path
) -> None:
    path = tmp_path / "design.v"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpikeloomError, match=r"design\.v' is not a readable Verilog file"):
        build_model("icarus", Accelerator(program), path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_simulator_is_named_with_the_way_to_install_it(
    program: Program, verilog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "find_tool", lambda name: None)
    with pytest.raises(ToolMissing, match="iverilog is not installed; install it with: apt"):
        build_model("icarus", Accelerator(program), verilog, tmp_path)
    assert not (tmp_path / "built.json").exists()


@needs_icarus
def test_simulation_that_ends_early_is_told(
    program: Program, verilog: Path, tmp_path: Path
) -> None:
    build_model("icarus", Accelerator(program), verilog, tmp_path)
    (tmp_path / "result.json").write_text("[]")
    configuration = {"program": str(tmp_path / "none"), "spikes": "", "probe": False, "runs": []}
    with pytest.raises(SpikeloomError, match="icarus"):
        run_bench("icarus", tmp_path, configuration)
    assert not (tmp_path / "result.json").exists(), "the result of an earlier run"


@needs_icarus
def test_verification_that_was_cut_off_can_be_taken_up(program: Program, tmp_path: Path) -> None:
    spikes = random_spikes(program.network, 1, 0.5)
    (tmp_path / "built.json").write_text('["icarus", false, "half')
    (tmp_path / "accelerator.v").write_text("module acc")
    (tmp_path / "result.json").write_text("[{")
    assert verify(program, spikes, tmp_path, simulator="icarus").samples == 1
    assert json.loads((tmp_path / "built.json").read_text())[0] == "icarus"


def test_reason_is_found_in_the_log_of_make() -> None:
    reason = "verilated.mk:73: *** Unsupported: GNU Make cannot build in directories with spaces."
    log = ["make: Entering directory 'a b'", reason, "make: Leaving", "RuntimeError: failed"]
    assert decisive_lines(log) == [reason]


@pytest.mark.parametrize("probe", [False, True])
def test_wrapper_shows_every_bit_that_is_compared(program: Program, probe: bool) -> None:
    accelerator = Accelerator(program, probe)
    text = wrapper_verilog(accelerator)
    assert f"output [{Observation(accelerator).width - 1}:0] observed" in text
    for name in ("s_axis_tready", "m_axis_tdata", "error"):
        assert f".{name}({name})" in text
    assert (".probe_layer1(probe_layer1)" in text) == probe


def test_driven_word_holds_data_valid_last_and_ready() -> None:
    assert drive_word(None, False, False, 4) == 0
    assert drive_word(None, False, True, 4) == 0b100_0000
    assert drive_word(0b1010, False, False, 4) == 0b001_1010
    assert drive_word(0b1010, True, True, 4) == 0b111_1010
