"""The ONNX nodes that make populations: layers of neurons."""

import numpy as np

from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.ir import FloatArray, Neuron, Population, Projection
from spikeloom.compiler.onnx_graph import Builder, Meaning, Node, as_current
from spikeloom.compiler.onnx_layout import Layout, Refusal
from spikeloom.compiler.onnx_projections import add_layer
from spikeloom.compiler.onnx_values import Activity, Constant, Silence, Spikes, Value


def integrate(node: Node, build: Builder) -> Meaning:
    """`spikeloom::Neuron`, `RecurrentNeuron`: a population of leaky integrate-and-fire neurons."""
    _check_attributes(node)
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
    is_recurrent = node.proto.op_type == "RecurrentNeuron"
    parameters = {}
    for position, what in enumerate(("alpha", "beta", "threshold"), start=1 + is_recurrent):
        constant = node.constant(position, f"the {what}")
        label = f"{what} '{constant.origin}'"
        parameters[what] = of_step.per_feature(constant.value, label)
        _check_parameter(what, label, parameters[what])
    name = build.unique_name(node.name)
    fire = bool(node.attribute("fire", 1))
    neuron = Neuron(
        alpha=parameters["alpha"],
        beta=parameters["beta"],
        threshold=parameters["threshold"],
        bias=current.bias,
        reset=Reset(node.attribute("reset", "zero")),
        inclusive=node.attribute("compare", ">") == ">=",
        fire=fire,
        single_spike=bool(node.attribute("single_spike", 0)),
    )
    population = add_layer(build, name, current.layout.shape[2:], neuron, node.name, current.terms)
    if is_recurrent:
        build.projections.append(_recurrence(node, population, current.layout, fire))
    order = np.arange(population.size)
    spikes: Value = Spikes(name, order, current.layout) if fire else Silence(name)
    membranes = Activity(name, "membranes", order, current.layout)
    kind = "neurons" if fire else "neurons that never fire"
    kind += " with recurrence" if is_recurrent else ""
    return f"population {name}, {population.size} {kind}", [spikes, membranes]


def _recurrence(node: Node, population: Population, layout: Layout, fire: bool) -> Projection:
    """The projection of a population onto itself."""
    if not fire:
        raise Refusal("it is recurrent but never fires (fire = 0); wanted spikeloom::Neuron")
    constant = node.constant(1, "the recurrent weight")
    size = population.size
    if len(layout.shape) != 3 or constant.value.shape != (size, size):
        raise Refusal(
            f"recurrent weight '{constant.origin}' has the shape {constant.value.shape} for a "
            f"current of shape {layout.shape}; wanted [T, N, neurons] and (neurons, neurons)"
        )
    # The file's weights are [from, to], as MatMul takes them.
    weight = np.asarray(constant.value.T, np.float64)
    return Projection(population.name, population.name, weight, constant.origin)


def _check_attributes(node: Node) -> None:
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


def _check_parameter(what: str, label: str, value: FloatArray) -> None:
    if what == "threshold":
        if (value <= 0).any():
            raise Refusal(f"{label} is {value.min():g}; wanted > 0")
        return
    outside = value[(value < 0) | (value > 1)]
    if outside.size:
        raise Refusal(f"{label} is {outside[0]:g}; wanted a decay in 0 .. 1")
