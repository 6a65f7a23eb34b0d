"""The geometry of a projection: which inputs a convolution weighs, which pixels pooling sums.

Feature maps have the shape (channels, rows, columns) and are numbered row by row, channel by
channel, as numpy does.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Map = tuple[int, int, int]

# How many numbers the patches of a convolution may hold at once: few enough to stay in a cache.
_PATCH_NUMBERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Pooling:
    """Sums over squares of pixels that do not overlap.

    As an address: an event at row y, column x becomes one at row y // size, column x // size; rows
    and columns that fill no square are dropped.

    Attributes
    ----------
    shape : of what is pooled
    size : side of the squares
    """

    shape: Map
    size: int

    @property
    def result(self) -> Map:
        """The shape of the sums."""
        channels, rows, columns = self.shape
        return channels, rows // self.size, columns // self.size

    def __call__(self, values: NDArray[np.number]) -> NDArray[np.number]:
        """Sums, `[..., C, H, W]` to `[..., C, H / size, W / size]`."""
        _, rows, columns = self.result
        size = self.size
        kept = values[..., : rows * size, : columns * size]
        # Whole maps at a time: reducing two short axes of each square is many times slower.
        sums = kept[..., ::size, ::size].copy()
        for row, column in itertools.islice(itertools.product(range(size), repeat=2), 1, None):
            np.add(sums, kept[..., row::size, column::size], out=sums)
        return sums


@dataclass(frozen=True, slots=True)
class Convolution:
    """How the kernel of a convolution moves, ONNX's `Conv` without dilation.

    Attributes
    ----------
    shape : of what is convolved
    features : channels of the result
    kernel, stride : (rows, columns)
    padding : (top, left, bottom, right), in pixels
    groups : each takes its own share of the channels; all of them for a depthwise convolution
    """

    shape: Map
    features: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Of the weights: (features, channels / groups, rows, columns)."""
        return self.features, self.shape[0] // self.groups, *self.kernel

    @property
    def result(self) -> Map:
        """The shape of the weighted sums."""
        top, left, bottom, right = self.padding
        rows, columns = self.shape[1] + top + bottom, self.shape[2] + left + right
        return (
            self.features,
            (rows - self.kernel[0]) // self.stride[0] + 1,
            (columns - self.kernel[1]) // self.stride[1] + 1,
        )

    def __call__(
        self, weight: NDArray[np.number], values: NDArray[np.number]
    ) -> NDArray[np.number]:
        """Weighted sums, `[N, C, H, W]` to `[N, C', H', W']`, in the common type of both arrays.

        Exact for integers in floats as long as every partial sum fits the significand.
        """
        _, rows, columns = self.result
        patch = self.shape[0] * self.kernel[0] * self.kernel[1] * rows * columns
        samples = max(1, _PATCH_NUMBERS // patch)
        sums = np.empty((len(values), *self.result), np.result_type(weight, values))
        for first in range(0, len(values), samples):
            part = slice(first, first + samples)
            sums[part] = self._convolve(weight, values[part]).transpose(3, 0, 1, 2)
        return sums

    def _convolve(
        self, weight: NDArray[np.number], values: NDArray[np.number]
    ) -> NDArray[np.number]:
        """`[N, C, H, W]` to `[C', H', W', N]`."""
        channels, height, width = self.shape
        top, left, bottom, right = self.padding
        # With the samples last, a row of a patch lies in one piece for all samples.
        padded = np.zeros(
            (channels, height + top + bottom, width + left + right, len(values)),
            np.result_type(weight, values),
        )
        padded[:, top : top + height, left : left + width] = values.transpose(1, 2, 3, 0)
        fields = np.lib.stride_tricks.sliding_window_view(padded, self.kernel, axis=(1, 2))
        fields = fields[:, :: self.stride[0], :: self.stride[1]].transpose(0, 4, 5, 1, 2, 3)
        patches = fields.reshape(self.groups, channels // self.groups * np.prod(self.kernel), -1)
        sums: NDArray[np.number] = weight.reshape(self.groups, -1, patches.shape[1]) @ patches
        return sums.reshape(*self.result, len(values))
