import numpy as np
import pytest
import torch
from torch import nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.check import check_export
from spikeloom.models.exact import make_sums_exact
from spikeloom.models.export import convert
from spikeloom.models.layers import Integrator, SpikeCount, Spiking
from spikeloom.models.readouts import FinalMembrane, FirstSpike, GroupVote, TimeWeightedSum
from spikeloom.models.tssl import psp

TRAINS = torch.tensor(
    [[0, 1, 0, 1, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.float64
).T.unsqueeze(1)


def test_time_weighted_sum_is_the_sum_of_the_potentials() -> None:
    readout = TimeWeightedSum(3.0)
    weights = [0.8683, 0.8025, 0.7037, 0.5556, 0.3333]
    assert readout.weights(TRAINS).tolist() == pytest.approx(weights, abs=1e-4)
    torch.testing.assert_close(readout(TRAINS), psp(TRAINS, 3.0).sum(0), rtol=0, atol=5e-5)


def test_first_spike_scores_the_steps_left() -> None:
    assert FirstSpike()(TRAINS).tolist() == [[4, 5, 0]]


def test_final_membrane_is_the_last() -> None:
    assert FinalMembrane()(TRAINS).tolist() == [[1, 0, 0]]


def test_vote_is_the_mean_of_neighbours() -> None:
    values = torch.arange(12.0).reshape(1, 2, 6)
    assert GroupVote(3)(values).tolist() == [[[1, 4], [7, 10]]]
    with pytest.raises(SpikeloomError, match="6 neurons; wanted a multiple of 4"):
        GroupVote(4)(values)


def test_illegal_time_constant_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="tau_s = 0 steps; wanted >= 1"):
        TimeWeightedSum(0)


@pytest.mark.parametrize(
    "readout",
    [SpikeCount(), TimeWeightedSum(3.0), FirstSpike(), FinalMembrane()],
    ids=lambda readout: type(readout).__name__,
)
def test_gradients_equal_finite_differences(readout: nn.Module) -> None:
    values = torch.rand(5, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(readout, (values,))


def last_layers(kind: str) -> list[nn.Module]:
    match kind:
        case "count":
            return [Spiking(0.5, 0.3), SpikeCount()]
        case "weighted":
            return [Spiking(0.75, 1.0, 0.5, gain=0.5), TimeWeightedSum(3.0)]
        case "first":
            return [Spiking(1.0, 0.7, 1.0, single_spike=True, compare=">="), FirstSpike()]
        case "membrane":
            return [Integrator(0.5), FinalMembrane()]
        case _:
            return [Spiking(0.5, 0.3), GroupVote(2), SpikeCount()]


@pytest.mark.parametrize("kind", ["count", "weighted", "first", "membrane", "vote"])
def test_every_readout_exports_to_standard_operators(kind: str) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), Spiking(0.5, 0.2), nn.Linear(8, 4), *last_layers(kind))
    make_sums_exact(module)
    model = convert(module, 6, (6,))
    domains = {node.domain for node in model.graph.node}
    assert domains == {"", "spikeloom"}
    spikes = np.random.default_rng(0).integers(0, 2, (6, 20, 6), np.uint8)
    assert check_export(module, model, spikes) == {"1": 6 * 20 * 8, "3": 6 * 20 * 4}
