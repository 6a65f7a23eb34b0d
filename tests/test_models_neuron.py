import pytest
import torch

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import neuron
from spikeloom.models.neuron import Parameters, Rule


def integrate(
    currents: list[float], alpha: float, beta: float, threshold: float, rule: Rule
) -> tuple[list[float], list[float]]:
    """Spikes and membranes of one neuron."""
    parameters = Parameters(*(torch.tensor(x) for x in (alpha, beta, threshold)))
    state = neuron.rest(torch.zeros(1))
    spikes, potentials = [], []
    for current in currents:
        result = neuron.step(torch.tensor([current]), state, parameters, rule)
        state = result.state
        spikes.append(result.spikes.item())
        potentials.append(result.potential.item())
    return spikes, potentials


def test_reset_to_zero_forgets_the_membrane() -> None:
    spikes, potentials = integrate([0.75] * 4, 0.0, 0.5, 1.0, Rule("zero"))
    assert potentials == [0.75, 1.125, 0.75, 1.125]
    assert spikes == [0, 1, 0, 1]


def test_reset_by_subtraction_keeps_the_rest() -> None:
    spikes, potentials = integrate([0.75] * 4, 0.0, 0.5, 1.0, Rule("subtract"))
    assert potentials == [0.75, 1.125, 0.8125, 1.15625]
    assert spikes == [0, 1, 0, 1]


def test_no_reset_leaves_the_membrane() -> None:
    spikes, potentials = integrate([0.75] * 3, 0.0, 0.5, 1.0, Rule("none"))
    assert potentials == [0.75, 1.125, 1.3125]
    assert spikes == [0, 1, 1]


def test_synaptic_current_decays_by_alpha() -> None:
    _, potentials = integrate([1.0, 0.0, 0.0], 0.5, 0.0, 9.0, Rule())
    assert potentials == [1.0, 0.5, 0.25]


def test_compare_decides_a_tie() -> None:
    assert integrate([1.0], 0.0, 0.0, 1.0, Rule(compare=">"))[0] == [0]
    assert integrate([1.0], 0.0, 0.0, 1.0, Rule(compare=">="))[0] == [1]


def test_single_spike_neuron_spikes_once() -> None:
    assert integrate([2.0] * 3, 0.0, 0.0, 1.0, Rule(single_spike=True))[0] == [1, 0, 0]


def test_neuron_that_does_not_fire_only_integrates() -> None:
    spikes, potentials = integrate([2.0] * 3, 0.0, 1.0, 1.0, Rule(fire=False))
    assert spikes == [0, 0, 0]
    assert potentials == [2, 4, 6]


def test_unknown_reset_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="reset is 'hard'; wanted one of"):
        Rule("hard")  # type: ignore[arg-type]
