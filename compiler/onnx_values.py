"""What a tensor of an ONNX graph means: the abstract values that the import computes with.

A value that depends on the input is never an array of numbers here. It is known as the spikes of a
population, or as a current (a linear map of spikes, plus a bias), together with its layout: which
axes hold time, which the batch, and which the features.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

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
        return tuple(_product(size for _, size in axis) for axis in self.axes)

    @property
    def features(self) -> int:
        """How many features the tensor holds per time step and sample."""
        return _product(size for axis in self.axes for kind, size in axis if kind == "feature")

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
        counts = [_product(size for kind, size in axis if kind == "feature") for axis in self.axes]
        numbers = np.arange(_product(counts), dtype=np.int64).reshape(counts)
        return Layout(tuple(self.axes[axis] for axis in order)), numbers.transpose(order).reshape(
            -1
        )

    def per_feature(self, value: NDArray[Any], what: str) -> FloatArray:
        """A constant that broadcasts to this layout, as one number per feature.

        Raises
        ------
        Refusal
            If it does not broadcast, or if it differs between time steps or samples.
        """
        value = np.asarray(value, np.float64)
        shape = self.shape
        if value.ndim > len(shape) or any(
            size not in (1, wanted)
            for size, wanted in zip(value.shape[::-1], shape[::-1])  # noqa: B905
        ):
            raise Refusal(f"{what} has shape {value.shape}, which does not broadcast to {shape}")
        value = value.reshape((1,) * (len(shape) - value.ndim) + value.shape)
        parts: list[int] = []
        full: list[int] = []
        varies: list[int] = []
        for size, axis in zip(value.shape, self.axes, strict=True):
            for kind, factor in axis:
                if kind != "feature":
                    varies.append(len(parts))
                parts.append(factor if size != 1 else 1)
                full.append(factor if kind == "feature" else 1)
        value = value.reshape(parts)
        for position in varies:
            first = value.take([0], axis=position)
            if not np.array_equal(value, np.broadcast_to(first, value.shape), equal_nan=True):
                raise Refusal(f"{what} differs between time steps or samples")
            value = first
        return np.ascontiguousarray(np.broadcast_to(value, full)).reshape(-1)


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A tensor that does not depend on the input. `origin` names the initializer or node."""

    value: NDArray[Any]
    origin: str

    def __str__(self) -> str:
        return f"the constant '{self.origin}'"


@dataclass(frozen=True, slots=True, eq=False)
class Spikes:
    """The spikes of a population; feature k of the tensor is its neuron `order[k]`."""

    population: str
    order: IntArray
    layout: Layout

    def select(self, layout: Layout, order: IntArray) -> Self:
        """The same spikes in another order of features."""
        return replace(self, layout=layout, order=self.order[order])

    def __str__(self) -> str:
        return f"the spikes of '{self.population}'"


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A linear map of the spikes of one population: `gain * (weight @ spikes)`.

    `weight` has shape (features, size of `pre`), `gain` shape (features,). `source` names what the
    weights came from.
    """

    pre: str
    weight: FloatArray
    source: str
    gain: FloatArray | None = None

    @property
    def matrix(self) -> FloatArray:
        """The weights with the gain multiplied in."""
        return self.weight if self.gain is None else self.weight * self.gain[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class Current:
    """A sum of linear maps of spikes, plus a bias of shape (features,)."""

    terms: tuple[Term, ...]
    bias: FloatArray
    layout: Layout

    def select(self, layout: Layout, order: IntArray) -> Self:
        """The same current in another order of features."""
        terms = tuple(
            replace(
                term,
                weight=term.weight[order],
                gain=None if term.gain is None else term.gain[order],
            )
            for term in self.terms
        )
        return replace(self, layout=layout, terms=terms, bias=self.bias[order])

    def scaled(self, gain: FloatArray) -> "Current":
        """The current times a factor per feature."""
        terms = tuple(
            replace(term, gain=gain if term.gain is None else term.gain * gain)
            for term in self.terms
        )
        return replace(self, terms=terms, bias=self.bias * gain)

    def __str__(self) -> str:
        return "the current " + " + ".join(f"'{term.source}'" for term in self.terms)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Spike counts of a population over the window, times `factor` > 0."""

    population: str
    order: IntArray
    layout: Layout
    factor: float = 1.0

    def select(self, layout: Layout, order: IntArray) -> Self:
        """The same scores in another order of features."""
        return replace(self, layout=layout, order=self.order[order])

    def __str__(self) -> str:
        return f"the spike counts of '{self.population}'"


@dataclass(frozen=True, slots=True)
class Classes:
    """The index of the highest score of a population."""

    population: str

    def __str__(self) -> str:
        return f"the class that '{self.population}' tells"


@dataclass(frozen=True, slots=True)
class Membranes:
    """The membranes of a population before the reset."""

    population: str

    def __str__(self) -> str:
        return f"the membranes of '{self.population}'"


@dataclass(frozen=True, slots=True)
class NotReached:
    """The result of a node that was refused, or that stands behind one."""

    node: str

    def __str__(self) -> str:
        return f"the result of '{self.node}'"


Value = Constant | Spikes | Current | Scores | Classes | Membranes | NotReached
Movable = Spikes | Current | Scores


def _product(sizes: Any) -> int:
    total = 1
    for size in sizes:
        total *= int(size)
    return total


def _append(axis: list[tuple[Kind, int]], kind: Kind, size: int) -> None:
    if axis and axis[-1][0] == "feature" == kind:
        size *= axis.pop()[1]
    axis.append((kind, size))
