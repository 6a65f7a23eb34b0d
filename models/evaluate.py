"""Classifying samples, and counting spikes meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from spikeloom.models.algorithm import Algorithm, Judged
from spikeloom.models.data import Indices, Split
from spikeloom.models.encoders import Encoder
from spikeloom.models.layers import Integrator, Spiking


class Score(NamedTuple):
    """Loss, share of correct classes, and spikes per neuron and step in all layers together."""

    loss: float
    accuracy: float
    spike_rate: float


@dataclass(slots=True)
class Tally:
    """Sums over the samples that were seen so far.

    Attributes
    ----------
    loss : of each batch, times its samples
    spikes, chances : see `spikeloom.models.algorithm.Activity`
    """

    samples: int = 0
    loss: float = 0.0
    correct: int = 0
    spikes: float = 0.0
    chances: int = 0

    def add(self, judged: Judged, labels: Tensor) -> None:
        """Add a batch; of equal scores the lowest class wins."""
        self.samples += len(labels)
        self.loss += judged.loss.item() * len(labels)
        self.correct += int((judged.scores.argmax(1) == labels).sum())
        if judged.activity is not None:
            self.spikes += judged.activity.spikes
            self.chances += judged.activity.chances

    def score(self) -> Score:
        """The means."""
        rate = self.spikes / self.chances if self.chances else 0.0
        return Score(self.loss / self.samples, self.correct / self.samples, rate)

    @contextmanager
    def counting_spikes(self, network: nn.Module) -> Iterator[None]:
        """Count the spikes of every layer of neurons that runs meanwhile."""

        def count(layer: nn.Module, arguments: tuple[Tensor, ...], spikes: Tensor) -> None:
            self.spikes += float(spikes.detach().sum())
            self.chances += spikes.numel()

        handles = [
            layer.register_forward_hook(count)
            for layer in network.modules()
            if isinstance(layer, Spiking) and not isinstance(layer, Integrator)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@torch.no_grad()
def evaluate(
    network: nn.Sequential, encoder: Encoder, algorithm: Algorithm, split: Split, batch: int
) -> Score:
    """Classify all samples of a split, in evaluation mode.

    Parameters
    ----------
    batch : samples per pass through the network; the classes do not depend on it
    """
    was_training = network.training
    network.eval()
    tally = Tally()
    try:
        with tally.counting_spikes(network):
            for first in range(0, split.size, batch):
                indices = np.arange(first, min(first + batch, split.size))
                inputs, labels = coded_batch(encoder, split, indices)
                tally.add(algorithm.judge(network, inputs, labels), labels)
    finally:
        network.train(was_training)
    return tally.score()


def coded_batch(
    encoder: Encoder,
    split: Split,
    indices: Indices,
    epoch: int = 0,
    augment: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Inputs, float32 of shape `[T, N, ...]`, and labels, int64 of shape `[N]`.

    Parameters
    ----------
    epoch : see `spikeloom.models.encoders`
    augment : changes images before they are coded; recordings stay as they are
    """
    samples = split.take(indices)
    if isinstance(samples, np.ndarray):
        images = torch.from_numpy(samples)
        inputs = encoder.tensor(augment(images) if augment else images, indices, epoch)
    else:
        inputs = encoder.tensor(samples, indices, epoch)
    inputs = inputs.reshape(*inputs.shape[:2], *split.shape)
    return inputs, torch.from_numpy(split.labels[indices])
