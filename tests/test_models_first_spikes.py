import math

import pytest
import torch
from torch import Tensor
from torch.autograd import backward

from spikeloom.models import first_spikes as first_spikes_module
from spikeloom.models.first_spikes import first_spikes, round_up


def by_definition(times: list[float], weights: list[float], threshold: float) -> float:
    """The first causal set whose candidate falls between its last input and the next."""
    events = sorted(zip(times, weights, strict=True))
    slope = offset = 0.0
    for position, (time, weight) in enumerate(events):
        if math.isinf(time):
            break
        slope += weight
        offset += weight * time
        following = events[position + 1][0] if position + 1 < len(events) else math.inf
        if slope > 0 and time < (candidate := (threshold + offset) / slope) <= following:
            return candidate
    return math.inf


def test_golden_vector_of_rel_psp() -> None:
    times = torch.tensor([[0.1, 0.3, 0.5, 0.8]], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([[0.6, -0.2, 1.1, 0.4]], dtype=torch.float64, requires_grad=True)
    found = first_spikes(times, weight, 0.5, 10.0)
    assert found.times.item() == pytest.approx(0.7, abs=1e-12)
    assert found.shortfall.item() == 0
    backward(found.times.sum())
    assert times.grad is not None and weight.grad is not None
    assert weight.grad[0].tolist() == pytest.approx([-0.4, -0.266667, -0.133333, 0], abs=1e-5)
    assert times.grad[0].tolist() == pytest.approx([0.4, -0.133333, 0.733333, 0], abs=1e-5)


def draw(seed: int, samples: int = 7, inputs: int = 25, neurons: int = 11) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    times = torch.rand(samples, inputs, generator=random, dtype=torch.float64)
    times[torch.rand(samples, inputs, generator=random) < 0.2] = math.inf
    weight = torch.randn(neurons, inputs, generator=random, dtype=torch.float64) * 0.5 + 0.05
    return times, weight


@pytest.mark.parametrize("levels", [None, 8])
def test_times_equal_the_definition(levels: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    times, weight = draw(0)
    if levels is not None:
        times = (times * levels).round() / levels
    monkeypatch.setattr(first_spikes_module, "MOST_ELEMENTS", 11 * 26 * 3)  # three samples a part
    found = first_spikes(times, weight, 0.5, 3.0)
    wanted = [
        [by_definition(sample.tolist(), row.tolist(), 0.5) for row in weight] for sample in times
    ]
    expected = torch.tensor(wanted, dtype=torch.float64)
    expected[expected > 3] = math.inf
    assert 0.2 < float(expected.isfinite().double().mean()) < 0.95
    torch.testing.assert_close(found.times, expected)
    # The membrane at the window's end, input by input.
    rise = (3.0 - times).nan_to_num(neginf=0.0)
    lacking = (0.5 - rise @ weight.T) * expected.isinf()
    torch.testing.assert_close(found.shortfall, lacking)


@pytest.mark.parametrize("levels", [None, 6])
def test_gradients_equal_finite_differences(levels: int | None) -> None:
    times, weight = draw(1, samples=3, inputs=9, neurons=4)
    if levels is not None:  # simultaneous spikes, for which only the weights may move
        times = (times * levels).round() / levels

    def loss(times: Tensor, weight: Tensor) -> Tensor:
        found = first_spikes(times, weight, 0.5, 3.0)
        fires = found.times.isfinite()
        return torch.where(fires, found.times, 0).sum() + 0.3 * found.shortfall.sum()

    finite = times.isfinite()
    values = times[finite].requires_grad_(levels is None)

    def scattered(values: Tensor, weight: Tensor) -> Tensor:
        full = torch.full_like(times, math.inf)
        return loss(full.masked_scatter(finite, values), weight)

    assert torch.autograd.gradcheck(
        scattered, (values, weight.requires_grad_()), eps=1e-7, atol=1e-5
    )


def test_slope_is_bounded_from_below_in_the_gradient_only() -> None:
    times = torch.zeros(1, 1, dtype=torch.float64)
    weight = torch.tensor([[0.01]], dtype=torch.float64, requires_grad=True)
    found = first_spikes(times, weight, 1.0, 1000.0, least_slope=0.1)
    assert found.times.item() == pytest.approx(100)
    backward(found.times)
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(-100 / 0.1)


def test_neurons_without_inputs_are_silent_and_lack_the_threshold() -> None:
    times = torch.full((2, 3), math.inf)
    found = first_spikes(times, torch.ones(4, 3, requires_grad=True), 0.5, 2.0)
    assert found.times.isinf().all()
    assert found.shortfall.tolist() == [[0.5] * 4] * 2
    backward(found.shortfall.sum())


def test_inputs_outside_of_the_window_do_not_count() -> None:
    times = torch.tensor([[0.0, 2.0, 5.0]])
    found = first_spikes(times, torch.tensor([[0.1, 9.0, 9.0]]), 1.0, 2.0)
    assert found.times.isinf().all()
    assert found.shortfall.item() == pytest.approx(0.8)


def test_crossing_exactly_at_an_input_is_found_whatever_the_input_adds() -> None:
    times = torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    for second in (-5.0, 0.0, 5.0):
        weight = torch.tensor([[0.5, second]], dtype=torch.float64)
        assert first_spikes(times, weight, 1.0, 4.0).times.item() == 2


def test_round_up_passes_gradients() -> None:
    times = torch.tensor([0.2, 1.0, math.inf], requires_grad=True)
    rounded = round_up(times)
    assert rounded.tolist() == [1, 1, math.inf]
    backward(rounded[:2].sum())
    assert times.grad is not None
    assert times.grad.tolist() == [1, 1, 0]


def test_memory_stays_within_the_limit_for_a_large_layer() -> None:
    """784 different times per sample and 400 neurons: 125 MB per tensor if taken at once."""
    random = torch.Generator().manual_seed(0)
    times = torch.rand(100, 784, generator=random)
    weight = (torch.randn(400, 784, generator=random) * 0.05 + 0.01).requires_grad_()
    largest = 0

    def watch(tensor: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(watch, watch):
        found = first_spikes(times, weight, 1.0, 4.0)
    backward(found.times[found.times.isfinite()].sum())
    assert 0 < largest <= first_spikes_module.MOST_ELEMENTS
    assert weight.grad is not None
    assert weight.grad.isfinite().all()
