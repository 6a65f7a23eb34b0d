"""Training a recipe: the loop, its state on disk, and what stops it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import checkpoint, loop
from spikeloom.models.augment import Augmentation
from spikeloom.models.check import check_export
from spikeloom.models.evaluate import evaluate
from spikeloom.models.export import convert
from spikeloom.models.loop import Batch, Epoch
from spikeloom.models.networks import Architecture
from spikeloom.models.optimisers import Training, learning_rate
from spikeloom.models.recipe import Recipe
from spikeloom.models.recipes import find
from spikeloom.models.stbp import Stbp
from spikeloom.models.train import train
from spikeloom.models.trained import Trained

SHORT = replace(
    find("digits").with_training(epochs=3, batch=128),
    network=Architecture("16-10", (64,), "test"),
    encoder=replace(find("digits").encoder, steps=4),
    dropout=0.2,
)
BATCHES = 10


class Killed(Exception):
    """Stands for the end of the process."""


def assert_same_weights(one: Trained, two: Trained) -> None:
    for name, tensor in one.module.state_dict().items():
        assert torch.equal(tensor, two.module.state_dict()[name]), name


def test_training_learns_and_repeats_itself() -> None:
    seen: list[tuple[Epoch, ...]] = []
    first, second = train(SHORT, on_epoch=seen.append), train(SHORT)
    assert seen[-1] == first.epochs == second.epochs
    assert [epoch.epoch for epoch in seen[-1]] == [1, 2, 3]
    assert seen[-1][-1].loss < seen[-1][0].loss
    assert first.test is not None
    assert first.test.accuracy > 0.2
    assert_same_weights(first, second)


def test_progress_is_told_after_every_batch() -> None:
    seen: list[Batch] = []
    trained = train(SHORT.with_training(epochs=2), on_batch=seen.append)
    assert [batch[:3] for batch in seen] == [
        (epoch, batch, BATCHES) for epoch in (1, 2) for batch in range(1, BATCHES + 1)
    ]
    for epoch, last in zip(trained.epochs, seen[BATCHES - 1 :: BATCHES], strict=True):
        assert (epoch.loss, epoch.train_accuracy) == (last.loss, last.accuracy)
        assert 0 < last.spike_rate < 1


def test_best_epoch_has_the_lowest_validation_loss_and_its_weights_are_kept() -> None:
    trained = train(SHORT)
    assert trained.best == min(trained.epochs, key=lambda epoch: epoch.validation_loss)
    dataset = SHORT.load_data()
    for batch in (7, 128):
        score = evaluate(trained.module, SHORT.encoder, SHORT.algorithm, dataset.validation, batch)
        assert score.accuracy == trained.best.accuracy
        assert score.loss == pytest.approx(trained.best.validation_loss, rel=1e-5)
        assert score.spike_rate == pytest.approx(trained.best.spike_rate, rel=1e-9)


def test_seed_changes_the_weights_but_not_the_split() -> None:
    other = SHORT.with_training(seed=1)
    weights = [
        train(recipe.with_training(epochs=1)).module.state_dict()["output_current.weight"]
        for recipe in (SHORT, other)
    ]
    assert not torch.equal(*weights)
    assert np.array_equal(SHORT.load_data().test.labels, other.load_data().test.labels)


@pytest.fixture
def saving_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)


@pytest.mark.usefixtures("saving_often")
@pytest.mark.parametrize("weight_bits", [0, 4])
@pytest.mark.parametrize("place", [(1, 1), (2, 6), (2, BATCHES), (3, 9)])
def test_resumed_training_equals_an_uninterrupted_one(
    tmp_path: Path, place: tuple[int, int], weight_bits: int
) -> None:
    recipe = SHORT.with_training(
        weight_bits=weight_bits, clip_gradient=1.0, augmentation=Augmentation(noise=0.1)
    )
    state = tmp_path / "state.safetensors"

    def stop(batch: Batch) -> None:
        if batch[:2] == place:
            raise Killed

    with pytest.raises(Killed):
        train(recipe, on_batch=stop, state=state)
    torch.manual_seed(99)
    resumed = train(recipe, state=state, resume=True)
    uninterrupted = train(recipe)
    assert resumed.epochs == uninterrupted.epochs
    assert resumed.test == uninterrupted.test
    assert_same_weights(resumed, uninterrupted)


def test_every_optimiser_resumes(tmp_path: Path) -> None:
    for name, momentum in (("adamw", 0.0), ("sgd", 0.9), ("sgd", 0.0)):
        recipe = SHORT.with_training(optimiser=name, momentum=momentum, weight_decay=1e-3)
        state = tmp_path / f"{name}{momentum}.safetensors"

        def stop(epochs: tuple[Epoch, ...]) -> None:
            raise Killed

        with pytest.raises(Killed):
            train(recipe, on_epoch=stop, state=state)
        assert_same_weights(train(recipe, state=state, resume=True), train(recipe))


KILLED = """
import os, signal, sys
from pathlib import Path
from spikeloom.models import checkpoint, loop
from spikeloom.models.recipes import find
from spikeloom.models.stbp import Stbp
from spikeloom.models.train import train
loop.SAVE_SECONDS = 0.0

def stop(batch):
    if batch[:2] == (2, 3):
        os.kill(os.getpid(), signal.SIGKILL)

train(find("digits").with_training(epochs=2), on_batch=stop, state=Path(sys.argv[1]))
"""


def test_killed_process_leaves_a_state_to_go_on_from(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    done = subprocess.run([sys.executable, "-c", KILLED, state], check=False)
    assert done.returncode == -signal.SIGKILL
    recipe = find("digits").with_training(epochs=2)
    resumed = train(recipe, state=state, resume=True)
    assert_same_weights(resumed, train(recipe))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Of `SHORT`, finished."""
    path = tmp_path / "state.safetensors"
    train(SHORT, state=path)
    return path


def test_state_of_another_training_is_refused(state: Path) -> None:
    for other, message in (
        (SHORT.with_training(seed=5), "has training.seed = 0, but this training has 5"),
        (replace(SHORT, dropout=0.5), r"has dropout = 0.2, but this training has 0.5"),
        (find("digits"), "has dropout = 0.2, but this training has 0.0"),
    ):
        with pytest.raises(SpikeloomError, match=message):
            train(other, state=state, resume=True)


def test_state_that_cannot_be_read_is_named(state: Path) -> None:
    content = state.read_bytes()
    for old, new, message in (
        (b"state 1", b"state 9", "has the format 'spikeloom training state 9'; wanted"),
        (b"network/hidden1_current.bias", b"network/hidden9_current.bias", "is not a training st"),
        (b'progress\\"', b'pragress\\"', "is not a training state of this network: KeyError"),
    ):
        assert old in content
        state.write_bytes(content.replace(old, new))
        with pytest.raises(SpikeloomError, match=message):
            train(SHORT, state=state, resume=True)
    state.write_bytes(content[:-10])
    with pytest.raises(SpikeloomError, match="cannot be read, or is cut short"):
        train(SHORT, state=state, resume=True)
    version = f'torch\\": \\"{torch.__version__}'.encode()
    assert version in content
    state.write_bytes(content.replace(version, version.replace(b".", b",")))
    with pytest.raises(
        SpikeloomError, match=r"was written with torch \d+,.*; torch \d+\..* would not"
    ):
        train(SHORT, state=state, resume=True)


def test_training_without_resume_starts_anew(state: Path) -> None:
    seen: list[Batch] = []
    train(SHORT.with_training(seed=5), on_batch=seen.append, state=state)
    assert len(seen) == 3 * BATCHES


def test_diverging_weights_stop_and_say_where(tmp_path: Path) -> None:
    message = r"'hidden1_current.weight' holds NaN or infinite numbers after epoch 1, batch 1, loss"
    with pytest.raises(SpikeloomError, match=message):
        train(SHORT.with_training(optimiser="sgd", learning_rate=1e6, weight_decay=1e36))


@pytest.fixture
def failing_judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What the algorithm raises, or multiplies the loss with, in the second epoch."""
    faults: list[Any] = []
    judge, calls = type(SHORT.algorithm).judge, 0

    def fail(self: Any, network: Any, inputs: Any, labels: Any) -> Any:
        nonlocal calls
        calls += network.training
        judged = judge(self, network, inputs, labels)
        if calls <= BATCHES + 2:
            return judged
        if isinstance(faults[0], Exception):
            raise faults[0]
        return judged._replace(loss=judged.loss * faults[0])

    monkeypatch.setattr(type(SHORT.algorithm), "judge", fail)
    yield faults


def test_loss_that_is_not_finite_stops_and_keeps_the_last_state(
    tmp_path: Path, failing_judge: list[Any]
) -> None:
    failing_judge.append(float("nan"))
    state = tmp_path / "state.safetensors"
    message = r"'hidden1_current.weight' holds NaN .* after epoch 2, batch 3, loss nan; a learning"
    with pytest.raises(SpikeloomError, match=message) as caught:
        train(SHORT, state=state)
    assert caught.value.__notes__ == [f"the last state before that is kept in '{state}'"]
    failing_judge[0] = 1.0
    resumed: list[Batch] = []
    train(SHORT, on_batch=resumed.append, state=state, resume=True)
    assert resumed[0][:2] == (2, 1)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")],
    ids=["MemoryError", "allocator"],
)
def test_batch_too_large_for_the_memory_is_a_clear_error(
    failing_judge: list[Any], error: Exception
) -> None:
    failing_judge.append(error)
    with pytest.raises(SpikeloomError, match="a batch of 128 samples does not fit into memory"):
        train(SHORT)


def test_other_errors_pass_as_they_are(failing_judge: list[Any]) -> None:
    failing_judge.append(RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(SHORT)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of `SHORT` to start from."""
    path = tmp_path_factory.mktemp("earlier") / "earlier.safetensors"
    checkpoint.save(train(SHORT.with_training(epochs=1, seed=3)), path)
    return path


def test_training_starts_from_the_weights_of_a_checkpoint(earlier: Path) -> None:
    """With a learning rate too small to change a weight, and other time steps."""
    recipe = SHORT.with_steps(7).with_training(epochs=1, learning_rate=1e-30, weight_bits=3)
    trained = train(recipe, start=earlier, test=False)
    assert trained.start is not None
    assert trained.start[:1] + trained.start[2:] == (earlier.name, 4, 1, 0, 3)
    assert trained.recipe.encoder.steps == 7
    plain = train(recipe.with_training(weight_bits=0), start=earlier, test=False)
    wanted = checkpoint.load(earlier).module.state_dict()
    for name, item in plain.module.state_dict().items():
        assert torch.allclose(item, wanted[name], atol=1e-6), name


@pytest.mark.usefixtures("saving_often")
def test_resumed_training_does_not_read_its_start_again(earlier: Path, tmp_path: Path) -> None:
    def stop(batch: Batch) -> None:
        if batch[:2] == (2, 6):
            raise Killed

    start, state = tmp_path / "start.safetensors", tmp_path / "state.safetensors"
    start.write_bytes(earlier.read_bytes())
    with pytest.raises(Killed):
        train(SHORT, on_batch=stop, state=state, start=start)
    uninterrupted = train(SHORT, start=start)
    start.unlink()
    for wrong in (None, earlier):
        with pytest.raises(SpikeloomError, match=r"has start(\.file)? = .*, but this training has"):
            train(SHORT, state=state, resume=True, start=wrong)
    resumed = train(SHORT, state=state, resume=True, start=start)
    assert resumed.epochs == uninterrupted.epochs
    assert resumed.start == uninterrupted.start
    assert_same_weights(resumed, uninterrupted)


def test_checkpoint_of_another_network_is_no_start(earlier: Path) -> None:
    wider = replace(SHORT, network=Architecture("17-10", (64,), "test"))
    with pytest.raises(SpikeloomError, match="has network 64-16-10, but recipe 'digits' has 64-17"):
        train(wider, start=earlier)
    unbiased = replace(SHORT, algorithm=Stbp(bias=False))
    message = r"has 'hidden1_current.bias' of shape \(16,\), but recipe 'digits' has None"
    with pytest.raises(SpikeloomError, match=message):
        train(unbiased, start=earlier)
    with pytest.raises(SpikeloomError, match="does not exist"):
        train(SHORT, start=earlier.with_name("gone"))


def test_trial_leaves_the_test_samples_alone() -> None:
    dataset = SHORT.load_data()
    nothing = dataset.test.part(np.arange(0))
    trained = train(
        SHORT.with_training(epochs=1, weight_bits=3), replace(dataset, test=nothing), test=False
    )
    assert (trained.test, trained.test_rounded) == (None, None)


@pytest.mark.parametrize(
    ("changes", "rates"),
    [
        ({"schedule": "constant"}, [1, 1, 1, 1]),
        ({"schedule": "cosine"}, [1, 0.853553, 0.5, 0.146447]),
        ({"schedule": "steps", "milestones": (1, 3), "factor": 0.5}, [1, 0.5, 0.5, 0.25]),
    ],
)
def test_learning_rate_follows_the_schedule(changes: dict[str, Any], rates: list[float]) -> None:
    training = Training(epochs=4, batch=1, learning_rate=1.0, **changes)
    found = [learning_rate(training, epoch) for epoch in range(1, 5)]
    assert found == pytest.approx(rates, abs=1e-6)


def test_milestones_keep_their_share_of_the_epochs() -> None:
    training = Training(epochs=125, batch=1, learning_rate=1.0, milestones=(75, 100))
    assert training.changed(epochs=8).milestones == (5, 6)
    assert training.changed(epochs=1).milestones == (1, 1)
    assert training.changed(epochs=8, milestones=(2,)).milestones == (2,)
    assert training.changed(batch=9).milestones == (75, 100)


def test_weights_stay_within_their_clamp() -> None:
    trained = train(SHORT.with_training(clamp_weights=0.125, learning_rate=0.1))
    weights = [item.detach() for item in trained.module.parameters()]
    assert max(float(item.abs().max()) for item in weights) == 0.125


@pytest.mark.slow
def test_digits_recipe_reaches_96_percent_and_exports_exactly() -> None:
    recipe: Recipe = find("digits")
    trained = train(recipe)
    assert trained.test is not None
    assert trained.test.accuracy >= 0.96
    model = convert(trained.module, recipe.encoder.steps, recipe.shape)
    test = recipe.load_data().test
    compared = check_export(trained.module, model, recipe.code(test, 0, test.size))
    assert sum(compared.values()) == 8 * 360 * (64 + 10)
