"""Weights whose sums do not depend on the order of summation.

Floating-point sums change in the last bit with their order, and no two libraries sum in the same
order; where a membrane ties with its threshold, that bit decides a spike. Weights that are
multiples of one power of two, coarse enough for every possible sum to fit a float's 24-bit
significand, sum without any rounding, in any order: torch, onnxruntime and every other library then
agree by construction.
"""

import math

import torch
from torch import nn

from spikeloom.compiler.ir import Events
from spikeloom.models.layers import Spiking
from spikeloom.models.stateless import AvgPool2d

SIGNIFICAND_BITS = 24
"""Of a float32, the hidden bit included."""

SPIKES = Events()
"""Inputs of 0 and 1."""


@torch.no_grad()
def make_sums_exact(module: nn.Module, events: Events = SPIKES) -> None:
    """Round weights and biases of dense and convolutional layers so that their sums are exact.

    Per layer the grid is the finest power of two for which the largest sum of magnitudes of a row,
    bias included, stays below 2**24 grid steps; the rounding is then at most 2**-23 of that sum,
    far finer than any fixed-point weight. Behind average pooling, whose values are fractions of a
    spike, and for graded inputs the grid is coarser by as many bits as these need.

    Parameters
    ----------
    module : its layers stand in the order in which they are computed
    events : what enters the network
    """
    step = events.step
    largest = step * max(abs(events.lowest), abs(events.highest))
    for layer in module.modules():
        if isinstance(layer, Spiking):
            step = largest = 1.0
        elif isinstance(layer, AvgPool2d):
            step /= 2 ** math.ceil(math.log2(layer.size**2))
        elif isinstance(layer, nn.Linear | nn.Conv2d):
            _round(layer, step, largest)


def _round(layer: nn.Linear | nn.Conv2d, step: float, largest: float) -> None:
    tensors = list(layer.parameters(recurse=False))
    sums = [item.double().abs().reshape(len(item), -1).sum(1) for item in tensors]
    total = float(torch.stack(sums).sum(0).max()) * max(largest, 1.0)
    # One bit in reserve: rounding to the grid can lift a row's sum above a power of two.
    grid = 2.0 ** (math.frexp(total)[1] - (SIGNIFICAND_BITS - 1)) / step
    for item in tensors:
        item.copy_((item / grid).round() * grid)
