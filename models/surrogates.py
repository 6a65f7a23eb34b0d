"""Surrogate derivatives: what stands in for the derivative of the step at the threshold.

The curves are those of STBP (Wu, Deng, Li, Zhu, Shi: Spatio-Temporal Backpropagation for Training
High-Performance Spiking Neural Networks, Frontiers in Neuroscience 12:331, 2018), h1 to h4, each a
function of the distance u - threshold.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikeloom.models.neuron import Compare, heaviside


class _Spike(torch.autograd.Function):
    """The step function forwards, a surrogate's derivative backwards."""

    @staticmethod
    def forward(
        ctx: Any, potential: Tensor, threshold: Tensor, compare: Compare, surrogate: "Surrogate"
    ) -> Tensor:
        ctx.save_for_backward(potential, threshold)
        ctx.surrogate = surrogate
        return heaviside(potential, threshold, compare)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        potential, threshold = ctx.saved_tensors
        passed = gradient * ctx.surrogate.derivative(potential - threshold)
        to_threshold = -passed.sum_to_size(threshold.shape) if ctx.needs_input_grad[1] else None
        return passed, to_threshold, None, None


class Surrogate(ABC):
    """A spike function whose gradient is a smooth or piecewise constant curve.

    The gradient reaches the threshold too, so that thresholds can be learned.
    """

    @abstractmethod
    def derivative(self, distance: Tensor) -> Tensor:
        """Stand-in for ds/du at `distance` = u - threshold, of the same shape."""

    def __call__(self, potential: Tensor, threshold: Tensor, compare: Compare) -> Tensor:
        spikes: Tensor = _Spike.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            potential, threshold, compare, self
        )
        return spikes


@dataclass(frozen=True)
class Rectangle(Surrogate):
    """`height` where |u - threshold| < `lens`, else 0.

    The default is what the authors' PyTorch code uses; h1 of the paper with its parameter a is
    `Rectangle(a / 2, 1 / a)`.
    """

    lens: float = 0.5
    height: float = 1.0

    def derivative(self, distance: Tensor) -> Tensor:
        return (distance.abs() < self.lens).to(distance.dtype) * self.height


@dataclass(frozen=True)
class Triangle(Surrogate):
    """h2: max(0, sqrt(a) / 2 - a / 4 |u - threshold|)."""

    a: float = 1.0

    def derivative(self, distance: Tensor) -> Tensor:
        return (math.sqrt(self.a) / 2 - self.a / 4 * distance.abs()).clamp(min=0)


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    """h3: the derivative of the logistic function of (u - threshold) / a."""

    a: float = 1.0

    def derivative(self, distance: Tensor) -> Tensor:
        level = torch.sigmoid(distance / self.a)
        return level * (1 - level) / self.a


@dataclass(frozen=True)
class Gaussian(Surrogate):
    """h4: the normal density of u - threshold with variance a."""

    a: float = 1.0

    def derivative(self, distance: Tensor) -> Tensor:
        return torch.exp(-(distance**2) / (2 * self.a)) / math.sqrt(2 * math.pi * self.a)
