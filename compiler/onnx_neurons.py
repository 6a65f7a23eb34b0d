"""The ONNX nodes that make populations and readouts: neurons, sums over time, ArgMax."""

import numpy as np

from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.ir import FloatArray, Neuron, Population
from spikeloom.compiler.onnx_graph import Builder, Meaning, Node, as_current
from spikeloom.compiler.onnx_values import (
    Classes,
    Constant,
    Layout,
    Membranes,
    Refusal,
    Scores,
    Spikes,
)


def integrate(node: Node, build: Builder) -> Meaning:
    """`spikeloom::Neuron`: a population of leaky integrate-and-fire neurons."""
    reset, inclusive = _neuron_attributes(node)
    value = node.inputs[0]
    if isinstance(value, Constant):
        raise Refusal("its current does not depend on the input of the network")
    current = as_current(node, value)
    axes = current.layout.axes
    if (
        len(axes) < 3
        or current.layout.shape[0] != build.steps
        or not current.layout.holds(0, "time")
        or not current.layout.holds(1, "batch")
        or not all(current.layout.holds(axis, "feature") for axis in range(2, len(axes)))
    ):
        raise Refusal(
            f"its current of shape {current.layout.shape} is not [T, N, features ...] with "
            f"T = {build.steps}; unfold time first"
        )
    of_step = Layout(axes[1:])
    parameters = {}
    for position, what in enumerate(("alpha", "beta", "threshold"), start=1):
        constant = node.constant(position, f"the {what}")
        label = f"{what} '{constant.origin}'"
        parameters[what] = of_step.per_feature(constant.value, label)
        _check_parameter(what, label, parameters[what])
    name = build.unique_name(node.name)
    alpha, beta, threshold = parameters.values()
    neuron = Neuron(alpha, beta, threshold, current.bias, reset, inclusive)
    population = Population(name, current.layout.shape[2:], neuron, node.name)
    build.add_layer(population, current.terms)
    spikes = Spikes(name, np.arange(population.size), current.layout)
    return f"population {name}, {population.size} neurons", [spikes, Membranes(name)]


def _neuron_attributes(node: Node) -> tuple[Reset, bool]:
    known = {
        "reset": tuple(item.value for item in Reset),
        "compare": (">", ">="),
        "fire": (0, 1),
        "single_spike": (0, 1),
    }
    for item in node.proto.attribute:
        value = node.attribute(item.name, None)
        if item.name not in known:
            raise Refusal(f"it has the unknown attribute '{item.name}'")
        if value not in known[item.name]:
            wanted = " | ".join(str(choice) for choice in known[item.name])
            raise Refusal(f"{item.name} = {value!r}; wanted {wanted}")
    if node.attribute("fire", 1) == 0:
        raise Refusal("fire = 0 (a membrane readout) is not supported yet; count spikes instead")
    if node.attribute("single_spike", 0) == 1:
        raise Refusal("single_spike = 1 is not supported yet")
    return Reset(node.attribute("reset", "zero")), node.attribute("compare", ">") == ">="


def _check_parameter(what: str, label: str, value: FloatArray) -> None:
    if what == "threshold":
        if (value <= 0).any():
            raise Refusal(f"{label} is {value.min():g}; wanted > 0")
        return
    outside = value[(value < 0) | (value > 1)]
    if outside.size:
        raise Refusal(f"{label} is {outside[0]:g}; wanted a decay in 0 .. 1")
    if what == "alpha" and value.any():
        raise Refusal(
            f"{label} is {value.max():g}: a synaptic current with a memory is not supported yet; "
            "wanted 0"
        )


def count(node: Node, build: Builder) -> Meaning:
    """`ReduceSum` and `ReduceMean` of spikes over time."""
    operator = node.proto.op_type
    value = node.inputs[0]
    if not isinstance(value, Spikes):
        raise Refusal(f"{operator} of {value} is not supported; wanted spikes, over time (axis 0)")
    rank = len(value.layout.axes)
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        listed = node.constant(1, "the axes").value.reshape(-1).tolist()
    else:
        listed = list(node.attribute("axes", ()))
    axes = {int(axis) % rank for axis in listed}
    kept = [axis for number, axis in enumerate(value.layout.axes) if number not in axes]
    reduced = [factor for number in axes for factor in value.layout.axes[number]]
    if not axes or any(kind != "time" for kind, _ in reduced):
        raise Refusal(f"{operator} over axes {sorted(axes)} of {value} is not over time alone")
    if any(kind == "time" for axis in kept for kind, _ in axis):
        raise Refusal(f"{operator} over axes {sorted(axes)} of {value} leaves a time axis")
    if node.attribute("keepdims", 1):
        kept = [() if number in axes else axis for number, axis in enumerate(value.layout.axes)]
    factor = 1 / build.steps if operator == "ReduceMean" else 1.0
    scores = Scores(value.population, value.order, Layout(tuple(kept)), factor)
    return f"readout, spike count of {value.population}", [scores]


def choose(node: Node, build: Builder) -> Meaning:
    """`ArgMax` over the classes."""
    value = node.inputs[0]
    if not isinstance(value, Scores):
        raise Refusal(f"ArgMax of {value} is not supported; wanted spike counts")
    axis = int(node.attribute("axis", 0)) % len(value.layout.axes)
    size = value.layout.shape[axis]
    if not value.layout.holds(axis, "feature") or size != value.layout.features:
        raise Refusal(
            f"ArgMax over axis {axis} of {value} is not over its {len(value.order)} classes"
        )
    if node.attribute("select_last_index", 0):
        raise Refusal("select_last_index = 1; wanted 0: ties go to the lowest index")
    if (value.order != np.arange(size)).any():
        raise Refusal(f"the classes of {value} stand in another order")
    return f"readout, class of {value.population}", [Classes(value.population)]
