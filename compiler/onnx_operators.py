"""Which ONNX operators are lowered, and by what; which are not, and why not."""

from collections.abc import Callable

import onnx

from spikeloom.compiler.onnx_convolution import average, convolution
from spikeloom.compiler.onnx_graph import Builder, Meaning, Node
from spikeloom.compiler.onnx_layout import Refusal
from spikeloom.compiler.onnx_linear import add, normalize, project, scale
from spikeloom.compiler.onnx_moves import cast, expand, move, pass_through, shape_of
from spikeloom.compiler.onnx_neurons import integrate
from spikeloom.compiler.onnx_readouts import choose, reduce, take
from spikeloom.compiler.onnx_values import Constant
from spikeloom.compiler.operator import DOMAIN, NEURONS

_HANDLERS: dict[str, Callable[[Node, Builder], Meaning]] = {
    "MatMul": project,
    "Gemm": project,
    "Conv": convolution,
    "AveragePool": average,
    "GlobalAveragePool": average,
    "Add": add,
    "Sub": add,
    "Mul": scale,
    "Div": scale,
    "Neg": scale,
    "BatchNormalization": normalize,
    "Reshape": move,
    "Flatten": move,
    "Squeeze": move,
    "Unsqueeze": move,
    "Transpose": move,
    "Expand": expand,
    "Identity": pass_through,
    "Dropout": pass_through,
    "Cast": cast,
    "CastLike": cast,
    "Shape": shape_of,
    "Size": shape_of,
    "ReduceSum": reduce,
    "ReduceMean": reduce,
    "ReduceMax": reduce,
    "Gather": take,
    "Slice": take,
    "ArgMax": choose,
}

_MAXIMUM = (
    "the maximum of spikes is not linear; pool by averages, or by the earliest spike "
    "(spikeloom.models.stdbp.EarliestPool2d)"
)
_CONTROL = (
    "loops and branches are not supported; a layer of neurons must be one node spikeloom::Neuron"
)
_RANDOM = "random numbers would make the network differ from run to run"

_REASONS = {
    **dict.fromkeys(("MaxPool", "GlobalMaxPool", "LpPool"), _MAXIMUM),
    **dict.fromkeys(
        ("ConvInteger", "ConvTranspose", "QLinearConv"), "it is not supported; wanted Conv"
    ),
    **dict.fromkeys(("If", "Loop", "Scan", "LSTM", "GRU", "RNN"), _CONTROL),
    **dict.fromkeys(
        ("Softmax", "LogSoftmax"),
        "it is not supported; leave it out: the class with the highest count stays the same",
    ),
    **dict.fromkeys(
        (
            "Bernoulli",
            "Multinomial",
            "RandomNormal",
            "RandomNormalLike",
            "RandomUniform",
            "RandomUniformLike",
        ),
        _RANDOM,
    ),
}


def lower_node(node: Node, build: Builder) -> Meaning:
    """What a node became in words, and the values of its outputs.

    Raises
    ------
    Refusal
        If it cannot be lowered.
    """
    proto = node.proto
    if proto.domain == DOMAIN:
        if proto.op_type in NEURONS:
            return integrate(node, build)
        wanted = " or ".join(NEURONS)
        raise Refusal(f"domain '{DOMAIN}' has no operator '{proto.op_type}'; wanted {wanted}")
    reason = unsupported(proto)
    if reason is not None:
        raise Refusal(reason)
    if all(item is None or isinstance(item, Constant) for item in node.inputs):
        arrays = [item.value if isinstance(item, Constant) else None for item in node.inputs]
        results = node.evaluate(arrays)
        origins = [item.origin for item in node.inputs if isinstance(item, Constant)]
        # A weight that was only transposed or cast is still known by its own name.
        origin = origins[0] if len(origins) == 1 else node.name
        return "folded constant", [Constant(result, origin) for result in results]
    if proto.op_type in _HANDLERS:
        return _HANDLERS[proto.op_type](node, build)
    value = next(item for item in node.inputs if not (item is None or isinstance(item, Constant)))
    raise Refusal(f"the operator is not supported on {value}")


def unsupported(proto: onnx.NodeProto) -> str | None:
    """Why a node cannot be lowered whatever its inputs are, or None."""
    if proto.domain not in ("", "ai.onnx", DOMAIN):
        return f"operator domain '{proto.domain}' is not known; wanted ONNX's own or '{DOMAIN}'"
    return _REASONS.get(proto.op_type) if proto.domain != DOMAIN else None
