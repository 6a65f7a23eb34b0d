"""Networks too large to be trained on two processor cores: one step of training, and export."""

import pytest
import torch
from torch.autograd import backward

from spikeloom.models.algorithm import Algorithm
from spikeloom.models.export import convert
from spikeloom.models.layers import Spiking
from spikeloom.models.networks import ARCHITECTURES, Architecture
from spikeloom.models.residual import RESIDUAL_ARCHITECTURES, ResidualArchitecture
from spikeloom.models.runtime import neuron_nodes
from spikeloom.models.spikebp import SpikeBased
from spikeloom.models.stbp import Stbp
from spikeloom.models.tssl import Tssl

# Time steps, algorithm, dropout. Thresholds and weights let spikes cross an untrained network
# within these few steps; the published settings take longer to do so.
NETWORKS: dict[str, tuple[int, Algorithm, float]] = {
    "cifarnet": (2, Stbp(0.25, 0.2), 0.0),
    "cifar-cnn1": (5, Tssl(conv_scale=12), 0.2),
    "cifar-cnn2": (5, Tssl(conv_scale=12), 0.2),
    "cifar-vgg9": (3, SpikeBased(threshold=0.2, pool_threshold=0.1), 0.2),
    "cifar-resnet9": (3, SpikeBased(threshold=0.2, pool_threshold=0.1, init_gain=1), 0.25),
    "cifar-resnet11": (3, SpikeBased(threshold=0.2, pool_threshold=0.1, init_gain=1), 0.25),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_large_network_takes_a_training_step_and_exports(name: str) -> None:
    steps, algorithm, dropout = NETWORKS[name]
    torch.manual_seed(0)
    known: dict[str, Architecture | ResidualArchitecture] = {
        **ARCHITECTURES,
        **RESIDUAL_ARCHITECTURES,
    }
    network = known[name].build(algorithm, dropout)
    optimiser = torch.optim.SGD(network.parameters(), 1e-9)
    judged = algorithm.judge(network, 3 * torch.randn(steps, 1, 3, 32, 32), torch.tensor([3]))
    backward(judged.loss)
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all(), path
        assert parameter.grad.any(), path
    optimiser.step()
    algorithm.constrain(network)
    optimiser.zero_grad()
    model = convert(network, steps, (3, 32, 32), name=name)
    layers = [path for path, layer in network.named_modules() if isinstance(layer, Spiking)]
    assert [node.name for node in neuron_nodes(model)] == layers
