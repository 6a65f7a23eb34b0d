"""The networks of all training algorithms become networks that compute the same."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from float_run import run_floats
from torch import nn

from spikeloom.compiler.onnx_import import examine
from spikeloom.models import runtime
from spikeloom.models.algorithm import Algorithm, linear_layers
from spikeloom.models.exact import make_sums_exact
from spikeloom.models.export import convert
from spikeloom.models.networks import ARCHITECTURES, build
from spikeloom.models.residual import ResidualArchitecture
from spikeloom.models.spikebp import SpikeBased
from spikeloom.models.stbp import Stbp
from spikeloom.models.stdbp import Stdbp
from spikeloom.models.tssl import Tssl

STEPS = 6


def residual(algorithm: Algorithm) -> nn.Sequential:
    """ResNet11's three kinds of shortcuts on 8 x 8 pixels."""
    return ResidualArchitecture(((64, 1), (64, 2), (8, 1), (8, 2)), "scaled down").build(algorithm)


def vote(algorithm: Algorithm) -> nn.Sequential:
    """CIFARNet with few features."""
    return build("8C3p1-6C3p1-P2-6C3p1-P2-24-40", (3, 16, 16), algorithm, vote=4)


def pool_of_pool(algorithm: Algorithm) -> nn.Sequential:
    """Pooling twice, over maps that the squares do not fill."""
    return build("4C3-P2-P2-10", (2, 13, 11), algorithm)


@dataclass(frozen=True)
class Case:
    """A network to export.

    Attributes
    ----------
    scale : factor on the initial weights, so that all layers spike
    """

    build: Callable[[Algorithm], nn.Sequential]
    shape: tuple[int, ...]
    algorithm: Algorithm
    scale: float = 1.0


def published(name: str, algorithm: Algorithm, scale: float = 1.0) -> Case:
    architecture = ARCHITECTURES[name]
    return Case(architecture.build, architecture.shape, algorithm, scale)


CASES = {
    "mnist-cnn, STBP": published("mnist-cnn", Stbp(), 3.0),
    "mnist-cnn, TSSL-BP": published("mnist-cnn", Tssl(), 3.0),
    "mnist-cnn, STDBP": published("mnist-cnn", Stdbp(threshold=2.0)),
    "mnist-cnn, spike-based BP": published("mnist-cnn", SpikeBased()),
    "mnist-lenet, spike-based BP": published("mnist-lenet", SpikeBased()),
    "stdbp-cnn, STDBP": published("stdbp-cnn", Stdbp(threshold=2.0)),
    "nmnist-cnn, TSSL-BP": published("nmnist-cnn", Tssl(), 3.0),
    "fashion-mlp, TSSL-BP": published("fashion-mlp", Tssl(), 3.0),
    "group vote, STBP": Case(vote, (3, 16, 16), Stbp(), 6.0),
    "pooling twice, STBP": Case(pool_of_pool, (2, 13, 11), Stbp(), 3.0),
    "residual, spike-based BP": Case(residual, (3, 32, 32), SpikeBased()),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_import_computes_what_onnxruntime_computes(case: Case) -> None:
    torch.manual_seed(5)
    module = case.build(case.algorithm)
    with torch.no_grad():
        for linear in linear_layers(module):
            linear.weight.mul_(case.scale)
    make_sums_exact(module)
    model = convert(module, STEPS, case.shape)
    report = examine(model)
    assert report.ok
    network = report.require()
    spikes = np.random.default_rng(0).integers(0, 2, (STEPS, 2, *case.shape), np.uint8)
    expected = runtime.run(model, spikes)
    got = run_floats(network, spikes)
    for layer in network.layers:
        own = expected.spikes[layer.source].reshape(STEPS, 2, -1)
        assert np.array_equal(got.spikes[layer.name], own), layer.name
        assert layer.neuron is not None
        assert own.any() == layer.neuron.fire, layer.name
    # The file has the mean of a vote, the network the sum.
    scores = got.scores / network.readout.group
    assert np.allclose(scores, expected.outputs["counts"], rtol=1e-5)
