"""Events of neighbouring neurons that travel as one: what is refused, weights, foldings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from networks import LayerOptions, random_network, random_spikes
from small_programs import small_maps, small_program
from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.events_per_cycle import choices
from spikeloom.compiler.folding import estimate, fold, mean_events
from spikeloom.compiler.geometry import Convolution
from spikeloom.compiler.ir import Network
from spikeloom.compiler.program import Program
from spikeloom.sim.boards import LFE5U_85F
from spikeloom.sim.latency import lower_bound, measure


@pytest.fixture
def network() -> Network:
    return random_network(3, [21, 12, 10], 4, [LayerOptions(), LayerOptions()])


def test_word_holds_the_weights_of_all_inputs_of_an_event(network: Network) -> None:
    program = Program(network, {"layer1": 5}, {}, {"input": 4})
    core = program.cores[0]
    assert (core.senders, core.groups, core.word_weights) == (6, 3, 20)
    assert core.weight_table.shape == (18, 20)
    weight = np.zeros((15, 24), np.int64)
    weight[:12, :21] = network.projections[0].weight
    for block in range(6):
        for group in range(3):
            word = core.weight_table[block * 3 + group].reshape(4, 5)
            wanted = weight[group * 5 : group * 5 + 5, block * 4 : block * 4 + 4].T
            assert np.array_equal(word, wanted)


def test_program_file_keeps_them(network: Network, tmp_path: Path) -> None:
    program = Program(network, {}, {}, {"input": 8, "layer1": 2})
    program.save(tmp_path / "a.program.safetensors")
    again = Program.load(tmp_path / "a.program.safetensors")
    assert again.events_per_cycle == program.events_per_cycle
    assert "8 events per cycle" in str(again)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"pixels": 2}, r"'pixels', which is not a population \(input, layer1, layer2\)"),
        ({"input": 3}, r"'input' cannot send 3 events per cycle; wanted one of 1, 2, 4, 8$"),
        ({"layer2": 2}, r"'layer2' cannot send 2 .*: the readout takes its spikes one by one$"),
    ],
)
def test_what_cannot_be_is_refused(network: Network, counts: dict[str, int], message: str) -> None:
    with pytest.raises(SpikeloomError, match=message):
        Program(network, {}, {}, counts)


def test_population_must_have_so_many_neurons() -> None:
    program = small_program((3, 4))
    with pytest.raises(SpikeloomError, match=r"only 1 \.\. 3: it has no more neurons"):
        replace(program, events_per_cycle={"input": 4})


def test_feature_maps_are_refused() -> None:
    program = small_maps(Convolution((2, 4, 4), 3, (3, 3)), lanes=3)
    with pytest.raises(SpikeloomError, match=r"'input' .* feature maps of shape \(2, 4, 4\)"):
        replace(program, events_per_cycle={"input": 2})


@pytest.mark.parametrize(
    ("lanes", "fire_lanes", "what"), [(6, 4, "6 lanes"), (12, 6, "6 fire lanes")]
)
def test_rows_of_the_scan_must_not_part_what_travels_together(
    network: Network, lanes: int, fire_lanes: int, what: str
) -> None:
    program = Program(network, {"layer1": lanes}, {"layer1": fire_lanes}, {"layer1": 4})
    with pytest.raises(SpikeloomError, match=rf"'layer1' has {what} .* a multiple of 4"):
        program.cores  # noqa: B018


def test_all_that_can_is_offered_to_the_solver(network: Network) -> None:
    assert choices(network) == [{}, *({"input": n, "layer1": n} for n in (2, 4, 8))]


def test_fastest_folding_of_an_ample_part_takes_several_at_once() -> None:
    network = random_network(3, [120, 60, 10], 4, [LayerOptions(), LayerOptions()])
    spikes = random_spikes(network, 4, 0.5)
    events = mean_events(reference.run(network, spikes))
    budget = LFE5U_85F.budget
    found = fold(network, budget, events, choices(network))
    assert found.events_per_cycle["input"] > 1
    assert found.cycles < fold(network, budget, events).cycles
    program = Program(network, found.lanes, found.fire_lanes, found.events_per_cycle)
    assert found == estimate(
        network, found.lanes, found.fire_lanes, budget, events, found.events_per_cycle
    )
    counted = measure(program, spikes)
    assert found.cycles == pytest.approx(counted.to_class.mean(), rel=0.15)
    assert (lower_bound(program, spikes) <= counted.to_class).all()
