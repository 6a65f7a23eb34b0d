"""ONNX operators that keep the numbers and change where they lie, or ask for shapes."""

import numpy as np
import onnx

from spikeloom.compiler.onnx_graph import Builder, Meaning, Node
from spikeloom.compiler.onnx_layout import Refusal
from spikeloom.compiler.onnx_values import Constant, Movable, Scores, Spikes


def move(node: Node, build: Builder) -> Meaning:
    """Operators that only change where the numbers lie."""
    value = node.inputs[0]
    if not isinstance(value, Movable):
        raise Refusal(f"{node.proto.op_type} of {value} is not supported")
    if node.proto.op_type == "Transpose":
        rank = len(value.layout.axes)
        layout, order = value.layout.transposed(list(node.attribute("perm", range(rank)[::-1])))
        return f"another order of {value}", [value.select(layout, order)]
    for position in range(1, len(node.proto.input)):
        if node.inputs[position] is not None:
            node.constant(position, f"input {position}")
    others = [item.value if isinstance(item, Constant) else None for item in node.inputs[1:]]
    # Shapes do not depend on the numbers, so that any array of this shape tells the new one.
    shape = node.evaluate([np.zeros(value.layout.shape, np.float32), *others])[0].shape
    layout = value.layout.reshaped(shape)
    return f"another shape of {value}", [value.select(layout, np.arange(layout.features))]


def expand(node: Node, build: Builder) -> Meaning:
    """`Expand` to the shape that the tensor has already."""
    value = node.inputs[0]
    if not isinstance(value, Movable):
        raise Refusal(f"Expand of {value} is not supported")
    wanted = node.constant(1, "the shape")
    if np.broadcast_shapes(value.layout.shape, tuple(wanted.value)) != value.layout.shape:
        raise Refusal(f"it repeats {value}; wanted the shape {value.layout.shape}")
    return f"no change of {value}", [value]


def pass_through(node: Node, build: Builder) -> Meaning:
    """`Identity`, `Dropout` in inference."""
    dropout = node.proto.op_type == "Dropout"
    training = dropout and len(node.inputs) > 2 and node.inputs[2] is not None
    if training and node.constant(2, "training_mode").value.any():
        raise Refusal("it is in training mode; export the model in evaluation mode")
    value = node.inputs[0]
    assert value is not None
    return f"no change of {value}", [value]


def cast(node: Node, build: Builder) -> Meaning:
    """`Cast` and `CastLike` to a type that holds the numbers as they are."""
    value = node.inputs[0]
    if node.proto.op_type == "Cast":
        target = int(node.attribute("to", 0))
    else:
        like = node.inputs[1]
        # Everything that depends on the input is a float tensor in a file that a runtime accepts.
        target = (
            onnx.helper.np_dtype_to_tensor_dtype(like.value.dtype)
            if isinstance(like, Constant)
            else onnx.TensorProto.FLOAT
        )
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
    whole = isinstance(value, Spikes) or (
        isinstance(value, Scores)
        and value.factor == 1
        and value.kind in ("spike_count", "first_spike")
    )
    if value is None or (target not in floats and not whole):
        name = onnx.TensorProto.DataType.Name(target)
        raise Refusal(f"a cast of {value} to {name} would round it; wanted FLOAT or DOUBLE")
    return f"no change of {value}", [value]


def shape_of(node: Node, build: Builder) -> Meaning:
    """`Shape` and `Size`, known without knowing the input."""
    value = node.inputs[0]
    if not isinstance(value, Movable):
        raise Refusal(f"{node.proto.op_type} of {value} is not supported")
    result = node.evaluate([np.zeros(value.layout.shape, np.float32)])[0]
    return "folded constant", [Constant(result, node.name)]
