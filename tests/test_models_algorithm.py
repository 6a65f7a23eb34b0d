"""What all four training algorithms must do."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import backward

from spikeloom.models.algorithm import Algorithm
from spikeloom.models.check import check_export
from spikeloom.models.export import convert
from spikeloom.models.layers import record_spikes
from spikeloom.models.networks import build
from spikeloom.models.residual import ResidualBlock
from spikeloom.models.spikebp import SpikeBased
from spikeloom.models.stbp import Stbp
from spikeloom.models.stdbp import Stdbp, pixel_steps, spikes_at
from spikeloom.models.tssl import Tssl

STEPS = 12

ALGORITHMS: list[Algorithm] = [
    Stbp(0.5, 0.2),
    Tssl(4.0, 2.0),
    Stdbp(4.0, scale=1.0, mean_drive=6.0),
    SpikeBased(pool_threshold=0.5),
]


def named(algorithm: Algorithm) -> str:
    return type(algorithm).__name__


def spikes_for(algorithm: Algorithm, samples: int, shape: tuple[int, ...]) -> Tensor:
    random = torch.Generator().manual_seed(0)
    values = torch.rand(samples, *shape, generator=random)
    if isinstance(algorithm, Stdbp):
        return spikes_at(pixel_steps(values, 6, 0.2), STEPS)
    return (torch.rand(STEPS, *values.shape, generator=random) < values).float()


def small(algorithm: Algorithm) -> nn.Sequential:
    torch.manual_seed(5)
    network = build("6C3p1-P2-12-4", (1, 8, 8), algorithm)
    with torch.no_grad():
        # Multiples of 1/64: sums over spikes are exact, in torch and elsewhere.
        for parameter in network.parameters():
            parameter.copy_((parameter * 64).round() / 64)
    return network


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=named)
def test_training_lowers_the_loss_and_reaches_every_weight(algorithm: Algorithm) -> None:
    network = small(algorithm)
    inputs, labels = spikes_for(algorithm, 16, (1, 8, 8)), torch.arange(16) % 4
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        judged = algorithm.judge(network, inputs, labels)
        backward(judged.loss)
        optimiser.step()
        algorithm.constrain(network)
        losses.append(judged.loss.item())
    assert min(losses) < 0.8 * losses[0]
    for old, (name, new) in zip(before, network.named_parameters(), strict=True):
        assert not torch.equal(old, new), name


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=named)
def test_scores_are_those_of_the_network(algorithm: Algorithm) -> None:
    network = small(algorithm)
    inputs, labels = spikes_for(algorithm, 9, (1, 8, 8)), torch.arange(9) % 4
    judged = algorithm.judge(network, inputs, labels)
    assert not judged.scores.requires_grad
    torch.testing.assert_close(judged.scores, network(inputs).detach(), rtol=0, atol=0)


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=named)
def test_onnxruntime_gives_the_spikes_of_every_network(algorithm: Algorithm) -> None:
    network = small(algorithm)
    inputs = spikes_for(algorithm, 20, (1, 8, 8)).numpy()
    model = convert(network, STEPS, (1, 8, 8))
    assert {node.domain for node in model.graph.node} == {"", "spikeloom"}
    compared = check_export(network, model, inputs)
    assert compared["hidden1"] == STEPS * 20 * 6 * 8 * 8
    recorded = record_spikes(network, torch.from_numpy(inputs))
    for name, spikes in recorded.spikes.items():
        if name != "output":
            assert 0.005 < float(spikes.mean()) < 0.9, name


def test_residual_blocks_export() -> None:
    torch.manual_seed(1)
    algorithm = SpikeBased()
    network = nn.Sequential(
        ResidualBlock(1, 3, algorithm),
        ResidualBlock(3, 3, algorithm, stride=2),
        nn.Flatten(2),
        nn.Linear(3 * 4 * 4, 4, bias=False),
        algorithm.output(),
        algorithm.readout(),
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_((parameter * 64).round() / 16)
    inputs = spikes_for(algorithm, 10, (1, 8, 8)).numpy().astype(np.float32)
    model = convert(network, STEPS, (1, 8, 8))
    assert list(check_export(network, model, inputs)) == [
        "0.first",
        "0.second",
        "1.first",
        "1.second",
        "4",
    ]
