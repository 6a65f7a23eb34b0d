import csv
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import checkpoint
from spikeloom.models.loop import Epoch
from spikeloom.models.networks import Architecture
from spikeloom.models.recipes import find
from spikeloom.models.train import train
from spikeloom.models.trained import Start, Trained


@pytest.fixture(scope="module")
def trained() -> Trained:
    recipe = find("digits").with_training(epochs=1)
    return train(
        replace(
            recipe,
            network=Architecture("8-10", (64,), "test"),
            encoder=replace(recipe.encoder, steps=2),
        )
    )


def test_checkpoint_brings_back_weights_and_recipe(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    checkpoint.save(trained, path)
    loaded = checkpoint.load(path)
    assert loaded.recipe == trained.recipe
    assert trained.test is not None
    assert loaded.test_accuracy == trained.test.accuracy
    assert loaded.start is None
    assert loaded.validation_accuracy == trained.best.accuracy
    for name, tensor in trained.module.state_dict().items():
        assert torch.equal(tensor, loaded.module.state_dict()[name])


def test_checkpoint_of_a_trial_says_its_start_and_no_test_accuracy(
    trained: Trained, tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    start = Start("earlier.safetensors", "0" * 64, 4, 1, 0, 3)
    checkpoint.save(trained._replace(test=None, start=start), path)
    loaded = checkpoint.load(path)
    assert (loaded.test_accuracy, loaded.start) == (None, start)


def test_checkpoint_is_the_same_every_time(trained: Trained, tmp_path: Path) -> None:
    for name in ("a", "b"):
        checkpoint.save(trained, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_files_that_are_no_checkpoints_are_refused(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    with pytest.raises(SpikeloomError, match="does not exist"):
        checkpoint.load(path)
    checkpoint.save(trained, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SpikeloomError, match="is not a safetensors file, or is cut short"):
        checkpoint.load(path)
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(SpikeloomError, match="is not a Spikeloom checkpoint: KeyError"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"checkpoint 2", b"checkpoint 9", "another format than 'spikeloom checkpoint 2'"),
        (b"8-10", b"9-10", "RuntimeError: Error"),
        (b'threshold\\"', b'thrashold\\"', "TypeError"),
        (b'EvenlySpaced\\"', b'EvanlySpaced\\"', "KeyError"),
    ],
)
def test_altered_headers_are_refused(
    trained: Trained, tmp_path: Path, old: bytes, new: bytes, message: str
) -> None:
    path = tmp_path / "net.safetensors"
    checkpoint.save(trained, path)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(SpikeloomError, match=message) as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)


def test_metrics_are_one_line_per_epoch(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    checkpoint.write_metrics(trained.epochs, path)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert tuple(rows[0]) == Epoch._fields
    assert [Epoch(int(row.pop("epoch")), *map(float, row.values())) for row in rows] == list(
        trained.epochs
    )
