"""A node of an ONNX graph on its way into a network, and the network as far as it is built."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from spikeloom.compiler.geometry import Map
from spikeloom.compiler.ir import Population, Projection
from spikeloom.compiler.mapping import RESERVED
from spikeloom.compiler.onnx_layout import Refusal
from spikeloom.compiler.onnx_values import Constant, Current, Spikes, Term, Value

Meaning = tuple[str, list[Value]]

# What the reference evaluator raises on a node that it cannot run.
_EVALUATION_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    onnx.checker.ValidationError,
)


@dataclass(frozen=True, slots=True)
class Node:
    """An ONNX node with the values of its inputs (None where an optional input is left out)."""

    proto: onnx.NodeProto
    name: str
    inputs: list[Value | None]
    opset_imports: list[onnx.OperatorSetIdProto]

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute as a Python value; text is decoded."""
        for item in self.proto.attribute:
            if item.name == name:
                value = onnx.helper.get_attribute_value(item)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def constant(self, position: int, what: str) -> Constant:
        """An input that must not depend on the network's input, and must be finite.

        Raises
        ------
        Refusal
            If it is missing, depends on the input, or holds NaN or infinity.
        """
        value = self.inputs[position] if position < len(self.inputs) else None
        if not isinstance(value, Constant):
            found = "is missing" if value is None else f"is {value}"
            raise Refusal(f"{what} {found}; wanted a constant")
        if np.issubdtype(value.value.dtype, np.number):
            bad = int(np.count_nonzero(~np.isfinite(value.value)))
            if bad:
                raise Refusal(
                    f"{what} '{value.origin}' holds {bad} values that are NaN or infinite"
                )
        return value

    def evaluate(self, inputs: list[NDArray[Any] | None]) -> list[NDArray[Any]]:
        """The outputs of this one node for arrays as inputs."""
        names = list(self.proto.input)
        feeds = {
            name: array for name, array in zip(names, inputs, strict=True) if array is not None
        }
        model = onnx.helper.make_model(
            onnx.helper.make_graph(
                [self.proto],
                "one_node",
                [onnx.ValueInfoProto(name=name) for name in feeds],
                [onnx.ValueInfoProto(name=name) for name in self.proto.output if name],
            ),
            opset_imports=self.opset_imports,
        )
        try:
            with np.errstate(all="ignore"):
                return [np.asarray(item) for item in ReferenceEvaluator(model).run(None, feeds)]
        except _EVALUATION_ERRORS as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise Refusal(f"it cannot be evaluated: {reason[:200]}") from error


@dataclass(slots=True)
class Builder:
    """The network as far as the walk through the graph has come.

    Attributes
    ----------
    maps : populations whose shape (channels, rows, columns) a convolution or a pooling relies on
    fates : per node of pooling, what became of it in the layers behind it
    """

    steps: int
    populations: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    maps: set[str] = field(default_factory=set)
    fates: dict[str, list[str]] = field(default_factory=dict)

    def unique_name(self, name: str) -> str:
        """A name that also serves as an identifier and a file name, unlike all others so far."""
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "population"
        if not plain.isidentifier():
            plain = f"layer_{plain}"  # torch calls the parts of a Sequential 0, 1, 2
        taken = {item.name for item in self.populations}
        if self.populations:
            taken.update(RESERVED)
        candidate, number = plain, 2
        while candidate in taken:
            candidate, number = f"{plain}_{number}", number + 1
        return candidate

    def population(self, name: str) -> Population:
        """The population of that name."""
        return next(item for item in self.populations if item.name == name)

    def see_as_maps(self, name: str, shape: Map) -> bool:
        """Fix a population's shape to feature maps; False if it was fixed to others before.

        The shape of a tensor tells little: a flat input may be reshaped to the maps of the first
        convolution.
        """
        population = self.population(name)
        if population.shape != shape:
            if name in self.maps:
                return False
            number = self.populations.index(population)
            self.populations[number] = replace(population, shape=shape)
        self.maps.add(name)
        return True


def as_current(node: Node, value: Value | None) -> Current:
    """A value as a current: spikes are one-to-one connections.

    Raises
    ------
    Refusal
        If it is neither.
    """
    if isinstance(value, Current):
        return value
    if isinstance(value, Spikes):
        term = Term(value.population, node.name, value.order)
        return Current((term,), np.zeros(len(value.order)), value.layout)
    raise Refusal(f"{value} cannot be the current of a layer of neurons")
