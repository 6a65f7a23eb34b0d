"""ONNX operators that are linear in the spikes: products with weights, sums, gains, batch norm.

Each function takes a node whose inputs are known, and gives what the node became in words and the
values of its outputs. A node that cannot be lowered raises `Refusal`.
"""

import numpy as np

from spikeloom.compiler.ir import FloatArray
from spikeloom.compiler.onnx_graph import Builder, Meaning, Node, as_current
from spikeloom.compiler.onnx_values import Constant, Current, Layout, Refusal, Scores, Spikes, Term


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
    current = _product(value, matrix.T, label)
    if gemm and len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = node.constant(2, "the bias")
        added = current.layout.per_feature(bias.value, f"bias '{bias.origin}'")
        current = Current(
            current.terms, current.bias + added * node.attribute("beta", 1.0), current.layout
        )
    return f"projection {label}", [current]


def _product(value: Spikes | Current, weight: FloatArray, label: str) -> Current:
    layout = value.layout
    outputs, inputs = weight.shape
    last = len(layout.axes) - 1
    giver = value.population if isinstance(value, Spikes) else value.terms[0].source
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
    if isinstance(value, Spikes):
        dense = np.zeros((outputs, inputs))
        dense[:, value.order] = weight
        return Current((Term(value.population, dense, label),), np.zeros(outputs), result)
    # Two linear layers without neurons between them are one.
    terms = tuple(
        Term(term.pre, weight @ term.matrix, f"{term.source}*{label}") for term in value.terms
    )
    return Current(terms, weight @ value.bias, result)


def add(node: Node, build: Builder) -> Meaning:
    """`Add` and `Sub` of currents and constants."""
    sign = -1.0 if node.proto.op_type == "Sub" else 1.0
    left, right = node.inputs
    if isinstance(left, Scores) or isinstance(right, Scores):
        raise Refusal("only a factor > 0 may stand behind a spike count; put biases into the layer")
    if isinstance(left, Constant) or isinstance(right, Constant):
        position = 0 if isinstance(left, Constant) else 1
        constant = node.constant(position, "the bias")
        current = as_current(node, right if position == 0 else left)
        if position == 0 and sign < 0:
            current = current.scaled(np.full(len(current.bias), sign))
            sign = 1.0
        bias = current.layout.per_feature(constant.value, f"bias '{constant.origin}'")
        sources = "+".join(term.source for term in current.terms)
        shifted = Current(current.terms, current.bias + sign * bias, current.layout)
        return f"bias of {sources}", [shifted]
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
    if isinstance(left, Scores):
        factor = left.layout.per_feature(constant.value, what)
        if (factor <= 0).any() or (factor != factor[0]).any():
            raise Refusal(f"{what} behind a spike count must be one number > 0")
        number = 1 / float(factor[0]) if operator == "Div" else float(factor[0])
        scores = Scores(left.population, left.order, left.layout, left.factor * number)
        return f"factor {number:g} of the readout", [scores]
    current = as_current(node, left)
    gain = current.layout.per_feature(constant.value, what)
    gain = 1 / gain if operator == "Div" else gain
    return "gain of " + "+".join(term.source for term in current.terms), [current.scaled(gain)]


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
    return "gain and bias of " + "+".join(term.source for term in current.terms), [shifted]
