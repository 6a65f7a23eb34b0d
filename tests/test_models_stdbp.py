import math

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import backward

from spikeloom.models.first_spikes import Crossings
from spikeloom.models.layers import Spiking, record_spikes
from spikeloom.models.networks import build
from spikeloom.models.readouts import FirstSpike
from spikeloom.models.stdbp import (
    EarliestPool2d,
    Stdbp,
    first_steps,
    pixel_steps,
    revival,
    spike_steps,
    spikes_at,
    time_loss,
)


def ramps(spikes: Tensor, weight: Tensor, threshold: float) -> Tensor:
    """Spikes by the paper's potentials: V[t+1] = V[t] + S[t], and spikes at t add to S[t]."""
    slope = spikes.new_zeros(spikes.shape[1], len(weight))
    potential, fired = torch.zeros_like(slope), torch.zeros_like(slope)
    rows = []
    for now in spikes:
        slope = slope + now @ weight.T
        potential = potential + slope
        rows.append((potential >= threshold).to(slope) * (1 - fired))
        fired = fired + rows[-1]
    return torch.stack(rows)


def inputs_for(samples: int, shape: tuple[int, ...], window: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    pixels = torch.rand(samples, *shape, generator=random, dtype=torch.float64)
    return spikes_at(pixel_steps(pixels, 12, 0.3), window)


def test_clocked_layers_equal_the_paper_and_the_closed_form_on_the_grid() -> None:
    torch.manual_seed(0)
    network = build("40-10", (30,), Stdbp(threshold=6.0, mean_drive=1.0)).double()
    spikes = inputs_for(20, (30,), 40, 1)
    hidden, output = record_spikes(network, spikes).spikes.values()
    first, second = network.parameters()
    assert torch.equal(hidden, ramps(spikes, first, 6.0))
    assert torch.equal(output, ramps(hidden, second, 6.0))
    layers = spike_steps(network, first_steps(spikes), 40, 0.1)
    fires = first_steps(output).isfinite()
    assert 0.2 < float(fires.double().mean()) < 1
    for clocked, closed in zip((hidden, output), layers, strict=True):
        assert torch.equal(first_steps(clocked), closed.times)
        assert int(clocked.sum(0).max()) == 1


def test_convolution_and_earliest_pooling_agree_with_the_clocked_network() -> None:
    torch.manual_seed(3)
    network = build("4C3p1-P2-6C3-P2-12-5", (1, 12, 12), Stdbp(8.0, mean_drive=3.0)).double()
    spikes = inputs_for(5, (1, 12, 12), 48, 2)
    layers = spike_steps(network, first_steps(spikes), 48, 0.1)
    recorded = record_spikes(network, spikes).spikes
    clocked = [value for name, value in recorded.items() if "pool" not in name]
    assert len(layers) == len(clocked) == 4
    for one, two in zip(clocked, layers, strict=True):
        assert torch.equal(first_steps(one), two.times)
        assert float(two.times.isfinite().double().mean()) > 0.05


def test_earliest_pooling_passes_one_spike_per_square() -> None:
    spikes = torch.zeros(4, 1, 1, 2, 4)
    spikes[1, 0, 0, 0, 0] = spikes[1, 0, 0, 1, 1] = spikes[3, 0, 0, 0, 1] = 1
    assert EarliestPool2d(2)(spikes)[:, 0, 0, 0].T.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]


def test_brighter_pixels_spike_earlier_and_dark_ones_never() -> None:
    steps = pixel_steps(torch.tensor([0.0, 0.02, 0.1, 0.5, 1.0]), 16, 0.02)
    assert steps.tolist() == [math.inf, math.inf, 14, 8, 0]
    spikes = spikes_at(steps, 16)
    assert spikes.sum(0).tolist() == [0, 0, 1, 1, 1]
    assert torch.equal(first_steps(spikes), steps)


def test_gradient_of_the_loss_is_softmax_minus_target() -> None:
    times = torch.tensor([[3.0, 1.0, 4.0]], requires_grad=True)
    backward(time_loss(times, torch.tensor([2]), 1.0))
    assert times.grad is not None
    wanted = torch.tensor([0.0, 0.0, 1.0]) - torch.softmax(-times.detach()[0], 0)
    torch.testing.assert_close(times.grad[0], wanted)


def test_scores_of_training_are_those_of_the_clocked_network() -> None:
    torch.manual_seed(1)
    algorithm = Stdbp(threshold=6.0, mean_drive=1.0)
    network = build("40-10", (30,), algorithm).double()
    spikes = inputs_for(20, (30,), 40, 4)
    judged = algorithm.judge(network, spikes, torch.arange(20) % 10)
    recorded = record_spikes(network, spikes)
    assert torch.equal(judged.scores, recorded.output)
    fired = sum(int(item.sum()) for item in recorded.spikes.values())
    assert judged.activity == (fired, 40 * 20 * (40 + 10))
    assert 0 < fired < 20 * (40 + 10)
    assert isinstance(network[-1], FirstSpike)


class Judge(nn.Module):
    """The loss as a module, so that weights can be swapped."""

    def __init__(self, algorithm: Stdbp, network: nn.Sequential) -> None:
        super().__init__()
        self.algorithm, self.network = algorithm, nn.Sequential(*network)

    def forward(self, spikes: Tensor, labels: Tensor) -> Tensor:
        return self.algorithm.judge(self.network, spikes, labels).loss


def test_gradients_through_two_layers_equal_finite_differences() -> None:
    torch.manual_seed(2)
    algorithm = Stdbp(threshold=4.0, mean_drive=2.0, least_slope=0, scale=0.1, on_grid=False)
    network = build("5-3", (6,), algorithm).double()
    spikes = inputs_for(4, (6,), 60, 5)
    labels = torch.tensor([0, 1, 2, 0])
    first, second = network[0], network[2]
    assert isinstance(first, nn.Linear) and isinstance(second, nn.Linear)

    def loss(one: Tensor, two: Tensor) -> Tensor:
        weights = {"network.0.weight": one, "network.2.weight": two}
        value: Tensor = torch.func.functional_call(
            Judge(algorithm, network), weights, (spikes, labels)
        )
        return value

    weights = (first.weight.detach().requires_grad_(), second.weight.detach().requires_grad_())
    assert torch.autograd.gradcheck(loss, weights, eps=1e-7, atol=1e-5)


def test_silent_neurons_are_revived() -> None:
    torch.manual_seed(0)
    algorithm = Stdbp(threshold=10.0, mean_drive=0.0, revival=1.0)
    network = build("20-5", (30,), algorithm)
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(0.001)
    spikes = inputs_for(16, (30,), 40, 6).float()
    labels = torch.arange(16) % 5
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        backward(algorithm.judge(network, spikes, labels).loss)
        optimiser.step()
    hidden, output = record_spikes(network, spikes).spikes.values()
    assert hidden.sum(0).amax(0).bool().all()
    assert output.sum(0).gather(1, labels[:, None]).bool().all()


def test_revival_counts_dead_neurons_and_the_labels_own() -> None:
    hidden = Crossings(torch.zeros(2, 2), torch.tensor([[3.0, 1.0], [5.0, 0.0]]))
    output = Crossings(torch.zeros(2, 2), torch.tensor([[7.0, 2.0], [0.0, 0.0]]))
    value = revival([hidden, output], torch.tensor([1, 0])).item()
    assert value == pytest.approx((3 + 5) / 4 + (2 + 0) / 2)


def test_neurons_are_the_unified_ones() -> None:
    neurons = Stdbp(threshold=16.0).neurons()
    assert isinstance(neurons, Spiking)
    assert (neurons.alpha.item(), neurons.beta.item()) == (1, 1)
    assert neurons.rule.single_spike
