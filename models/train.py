"""The training loop: spatio-temporal backpropagation (STBP).

STBP (Wu, Deng, Li, Zhu, Shi, Frontiers in Neuroscience 12:331, 2018) is plain backpropagation
through the unrolled window with a surrogate for the derivative of a spike. The loss is the mean
squared error between the one-hot class and the mean output spikes (1/T) sum_t s[t], as in the
authors' PyTorch code.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.data import Split
from spikeloom.models.encoders import Encoder
from spikeloom.models.exact import make_sums_exact
from spikeloom.models.layers import record_spikes
from spikeloom.models.recipes import Recipe

THREADS = 1
"""Threads that torch computes with. A fixed number, as sums depend on how the work is shared out;
one, as networks of this size gain nothing from more."""


class Epoch(NamedTuple):
    """What one pass over the training samples gave.

    Attributes
    ----------
    epoch : number of the pass, from 1
    loss : mean over the training samples
    validation_loss, accuracy : loss and share of correct classes on the validation samples
    spike_rate : spikes per neuron and step on the validation samples, all layers together
    """

    epoch: int
    loss: float
    validation_loss: float
    accuracy: float
    spike_rate: float


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network and how it came to be.

    Attributes
    ----------
    module : the network with the weights of the best epoch
    best : the epoch with the lowest validation loss, which on few samples tells more than the
        accuracy; the earliest of equals
    test_accuracy : share of the test samples that are classified correctly, found once
    seconds : time spent training
    """

    recipe: Recipe
    module: nn.Sequential
    epochs: tuple[Epoch, ...]
    best: Epoch
    test_accuracy: float
    seconds: float


class Score(NamedTuple):
    """Loss, share of correct classes, and spikes per neuron and step in all layers together."""

    loss: float
    accuracy: float
    spike_rate: float


def train(recipe: Recipe, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> Trained:
    """Train a recipe's network; the same recipe gives the same weights on the same machine.

    The weights that are judged and returned are those rounded by `make_sums_exact`. Sets torch's
    number of threads and its global random state.

    Parameters
    ----------
    on_epoch : called after every epoch

    Raises
    ------
    SpikeloomError
        If a weight becomes NaN or infinite; the text says which, and in which epoch and batch.
    """
    torch.set_num_threads(THREADS)
    torch.manual_seed(recipe.seed)
    started = perf_counter()
    dataset, encoder = recipe.load_data(), recipe.build_encoder()
    module = recipe.build()
    judged = copy.deepcopy(module)
    random = np.random.default_rng(recipe.seed)
    optimiser = torch.optim.Adam(module.parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs)
    epochs: list[Epoch] = []
    best_weights: dict[str, Tensor] = {}
    for number in range(1, recipe.epochs + 1):
        spikes, labels = encode(encoder, _with_noise(dataset.train, recipe.noise, random))
        loss = _pass_over(module, optimiser, spikes, labels, recipe, number)
        schedule.step()
        judged.load_state_dict(module.state_dict())
        make_sums_exact(judged)
        score = evaluate(judged, encoder, dataset.validation)
        epoch = Epoch(number, loss, *score)
        if all(score.loss < earlier.validation_loss for earlier in epochs):
            best, best_weights = epoch, copy.deepcopy(judged.state_dict())
        epochs.append(epoch)
        on_epoch(epoch)
    judged.load_state_dict(best_weights)
    return Trained(
        recipe,
        judged,
        tuple(epochs),
        best,
        evaluate(judged, encoder, dataset.test).accuracy,
        perf_counter() - started,
    )


def encode(encoder: Encoder, split: Split) -> tuple[Tensor, Tensor]:
    """Spikes, float32 of shape `[T, N, inputs]`, and labels, int64 of shape `[N]`."""
    spikes = encoder(split.intensities).astype(np.float32)
    return torch.from_numpy(spikes), torch.from_numpy(split.labels)


@torch.no_grad()
def evaluate(module: nn.Module, encoder: Encoder, split: Split) -> Score:
    """Classify all samples of a split; of equal counts the lowest class wins."""
    spikes, labels = encode(encoder, split)
    layers = record_spikes(module, spikes)
    loss = stbp_loss(layers.output, labels, len(spikes))
    correct = layers.output.argmax(1) == labels
    total = sum(float(item.sum()) for item in layers.spikes.values())
    neurons = sum(item.numel() for item in layers.spikes.values())
    return Score(loss.item(), float(correct.double().mean()), total / neurons)


def stbp_loss(counts: Tensor, labels: Tensor, steps: int) -> Tensor:
    """Mean squared error between one-hot labels and the share of steps with a spike.

    Parameters
    ----------
    counts : float tensor, shape `[N, classes]`, spikes of the output neurons
    labels : int64 tensor, shape `[N]`
    """
    targets = nn.functional.one_hot(labels, counts.shape[1]).to(counts.dtype)
    return nn.functional.mse_loss(counts / steps, targets)


def _with_noise(split: Split, deviation: float, random: np.random.Generator) -> Split:
    noisy = split.intensities + random.normal(0, deviation, split.intensities.shape)
    return Split(noisy.clip(0, 1).astype(np.float32), split.labels)


def _pass_over(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    spikes: Tensor,
    labels: Tensor,
    recipe: Recipe,
    epoch: int,
) -> float:
    """One update per batch, in random order; the mean loss."""
    total = 0.0
    for number, batch in enumerate(torch.split(torch.randperm(len(labels)), recipe.batch), 1):
        loss = stbp_loss(module(spikes[:, batch]), labels[batch], recipe.steps)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimiser.step()
        _check_finite(module, recipe, f"epoch {epoch}, batch {number}, loss {loss.item():g}")
        total += loss.item() * len(batch)
    return total / len(labels)


def _check_finite(module: nn.Module, recipe: Recipe, place: str) -> None:
    """Look at the weights: neurons with a NaN membrane are silent, and the loss stays finite."""
    for name, parameter in module.named_parameters():
        if not torch.isfinite(parameter).all():
            raise SpikeloomError(
                f"training '{recipe.name}': '{name}' holds NaN or infinite numbers after {place}; "
                f"a learning rate below {recipe.learning_rate:g} may help"
            )
