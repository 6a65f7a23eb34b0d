"""The ONNX nodes that make populations: layers of neurons."""

import numpy as np

from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.ir import FloatArray, Neuron
from spikeloom.compiler.onnx_graph import Builder, Meaning, Node, as_current
from spikeloom.compiler.onnx_layout import Layout, Refusal
from spikeloom.compiler.onnx_projections import add_layer
from spikeloom.compiler.onnx_values import Activity, Constant, Silence, Spikes, Value


def integrate(node: Node, build: Builder) -> Meaning:
    """`spikeloom::Neuron`: a population of leaky integrate-and-fire neurons."""
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
    parameters = {}
    for position, what in enumerate(("alpha", "beta", "threshold"), start=1):
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
    order = np.arange(population.size)
    spikes: Value = Spikes(name, order, current.layout) if fire else Silence(name)
    membranes = Activity(name, "membranes", order, current.layout)
    kind = "neurons" if fire else "neurons that never fire"
    return f"population {name}, {population.size} {kind}", [spikes, membranes]


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
