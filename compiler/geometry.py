"""The geometry of a projection: which inputs a convolution weighs, which pixels pooling sums.

Feature maps have the shape (channels, rows, columns) and are numbered row by row, channel by
channel, as numpy does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Map = tuple[int, int, int]


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
        size, front = self.size, values.shape[:-2]
        kept = values[..., : rows * size, : columns * size]
        split = kept.reshape(*front, rows, size, columns, size)
        sums: NDArray[np.number] = split.sum(axis=(-3, -1), dtype=values.dtype)
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
        top, left, bottom, right = self.padding
        padded = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)))
        down, across = self.stride
        fields = np.lib.stride_tricks.sliding_window_view(padded, self.kernel, axis=(2, 3))
        fields = fields[:, :, ::down, ::across]
        features, rows, columns = self.result
        count, share = len(values), self.shape[0] // self.groups
        sums = np.empty(
            (count, self.groups, features // self.groups, rows * columns),
            np.result_type(weight, values),
        )
        for group in range(self.groups):
            # [N, C / groups, H', W', kernel] to [N, C / groups * kernel, H' * W'].
            part = fields[:, group * share : (group + 1) * share].transpose(0, 1, 4, 5, 2, 3)
            part = part.reshape(count, -1, rows * columns)
            own = weight.reshape(self.groups, features // self.groups, -1)[group]
            np.matmul(own, part, out=sums[:, group])
        return sums.reshape(count, features, rows, columns)
