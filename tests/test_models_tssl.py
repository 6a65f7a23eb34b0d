import math

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import backward

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import neuron
from spikeloom.models.layers import Spiking, record_spikes
from spikeloom.models.networks import build
from spikeloom.models.neuron import Parameters, Rule
from spikeloom.models.tssl import (
    Tssl,
    TsslWindow,
    count_loss,
    current_gradient,
    kernel_loss,
    psp,
    target_train,
)

# I[t], u[t], s[t], a[t], dL/dI[t] for dL/da = 1: one neuron with tau_m = 5, tau_s = 3, threshold 1,
# from the equations of the authors' code
GOLDEN = [
    (
        [0.6] * 5,
        [0.6, 1.08, 0.6, 1.08, 0.6],
        [0, 1, 0, 1, 0],
        [0, 0.333333, 0.222222, 0.481481, 0.320988],
        [0.455836, 2.088477, 0.925926, 1.157407, 0],
    ),
    (
        [0.3, 0.3, 0.3, 0.3, 1.4],
        [0.3, 0.54, 0.732, 0.8856, 2.10848],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0.333333],
        [0.123531, 0.332301, 0.578619, 0.640601, 0.272581],
    ),
    (
        [1.2, 0.1, -0.5, 2.0, 0.0],
        [1.2, 0.1, -0.42, 1.664, 0],
        [1, 0, 0, 1, 0],
        [0.333333, 0.222222, 0.148148, 0.432099, 0.288066],
        [0.757716, 0.170612, 0.213265, 0.266581, 0],
    ),
    (
        [0.1] * 5,
        [0.1, 0.18, 0.244, 0.2952, 0.33616],
        [0] * 5,
        [0] * 5,
        [0.047176, 0.064345, 0.076758, 0.077269, 0.056165],
    ),
]

TAU_M, TAU_S = 5.0, 3.0


def parameters(tau_m: float = TAU_M, tau_s: float = TAU_S) -> Parameters:
    values = (1 - 1 / tau_s, 1 - 1 / tau_m, 1.0)
    return Parameters(*(torch.tensor(value, dtype=torch.float64) for value in values))


def layer_forward(
    currents: Tensor, tau_m: float, tau_s: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One layer as the authors compute it: membrane, increment, spikes, PSP."""
    after = trace = torch.zeros_like(currents[0])
    rows = []
    for current in currents:
        increment = -after / tau_m + current
        membrane = after + increment
        spikes = (membrane > 1).to(current)
        after = membrane * (1 - spikes)
        trace = trace + (spikes - trace) / tau_s
        rows.append((membrane, increment, spikes, trace))
    membranes, increments, spikes, traces = (torch.stack(item) for item in zip(*rows, strict=True))
    return membranes, increments, spikes, traces


def layer_backward(
    g: Tensor, u: Tensor, increment: Tensor, s: Tensor, a: Tensor, tau_m: float, tau_s: float
) -> Tensor:
    """dL/dI from dL/da, as the authors compute it, time step by time step."""
    steps = len(g)
    result = torch.zeros_like(g)
    q = torch.zeros_like(g[0])
    for t in reversed(range(steps)):
        filtered = sum((1 - 1 / tau_s) ** (m - t) / tau_s * g[m] for m in range(t, steps))
        phi = (-1 / increment[t]).clamp(-8, 0) * s[t]
        e = -phi * filtered
        if t < steps - 1:
            e = e + q * u[t] * (-1 / tau_m) * phi + q * (1 - 1 / tau_m) * (1 - s[t])
        q = e * s[t] + q * (1 - 1 / tau_m) * (1 - s[t])
        z = torch.exp(((1 - u[t]) / 0.2).clamp(-8, 8))
        low = a[t] < 1 / (4 * tau_s)
        result[t] = torch.where(low, filtered * z / ((1 + z) ** 2 * 0.2), e)
    return result


@pytest.mark.parametrize(("currents", "membranes", "spikes", "traces", "gradients"), GOLDEN)
def test_golden_vectors_of_tssl(
    currents: list[float],
    membranes: list[float],
    spikes: list[int],
    traces: list[float],
    gradients: list[float],
) -> None:
    current = torch.tensor(currents, dtype=torch.float64)[:, None]
    window = neuron.unroll(current, parameters()._replace(alpha=None), Rule())
    assert window.potentials.flatten().tolist() == pytest.approx(membranes, abs=1e-5)
    assert window.spikes.flatten().tolist() == spikes
    fired = window.spikes.clone().requires_grad_()
    trace = psp(fired, TAU_S)
    assert trace.flatten().tolist() == pytest.approx(traces, abs=1e-5)
    backward(trace.sum())
    assert fired.grad is not None
    gradient = current_gradient(fired.grad, *window, parameters())
    assert gradient.flatten().tolist() == pytest.approx(gradients, abs=1e-5)


@pytest.mark.parametrize(("tau_m", "tau_s", "steps"), [(5.0, 3.0, 5), (8.0, 4.0, 30)])
def test_two_layers_equal_the_authors_equations(tau_m: float, tau_s: float, steps: int) -> None:
    random = torch.Generator().manual_seed(steps)
    draw = dict(generator=random, dtype=torch.float64)
    inputs = torch.randn(steps, 6, 20, **draw)  # type: ignore[call-overload]
    first = (torch.randn(30, 20, **draw) * 0.5).requires_grad_()  # type: ignore[call-overload]
    second = (torch.randn(10, 30, **draw) * 0.5).requires_grad_()  # type: ignore[call-overload]
    downwards = torch.randn(steps, 6, 10, **draw)  # type: ignore[call-overload]

    layers = [
        Spiking(1 - 1 / tau_m, 1.0, 1 - 1 / tau_s, gain=1 / tau_s, window=TsslWindow()).double()
        for _ in range(2)
    ]
    # Made from the same 64-bit numbers: buffers start as 32-bit ones.
    for layer in layers:
        layer.alpha.fill_(1 - 1 / tau_s)
        layer.beta.fill_(1 - 1 / tau_m)
    hidden = layers[0](inputs @ first.T)
    output = layers[1](hidden @ second.T)
    backward((psp(output, tau_s) * downwards).sum())

    with torch.no_grad():
        input_psp = psp(inputs, tau_s)
        u1, d1, s1, a1 = layer_forward(input_psp @ first.T, tau_m, tau_s)
        u2, d2, s2, a2 = layer_forward(a1 @ second.T, tau_m, tau_s)
        assert torch.equal(hidden, s1)
        assert torch.equal(output, s2)
        assert 0.02 < float(s1.mean()) < 0.9 and 0.02 < float(s2.mean()) < 0.9
        to_second = layer_backward(downwards, u2, d2, s2, a2, tau_m, tau_s)
        to_first = layer_backward(to_second @ second, u1, d1, s1, a1, tau_m, tau_s)
        wanted_second = torch.einsum("tno,tni->oi", to_second, a1)
        wanted_first = torch.einsum("tno,tni->oi", to_first, input_psp)
    assert first.grad is not None and second.grad is not None
    torch.testing.assert_close(second.grad, wanted_second, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(first.grad, wanted_first, rtol=1e-8, atol=1e-8)


def test_warm_up_takes_over_where_the_potential_is_low() -> None:
    to_spikes = torch.ones(2, 1, dtype=torch.float64)
    potentials = torch.tensor([[0.9], [0.9]], dtype=torch.float64)
    spikes = torch.zeros_like(potentials)
    gradient = current_gradient(to_spikes, spikes, potentials, parameters())
    logistic = 1 / (1 + math.exp(-0.5))
    assert gradient.flatten().tolist() == pytest.approx([logistic * (1 - logistic) / 0.2] * 2)


def test_slope_is_clamped_at_tiny_and_negative_increments() -> None:
    to_spikes = torch.ones(3, 1, dtype=torch.float64)
    potentials = torch.tensor([[1e-9], [2.0], [1.5]], dtype=torch.float64)
    spikes = torch.ones_like(potentials)
    gradient = current_gradient(to_spikes, spikes, potentials, parameters())
    last, middle = 1 / 1.5, 1 / 2.0
    middle += last * 2.0 * 0.2 * middle
    assert gradient.flatten().tolist() == pytest.approx([8 + middle * 1e-9 * 0.2 * 8, middle, last])


def test_kernel_loss_is_half_the_squared_distance_of_potentials() -> None:
    assert target_train(5).tolist() == [0, 1, 1, 1, 1]
    assert target_train(10).tolist() == [0, 1] * 5
    wanted = [0, 0.333333, 0.555556, 0.703704, 0.802469]
    assert psp(target_train(5)[:, None], TAU_S).flatten().tolist() == pytest.approx(
        wanted, abs=1e-5
    )
    silent = torch.zeros(5, 2, 3)
    loss = kernel_loss(silent, torch.tensor([0, 2]), TAU_S)
    assert loss.item() == pytest.approx(2 * 0.5 * sum(item**2 for item in wanted), abs=1e-5)
    perfect = silent.clone()
    perfect[:, 0, 0] = perfect[:, 1, 2] = target_train(5)
    assert kernel_loss(perfect, torch.tensor([0, 2]), TAU_S).item() == 0


def test_count_loss_pulls_only_classes_on_the_wrong_side() -> None:
    spikes = torch.zeros(30, 1, 4, dtype=torch.float64)
    spikes[:, 0, 0] = 1  # the true class
    spikes[:8, 0, 1] = 1  # too often
    spikes[:2, 0, 2] = 1  # rarely enough
    loss = count_loss(spikes, torch.tensor([0]), 4.0)
    excess = (psp(spikes, 4.0).sum(0)[0, 1] - 3).item() / 30
    assert loss.item() == pytest.approx(30 * excess**2 / 2)


def test_gradient_of_the_count_loss_is_the_error_at_every_step() -> None:
    spikes = torch.zeros(30, 1, 2, dtype=torch.float64, requires_grad=True)
    backward(count_loss(spikes, torch.tensor([0]), 1.0))
    assert spikes.grad is not None
    assert spikes.grad[:, 0, 0].tolist() == pytest.approx([-15 / 30] * 30)
    assert spikes.grad[:, 0, 1].tolist() == [0] * 30


def test_pooling_is_the_sum_of_potentials_times_1_1() -> None:
    torch.manual_seed(4)
    network = build("3C3-P2-4", (1, 6, 6), Tssl(conv_scale=3)).double()
    weight = network.get_parameter("output_current.weight")
    weight.data.abs_().div_(20)  # output neurons fire at some steps
    currents = 10 * torch.rand(5, 2, 1, 6, 6, dtype=torch.float64)
    hidden, output = record_spikes(network, currents).spikes.values()
    pooled = psp(hidden, TAU_S).flatten(0, 1)
    pooled = 1.1 * nn.functional.avg_pool2d(pooled, 2, divisor_override=1)
    _, _, spikes, _ = layer_forward(pooled.view(5, 2, -1) @ weight.detach().T, TAU_M, TAU_S)
    assert 0.05 < float(spikes.mean()) < 0.95
    assert torch.equal(output, spikes)


def test_weights_are_drawn_and_clamped_as_the_authors_do() -> None:
    torch.manual_seed(0)
    algorithm = Tssl(conv_scale=5)
    network = build("8C3-400-10", (1, 8, 8), algorithm)
    convolution = network.get_parameter("hidden1_current.weight")
    dense = network.get_parameter("hidden2_current.weight")
    assert 4 < float(convolution.detach().abs().max()) * 3 <= 5
    assert float(dense.detach().std()) == pytest.approx(math.sqrt(2 / (8 * 36)), rel=0.02)
    dense.data[0, 0] = -7
    algorithm.constrain(network)
    assert dense[0, 0].item() == -4


def test_other_resets_than_to_zero_are_refused() -> None:
    with pytest.raises(SpikeloomError, match="wanted reset 'zero' and several spikes"):
        Spiking(0.5, reset="subtract", window=TsslWindow())(torch.zeros(2, 1, 1))


def test_illegal_time_constants_are_refused() -> None:
    with pytest.raises(SpikeloomError, match=r"tau_s = 0\.5; wanted >= 1"):
        Tssl(tau_s=0.5)
