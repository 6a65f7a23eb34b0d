"""The commands `spikeloom train` and `spikeloom export`."""

import argparse
import io
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

from published_files import write_idx_dataset
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import cards, checkpoint, idx
from spikeloom.models.loop import Epoch
from spikeloom.sim.cli import export, train, zoo
from spikeloom.sim.cli.console import Console

MODEL = """
from torch import nn
from spikeloom.models.layers import SpikeCount, Spiking

def build():
    return nn.Sequential(nn.Linear(6, 3), Spiking(threshold=0.1), SpikeCount())

def wide():
    return nn.Sequential(nn.Flatten(2), nn.Linear(6, 3), Spiking(), SpikeCount())
"""


def call(command: ModuleType, *arguments: object) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args([str(item) for item in arguments])
    result: dict[str, Any] = command.run(args, Console())
    json.dumps(result)
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a short training wrote."""
    path = tmp_path_factory.mktemp("trained")
    call(train, "digits", "--epochs", 2, "--seed", 5, "-o", path)
    return path


def test_train_writes_its_files(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "digits.safetensors",
        "digits.onnx",
        "metrics.csv",
        "learning_curve.png",
        "test.npz",
        "result.json",
    }
    with np.load(folder / "test.npz") as test:
        assert test["spikes"].shape == (8, 360, 64)
        assert test["spikes"].dtype == np.uint8
        assert test["labels"].shape == (360,)
    assert (folder / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert len((folder / "metrics.csv").read_text().splitlines()) == 3


def test_export_of_a_checkpoint_gives_the_file_of_the_training(
    folder: Path, tmp_path: Path
) -> None:
    result = call(export, folder / "digits.safetensors", "-o", tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (folder / "digits.onnx").read_bytes()
    assert result["spikes_compared"] == {"hidden1": 8 * 360 * 64, "output": 8 * 360 * 10}


def test_interrupted_training_resumes_to_the_same_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("digits", "--epochs", 2, "--seed", 5, "-o", tmp_path)
    write, calls = checkpoint.write_metrics, 0

    def interrupt(epochs: tuple[Epoch, ...], path: Path) -> None:
        nonlocal calls
        calls += 1
        write(epochs, path)
        if calls == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write_metrics", interrupt)
    with pytest.raises(KeyboardInterrupt):
        call(train, *arguments)
    assert {path.name for path in tmp_path.iterdir()} == {
        "metrics.csv",
        "digits.state.safetensors",
    }
    call(train, *arguments, "--resume")
    for name in ("digits.safetensors", "digits.onnx", "metrics.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert not (tmp_path / "digits.state.safetensors").exists()


def test_result_holds_what_the_command_was_told(folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text())
    assert result["options"] == {"epochs": 2, "seed": 5}
    assert result["settings"]["training"]["seed"] == 5
    assert result["test_accuracy"] == checkpoint.load(folder / "digits.safetensors").test_accuracy
    assert str(folder) not in (folder / "result.json").read_text()


def test_trial_from_a_checkpoint_writes_nothing_about_the_test_samples(
    folder: Path, tmp_path: Path
) -> None:
    start = ("--from", folder / "digits.safetensors", "--no-test")
    changes = ("--steps", 5, "--learning-rate", 1e-3, "--epochs", 1)
    result = call(train, "digits", *start, *changes, "-o", tmp_path)
    assert not [name for name in result if "test" in name]
    assert not (tmp_path / "test.npz").exists()
    assert result["options"] == {"steps": 5, "learning_rate": 1e-3, "epochs": 1}
    assert result["start"]["file"] == "digits.safetensors"
    assert result["settings"]["encoder"]["steps"] == 5


def test_zoo_shows_and_gives_what_was_added_to_it(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place, out = tmp_path / "zoo", tmp_path / "out"
    card = call(zoo, "--add", folder, "-o", place)
    monkeypatch.setattr(cards, "folder", lambda: place)
    assert call(zoo) == {"networks": [card]}
    call(train, "--list")
    shown = " ".join(capsys.readouterr().out.split())
    assert f"digits 64-64-10 digits Stbp 8 {100 * card['float']['mean']:.2f}" in shown
    call(zoo, "digits", "-o", out)
    assert f"next: spikeloom compile {out / 'digits.onnx'} -o {out}" in capsys.readouterr().out
    assert (out / "digits.onnx").read_bytes() == (folder / "digits.onnx").read_bytes()
    with pytest.raises(
        SpikeloomError, match="no network 'digit' in the zoo; did you mean 'digits'"
    ):
        call(zoo, "digit", "-o", out)


def test_training_for_few_bits_reports_the_accuracy_in_integers(tmp_path: Path) -> None:
    result = call(train, "digits", "--epochs", 1, "--weight-bits", 3, "-o", tmp_path)
    assert 0 < result["test_accuracy_rounded"] <= 1
    assert result["settings"]["training"]["weight_bits"] == 3


def test_training_on_files_reads_the_folder_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx_dataset(tmp_path / "data/MNIST/raw", 60, 20)
    monkeypatch.setattr(idx, "VALIDATION", 20)
    monkeypatch.setattr(idx, "MNIST", replace(idx.MNIST, unpacked={}))
    arguments = ("stbp-mnist-256", "--epochs", 1, "-o", tmp_path / "out")
    result = call(train, *arguments, "--data", tmp_path / "data")
    assert result["test_samples"] == 20
    with np.load(tmp_path / "out/test.npz") as test:
        assert test["spikes"].shape == (8, 20, 256)
    path = tmp_path / "out/stbp-mnist-256.safetensors"
    again = call(export, path, "--data", tmp_path / "data", "-o", tmp_path / "again.onnx")
    assert again["inputs"] == [256]


def test_progress_bar_shows_the_text_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with Console().progress("train", 10) as advance:
        advance(4, "loss 0.5")
    assert "loss 0.5" in screen.getvalue()
    assert "4/10" in screen.getvalue()


def test_export_of_a_users_model(tmp_path: Path) -> None:
    source, out = tmp_path / "mymodel.py", tmp_path / "out" / "net.onnx"
    source.write_text(MODEL)
    result = call(export, f"{source}:wide", "--steps", 5, "--inputs", "2x3", "-o", out)
    assert result["inputs"] == [2, 3]
    assert onnx.load(out).graph.name == "net"


def test_train_lists_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(train, "--list")["recipes"][0]["name"] == "digits"
    shown = " ".join(capsys.readouterr().out.split())
    assert "digits 64-64-10 digits Stbp 8" in shown
    assert "784-800-10 mnist Stbp 8 98.89, unverified" in shown


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (train, ["digit"], "no recipe 'digit'; did you mean 'digits'"),
        (train, [], "no recipe named"),
        (train, ["digits", "--epochs", "0"], "epochs = 0; wanted >= 1"),
        (train, ["digits", "--learning-rate", "-1"], "learning_rate = -1; wanted a number > 0"),
        (train, ["digits", "--steps", "0"], "T = 0 time steps; wanted >= 1"),
        (train, ["stdbp-mnist-mlp400", "--steps", "9"], "t_max = 15; wanted 0 .. 8"),
        (train, ["digits", "--weight-bits", "1"], "weight_bits = 1; wanted 2 .. 8"),
        (train, ["stbp-mnist-mlp128", "--data", "gone"], "data folder 'gone' does not exist"),
        (zoo, ["digits", "--add", "folder"], "takes folders of trainings, and no name 'digits'"),
        (zoo, ["digits", "--tuned", "folder"], "--tuned takes folders of trainings, and no name"),
        (zoo, ["--data", "folder"], "--data goes with --add or --tuned"),
        (zoo, ["--add", "folder"], "folder 'folder' holds 0 checkpoints; wanted one"),
        (export, ["mymodel.py:build"], "needs --steps and --inputs"),
        (export, ["mymodel.py:build", "--steps", "0", "--inputs", "6"], "T = 0 time steps"),
        (export, ["mymodel.py:build", "--steps", "5", "--inputs", "7"], "fails on an input"),
        (export, ["net.safetensors"], "does not exist"),
        (export, ["net.safetensors", "--steps", "5"], "--steps does not go with a checkpoint"),
    ],
)
def test_wrong_arguments_write_nothing(
    command: ModuleType,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mymodel.py").write_text(MODEL)
    with pytest.raises(SpikeloomError, match=message):
        call(command, *arguments, "-o", "out")
    assert [path.name for path in tmp_path.iterdir()] == ["mymodel.py"]
