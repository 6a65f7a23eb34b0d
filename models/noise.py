"""Random numbers that depend on where they are used, and on nothing that happened before.

A number belongs to a seed, an epoch, a sample, a time step and an input; it is a hash of these. So
a sample gets the same numbers in any batch and any order, and an interrupted training goes on with
those that it would have had.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BITS = 24
LEVELS = np.float32(1 << BITS)
"""Random numbers are integers in 0 .. LEVELS - 1, which float32 holds exactly."""

# The multipliers of the 32-bit mixing function "lowbias32" (Wellons, "Prospecting for Hash
# Functions", 2018): x ^= x >> 16; x *= a; x ^= x >> 15; x *= b; x ^= x >> 16.
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B


def random_levels(
    seed: int, epoch: int, numbers: NDArray[np.int64], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Uniform integers in 0 .. 2**24 - 1.

    Parameters
    ----------
    numbers : of the samples, shape (N,)
    shape : steps, and the shape of a sample

    Returns
    -------
    float32 array of shape `[steps, N, *sample]`: `mix(place ^ key) >> 8`, where place is the mixed
    position in `shape` and key stands for seed, epoch and sample.
    """
    place, key = _operands(seed, epoch, numbers, shape)
    return (_mix(place ^ key) >> np.uint32(32 - BITS)).astype(np.float32)


def random_levels_tensor(
    seed: int, epoch: int, numbers: NDArray[np.int64], shape: tuple[int, ...]
) -> Tensor:
    """The same numbers in torch, which computes them several times faster."""
    place, key = (
        torch.from_numpy(item.view(np.int32)) for item in _operands(seed, epoch, numbers, shape)
    )
    value = place ^ key
    for shift, multiplier in ((16, _FIRST), (15, _SECOND)):
        # torch shifts int32 arithmetically; the mask removes the copies of the sign.
        value.bitwise_xor_((value >> shift).bitwise_and_((1 << (32 - shift)) - 1))
        value.mul_(multiplier - (multiplier >> 31 << 32))
    value.bitwise_xor_((value >> 16).bitwise_and_((1 << 16) - 1))
    return (value >> (32 - BITS)).bitwise_and_((1 << BITS) - 1).float()


def _mix(value: NDArray[np.uint32]) -> NDArray[np.uint32]:
    value = (value ^ (value >> np.uint32(16))) * np.uint32(_FIRST)
    value = (value ^ (value >> np.uint32(15))) * np.uint32(_SECOND)
    return value ^ (value >> np.uint32(16))


def _operands(
    seed: int, epoch: int, numbers: NDArray[np.int64], shape: tuple[int, ...]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Places `[steps, 1, *sample]` and keys `[N, 1 ...]`, which broadcast to the result."""
    key = np.uint32(0x9E3779B9)
    for word in (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, epoch):
        key = _mix(np.array([key ^ np.uint32(word)], np.uint32))[0]
    keys = _mix(_mix(numbers.astype(np.uint32)) ^ key)
    steps, *sample = shape
    return _places(shape).reshape(steps, 1, *sample), keys.reshape(-1, *(1,) * len(sample))


@lru_cache(maxsize=8)
def _places(shape: tuple[int, ...]) -> NDArray[np.uint32]:
    return _mix(np.arange(int(np.prod(shape)), dtype=np.uint32) + np.uint32(1))
