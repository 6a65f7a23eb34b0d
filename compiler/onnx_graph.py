"""A node of an ONNX graph on its way into a network, and the network as far as it is built."""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from spikeloom.compiler.cores import RESERVED
from spikeloom.compiler.ir import Population, Projection
from spikeloom.compiler.onnx_values import Constant, Current, Refusal, Spikes, Term, Value

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
    """The network as far as the walk through the graph has come."""

    steps: int
    populations: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)

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

    def size(self, population: str) -> int:
        """Number of neurons of the population of that name."""
        return next(item.size for item in self.populations if item.name == population)

    def add_layer(self, population: Population, terms: tuple[Term, ...]) -> None:
        """Add a population and what projects onto it.

        Maps from the same population are one projection: their weights add.
        """
        self.populations.append(population)
        for pre in dict.fromkeys(term.pre for term in terms):
            maps = [term for term in terms if term.pre == pre]
            first = maps[0]
            weight, gain = (
                (first.weight, first.gain)
                if len(maps) == 1
                else (np.sum([term.matrix for term in maps], axis=0), None)
            )
            source = "+".join(term.source for term in maps)
            self.projections.append(Projection(pre, population.name, weight, source, gain))


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
        size = len(value.order)
        one_to_one = np.eye(size)[value.order]
        term = Term(value.population, one_to_one, node.name)
        return Current((term,), np.zeros(size), value.layout)
    raise Refusal(f"{value} cannot be the current of a layer of neurons")
