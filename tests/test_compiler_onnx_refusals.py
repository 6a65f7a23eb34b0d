"""What cannot be lowered is refused with the node, its operator and the reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.onnx_import import examine, import_network, load_model

Parse = Callable[..., onnx.ModelProto]

CURRENT = "current = MatMul (spikes, weight)"
NEURON = "lif, v = spikeloom.Neuron (current, alpha, beta, threshold)"
COUNT = "counts = ReduceSum <keepdims = 0> (lif, time)"
GOOD = CURRENT + NEURON + COUNT

# Name: nodes, extra initializers, the error's text.
REFUSED = {
    "another activation": (
        "soft = Relu (spikes) current = MatMul (soft, weight)" + NEURON + COUNT,
        "",
        "Relu node 'soft': the operator is not supported on the spikes of 'spikes'",
    ),
    "a loop": (
        "current = LSTM <hidden_size = 2> (spikes, weight, weight)" + NEURON + COUNT,
        "",
        "LSTM node 'current': loops and branches are not supported; "
        "a layer of neurons must be one node spikeloom::Neuron",
    ),
    "softmax": (
        CURRENT + NEURON + "sum = ReduceSum <keepdims = 0> (lif, time) counts = Softmax (sum)",
        "",
        "Softmax node 'counts': it is not supported; leave it out: the class with the highest "
        "count stays the same",
    ),
    "random weights": (
        "random = RandomNormal <shape = [3, 2]> () current = MatMul (spikes, random)"
        + NEURON
        + COUNT,
        "",
        "RandomNormal node 'random': random numbers would make the network differ from run to run",
    ),
    "an unknown reset": (
        CURRENT
        + 'lif, v = spikeloom.Neuron <reset = "half"> (current, alpha, beta, threshold)'
        + COUNT,
        "",
        "spikeloom::Neuron node 'lif': reset = 'half'; wanted zero | subtract | none",
    ),
    "an unknown attribute": (
        CURRENT
        + "lif, v = spikeloom.Neuron <refractory = 2> (current, alpha, beta, threshold)"
        + COUNT,
        "",
        "spikeloom::Neuron node 'lif': it has the unknown attribute 'refractory'",
    ),
    "a threshold of zero": (
        CURRENT + "lif, v = spikeloom.Neuron (current, alpha, beta, zero)" + COUNT,
        "float zero = {0}",
        "spikeloom::Neuron node 'lif': threshold 'zero' is 0; wanted > 0",
    ),
    "a decay above one": (
        CURRENT + "lif, v = spikeloom.Neuron (current, alpha, grow, threshold)" + COUNT,
        "float[2] grow = {0.5, 1.25}",
        "spikeloom::Neuron node 'lif': beta 'grow' is 1.25; wanted a decay in 0 .. 1",
    ),
    "a decay below zero": (
        CURRENT + "lif, v = spikeloom.Neuron (current, alpha, minus, threshold)" + COUNT,
        "float minus = {-0.25}",
        "spikeloom::Neuron node 'lif': beta 'minus' is -0.25; wanted a decay in 0 .. 1",
    ),
    "parameters of another size": (
        CURRENT + "lif, v = spikeloom.Neuron (current, alpha, beta, three)" + COUNT,
        "float[3] three = {1, 2, 3}",
        "threshold 'three' has shape (3,), which does not broadcast to",
    ),
    "sizes that do not match": (
        CURRENT + NEURON + "second = MatMul (lif, weight)"
        "last, w = spikeloom.Neuron (second, alpha, beta, threshold)"
        "counts = ReduceSum <keepdims = 0> (last, time)",
        "",
        "MatMul node 'second': layer 'second' takes 3 inputs, but 'lif' gives 2",
    ),
    "features in two axes": (
        "two = Constant <value_ints: ints = [4, -1, 3, 1]> () column = Reshape (spikes, two)"
        "wide = MatMul (column, row) current = Squeeze (wide, last)" + NEURON + COUNT,
        "float[1,1] row = {1}, int64[1] last = {3}",
        "MatMul node 'wide': the features of 'spikes' do not lie in the last axis alone",
    ),
    "an unknown domain": (
        "current = other.MatMul (spikes, weight)" + NEURON + COUNT,
        "",
        "other::MatMul node 'current': operator domain 'other' is not known; "
        "wanted ONNX's own or 'spikeloom'",
    ),
    "a product of two signals": (
        "left = MatMul (spikes, weight) current = Mul (left, left)" + NEURON + COUNT,
        "",
        "Mul node 'current': Mul of the current 'left' and the current 'left'; "
        "wanted one constant factor",
    ),
    "membranes as the readout": (
        CURRENT + NEURON + "counts = ReduceSum <keepdims = 0> (v, time)",
        "",
        "ReduceSum node 'counts': ReduceSum over axes [0] of the membranes of 'lif' is not "
        "supported; wanted their last step or their maximum",
    ),
    "spikes summed over the batch": (
        CURRENT + NEURON + "counts = ReduceSum <keepdims = 0> (lif, batch)",
        "int64[1] batch = {1}",
        "ReduceSum node 'counts': ReduceSum over axes [1] of the spikes of 'lif' is not over time "
        "alone",
    ),
    "spikes as the only output": (
        CURRENT + NEURON + "counts = Identity (lif)",
        "",
        "graph output 'counts': there is no readout; sum the spikes of the last layer over time "
        "(axis 0)",
    ),
    "a current as the output": (
        "counts = MatMul (spikes, weight)",
        "",
        "graph output 'counts': the current 'counts' is not a readout; wanted the spikes summed "
        "over time (axis 0)",
    ),
    "a negative factor of the readout": (
        CURRENT + NEURON + "sum = ReduceSum <keepdims = 0> (lif, time) counts = Mul (sum, minus)",
        "float minus = {-1}",
        "Mul node 'counts': factor 'minus' behind a readout must be one number > 0",
    ),
    "a bias of the readout": (
        CURRENT + NEURON + "sum = ReduceSum <keepdims = 0> (lif, time) counts = Add (sum, bias)",
        "",
        "Add node 'counts': only a factor > 0 may stand behind a readout",
    ),
    "weights that depend on the batch": (
        "shape = Shape <start = 1, end = 2> (spikes) size = Cast <to = 1> (shape)"
        "product = MatMul (spikes, weight) current = Div (product, size)" + NEURON + COUNT,
        "",
        "graph 'net': a layer depends on the batch size",
    ),
    "a sum over half of the time": (
        "shape = Constant <value_ints: ints = [2, 2, -1, 3]> () split = Reshape (spikes, shape)"
        "current = MatMul (split, weight)" + NEURON + COUNT,
        "",
        "cuts through the time axis",
    ),
    "recurrent weights of another shape": (
        CURRENT
        + "lif, v = spikeloom.RecurrentNeuron (current, weight, alpha, beta, threshold)"
        + COUNT,
        "",
        "RecurrentNeuron node 'lif': recurrent weight 'weight' has the shape (3, 2) for a current "
        "of shape (4, 11, 2); wanted [T, N, neurons] and (neurons, neurons)",
    ),
    "recurrent neurons that never fire": (
        CURRENT
        + "lif, v = spikeloom.RecurrentNeuron <fire = 0> (current, weight, alpha, beta, threshold)"
        + "counts = ReduceSum <keepdims = 0> (v, time)",
        "",
        "RecurrentNeuron node 'lif': it is recurrent but never fires (fire = 0); wanted "
        "spikeloom::Neuron",
    ),
    "division by zero": (
        "product = MatMul (spikes, weight) current = Div (product, alpha)" + NEURON + COUNT,
        "",
        "Div node 'current': factor 'alpha' is 0: division by zero",
    ),
}


@pytest.mark.parametrize(("nodes", "extra", "text"), REFUSED.values(), ids=REFUSED)
def test_refusal_names_node_operator_and_reason(
    nodes: str, extra: str, text: str, parse_model: Parse
) -> None:
    header = (
        '<ir_version: 10, opset_import: ["" : 21, "spikeloom" : 1, "other" : 1]>'
        if "other." in nodes
        else '<ir_version: 10, opset_import: ["" : 21, "spikeloom" : 1]>'
    )
    model = parse_model(nodes, initializers=extra, header=header)
    assert not examine(model).ok
    with pytest.raises(SpikeloomError) as raised:
        import_network(model, "net")
    assert text in str(raised.value)


INPUTS = {
    "float[T,N,3] spikes": "graph input 'spikes': its number of time steps is open "
    "(shape [T, N, 3]); export it with a fixed T",
    "float[0,N,3] spikes": "graph input 'spikes': it has T = 0 time steps; wanted at least 1",
    "float[4,N,K] spikes": "graph input 'spikes': its features must have fixed sizes above 0, "
    "not [4, N, K]",
    "float[4,3] spikes": "graph input 'spikes': its shape is [4, 3]; wanted [T, N, features ...]",
    "float[4,N,3] spikes, float[2] more": "graph input 'more': the graph has the inputs 'spikes', "
    "'more'; wanted one",
    "float[4,N,3] unread": "MatMul node 'current': not reached: it needs the result of 'spikes'",
}


@pytest.mark.parametrize(("inputs", "text"), INPUTS.items(), ids=INPUTS)
def test_input_of_another_kind_is_refused(inputs: str, text: str, parse_model: Parse) -> None:
    report = examine(parse_model(GOOD, inputs=inputs))
    assert not report.ok
    assert text in [f"{item.kind} '{item.node}': {item.meaning}" for item in report.refused]


def test_output_that_the_input_does_not_reach_is_refused(parse_model: Parse) -> None:
    model = parse_model("counts = Identity (weight)", outputs="float[3,2] counts")
    texts = [f"{item.kind} '{item.node}': {item.meaning}" for item in examine(model).refused]
    assert texts == [
        "graph input 'spikes': no output of the graph depends on it",
        "graph output 'counts': it does not depend on the input",
    ]


def test_all_bad_nodes_are_listed_and_what_stands_behind_them(parse_model: Parse) -> None:
    report = examine(
        parse_model(
            "first = Relu (spikes) current = MatMul (first, weight)"
            + NEURON
            + "second = MaxPool <kernel_shape = [1]> (lif)"
            "counts = ReduceSum <keepdims = 0> (second, time)"
        )
    )
    meanings = {item.node: item.meaning for item in report.verdicts}
    assert meanings["current"] == "not reached: it needs the result of 'first'"
    assert meanings["second"].startswith("the maximum of spikes is not linear")
    assert [item.node for item in report.refused] == [
        "first",
        "current",
        "lif",
        "second",
        "counts",
        "counts",
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["weight", "bias", "threshold"])
def test_numbers_that_are_not_finite_are_refused(bad: float, name: str, parse_model: Parse) -> None:
    model = parse_model(
        "product = MatMul (spikes, weight) current = Add (product, bias)" + NEURON + COUNT
    )
    tensor = next(item for item in model.graph.initializer if item.name == name)
    value = onnx.numpy_helper.to_array(tensor).copy()
    value.reshape(-1)[0] = bad
    tensor.CopyFrom(onnx.numpy_helper.from_array(value, name))
    with pytest.raises(SpikeloomError, match=f"'{name}' holds 1 values that are NaN or infinite"):
        import_network(model, "net")


def test_another_definition_of_the_neuron_is_refused(parse_model: Parse) -> None:
    model = parse_model(GOOD)
    model.functions[0].node[0].op_type = "Identity"
    with pytest.raises(SpikeloomError, match="the file defines it otherwise than version 1"):
        import_network(model, "net")


def test_missing_definition_of_the_neuron_is_refused(parse_model: Parse) -> None:
    model = parse_model(GOOD)
    del model.functions[:]
    with pytest.raises(SpikeloomError, match="the file uses it but does not define it"):
        import_network(model, "net")


def test_another_version_of_the_operators_is_refused(parse_model: Parse) -> None:
    header = '<ir_version: 10, opset_import: ["" : 21, "spikeloom" : 2]>'
    with pytest.raises(SpikeloomError, match="version 2 of the operators; this Spikeloom knows 1"):
        import_network(parse_model(GOOD, header=header), "net")


def save(model: onnx.ModelProto, path: Path) -> bytes:
    content: bytes = model.SerializeToString()
    path.write_bytes(content)
    return content


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpikeloomError, match="does not exist"):
        load_model(tmp_path / "no.onnx")


@pytest.mark.parametrize("content", [b"", b"hello, this is text\n", b"\x89PNG\r\n", bytes(100)])
def test_file_that_is_not_onnx_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(SpikeloomError, match=r"is not an ONNX file|is not a valid ONNX file"):
        load_model(path)


def test_file_cut_short_anywhere_is_told(parse_model: Parse, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    content = save(parse_model(GOOD), path)
    assert load_model(path).graph.name == "net"
    # What stands behind the graph says how to read it: without that the file is not valid either.
    for length in range(0, len(content), 23):
        path.write_bytes(content[:length])
        with pytest.raises(SpikeloomError):
            import_network(load_model(path), "net")


def test_missing_external_data_is_told(parse_model: Parse, tmp_path: Path) -> None:
    path = tmp_path / "external.onnx"
    model = parse_model(GOOD)
    for tensor in model.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    assert import_network(load_model(path), "net").steps == 4
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(SpikeloomError, match=r"weights\.bin"):
        load_model(path)


def test_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpikeloomError, match="is a folder; wanted an ONNX file"):
        load_model(tmp_path)
