"""Convolutions and pooling in all the ways to write them."""

import numpy as np
import onnx
import pytest
from float_run import run_floats
from map_graphs import FOLDED, P2, Case, Parse, behind, convolution, kinds, model_of

from spikeloom.compiler.onnx_import import import_network
from spikeloom.models import runtime

CASES = {
    "valid": convolution('auto_pad = "VALID"', (3, 2, 3, 2), (3, 4, 4)),
    "padding and stride": convolution(
        "pads = [1, 0, 2, 1], strides = [2, 1]", (3, 2, 3, 3), (3, 4, 4)
    ),
    "same, larger at the end": convolution(
        'auto_pad = "SAME_UPPER", strides = [2, 2]', (3, 2, 3, 4), (3, 3, 3)
    ),
    "same, larger at the start": convolution(
        'auto_pad = "SAME_LOWER", strides = [2, 2]', (3, 2, 4, 3), (3, 3, 3)
    ),
    "groups": convolution("group = 2", (4, 1, 2, 2), (4, 5, 4)),
    "depthwise": convolution("group = 2", (2, 1, 3, 3), (2, 4, 3)),
    "one by one": convolution("kernel_shape = [1, 1]", (5, 2, 1, 1), (5, 6, 5)),
    "over one axis": Case(
        "maps = Reshape (spikes, fold)"
        "product = Conv <pads = [1, 1], strides = [2]> (maps, kernel, shift)"
        "current = Reshape (product, unfold)",
        {"kernel": (3, 2, 3), "shift": (3,)},
        {"fold": [-1, 2, 9], "unfold": [4, -1, 3, 5]},
        ["convolution"],
        (3, 1, 5),
        (2, 9),
    ),
    "a flat input": Case(
        "maps = Reshape (spikes, fold) product = Conv (maps, kernel)"
        "current = Reshape (product, unfold)",
        {"kernel": (3, 2, 3, 3)},
        {**FOLDED, "unfold": [4, -1, 36]},
        ["convolution"],
        (3, 4, 3),
        (60,),
    ),
    "batch norm, gain and bias": behind(
        "a = Conv (maps, kernel) b = BatchNormalization <epsilon = 0.0> (a, s, m, m, ones)"
        "c = Mul (b, factor) product = Add (c, shift)",
        (3, 5, 4),
        ["convolution"],
        kernel=(3, 2, 2, 2),
        s=(3,),
        m=(3,),
        factor=(3, 1, 1),
        shift=(1, 3, 1, 1),
    ),
    "pooling and convolution": behind(
        f"a = AveragePool <{P2}> (maps) product = Conv <pads = [1, 1, 1, 1]> (a, kernel, shift)",
        (3, 3, 2),
        ["convolution pooled"],
        kernel=(3, 2, 3, 3),
        shift=(3,),
    ),
    "scaled pooling and convolution": behind(
        f"a = AveragePool <{P2}> (maps) b = Mul (a, factor) product = Conv (b, kernel)",
        (3, 3, 2),
        ["convolution pooled"],
        kernel=(3, 2, 1, 1),
        factor=(2, 1, 1),
    ),
    "pooling and a dense layer": behind(
        f"a = AveragePool <{P2}> (maps) b = Flatten (a) product = MatMul (b, weight2)",
        (7,),
        ["dense pooled"],
        weight2=(12, 7),
    ),
    "pooling over whole maps": behind(
        "a = Conv (maps, kernel) product = GlobalAveragePool (a)",
        (3, 1, 1),
        ["convolution"],
        kernel=(3, 2, 2, 1),
    ),
    "pooling of a convolution": behind(
        f"a = Conv <strides = [1, 2], pads = [1, 0, 1, 1]> (maps, kernel, shift)"
        f"b = Mul (a, factor) product = AveragePool <{P2}> (b)",
        (3, 3, 1),
        ["convolution"],
        kernel=(3, 2, 3, 2),
        shift=(3,),
        factor=(3, 1, 1),
    ),
    "averages that overlap": behind(
        "product = AveragePool <kernel_shape = [2, 2]> (maps)", (2, 5, 4), ["convolution"]
    ),
    "averages with padding": behind(
        "product = AveragePool <kernel_shape = [2, 2], pads = [1, 1, 0, 0], count_include_pad = 1>"
        "(maps)",
        (2, 6, 5),
        ["convolution"],
    ),
    "every second pixel": behind(
        "product = AveragePool <kernel_shape = [1, 1], strides = [2, 2]> (maps)",
        (2, 3, 3),
        ["convolution"],
    ),
    "neurons on pooled spikes": behind(
        f"product = AveragePool <{P2}> (maps)", (2, 3, 2), ["convolution"]
    ),
    "neurons on flattened pooled spikes": behind(
        f"product = AveragePool <{P2}> (maps)", (12,), ["convolution"], (2, 3, 2)
    ),
    "two convolutions in a row": behind(
        "a = Conv (maps, kernel) product = Conv (a, other)",
        (2, 4, 3),
        ["dense"],
        kernel=(3, 2, 2, 2),
        other=(2, 3, 2, 2),
    ),
    "a convolution and a shortcut": behind(
        "a = Conv <pads = [1, 1, 1, 1]> (maps, kernel) product = Add (a, maps)",
        (2, 6, 5),
        ["convolution"],
        kernel=(2, 2, 3, 3),
    ),
    "a convolution and a shortcut, strided": behind(
        "a = Conv <strides = [2, 2], pads = [2, 0, 1, 1]> (maps, kernel)"
        "b = AveragePool <kernel_shape = [1, 1], strides = [2, 2]> (maps) c = Mul (b, factor)"
        "product = Add (a, c)",
        (2, 3, 3),
        ["convolution"],
        kernel=(2, 2, 4, 2),
        factor=(2, 1, 1),
    ),
    "a convolution and a shortcut, pooled": behind(
        f"p = AveragePool <{P2}> (maps) a = Conv <group = 2, pads = [0, 1, 0, 1]> (p, kernel)"
        "product = Add (p, a)",
        (2, 3, 2),
        ["convolution pooled"],
        kernel=(2, 1, 1, 3),
    ),
    "strides that differ": behind(
        "a = Conv <strides = [2, 2]> (maps, kernel) b = Conv (maps, other)product = Add (a, b)",
        (3, 3, 3),
        ["dense"],
        kernel=(3, 2, 2, 1),
        other=(3, 2, 4, 3),
    ),
    "two convolutions of one population": behind(
        "a = Conv (maps, kernel) b = Conv (maps, other) c = Mul (b, factor)product = Sub (a, c)",
        (3, 5, 4),
        ["convolution"],
        kernel=(3, 2, 2, 2),
        other=(3, 2, 2, 2),
        factor=(3, 1, 1),
    ),
    "a bias before a padded convolution": behind(
        "a = Add (maps, before) product = Conv <pads = [1, 1, 1, 1]> (a, kernel)",
        (3, 6, 5),
        ["convolution"],
        kernel=(3, 2, 3, 3),
        before=(2, 1, 1),
    ),
    "maps in another order": behind(
        "a = Conv (maps, kernel) product = Transpose <perm = [0, 2, 3, 1]> (a)",
        (4, 4, 3),
        ["dense"],
        kernel=(3, 2, 3, 2),
    ),
    "a factor that differs inside the input's maps": behind(
        "a = Mul (maps, factor) product = Conv (a, kernel)",
        (3, 5, 4),
        ["dense"],
        kernel=(3, 2, 2, 2),
        factor=(2, 6, 5),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_import_computes_what_onnxruntime_computes(case: Case, parse_model: Parse) -> None:
    model = model_of(case, parse_model)
    network = import_network(model, "net")
    assert kinds(network) == case.kinds
    assert network.layers[0].shape == case.population
    spikes = np.random.default_rng(1).integers(0, 2, (4, 20, *case.shape), np.uint8)
    (expected,) = runtime.run(model, spikes).spikes.values()
    got = run_floats(network, spikes).spikes["lif"]
    assert np.array_equal(got, expected.reshape(got.shape))
    assert 0 < got.mean() < 1


def test_large_maps_never_become_a_dense_matrix(parse_model: Parse) -> None:
    # Sizes of ResNet11's first block: as a dense matrix each layer had 2**28 weights and more.
    model = parse_model(
        """
        maps = Reshape (spikes, fold)
        stem = Conv <pads = [1, 1, 1, 1]> (maps, kernel3) stem5 = Reshape (stem, unfold64)
        a, va = spikeloom.Neuron (stem5, alpha, beta, threshold)
        a4 = Reshape (a, fold64)
        pool = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (a4)
        pool5 = Reshape (pool, unfold16) p, vp = spikeloom.Neuron (pool5, alpha, beta, threshold)
        p4 = Reshape (p, fold16) long = Conv <pads = [1, 1, 1, 1]> (p4, kernel64)
        both = Add (long, p4) both5 = Reshape (both, unfold16)
        b, vb = spikeloom.Neuron (both5, alpha, beta, threshold)
        counts = ReduceSum <keepdims = 0> (b, time)
        """,
        inputs="float[4,N,3,32,32] spikes",
        outputs="float[N,64,16,16] counts",
        initializers="int64[4] fold = {-1, 3, 32, 32}, int64[4] fold64 = {-1, 64, 32, 32}, "
        "int64[4] fold16 = {-1, 64, 16, 16}, int64[5] unfold64 = {4, -1, 64, 32, 32}, "
        "int64[5] unfold16 = {4, -1, 64, 16, 16}",
    )
    for name, shape in (("kernel3", (64, 3, 3, 3)), ("kernel64", (64, 64, 3, 3))):
        tensor = onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name)
        model.graph.initializer.append(tensor)
    network = import_network(model, "net")
    network.verify()
    assert [edge.weight.shape for edge in network.projections] == [
        (64, 3, 3, 3),
        (64, 1, 2, 2),
        (64, 64, 3, 3),
    ]
