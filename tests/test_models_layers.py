from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.layers import Integrator, SpikeCount, Spiking, record_spikes
from spikeloom.models.spikebp import SpikeBasedWindow
from spikeloom.models.surrogates import Rectangle


def test_parameters_may_differ_per_neuron() -> None:
    layer = Spiking(beta=torch.tensor([0.0, 1.0]), threshold=torch.tensor([0.5, 3.5]))
    spikes, membranes = layer.integrate(torch.ones(4, 1, 2))
    assert spikes[:, 0].T.tolist() == [[1, 1, 1, 1], [0, 0, 0, 1]]
    assert membranes[:, 0].T.tolist() == [[1, 1, 1, 1], [1, 2, 3, 4]]


def test_only_parameters_are_learned_but_all_are_saved() -> None:
    layer = Spiking(beta=nn.Parameter(torch.tensor(0.5)), threshold=0.3)
    assert [name for name, _ in layer.named_parameters()] == ["beta"]
    assert set(layer.state_dict()) == {"alpha", "beta", "threshold"}
    layer(torch.full((3, 2, 4), 0.25)).sum().backward()
    assert layer.beta.grad is not None
    assert layer.beta.grad.item() != 0


def test_gain_multiplies_the_current() -> None:
    currents = torch.rand(6, 3, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Spiking(0.9, 0.3, gain=2.0)(currents), Spiking(0.9, 0.3)(2 * currents))


def test_neurons_without_synaptic_state_are_those_with_a_decay_of_zero() -> None:
    currents = torch.rand(6, 3, 5, generator=torch.Generator().manual_seed(0))
    layer = Spiking(0.9, 0.3, alpha=nn.Parameter(torch.tensor(0.0)))
    assert torch.equal(layer.integrate(currents)[1], Spiking(0.9, 0.3).integrate(currents)[1])


def test_integrator_gives_membranes_and_records_no_spikes() -> None:
    layer = Integrator(0.5)
    assert layer(torch.full((3, 1, 1), 8.0)).flatten().tolist() == [8, 12, 14]
    recorded = record_spikes(nn.Sequential(layer), torch.full((3, 1, 1), 8.0))
    assert recorded.spikes["0"].flatten().tolist() == [0, 0, 0]


def test_windows_start_from_rest() -> None:
    layer = Spiking(0.9, 0.3)
    currents = torch.rand(6, 3, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer(currents), layer(currents))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": 1.5}, "beta of a layer of neurons is 1.5; wanted 0 .. 1"),
        ({"alpha": -0.1}, "alpha of a layer of neurons is -0.1; wanted 0 .. 1"),
        ({"threshold": 0.0}, "threshold of a layer of neurons is 0; wanted > 0"),
        ({"threshold": torch.tensor([1.0, float("nan")])}, "is nan; wanted > 0"),
        ({"threshold": float("inf")}, "is inf; wanted > 0"),
        ({"spike": Rectangle(), "window": SpikeBasedWindow()}, "both 'spike' and 'window'"),
        (
            {"beta": nn.Parameter(torch.tensor(0.5)), "window": SpikeBasedWindow()},
            r"beta of a layer of neurons is to be learned, and SpikeBasedWindow\(.*no gradient",
        ),
    ],
)
def test_illegal_parameters_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpikeloomError, match=message):
        Spiking(**arguments)


def test_spike_count_sums_over_time() -> None:
    spikes = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]])
    assert SpikeCount()(spikes).tolist() == [[2, 1]]


def test_recorded_spikes_are_named_by_path_and_use() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Sequential(Spiking(threshold=0.5))

        def forward(self, spikes: Tensor) -> Tensor:
            result: Tensor = self.block(2 * self.block(spikes)).sum(0)
            return result

    recorded = record_spikes(Twice(), torch.ones(3, 1, 2))
    assert list(recorded.spikes) == ["block.0", "block.0#2"]
    assert recorded.output.tolist() == [[3, 3]]
