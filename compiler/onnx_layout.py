"""How time, batch and features lie in the axes of a tensor of an ONNX graph."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import IntArray
from spikeloom.compiler.ir import FloatArray

Kind = Literal["time", "batch", "feature"]


class Refusal(SpikeloomError):
    """A node that cannot be lowered: the text is the reason and, if there is one, the way out."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How time, batch and features lie in the axes of a tensor.

    An axis is a row-major sequence of factors `(kind, size)`: `[T * N, K]` is
    `((("time", T), ("batch", N)), (("feature", K),))`. Factors of size 1 are left out, and features
    that stand beside each other in one axis are one factor. Over the whole tensor the features are
    numbered in the order in which they stand.
    """

    axes: tuple[tuple[tuple[Kind, int], ...], ...]

    @classmethod
    def of_axes(cls, *factors: tuple[Kind, int]) -> "Layout":
        """A layout with one factor per axis."""
        return cls(tuple((factor,) if factor[1] != 1 else () for factor in factors))

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(math.prod(size for _, size in axis) for axis in self.axes)

    @property
    def features(self) -> int:
        """How many features the tensor holds per time step and sample."""
        return math.prod(size for axis in self.axes for kind, size in axis if kind == "feature")

    def holds(self, axis: int, *kinds: Kind) -> bool:
        """Whether `axis` holds nothing but these kinds; an axis of size 1 holds nothing."""
        return all(kind in kinds for kind, _ in self.axes[axis])

    def reshaped(self, shape: tuple[int, ...]) -> "Layout":
        """The layout after a row-major reshape."""
        factors = [factor for axis in self.axes for factor in axis]
        axes = []
        for wanted in shape:
            axis: list[tuple[Kind, int]] = []
            while wanted > 1:
                kind, size = factors.pop(0)
                part = min(wanted, size)
                if wanted % part or size % part or (part < size and kind != "feature"):
                    raise Refusal(
                        f"a reshape from {self.shape} to {shape} cuts through the {kind} axis"
                    )
                if part < size:
                    factors.insert(0, (kind, size // part))
                _append(axis, kind, part)
                wanted //= part
            axes.append(tuple(axis))
        return Layout(tuple(axes))

    def transposed(self, order: list[int]) -> tuple["Layout", IntArray]:
        """The layout after a transpose, and for each feature its number before."""
        counts = [math.prod(size for kind, size in axis if kind == "feature") for axis in self.axes]
        numbers = np.arange(math.prod(counts), dtype=np.int64).reshape(counts)
        return Layout(tuple(self.axes[axis] for axis in order)), numbers.transpose(order).reshape(
            -1
        )

    def without(self, axes: Sequence[int], keep: bool) -> "Layout":
        """The layout after a reduction over `axes`; with `keep` they stay, of size 1."""
        rest = (() if number in axes else axis for number, axis in enumerate(self.axes))
        return Layout(tuple(axis for number, axis in enumerate(rest) if keep or number not in axes))

    def per_feature(self, value: NDArray[Any], what: str) -> FloatArray:
        """A constant that broadcasts to this layout, as one number per feature.

        Raises
        ------
        Refusal
            If it does not broadcast, or if it differs between time steps or samples.
        """
        spread, kinds = self._spread(value, what)
        if _varying(spread, kinds) - {"feature"}:
            raise Refusal(f"{what} differs between time steps or samples")
        return _along(spread, kinds, self._sizes(), "feature")

    def per_step(self, value: NDArray[Any], what: str) -> FloatArray | None:
        """A constant that broadcasts to this layout, as one number per time step.

        None if it does not differ between time steps.

        Raises
        ------
        Refusal
            If it does not broadcast, or if it differs between features or samples too.
        """
        spread, kinds = self._spread(value, what)
        varying = _varying(spread, kinds)
        if "time" not in varying:
            return None
        if varying != {"time"}:
            raise Refusal(f"{what} differs between time steps and between features or samples")
        return _along(spread, kinds, self._sizes(), "time")

    def _sizes(self) -> list[int]:
        return [size for axis in self.axes for _, size in axis]

    def _spread(self, value: NDArray[Any], what: str) -> tuple[FloatArray, list[Kind]]:
        """A constant with an axis per factor of the layout, of size 1 where it is repeated."""
        value = np.asarray(value, np.float64)
        shape = self.shape
        if value.ndim > len(shape) or any(
            size not in (1, wanted)
            for size, wanted in zip(value.shape[::-1], shape[::-1])  # noqa: B905
        ):
            raise Refusal(f"{what} has shape {value.shape}, which does not broadcast to {shape}")
        given = (*(1,) * (len(shape) - value.ndim), *value.shape)
        parts = [
            factor if size != 1 else 1
            for size, axis in zip(given, self.axes, strict=True)
            for _, factor in axis
        ]
        return value.reshape(parts), [kind for axis in self.axes for kind, _ in axis]


def _varying(spread: FloatArray, kinds: list[Kind]) -> set[Kind]:
    """Along which kinds of axes a constant differs."""
    return {
        kind
        for position, kind in enumerate(kinds)
        if not np.array_equal(
            spread, np.broadcast_to(spread.take([0], position), spread.shape), equal_nan=True
        )
    }


def _along(spread: FloatArray, kinds: list[Kind], sizes: list[int], wanted: Kind) -> FloatArray:
    """The numbers along one kind of axes of a constant that differs along no other."""
    for position, kind in enumerate(kinds):
        if kind != wanted:
            spread = spread.take([0], position)
    full = [size if kind == wanted else 1 for kind, size in zip(kinds, sizes, strict=True)]
    return np.ascontiguousarray(np.broadcast_to(spread, full)).reshape(-1)


def _append(axis: list[tuple[Kind, int]], kind: Kind, size: int) -> None:
    if axis and axis[-1][0] == "feature" == kind:
        size *= axis.pop()[1]
    axis.append((kind, size))
