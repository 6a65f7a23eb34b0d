import math

import pytest
import torch
from torch import Tensor
from torch.autograd import backward

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.layers import Integrator, Spiking
from spikeloom.models.networks import build
from spikeloom.models.spikebp import (
    SpikeBased,
    SpikeBasedWindow,
    SpikingPool2d,
    leak_factor,
    membrane_loss,
    signed_bernoulli,
)

# I[t], v[t], s[t], NG, dL/dI[t] for dL/ds = 1: leak 0.99, threshold 1, from the authors' equations
GOLDEN = [
    (
        [0.4] * 8,
        [0.4, 0.796, 1.18804, 0.4, 0.796, 1.18804, 0.4, 0.796],
        [0, 0, 1, 0, 0, 1, 0, 0],
        0.99029595,
        [0.990296] * 6 + [0, 0],
    ),
    (
        [0.7, 0.7, -0.2, 0.1, 0.9, 0.3, 0.05, 0.2],
        [0.7, 1.393, -0.2, -0.098, 0.80298, 1.09495, 0.05, 0.2495],
        [0, 1, 0, 0, 0, 1, 0, 0],
        0.99034374,
        [0.990344] * 6 + [0, 0],
    ),
]


def double(layer: Spiking, beta: float) -> Spiking:
    """The layer in 64 bits; its buffers start as 32-bit numbers."""
    layer.double().beta.fill_(beta)
    return layer


@pytest.mark.parametrize(("currents", "membranes", "spikes", "factor", "gradients"), GOLDEN)
def test_golden_vectors_of_spike_based_backpropagation(
    currents: list[float],
    membranes: list[float],
    spikes: list[int],
    factor: float,
    gradients: list[float],
) -> None:
    layer = double(Spiking(0.99, 1.0, window=SpikeBasedWindow()), 0.99)
    current = torch.tensor(currents, dtype=torch.float64)[:, None].requires_grad_()
    window = layer.integrate(current)
    assert window.potentials.flatten().tolist() == pytest.approx(membranes, abs=1e-5)
    assert window.spikes.flatten().tolist() == spikes
    assert leak_factor(window.spikes, layer.beta).item() == pytest.approx(factor, abs=1e-7)
    backward(window.spikes.sum())
    assert current.grad is not None
    assert current.grad.flatten().tolist() == pytest.approx(gradients, abs=1e-5)


def test_golden_output_membrane() -> None:
    layer = double(Integrator(0.99, window=SpikeBasedWindow()), 0.99)
    current = torch.full((8, 1, 1), 0.4, dtype=torch.float64, requires_grad=True)
    membranes = layer(current)
    assert 0.99 * membranes[-1].item() / 8 == pytest.approx(0.382414, abs=1e-6)
    backward(membrane_loss(membranes, torch.tensor([0]), 0.99))
    assert current.grad is not None
    assert current.grad.flatten().tolist() == pytest.approx([2 * (0.382414 - 1) / 8] * 8, abs=1e-6)


def lif(currents: Tensor, leak: float, threshold: float) -> Tensor:
    """Spikes of one layer as the authors compute them: the leak comes after the reset."""
    membrane = torch.zeros_like(currents[0])
    spikes = []
    for current in currents:
        membrane = membrane + current
        fired = (membrane > threshold).to(current)
        membrane = leak * membrane * (1 - fired)
        spikes.append(fired)
    return torch.stack(spikes)


def lif_backward(to_spikes: Tensor, spikes: Tensor, leak: float, threshold: float) -> Tensor:
    """dL/dI of one layer, neuron by neuron and step by step."""
    steps = len(spikes)
    result = torch.zeros_like(spikes)
    for place in map(tuple, torch.cartesian_prod(*(map(torch.arange, spikes.shape[1:]))).tolist()):
        train = [spikes[(t, *place)].item() for t in range(steps)]
        trace = sum(leak ** (steps - 1 - t) * fired for t, fired in enumerate(train))
        factor = (trace > 1e-3) + math.log(leak) * trace / (sum(train) or 1)
        carried = 0.0
        for t in reversed(range(steps)):
            if train[t]:
                carried = to_spikes[(t, *place)].item() * factor / threshold
            result[(t, *place)] = carried
    return result


def test_two_layers_equal_the_authors_equations() -> None:
    steps, leak, thresholds = 40, 0.97, (1.0, 0.8)
    random = torch.Generator().manual_seed(0)
    inputs = signed_bernoulli(torch.randn(3, 15, generator=random).double(), steps, 0.5, random)
    first = (torch.randn(12, 15, generator=random).double() * 0.4).requires_grad_()
    second = (torch.randn(8, 12, generator=random).double() * 0.5).requires_grad_()
    third = torch.randn(4, 8, generator=random).double().requires_grad_()
    labels = torch.tensor([1, 3, 0])

    hidden = []
    spikes = inputs
    for weight, threshold in ((first, thresholds[0]), (second, thresholds[1])):
        layer = double(Spiking(leak, threshold, window=SpikeBasedWindow()), leak)
        layer.threshold.fill_(threshold)
        spikes = layer(spikes @ weight.T)
        hidden.append(spikes)
    output = double(Integrator(leak, window=SpikeBasedWindow()), leak)
    backward(membrane_loss(output(spikes @ third.T), labels, leak))

    with torch.no_grad():
        s1 = lif(inputs @ first.T, leak, thresholds[0])
        s2 = lif(s1 @ second.T, leak, thresholds[1])
        assert torch.equal(hidden[0], s1)
        assert torch.equal(hidden[1], s2)
        assert 0.02 < float(s1.mean()) < 0.9 and 0.02 < float(s2.mean()) < 0.9
        membrane = torch.zeros(3, 4, dtype=torch.float64)
        for now in s2:
            membrane = leak * (membrane + now @ third.T)
        error = 2 * (membrane / steps - torch.nn.functional.one_hot(labels, 4)) / steps
        to_output = error.expand(steps, 3, 4)
        to_second = lif_backward(to_output @ third, s2, leak, thresholds[1])
        to_first = lif_backward(to_second @ second, s1, leak, thresholds[0])
    for weight, error, source in (
        (first, to_first, inputs),
        (second, to_second, s1),
        (third, to_output, s2),
    ):
        assert weight.grad is not None
        wanted = torch.einsum("tno,tni->oi", error, source)
        torch.testing.assert_close(weight.grad, wanted, rtol=1e-9, atol=1e-9)


def test_pooling_neurons_integrate_averages_without_a_leak() -> None:
    pool = SpikingPool2d(2)
    spikes = torch.zeros(5, 1, 1, 2, 2)
    spikes[:, 0, 0, 0, 0] = 1
    spikes[4, 0, 0, 1, 1] = 1
    spikes.requires_grad_()
    pooled = pool(spikes)
    assert pooled.flatten().tolist() == [0, 0, 0, 1, 0]  # 0.25 0.5 0.75 1.0: fires above 0.75
    backward((3 * pooled).sum())
    assert spikes.grad is not None
    # Neither a leak factor nor a division by 0.75: only the average's 1/4.
    assert spikes.grad[:, 0, 0, 0, 1].tolist() == [0.75, 0.75, 0.75, 0.75, 0]


def test_signed_bernoulli_keeps_signs_and_rates() -> None:
    values = torch.tensor([-0.8, -0.1, 0.0, 0.4, 1.0])
    spikes = signed_bernoulli(values, 20_000, 0.5, torch.Generator().manual_seed(1))
    assert torch.unique(spikes[:, :2]).tolist() == [-1, 0]
    assert spikes.mean(0).tolist() == pytest.approx([-0.4, -0.05, 0, 0.2, 0.5], abs=0.015)
    again = signed_bernoulli(values, 20_000, 0.5, torch.Generator().manual_seed(1))
    assert torch.equal(spikes, again)


def test_every_layer_may_have_its_own_threshold() -> None:
    network = build("4C3-P2-10-10", (1, 8, 8), SpikeBased(threshold=1.5, pool_threshold=0.6))
    thresholds = {name: value.item() for name, value in network.named_buffers() if "thresh" in name}
    assert thresholds["hidden1.threshold"] == 1.5
    assert thresholds["pool1.neurons.threshold"] == pytest.approx(0.6)


def test_weights_have_the_authors_deviation() -> None:
    torch.manual_seed(0)
    network = build("32C5-400-10", (4, 8, 8), SpikeBased(init_gain=1.0))
    for name, synapses in (("hidden1_current", 100), ("hidden2_current", 512)):
        weight = network.get_parameter(f"{name}.weight")
        assert float(weight.detach().std()) == pytest.approx(math.sqrt(1 / synapses), rel=0.03)


def test_what_has_no_gradient_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="wanted alpha = 0"):
        Spiking(0.9, alpha=0.5, window=SpikeBasedWindow())(torch.zeros(2, 1, 1))
    with pytest.raises(SpikeloomError, match="wanted reset 'zero', several spikes"):
        Spiking(0.9, reset="none", window=SpikeBasedWindow())(torch.zeros(2, 1, 1))
    with pytest.raises(SpikeloomError, match=r"leak = 0; wanted 0 < leak <= 1"):
        SpikeBased(leak=0)
