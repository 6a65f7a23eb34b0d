import pytest
import torch
from torch import Tensor

from spikeloom.models import neuron
from spikeloom.models.neuron import Parameters, Rule
from spikeloom.models.surrogates import Gaussian, Rectangle, Sigmoid, Surrogate, Triangle

# decay, threshold, lens, I[t], V[t], s[t], dL/dI[t] for L = sum of s, by autograd on the equations
# of the authors' PyTorch code of STBP
GOLDEN = [
    (
        (0.2, 0.5, 0.5),
        [0.45] * 5,
        [0.45, 0.54, 0.45, 0.54, 0.45],
        [0, 1, 0, 1, 0],
        [1.096954, 0.881403, 1.09812, 0.892, 1],
    ),
    (
        (0.2, 0.5, 0.5),
        [0.3, 0.6, 0.2, 0.9, 0.4],
        [0.3, 0.66, 0.2, 0.94, 0.4],
        [0, 1, 0, 1, 0],
        [1.119119, 0.850851, 1.12992, 0.812, 1],
    ),
    (
        (0.25, 0.75, 0.5),
        [0.3, 0.6, 0.2, 0.9, 0.4],
        [0.3, 0.675, 0.36875, 0.992188, 0.4],
        [0, 0, 0, 1, 0],
        [1.190906, 1.090892, 1.118668, 0.751953, 1],
    ),
]


def unroll(
    currents: Tensor, decay: float, threshold: Tensor, surrogate: Surrogate
) -> tuple[Tensor, Tensor]:
    parameters = Parameters(torch.tensor(0.0).double(), torch.tensor(decay).double(), threshold)
    state = neuron.rest(currents[0])
    spikes, potentials = [], []
    for current in currents:
        result = neuron.step(current, state, parameters, Rule(), surrogate)
        state = result.state
        spikes.append(result.spikes)
        potentials.append(result.potential)
    return torch.stack(spikes), torch.stack(potentials)


@pytest.mark.parametrize(("settings", "currents", "membranes", "spikes", "gradients"), GOLDEN)
def test_golden_vectors_of_stbp(
    settings: tuple[float, float, float],
    currents: list[float],
    membranes: list[float],
    spikes: list[int],
    gradients: list[float],
) -> None:
    decay, threshold, lens = settings
    inputs = torch.tensor(currents, dtype=torch.float64, requires_grad=True)
    level = torch.tensor(threshold, dtype=torch.float64)
    got_spikes, got_membranes = unroll(inputs, decay, level, Rectangle(lens))
    (got_gradients,) = torch.autograd.grad(got_spikes.sum(), inputs)
    assert got_spikes.tolist() == spikes
    assert got_membranes.tolist() == pytest.approx(membranes, abs=1e-5)
    assert got_gradients.tolist() == pytest.approx(gradients, abs=1e-5)


def test_gradient_reaches_thresholds_and_sums_over_the_batch() -> None:
    threshold = torch.tensor([0.5, 5.0], dtype=torch.float64, requires_grad=True)
    currents = torch.full((1, 3, 2), 0.4, dtype=torch.float64)
    spikes, _ = unroll(currents, 0.0, threshold, Rectangle())
    spikes.sum().backward()  # type: ignore[no-untyped-call]
    assert threshold.grad is not None
    assert threshold.grad.tolist() == [-3, 0]


@pytest.mark.parametrize(
    "surrogate",
    [
        Rectangle(0.5),
        Rectangle(1.0, 0.5),
        Triangle(),
        Triangle(4.0),
        Sigmoid(0.5),
        Sigmoid(),
        Gaussian(),
        Gaussian(0.25),
    ],
)
def test_curve_has_unit_area_and_peaks_at_the_threshold(surrogate: Surrogate) -> None:
    distance = torch.linspace(-30, 30, 600_001, dtype=torch.float64)
    curve = surrogate.derivative(distance)
    assert torch.trapezoid(curve, distance).item() == pytest.approx(1, abs=1e-3)
    assert curve.max() == curve[300_000]
    assert curve.min() >= 0
