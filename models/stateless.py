"""Layers without state: convolution, pooling and dropout on windows `[T, N, C, H, W]`.

Each time step is treated alike, so convolution and pooling take the steps as further samples and
export to the plain ONNX operators `Conv` and `AveragePool`.
"""

import torch
from torch import Tensor, nn

from spikeloom.compiler.errors import SpikeloomError


class Conv2d(nn.Conv2d):
    """torch's convolution on every step of a window, `[T, N, C, H, W]` to `[T, N, C', H', W']`."""

    def forward(self, window: Tensor) -> Tensor:
        """Weighted sums of each step."""
        return _unfold_time(super().forward(window.flatten(0, 1)), window)


class AvgPool2d(nn.Module):
    """Average pooling of every step of a window over squares that do not overlap.

    Stateless: spikes of 0 and 1 become multiples of 1 / size**2, which go to the next layer as they
    are, as in the code of the authors of STBP.

    Parameters
    ----------
    size : side of the squares, >= 1; rows and columns that fill no square are dropped
    stride : distance of the squares, `size` unless given
    """

    def __init__(self, size: int, stride: int | None = None) -> None:
        super().__init__()
        self.size, self.stride = size, stride or size

    def forward(self, window: Tensor) -> Tensor:
        """Averages, `[T, N, C, H', W']`."""
        pooled = nn.functional.avg_pool2d(window.flatten(0, 1), self.size, self.stride)
        return _unfold_time(pooled, window)

    def extra_repr(self) -> str:
        return f"{self.size}, stride={self.stride}"


class WindowDropout(nn.Module):
    """Dropout whose mask is drawn once per sample and held for all time steps.

    With inverted scaling: kept values are multiplied by 1 / (1 - probability) in training, and
    evaluation changes nothing. Spike-based BP draws the mask so (Lee et al. 2020, section "Dropout
    in Spiking Neural Network"), and the authors' code of TSSL-BP does too.

    Parameters
    ----------
    probability : share of values that are dropped, 0 <= probability < 1
    whole_rows : one mask element covers a whole row of a feature map, as the authors' code of
        TSSL-BP does in convolutional layers

    Raises
    ------
    SpikeloomError
        If the probability is out of range.
    """

    def __init__(self, probability: float, whole_rows: bool = False) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise SpikeloomError(f"dropout has probability {probability:g}; wanted 0 <= p < 1")
        self.probability, self.whole_rows = probability, whole_rows

    def forward(self, window: Tensor) -> Tensor:
        """The window with the same values dropped at every step."""
        if not self.training or self.probability == 0:
            return window
        shape = list(window.shape[1:])
        if self.whole_rows and len(shape) == 4:
            shape[-1] = 1
        mask = torch.empty(shape, dtype=window.dtype, device=window.device)
        return window * mask.bernoulli_(1 - self.probability).div_(1 - self.probability)

    def extra_repr(self) -> str:
        return f"{self.probability:g}" + (", whole_rows=True" if self.whole_rows else "")


def _unfold_time(result: Tensor, window: Tensor) -> Tensor:
    return result.reshape(*window.shape[:2], *result.shape[1:])
