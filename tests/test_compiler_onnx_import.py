"""Graphs that mean the same become the same network."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
from float_run import run_floats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikeloom.compiler.ir import Network, Neuron
from spikeloom.compiler.onnx_import import examine, import_network
from spikeloom.compiler.operator import neuron_function
from spikeloom.models.runtime import run_model

Parse = Callable[..., onnx.ModelProto]
Array = NDArray[np.float64]

NEURON = 'lif, v = spikeloom.Neuron <reset = "zero"> (current, alpha, beta, threshold)'
COUNT = "counts = ReduceSum <keepdims = 0> (lif, time)"
WEIGHT = np.array([[1.0, 2], [3, 4], [5, 6]]).T
BIAS = np.array([0.5, -0.5])

TO_FLAT = """
    batch = Shape <start = 1, end = 2> (spikes)
    folded = Constant <value_ints: ints = [-1, 3]> ()
    flat = Reshape (spikes, folded)
"""
FROM_FLAT = """
    head = Constant <value_ints: ints = [4]> ()
    tail = Constant <value_ints: ints = [2]> ()
    unfolded = Concat <axis = 0> (head, batch, tail)
    current = Reshape (product, unfolded)
"""

SAME = {
    "matmul and add": "product = MatMul (spikes, weight) current = Add (product, bias)",
    "bias on the left": "product = MatMul (spikes, weight) current = Add (bias, product)",
    "gemm with time folded into the batch": (
        TO_FLAT + "product = Gemm (flat, weight, bias)" + FROM_FLAT
    ),
    "gemm with transposed weights": (
        TO_FLAT
        + "turned = Transpose <perm = [1, 0]> (weight)"
        + "product = Gemm <transB = 1> (flat, turned, bias)"
        + FROM_FLAT
    ),
    "gemm with factors": (
        TO_FLAT
        + "half = Constant <value_float: float = 0.5> () halved = Mul (weight, half)"
        + "product = Gemm <alpha = 2.0, beta = 1.0> (flat, halved, bias)"
        + FROM_FLAT
    ),
    "flatten instead of reshape": (
        "batch = Shape <start = 1, end = 2> (spikes)"
        "flat = Flatten <axis = 2> (spikes)"
        "product = Gemm (flat, weight, bias)" + FROM_FLAT
    ),
    "time and batch swapped and back": (
        "swapped = Transpose <perm = [1, 0, 2]> (spikes)"
        "product = MatMul (swapped, weight) shifted = Add (product, bias)"
        "current = Transpose <perm = [1, 0, 2]> (shifted)"
    ),
    "axes of size one": (
        "two = Constant <value_ints: ints = [2]> ()"
        "wide = Unsqueeze (spikes, two) product = MatMul (wide, weight)"
        "narrow = Squeeze (product, two) current = Add (narrow, bias)"
    ),
    "a gain that is undone": (
        "two = Constant <value_float: float = 2.0> ()"
        "more = Mul (two, spikes) product = MatMul (more, weight) less = Div (product, two)"
        "current = Add (less, bias)"
    ),
    "two projections of one population": (
        "one = Constant <value_float: float = 1.0> () rest = Sub (weight, one)"
        "ones = Sub (weight, rest)"
        "left = MatMul (spikes, rest) right = MatMul (spikes, ones) both = Add (left, right)"
        "current = Add (both, bias)"
    ),
    "a bias that is taken away": (
        "minus = Neg (bias) product = MatMul (spikes, weight) current = Sub (product, minus)"
    ),
    "casts, identities and dropout": (
        "same = Identity (spikes) single = Cast <to = 1> (same) dropped = Dropout (single)"
        "product = MatMul (dropped, weight) like = CastLike (product, weight)"
        "current = Add (like, bias)"
    ),
    "two linear layers in a row": (
        "unit = Constant <value_floats: floats = [1.0, 0.0, 0.0, 1.0]> ()"
        "square = Constant <value_ints: ints = [2, 2]> () matrix = Reshape (unit, square)"
        "first = MatMul (spikes, weight) product = MatMul (first, matrix)"
        "current = Add (product, bias)"
    ),
    "a bias spread over the whole window": (
        "product = MatMul (spikes, weight) shape = Shape (product)"
        "spread = Expand (bias, shape) current = Add (product, spread)"
    ),
}


def only_layer(network: Network) -> tuple[Array, Neuron]:
    """Weights with their gain, and the neurons, of a network of one layer."""
    (edge,), (layer,) = network.projections, network.layers
    assert isinstance(layer.neuron, Neuron)
    gain = np.ones(1) if edge.gain is None else edge.gain[:, None]
    return np.asarray(edge.weight * gain, np.float64), layer.neuron


@pytest.mark.parametrize("nodes", SAME.values(), ids=SAME)
def test_graphs_that_mean_the_same_become_the_same_network(nodes: str, parse_model: Parse) -> None:
    model = parse_model(nodes + NEURON + COUNT)
    onnx.checker.check_model(model, full_check=True)
    network = import_network(model, "net")
    network.verify()
    weight, neuron = only_layer(network)
    assert np.array_equal(weight, WEIGHT)
    assert np.array_equal(neuron.bias, BIAS)
    assert (neuron.beta == 0.5).all() and (neuron.threshold == 1.5).all()
    assert network.steps == 4 and network.readout.population == "lif"


@pytest.mark.parametrize("nodes", SAME.values(), ids=SAME)
def test_every_node_gets_a_verdict(nodes: str, parse_model: Parse) -> None:
    model = parse_model(nodes + NEURON + COUNT)
    report = examine(model)
    assert report.ok
    named = [item.node for item in report.verdicts]
    assert named == ["spikes", *(node.output[0] for node in model.graph.node), "counts"]


def test_batch_norm_becomes_gain_and_bias(parse_model: Parse) -> None:
    network = import_network(
        parse_model(
            TO_FLAT
            + "summed = Gemm (flat, weight, bias)"
            + "product = BatchNormalization <epsilon = 0.0> (summed, scale, shift, mean, variance)"
            + FROM_FLAT
            + NEURON
            + COUNT,
            initializers="float[2] scale = {2, 3}, float[2] shift = {1, -1}, "
            "float[2] mean = {0.25, 0.5}, float[2] variance = {4, 16}",
        ),
        "net",
    )
    weight, neuron = only_layer(network)
    gain = np.array([2 / 2, 3 / 4])
    assert np.allclose(weight, WEIGHT * gain[:, None])
    assert np.allclose(neuron.bias, (BIAS - [0.25, 0.5]) * gain + [1, -1])


def test_transposed_features_permute_the_weights(parse_model: Parse) -> None:
    model = parse_model(
        "turned = Transpose <perm = [0, 1, 3, 2]> (spikes) flat = Reshape (turned, three)"
        "product = MatMul (flat, long) current = Add (product, bias)" + NEURON + COUNT,
        inputs="float[4,N,2,3] spikes",
        initializers="float[6,2] long = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, "
        "int64[3] three = {4, -1, 6}",
    )
    weight, _ = only_layer(import_network(model, "net"))
    # Feature (i, j) of the input stands at position (j, i) of the product's input.
    expected = np.arange(12).reshape(3, 2, 2).transpose(1, 0, 2).reshape(6, 2).T
    assert np.array_equal(weight, expected)


def test_residual_sum_is_two_projections(parse_model: Parse) -> None:
    model = parse_model(
        "current = MatMul (spikes, weight)"
        + NEURON
        + "second = MatMul (lif, square) skip = MatMul (spikes, weight) sum = Add (second, skip)"
        'last, w = spikeloom.Neuron <reset = "subtract"> (sum, alpha, beta, threshold)'
        "counts = ReduceSum <keepdims = 0> (last, time)",
        initializers="float[2,2] square = {1, -1, 2, -2}",
    )
    network = import_network(model, "net")
    network.verify()
    assert [edge.pre for edge in network.projections_to("last")] == ["lif", "spikes"]


def test_parameters_may_differ_per_neuron(parse_model: Parse) -> None:
    model = parse_model(
        "current = MatMul (spikes, weight) shape = Shape (bias) wide = Expand (beta, shape)"
        'lif, v = spikeloom.Neuron <reset = "none", compare = ">="> (current, alpha, wide, each)'
        + COUNT,
        initializers="float[1,2] each = {1.5, 2.5}",
    )
    _, neuron = only_layer(import_network(model, "net"))
    assert neuron.threshold.tolist() == [1.5, 2.5]
    assert neuron.inclusive


READOUTS = {
    "sum": COUNT,
    "mean": "counts = ReduceMean <keepdims = 0> (lif, time)",
    "kept axis": "kept = ReduceSum (lif, time) counts = Squeeze (kept, time)",
    "sum divided by T": (
        "total = ReduceSum <keepdims = 0> (lif, time)"
        "steps = Constant <value_float: float = 4.0> () counts = Div (total, steps)"
    ),
}


@pytest.mark.parametrize("nodes", READOUTS.values(), ids=READOUTS)
def test_readouts_that_rank_alike_are_spike_counts(nodes: str, parse_model: Parse) -> None:
    network = import_network(
        parse_model("current = MatMul (spikes, weight)" + NEURON + nodes), "net"
    )
    assert network.readout.kind == "spike_count"


def test_axes_may_be_an_attribute_as_in_older_operator_sets(parse_model: Parse) -> None:
    model = parse_model(
        "current = MatMul (spikes, weight)"
        + NEURON
        + "counts = ReduceMean <axes = [0], keepdims = 0> (lif)",
        header='<ir_version: 8, opset_import: ["" : 17, "spikeloom" : 1]>',
    )
    assert import_network(model, "net").readout.population == "lif"


def test_class_may_be_the_output(parse_model: Parse) -> None:
    model = parse_model(
        "current = MatMul (spikes, weight)"
        + NEURON
        + COUNT
        + "best = ArgMax <axis = 1, keepdims = 0> (counts)",
        outputs="int64[N] best",
    )
    assert import_network(model, "net").readout.population == "lif"


def test_unused_nodes_are_reported(parse_model: Parse) -> None:
    model = parse_model("current = MatMul (spikes, weight) idle = Relu (current)" + NEURON + COUNT)
    report = examine(model)
    (verdict,) = (item for item in report.verdicts if item.node == "idle")
    assert report.ok
    assert verdict.meaning == "unused: no output of the graph needs it"


def test_encoder_of_the_file_is_kept(parse_model: Parse) -> None:
    model = parse_model("current = MatMul (spikes, weight)" + NEURON + COUNT)
    onnx.helper.set_model_props(model, {"spikeloom.encoder": "bernoulli(steps=4)"})
    assert import_network(model, "net").encoder == "bernoulli(steps=4)"


class ChainWriter:
    """Writes a chain of layers as ONNX, each layer in one of several ways to say the same."""

    def __init__(self, steps: int, sizes: list[int], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.steps, self.sizes = steps, sizes
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, NDArray[np.generic]] = {"time": np.array([0])}

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"x{len(self.nodes)}"
        outputs = [name, f"{name}_v"] if operator == "Neuron" else [name]
        self.nodes.append(
            onnx.helper.make_node(operator, inputs, outputs, domain=domain, **attributes)
        )
        return name

    def tensor(self, value: object, kind: type = np.float32) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors[name] = np.asarray(value, kind)
        return name

    def layer(self, spikes: str, inputs: int, outputs: int, way: str, reset: str) -> str:
        # Small integers and halves, so that float32 is exact in any order of sums.
        weight = self.random.integers(-4, 5, (inputs, outputs))
        bias = self.random.integers(-2, 3, outputs) / 2
        if way == "matmul":
            product = self.node("MatMul", spikes, self.tensor(weight))
            current = self.node("Add", product, self.tensor(bias))
        elif way == "gain":
            product = self.node("MatMul", spikes, self.tensor(weight * 2))
            halved = self.node("Mul", self.tensor(np.full(outputs, 0.5)), product)
            current = self.node("Sub", halved, self.tensor(-bias))
        else:
            batch = self.node("Shape", spikes, start=1, end=2)
            if way == "flatten":
                flat = self.node("Flatten", spikes, axis=2)
                flipped = self.node("Identity", self.tensor(weight.T))
            else:
                flat = self.node("Reshape", spikes, self.tensor([-1, inputs], np.int64))
                flipped = self.node("Transpose", self.tensor(weight), perm=[1, 0])
            product = self.node("Gemm", flat, flipped, self.tensor(bias), transB=1)
            ends = [self.tensor([size], np.int64) for size in (self.steps, outputs)]
            shape = self.node("Concat", ends[0], batch, ends[1], axis=0)
            current = self.node("Reshape", product, shape)
        beta = self.tensor(self.random.choice([0.0, 0.5, 1.0], outputs))
        threshold = self.tensor(self.random.integers(1, 6))
        return self.node(
            "Neuron", current, self.tensor(0), beta, threshold, domain="spikeloom", reset=reset
        )

    def model(self, last: str) -> onnx.ModelProto:
        counts = self.node("ReduceSum", last, "time", keepdims=0)
        kind = onnx.TensorProto.FLOAT
        graph = onnx.helper.make_graph(
            self.nodes,
            "chain",
            [onnx.helper.make_tensor_value_info("x", kind, [self.steps, "N", self.sizes[0]])],
            [onnx.helper.make_tensor_value_info(counts, kind, ["N", self.sizes[-1]])],
            [onnx.numpy_helper.from_array(value, name) for name, value in self.tensors.items()],
        )
        opsets = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid("spikeloom", 1)]
        return onnx.helper.make_model(
            graph, functions=[neuron_function()], opset_imports=opsets, ir_version=10
        )


@settings(max_examples=40, deadline=None)
@given(
    steps=st.integers(1, 6),
    sizes=st.lists(st.integers(1, 14), min_size=2, max_size=4),
    ways=st.lists(st.sampled_from(["matmul", "gain", "flatten", "reshape"]), min_size=3),
    resets=st.lists(st.sampled_from(["zero", "subtract", "none"]), min_size=3),
    seed=st.integers(0, 2**32 - 1),
)
def test_import_computes_what_onnxruntime_computes(
    steps: int, sizes: list[int], ways: list[str], resets: list[str], seed: int
) -> None:
    writer = ChainWriter(steps, sizes, seed)
    last = "x"
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        last = writer.layer(last, inputs, outputs, ways[number], resets[number])
    model = writer.model(last)
    network = import_network(model, "chain")
    spikes = writer.random.integers(0, 2, (steps, 5, sizes[0])).astype(np.float64)
    (expected,) = run_model(model, spikes).values()
    assert np.array_equal(run_floats(network, spikes).scores, expected)
