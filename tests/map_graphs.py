"""Graphs with one layer of neurons behind convolutions and pooling, for several test files."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from spikeloom.compiler.ir import Network

Parse = Callable[..., onnx.ModelProto]

NEURON = "lif, v = spikeloom.Neuron (current, alpha, beta, threshold)"
COUNT = "counts = ReduceSum <keepdims = 0> (lif, time)"
FOLD = "maps = Reshape (spikes, fold)"
FOLDED = {"fold": [-1, 2, 6, 5]}
P2 = "kernel_shape = [2, 2], strides = [2, 2]"


@dataclass(frozen=True)
class Case:
    """A graph whose tensors are drawn from small integers, so that float32 is exact.

    Attributes
    ----------
    nodes : from the input to `current`, which a layer of neurons takes
    weights : names and shapes of tensors to be drawn
    shapes : names and values of constant shapes
    kinds : what the projections must be
    population : shape of the layer of neurons
    shape : of a sample
    """

    nodes: str
    weights: dict[str, tuple[int, ...]]
    shapes: dict[str, list[int]]
    kinds: list[str]
    population: tuple[int, ...]
    shape: tuple[int, ...] = (2, 6, 5)


def convolution(attributes: str, kernel: tuple[int, ...], result: tuple[int, ...]) -> Case:
    """One convolution with a bias."""
    return Case(
        f"{FOLD} product = Conv <{attributes}> (maps, kernel, shift)"
        "current = Reshape (product, unfold)",
        {"kernel": kernel, "shift": kernel[:1]},
        {**FOLDED, "unfold": [4, -1, *result]},
        ["convolution"],
        result,
    )


def behind(
    nodes: str,
    result: tuple[int, ...],
    kinds: list[str],
    population: tuple[int, ...] | None = None,
    **weights: tuple[int, ...],
) -> Case:
    """Nodes between folded maps and a product that is unfolded to `result`."""
    return Case(
        f"{FOLD} {nodes} current = Reshape (product, unfold)",
        weights,
        {**FOLDED, "unfold": [4, -1, *result]},
        kinds,
        population or result,
    )


def model_of(case: Case, parse_model: Parse) -> onnx.ModelProto:
    sizes = ",".join(str(size) for size in case.shape)
    model = parse_model(case.nodes + NEURON + COUNT, inputs=f"float[4,N,{sizes}] spikes")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    random = np.random.default_rng(4)
    tensors: dict[str, NDArray[np.generic]] = {"ones": np.ones(3, np.float32)}
    for name, shape in case.weights.items():
        tensors[name] = random.integers(-2, 3, shape).astype(np.float32)
    for name, value in case.shapes.items():
        tensors[name] = np.asarray(value, np.int64)
    for name, tensor in tensors.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(tensor, name))
    return model


def kinds(network: Network) -> list[str]:
    """The projections of a network in a word or two."""
    return [
        ("dense" if edge.convolution is None else "convolution")
        + (" pooled" if edge.pooling is not None else "")
        for edge in network.projections
    ]
