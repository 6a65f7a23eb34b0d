"""What a tensor of an ONNX graph means: the abstract values that the import computes with.

A value that depends on the input is never an array of numbers here. It is known as the spikes of a
population, as a current (a linear map of spikes, plus a bias), or as a part of a readout, together
with its layout: which axes hold time, which the batch, and which the features.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.fixed import IntArray
from spikeloom.compiler.geometry import Convolution, Pooling
from spikeloom.compiler.ir import FloatArray, ReadoutKind
from spikeloom.compiler.onnx_layout import Layout, Refusal

# Readouts in the words of the field.
READOUTS: dict[ReadoutKind, str] = {
    "spike_count": "spike count",
    "weighted_spike_count": "time-weighted spike count",
    "first_spike": "first spike",
    "final_membrane": "final membrane",
    "maximum_membrane": "maximum membrane",
}


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
    """A linear map of the spikes of one population.

    The spikes are pooled, then weighted; feature k of the tensor is `gain[k]` times number
    `order[k]` of what comes out.

    Attributes
    ----------
    source : what the weights came from
    order : int64 array, shape (features,), a permutation
    weight : dense, shape (features, inputs); a convolution, `convolution.weight_shape`; None where
        nothing is weighted
    gain : float64 array, shape (features,), or None for 1; the same in a whole feature map of a
        convolution
    """

    pre: str
    source: str
    order: IntArray
    weight: FloatArray | None = None
    convolution: Convolution | None = None
    pooling: Pooling | None = None
    gain: FloatArray | None = None

    @property
    def in_order(self) -> bool:
        """Whether the features of the tensor are numbered as those of the map."""
        return in_order(self.order)

    def select(self, order: IntArray) -> "Term":
        """The same map in another order of features."""
        gain = None if self.gain is None else self.gain[order]
        return replace(self, order=self.order[order], gain=gain)

    def scaled(self, gain: FloatArray) -> "Term":
        """The map times a factor per feature.

        Raises
        ------
        Refusal
            If the factor differs inside a feature map of a convolution.
        """
        if self.convolution is not None:
            by_pixel = np.empty_like(gain)
            by_pixel[self.order] = gain
            if per_channel(by_pixel, self.convolution.features) is None:
                raise Refusal(
                    f"the factor on the convolution '{self.source}' differs inside a feature map; "
                    "wanted one number per channel"
                )
        return replace(self, gain=gain if self.gain is None else self.gain * gain)


@dataclass(frozen=True, slots=True, eq=False)
class Current:
    """A sum of linear maps of spikes, plus a bias of shape (features,)."""

    terms: tuple[Term, ...]
    bias: FloatArray
    layout: Layout

    def select(self, layout: Layout, order: IntArray) -> Self:
        """The same current in another order of features."""
        terms = tuple(term.select(order) for term in self.terms)
        return replace(self, layout=layout, terms=terms, bias=self.bias[order])

    def scaled(self, gain: FloatArray) -> "Current":
        """The current times a factor per feature."""
        terms = tuple(term.scaled(gain) for term in self.terms)
        return replace(self, terms=terms, bias=self.bias * gain)

    @property
    def sources(self) -> str:
        """What the weights came from."""
        return "+".join(term.source for term in self.terms)

    def __str__(self) -> str:
        return "the current " + " + ".join(f"'{term.source}'" for term in self.terms)


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """What a readout is made of while time is still an axis: `factor * weights[t] * sum`.

    The sum is over the spikes or membranes of `group` neurons of a population; feature k is the
    group `order[k]`. `weights` is empty for 1 at every time step.
    """

    population: str
    what: Literal["spikes", "membranes"]
    order: IntArray
    layout: Layout
    factor: float = 1.0
    weights: tuple[float, ...] = ()
    group: int = 1

    def select(self, layout: Layout, order: IntArray) -> Self:
        """The same in another order of features."""
        return replace(self, layout=layout, order=self.order[order])

    def __str__(self) -> str:
        weighted = "weighted " if self.weights else ""
        groups = f" in groups of {self.group}" if self.group > 1 else ""
        return f"the {weighted}{self.what} of '{self.population}'{groups}"


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of a population, or of its groups of neurons, times `factor` > 0."""

    population: str
    order: IntArray
    layout: Layout
    factor: float = 1.0
    kind: ReadoutKind = "spike_count"
    weights: tuple[float, ...] = ()
    group: int = 1

    def select(self, layout: Layout, order: IntArray) -> Self:
        """The same scores in another order of features."""
        return replace(self, layout=layout, order=self.order[order])

    def __str__(self) -> str:
        groups = f" in groups of {self.group}" if self.group > 1 else ""
        return f"the {READOUTS[self.kind]} of '{self.population}'{groups}"


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """The index of the highest score."""

    scores: Scores

    def __str__(self) -> str:
        return f"the class that '{self.scores.population}' tells"


@dataclass(frozen=True, slots=True)
class Silence:
    """The spikes of a population that only integrates: there are none."""

    population: str

    def __str__(self) -> str:
        return f"the spikes of '{self.population}', which never fires (fire = 0)"


@dataclass(frozen=True, slots=True)
class NotReached:
    """The result of a node that was refused, or that stands behind one."""

    node: str

    def __str__(self) -> str:
        return f"the result of '{self.node}'"


Value = Constant | Spikes | Current | Activity | Scores | Classes | Silence | NotReached
Movable = Spikes | Current | Activity | Scores


def in_order(order: IntArray) -> bool:
    """Whether a permutation leaves everything in its place."""
    return bool((order == np.arange(len(order))).all())


def per_channel(values: FloatArray, channels: int) -> FloatArray | None:
    """Numbers per neuron as numbers per channel; None if they differ inside a channel."""
    rows = values.reshape(channels, -1)
    return rows[:, 0] if (rows == rows[:, :1]).all() else None
