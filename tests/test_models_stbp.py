import pytest
import torch
from torch import Tensor, nn
from torch.autograd import backward

from spikeloom.models.layers import Spiking
from spikeloom.models.networks import build
from spikeloom.models.readouts import GroupVote
from spikeloom.models.stbp import Stbp, rate_loss
from spikeloom.models.surrogates import Gaussian, Rectangle, Sigmoid, Surrogate, Triangle


class _AuthorsSpike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, distance: Tensor) -> Tensor:
        ctx.save_for_backward(distance)
        return (distance > 0).to(distance)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (distance,) = ctx.saved_tensors  # type: ignore[attr-defined]
        passed: Tensor = gradient * (distance.abs() < 0.5)
        return passed


def authors_forward(
    inputs: Tensor, layers: list[nn.Linear], decay: float, threshold: float
) -> list[Tensor]:
    """Spikes of all layers, step by step through all layers, as the authors compute them."""
    membranes = [inputs.new_zeros(inputs.shape[1], layer.out_features) for layer in layers]
    spikes = [torch.zeros_like(item) for item in membranes]
    rows: list[list[Tensor]] = [[] for _ in layers]
    for now in inputs:
        for index, layer in enumerate(layers):
            old, fired = membranes[index], spikes[index]
            membranes[index] = old * decay * (1 - fired) + layer(now)
            now = spikes[index] = _AuthorsSpike.apply(membranes[index] - threshold)  # type: ignore[no-untyped-call]
            rows[index].append(now)
    return [torch.stack(row) for row in rows]


@pytest.mark.parametrize(("decay", "threshold"), [(0.2, 0.5), (0.25, 0.75), (0.5, 0.3)])
def test_two_layers_equal_the_authors_equations(decay: float, threshold: float) -> None:
    torch.manual_seed(1)
    layers = [nn.Linear(20, 30).double(), nn.Linear(30, 10).double()]
    inputs = torch.rand(12, 5, 20, dtype=torch.float64)
    labels = torch.randint(0, 10, (5,))
    neurons = [Spiking(decay, threshold).double() for _ in layers]
    for item in neurons:
        item.beta.fill_(decay)
        item.threshold.fill_(threshold)
    hidden = neurons[0](layers[0](inputs))
    output = neurons[1](layers[1](hidden))
    backward(rate_loss(output, labels))
    ours = [item.grad for layer in layers for item in layer.parameters() if item.grad is not None]
    for layer in layers:
        layer.zero_grad()
    theirs = authors_forward(inputs, layers, decay, threshold)
    assert torch.equal(hidden, theirs[0])
    assert torch.equal(output, theirs[1])
    assert 0.02 < float(hidden.detach().mean()) < 0.9
    rates = theirs[1].sum(0) / 12
    backward(nn.functional.mse_loss(rates, nn.functional.one_hot(labels, 10).double()))
    wanted = [item.grad for layer in layers for item in layer.parameters()]
    assert len(ours) == 4
    for one, two in zip(ours, wanted, strict=True):
        assert two is not None
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("surrogate", [Rectangle(), Triangle(), Sigmoid(), Gaussian()])
def test_any_surrogate_trains_all_weights(surrogate: Surrogate) -> None:
    torch.manual_seed(2)
    algorithm = Stbp(threshold=0.1, surrogate=surrogate)
    network = build("6C3-P2-16-4", (1, 8, 8), algorithm)
    judged = algorithm.judge(network, torch.rand(4, 3, 1, 8, 8), torch.tensor([0, 1, 2]))
    backward(judged.loss)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0, name


def test_rate_loss_is_the_mean_squared_error_of_the_rates() -> None:
    spikes = torch.zeros(4, 1, 2)
    spikes[:3, 0, 0] = 1
    spikes[:2, 0, 1] = 1
    assert rate_loss(spikes, torch.tensor([0])).item() == pytest.approx((0.25**2 + 0.5**2) / 2)


def test_vote_shares_the_gradient_within_a_class() -> None:
    torch.manual_seed(0)
    network = build("8-6", (5,), Stbp(), vote=3)
    inputs = torch.rand(5, 2, 5)
    assert network(inputs).shape == (2, 2)
    spikes = network[:-2](inputs).detach().requires_grad_()
    backward(rate_loss(GroupVote(3)(spikes), torch.tensor([0, 1])))
    assert spikes.grad is not None
    assert torch.equal(spikes.grad[..., 0], spikes.grad[..., 2])
    assert not torch.equal(spikes.grad[..., 2], spikes.grad[..., 3])
