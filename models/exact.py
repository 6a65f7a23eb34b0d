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

SIGNIFICAND_BITS = 24
"""Of a float32, the hidden bit included."""


@torch.no_grad()
def make_sums_exact(module: nn.Module) -> None:
    """Round weights and biases of all linear layers so that sums over spikes are exact.

    Per layer the grid is the finest power of two for which the largest sum of magnitudes of a row,
    bias included, stays below 2**24 grid steps; the rounding is then at most 2**-23 of that sum,
    far finer than any fixed-point weight. Holds for inputs of 0 and 1.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            tensors = list(layer.parameters(recurse=False))
            sums = [item.double().abs().reshape(len(item), -1).sum(1) for item in tensors]
            largest = float(torch.stack(sums).sum(0).max())
            # One bit in reserve: rounding to the grid can lift a row's sum above a power of two.
            grid = 2.0 ** (math.frexp(largest)[1] - (SIGNIFICAND_BITS - 1))
            for item in tensors:
                item.copy_((item / grid).round() * grid)
