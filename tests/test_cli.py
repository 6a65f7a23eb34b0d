"""The command line as a whole: help, JSON, exit codes, and what a killed run leaves behind."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from networks import random_spikes
from spikeloom.compiler.errors import VerificationMismatch
from spikeloom.compiler.program import Program
from spikeloom.sim import software_speed, toolchain
from spikeloom.sim.cli import COMMANDS, boards, main
from spikeloom.sim.spike_files import InputSpikes, write_spikes

NODES = """
    product = MatMul (spikes, weight) current = Add (product, bias)
    lif, v = spikeloom.Neuron (current, alpha, beta, threshold)
    counts = ReduceSum <keepdims = 0> (lif, time)
"""

# `spikeloom` with a writer that stops in the middle of the first file and waits to be killed.
SLOW_WRITER = """
import sys, time
from pathlib import Path
from spikeloom.sim.cli import main

write = Path.write_bytes

def write_half(path, content):
    write(path, content[: len(content) // 2])
    print("writing", flush=True)
    time.sleep(600)

Path.write_bytes = write_half
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def files(
    parse_model: Callable[..., onnx.ModelProto], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """A model, its program and spikes for it, by the names that stand for them in arguments."""
    folder = tmp_path_factory.mktemp("files")
    model, spikes = folder / "small.onnx", folder / "spikes.npz"
    model.write_bytes(parse_model(NODES).SerializeToString())
    assert main(["compile", str(model), "-o", str(folder)]) == 0
    program = folder / "small.program.safetensors"
    write_spikes(spikes, InputSpikes(random_spikes(Program.load(program).network, 5, 0.5)))
    return {"MODEL": str(model), "PROGRAM": str(program), "SPIKES": str(spikes)}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_defaults_and_exit_codes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    text = " ".join(captured.out.split())
    assert text.startswith(f"usage: spikeloom {command}")
    for wanted in ("default: ", "--json", "exit codes: 0 done, 1 the input cannot be used, 2"):
        assert wanted in text


@pytest.mark.parametrize("measurement", ["density", "software"])
def test_help_of_a_measurement_tells_its_arguments(
    measurement: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", measurement, "--help"])
    assert caught.value.code == 0
    assert "PROGRAM" in capsys.readouterr().out


def test_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert [name for name in COMMANDS if not re.search(rf"^ +{name} +\w", printed, re.M)] == []


# The commands that take longer are called with --json by tests/test_end_to_end.py.
JSON_COMMANDS = {
    "train": "train --list",
    "check": "check MODEL",
    "compile": "compile MODEL -o OUT --check SPIKES",
    "emit": "emit PROGRAM -o OUT --lanes lif=1",
    "simulate": "simulate PROGRAM SPIKES -o OUT/trace.npz --membranes --picture OUT/raster.png",
    "bench density": "bench density PROGRAM --samples 1 -o OUT",
    "bench software": "bench software PROGRAM --spikes SPIKES --compile 5-4-2 --write OUT/page.md",
    "boards": "boards",
    "doctor": "doctor",
}


@pytest.mark.parametrize("text", JSON_COMMANDS.values(), ids=JSON_COMMANDS)
@pytest.mark.parametrize("verbose", [False, True], ids=["", "verbose"])
def test_json_is_one_object_and_nothing_else(
    text: str,
    verbose: bool,
    files: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(software_speed, "SECONDS", 0.001)
    monkeypatch.setattr(toolchain, "_native_version", lambda path: "99.0")
    out = tmp_path / "out"
    assert main([*arguments(text, files, out), "--json", *["--verbose"] * verbose]) in (0, 3)
    result = json.loads(capsys.readouterr().out)
    assert isinstance(result, dict) and result
    written = {str(path) for path in out.rglob("*") if path.is_file()}
    assert set(result.get("files", {}).values()) <= written


def arguments(text: str, files: dict[str, str], out: Path) -> list[str]:
    """A command line in which names stand for files."""
    named = files | {"OUT": str(out)}
    return [re.sub(r"^[A-Z]+", lambda found: named[found[0]], word) for word in text.split()]


def test_command_that_succeeds_ends_with_0_and_says_what_it_wrote(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments("emit PROGRAM -o OUT", files, tmp_path)) == 0
    captured = capsys.readouterr()
    assert f"wrote {tmp_path / 'accelerator.v'}" in captured.out
    assert captured.err == ""


@pytest.mark.parametrize(
    ("node", "layer"),
    [
        *((name, f"{name}_2") for name in ("input", "readout", "readout_queue", "port")),
        ("1", "layer_1"),
        ("block.0/lif", "block_0_lif"),
    ],
)
def test_layer_of_any_name_can_be_emitted(
    node: str, layer: str, parse_model: Callable[..., onnx.ModelProto], tmp_path: Path
) -> None:
    model, path = parse_model(NODES), tmp_path / "model.onnx"
    model.graph.node[2].name = node
    path.write_bytes(model.SerializeToString())
    program = str(tmp_path / "model.program.safetensors")
    assert main(["compile", str(path), "-o", str(tmp_path)]) == 0
    assert main(["emit", program, "-o", str(tmp_path / "out"), "--probe"]) == 0
    assert f'"probe_{layer}"' in (tmp_path / "out" / "ports.json").read_text()


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (VerificationMismatch("a differs from b"), 2, "spikeloom: error: a differs from b\n"),
        (KeyboardInterrupt(), 130, "spikeloom: interrupted\n"),
        (PermissionError(13, "Permission denied", "x"), 1, "spikeloom: error: [Errno 13] "),
        (ModuleNotFoundError("No module", name="torch"), 3, "package 'torch' is not installed"),
        (BrokenPipeError(), 0, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_exit_code_tells_the_cause(
    error: BaseException,
    code: int,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(boards, "run", fail)
    assert main(["boards"]) == code
    captured = capsys.readouterr()
    assert printed in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("x"), ModuleNotFoundError("x", name="spikeloom.nothing")]
)
def test_bug_shows_its_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(boards, "run", fail)
    assert main(["boards"]) == 70
    captured = capsys.readouterr()
    assert "Traceback" in captured.err
    assert captured.err.endswith("this is a bug; please report it with the lines above\n")


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        ("verify PROGRAM SPIKES -o OUT", "verilator"),
        ("verify PROGRAM SPIKES -o OUT --simulator icarus", "iverilog"),
        ("build PROGRAM --board icebreaker -o OUT", "yosys"),
        ("doctor", "yosys"),
    ],
)
def test_missing_tool_ends_with_3_and_the_way_to_install_it(
    text: str,
    tool: str,
    files: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(toolchain, "find_tool", lambda name: None)
    assert main(arguments(text, files, tmp_path)) == 3
    printed = capsys.readouterr().err
    assert printed.startswith("spikeloom: error: ")
    assert tool in printed
    assert "install" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("text", "package"),
    [("compile MODEL -o OUT --check SPIKES", "onnxruntime"), ("train digits -o OUT", "torch")],
)
def test_missing_package_ends_with_3(
    text: str,
    package: str,
    files: dict[str, str],
    tmp_path: Path,
) -> None:
    # A new process: in this one the package may have been imported already.
    code = f"import sys; sys.modules['{package}'] = None; from spikeloom.sim.cli import main; "
    command = [sys.executable, "-c", code + "sys.exit(main(sys.argv[1:]))"]
    done = subprocess.run(
        [*command, *arguments(text, files, tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("spikeloom: error: ")
    assert package in line
    assert not (tmp_path / "out").exists()


def spikeloom(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the installed command."""
    script = Path(sys.executable).with_name("spikeloom")
    command = [str(script), *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_installed_command_gives_result_and_error_on_different_streams(
    files: dict[str, str], tmp_path: Path
) -> None:
    good = spikeloom("check", files["MODEL"], "--json")
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(good.stdout)["ok"]
    bad = spikeloom("compile", files["SPIKES"], "-o", tmp_path / "out")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert re.fullmatch(
        r"spikeloom: error: .* is not an ONNX file, or it is cut short\n", bad.stderr
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "compile MODEL -o OUT",
        "emit PROGRAM -o OUT",
        pytest.param("train digits --epochs 1 -o OUT", marks=pytest.mark.slow),
    ],
)
def test_killed_run_leaves_no_file_under_its_final_name(
    text: str, files: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = arguments(text, files, out)
    command = [sys.executable, "-c", SLOW_WRITER, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "writing\n" in process.stdout
        process.kill()
    assert process.returncode == -signal.SIGKILL
    left = [path for path in out.rglob("*") if path.is_file()]
    assert left, "the run was killed while it wrote"
    assert [path.name for path in left if not re.fullmatch(r"\..*\.tmp\.\w+", path.name)] == []
    if words[0] != "train":
        assert main(words) == 0, "the next run is not bothered by what is left"
