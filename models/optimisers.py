"""What a training run is told: optimiser, schedule, batches, augmentation, rounding."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import torch
from torch import nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.augment import Augmentation

Optimiser = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "steps"]

LARGEST_RATE = 1e6
"""Far above what trains anything, and far below what overflows inside an optimiser."""


@dataclass(frozen=True)
class Training:
    """Every number that a training depends on beside network, data, encoder and algorithm.

    Attributes
    ----------
    epochs, batch : passes over the training samples, samples per update
    learning_rate : at the start
    weight_decay : decoupled from the gradient in "adamw", added to it in the others
    momentum : of "sgd"
    schedule : of the learning rate, which changes between epochs: "constant"; "cosine" to 0 over
        the epochs; "steps", times `factor` after each epoch in `milestones`
    clip_gradient : largest norm of all gradients together; 0 for no limit
    clamp_weights : largest magnitude of a weight after each update; 0 for no limit
    weight_bits : 2 .. 8 for quantisation-aware training (`spikeloom.models.rounding`), 0 for floats
    seed : draws the initial weights, the order of the samples and the augmentation
    threads : that torch computes with. A fixed number, as sums depend on how the work is shared out
    """

    epochs: int
    batch: int
    learning_rate: float
    optimiser: Optimiser = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.0
    schedule: Schedule = "cosine"
    milestones: tuple[int, ...] = ()
    factor: float = 0.1
    clip_gradient: float = 0.0
    clamp_weights: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    weight_bits: int = 0
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "threads"):
            if getattr(self, name) < 1:
                raise SpikeloomError(f"training has {name} = {getattr(self, name)}; wanted >= 1")
        if not 0 < self.learning_rate <= LARGEST_RATE:
            raise SpikeloomError(
                f"training has learning_rate = {self.learning_rate:g}; wanted a number > 0 and "
                f"<= {LARGEST_RATE:g}"
            )
        if not 0 <= self.seed < 1 << 63:
            raise SpikeloomError(f"training has seed = {self.seed}; wanted 0 .. 2**63 - 1")
        if not (self.weight_bits == 0 or 2 <= self.weight_bits <= 8):
            raise SpikeloomError(
                f"training has weight_bits = {self.weight_bits}; wanted 2 .. 8, as one bit holds "
                "a sign and no magnitude, or 0 for weights in floats"
            )
        for name, legal in (("optimiser", get_args(Optimiser)), ("schedule", get_args(Schedule))):
            if getattr(self, name) not in legal:
                raise SpikeloomError(
                    f"training has {name} '{getattr(self, name)}'; wanted one of {list(legal)}"
                )

    def changed(self, **changes: Any) -> "Training":
        """The same settings with other values.

        With another number of epochs, milestones that are not given keep their share of the epochs:
        75 of 125 becomes 5 of 8. None comes before the end of the first epoch.
        """
        if "epochs" in changes and "milestones" not in changes:
            share = changes["epochs"] / self.epochs
            changes["milestones"] = tuple(max(1, round(item * share)) for item in self.milestones)
        return replace(self, **changes)


def build_optimiser(training: Training, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a network's parameters."""
    parameters: Iterable[nn.Parameter] = network.parameters()
    rate, decay = training.learning_rate, training.weight_decay
    if training.optimiser == "adam":
        return torch.optim.Adam(parameters, rate, weight_decay=decay)
    if training.optimiser == "adamw":
        return torch.optim.AdamW(parameters, rate, weight_decay=decay)
    return torch.optim.SGD(parameters, rate, momentum=training.momentum, weight_decay=decay)


def learning_rate(training: Training, epoch: int) -> float:
    """Of an epoch, counted from 1."""
    done = epoch - 1
    if training.schedule == "cosine":
        return training.learning_rate * (1 + math.cos(math.pi * done / training.epochs)) / 2
    if training.schedule == "steps":
        passed = sum(milestone <= done for milestone in training.milestones)
        return training.learning_rate * training.factor**passed
    return training.learning_rate
