"""ONNX operators that are linear in the spikes: products with weights, sums, gains, batch norm.

Each function takes a node whose inputs are known, and gives what the node became in words and the
values of its outputs. A node that cannot be lowered raises `Refusal`.
"""

from dataclasses import replace

import numpy as np

from spikeloom.compiler.ir import FloatArray
from spikeloom.compiler.onnx_graph import Builder, Meaning, Node, as_current
from spikeloom.compiler.onnx_layout import Layout, Refusal
from spikeloom.compiler.onnx_readouts import as_activity
from spikeloom.compiler.onnx_terms import weigh
from spikeloom.compiler.onnx_values import Activity, Constant, Current, Scores, Spikes


def project(node: Node, build: Builder) -> Meaning:
    """`MatMul` and `Gemm` by constant weights."""
    value = node.inputs[0]
    if isinstance(value, Constant):
        raise Refusal("the weights stand on the left; write input @ weights")
    if not isinstance(value, Spikes | Current):
        raise Refusal(f"{value} cannot be multiplied by weights")
    weights = node.constant(1, "the weight")
    matrix = np.asarray(weights.value, np.float64)
    gemm = node.proto.op_type == "Gemm"
    if gemm and node.attribute("transA", 0):
        raise Refusal("transA = 1 would mix samples; wanted transA = 0")
    if matrix.ndim != 2:
        raise Refusal(f"weight '{weights.origin}' has shape {matrix.shape}; wanted two axes")
    if gemm:
        matrix = (matrix.T if node.attribute("transB", 0) else matrix) * node.attribute(
            "alpha", 1.0
        )
    label = weights.origin.removesuffix(".weight") if ".weight" in weights.origin else node.name
    giver = value.population if isinstance(value, Spikes) else value.terms[0].source
    current = _product(as_current(node, value), matrix.T, label, giver, build)
    if gemm and len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = node.constant(2, "the bias")
        added = current.layout.per_feature(bias.value, f"bias '{bias.origin}'")
        current = Current(
            current.terms, current.bias + added * node.attribute("beta", 1.0), current.layout
        )
    return f"projection {label}", [current]


def _product(
    current: Current, weight: FloatArray, label: str, giver: str, build: Builder
) -> Current:
    layout = current.layout
    outputs, inputs = weight.shape
    last = len(layout.axes) - 1
    if layout.shape[last] != inputs:
        raise Refusal(
            f"layer '{label}' takes {inputs} inputs, but '{giver}' gives {layout.shape[last]}"
        )
    if layout.features != inputs or not layout.holds(last, "feature"):
        raise Refusal(
            f"the features of '{giver}' do not lie in the last axis alone (shape {layout.shape}); "
            "flatten them first"
        )
    result = Layout((*layout.axes[:-1], Layout.of_axes(("feature", outputs)).axes[0]))
    terms = tuple(weigh(term, weight, label, build) for term in current.terms)
    return Current(terms, weight @ current.bias, result)


def add(node: Node, build: Builder) -> Meaning:
    """`Add` and `Sub` of currents and constants."""
    sign = -1.0 if node.proto.op_type == "Sub" else 1.0
    left, right = node.inputs
    if isinstance(left, Scores | Activity) or isinstance(right, Scores | Activity):
        raise Refusal("only a factor > 0 may stand behind a readout; put biases into the layer")
    if isinstance(left, Constant) or isinstance(right, Constant):
        position = 0 if isinstance(left, Constant) else 1
        constant = node.constant(position, "the bias")
        current = as_current(node, right if position == 0 else left)
        if position == 0 and sign < 0:
            current = current.scaled(np.full(len(current.bias), sign))
            sign = 1.0
        bias = current.layout.per_feature(constant.value, f"bias '{constant.origin}'")
        shifted = Current(current.terms, current.bias + sign * bias, current.layout)
        return f"bias of {current.sources}", [shifted]
    first, second = as_current(node, left), as_current(node, right)
    if first.layout != second.layout:
        raise Refusal(
            f"the two currents lie differently: {first.layout.shape} and {second.layout.shape}"
        )
    second = second.scaled(np.full(len(second.bias), sign)) if sign < 0 else second
    total = Current(first.terms + second.terms, first.bias + second.bias, first.layout)
    return "sum of currents", [total]


def scale(node: Node, build: Builder) -> Meaning:
    """`Mul`, `Div` and `Neg` by constants."""
    operator = node.proto.op_type
    if operator == "Neg":
        current = as_current(node, node.inputs[0])
        return "gain -1", [current.scaled(np.full(len(current.bias), -1.0))]
    left, right = node.inputs
    if operator == "Mul" and isinstance(left, Constant):
        left, right, position = right, left, 0
    else:
        position = 1
    if not isinstance(right, Constant):
        raise Refusal(f"{operator} of {left} and {right}; wanted one constant factor")
    constant = node.constant(position, "the factor")
    what = f"factor '{constant.origin}'"
    if operator == "Div" and (constant.value == 0).any():
        raise Refusal(f"{what} is 0: division by zero")
    if isinstance(left, Spikes | Current | Activity):
        steps = left.layout.per_step(constant.value, what)
        if steps is not None:
            return _weigh_steps(left, 1 / steps if operator == "Div" else steps, what)
    if isinstance(left, Scores | Activity):
        factor = left.layout.per_feature(constant.value, what)
        if (factor <= 0).any() or (factor != factor[0]).any():
            raise Refusal(f"{what} behind a readout must be one number > 0")
        number = 1 / float(factor[0]) if operator == "Div" else float(factor[0])
        return f"factor {number:g} of the readout", [replace(left, factor=left.factor * number)]
    current = as_current(node, left)
    gain = current.layout.per_feature(constant.value, what)
    gain = 1 / gain if operator == "Div" else gain
    return f"gain of {current.sources}", [current.scaled(gain)]


def _weigh_steps(value: Spikes | Current | Activity, steps: FloatArray, what: str) -> Meaning:
    """A factor per time step, which only a readout has."""
    activity = as_activity(value)
    if activity is None or activity.what != "spikes" or activity.weights:
        raise Refusal(
            f"{what} differs between time steps; only spikes on their way into a readout, "
            f"not {value}, may be weighted by time"
        )
    if (steps < 0).any():
        raise Refusal(f"{what} is {steps.min():g} at a time step; wanted >= 0")
    weighted = replace(activity, weights=tuple(steps.tolist()))
    return f"time weights of the readout of {activity.population}", [weighted]


def normalize(node: Node, build: Builder) -> Meaning:
    """`BatchNormalization` in inference: a gain and a bias per channel (axis 1)."""
    if node.attribute("training_mode", 0):
        raise Refusal("it is in training mode; export the model in evaluation mode")
    current = as_current(node, node.inputs[0])
    rank = len(current.layout.axes)
    factors = []
    for position, what in enumerate(("scale", "bias", "mean", "variance"), start=1):
        constant = node.constant(position, f"the {what}")
        spread = constant.value.reshape(-1, *(1,) * (rank - 2))
        factors.append(current.layout.per_feature(spread, f"{what} '{constant.origin}'"))
    gamma, beta, mean, variance = factors
    if (variance < 0).any():
        raise Refusal("its variance is negative")
    gain = gamma / np.sqrt(variance + node.attribute("epsilon", 1e-5))
    scaled = current.scaled(gain)
    shifted = Current(scaled.terms, scaled.bias + beta - mean * gain, scaled.layout)
    return f"gain and bias of {current.sources}", [shifted]
