"""Foldings: nothing in a budget is faster, and what they are estimated to take comes near."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from networks import LayerOptions, random_network, random_spikes
from spikeloom.compiler import folding, reference
from spikeloom.compiler.budget import Budget
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.folding import Folding, fold, mean_events, pareto_front
from spikeloom.compiler.ir import Network, Precision
from spikeloom.compiler.onnx_import import import_network, load_model
from spikeloom.compiler.passes import lower
from spikeloom.compiler.program import Program
from spikeloom.models import cards
from spikeloom.sim.boards import BOARDS, LFE5U_85F
from spikeloom.sim.latency import measure

AMPLE = Budget(luts=10**6, multipliers=10**4, blocks=10**4, block_width=36, block_depth=512)


def chain(*sizes: int, decay: str = "half") -> Network:
    return random_network(0, list(sizes), 4, [LayerOptions(decay=decay)] * (len(sizes) - 1))


def within(item: Folding, budget: Budget) -> bool:
    return (
        item.luts <= budget.luts
        and item.blocks <= budget.blocks
        and item.multipliers <= budget.multipliers
    )


def test_ample_part_gives_a_lane_to_every_neuron() -> None:
    assert fold(chain(20, 70, 3), AMPLE).lanes == {"layer1": 70, "layer2": 3}


@pytest.mark.parametrize("decay", ["half", "general"])
@pytest.mark.parametrize(
    "change",
    [
        {"luts": 5000},
        {"luts": 3000},
        {"blocks": 5, "block_width": 16, "block_depth": 256},
        {"multipliers": 8},
    ],
    ids=str,
)
def test_folding_is_within_its_budget_and_can_be_built(change: dict[str, Any], decay: str) -> None:
    network = chain(40, 60, 50, 10, decay=decay)
    budget = replace(AMPLE, **change)
    ample, scarce = fold(network, AMPLE), fold(network, budget)
    assert within(scarce, budget)
    assert scarce.cycles >= ample.cycles
    if not ("multipliers" in change and decay == "half"):
        assert not within(ample, budget)
    program = Program(network, scarce.lanes, scarce.fire_lanes)
    assert {core.name: core.fire_lanes for core in program.cores} == scarce.fire_lanes


def test_front_holds_all_that_nothing_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against all combinations, one by one."""
    network = chain(20, 12, 9, 5, decay="general")
    budget = replace(AMPLE, luts=4_000, blocks=16, multipliers=24)
    front = pareto_front(network, budget)
    monkeypatch.setattr(folding, "_undominated", lambda costs: list(range(len(costs))))
    every = pareto_front(network, budget)
    assert [(item.luts, item.cycles) for item in front] == [
        (item.luts, item.cycles) for item in every
    ]
    luts, cycles = zip(*((item.luts, item.cycles) for item in front), strict=True)
    assert list(luts) == sorted(luts) and list(cycles) == sorted(cycles, reverse=True)
    assert len(front) > 5
    assert all(within(item, budget) for item in front)


def test_undominated_rows_are_those_that_no_other_row_beats() -> None:
    costs = np.random.default_rng(0).integers(0, 6, (200, 3)).astype(float)
    kept = folding._undominated(costs)
    for index, row in enumerate(costs):
        beaten = any((costs[other] <= row).all() for other in kept if other != index)
        assert (index in kept) != beaten


def test_only_layers_that_multiply_take_multipliers() -> None:
    layers = [LayerOptions(decay="general"), LayerOptions(decay="half")]
    network = random_network(0, [20, 32, 32], 4, layers)
    found = fold(network, replace(AMPLE, multipliers=4))
    assert found.fire_lanes["layer1"] <= 4 == found.multipliers
    assert found.lanes == {"layer1": 32, "layer2": 32}


def test_busy_layer_gets_the_lanes() -> None:
    network = chain(20, 32, 32, 8)
    budget = replace(AMPLE, luts=3_200)
    for busy, idle in (("layer1", "layer2"), ("layer2", "layer1")):
        events = {name: {1: 1.0} for name in ("input", "layer1", "layer2", "layer3")}
        events["input" if busy == "layer1" else "layer1"] = {1: 300.0}
        lanes = fold(network, budget, events).lanes
        assert lanes[busy] > lanes[idle]


def test_budget_that_cannot_be_met_names_the_nearest() -> None:
    network = chain(20, 33, 7, decay="general")
    with pytest.raises(SpikeloomError) as caught:
        fold(network, replace(AMPLE, luts=100))
    text = str(caught.value)
    assert text.startswith("no folding is within 100 look-up tables, 10,000 block RAMs and 10,000")
    assert "the nearest, with lanes layer1=1, layer2=" in text
    with pytest.raises(SpikeloomError, match=r"within .* 0 multipliers; the nearest, with lanes"):
        fold(network, replace(AMPLE, multipliers=0))


def test_membranes_that_are_read_out_leave_through_one_fire_lane() -> None:
    network = chain(20, 30, 10)
    network = replace(network, readout=replace(network.readout, kind="final_membrane"))
    assert fold(network, AMPLE).fire_lanes["layer2"] == 1
    with pytest.raises(SpikeloomError, match=r"'layer2' is read out by its membranes, .* not 4"):
        Program(network, {}, {"layer2": 4})


def test_larger_board_gives_a_faster_folding() -> None:
    by_size = sorted(BOARDS, key=lambda board: board.part.budget.luts)
    found = [fold(chain(64, 64, 10), board.part.budget) for board in by_size]
    assert found[0].cycles > found[1].cycles
    assert found[1].lanes == {"layer1": 64, "layer2": 10}


@pytest.mark.parametrize("density", [0.02, 0.3])
def test_estimated_cycles_come_near_those_of_the_cycle_model(density: float) -> None:
    network = chain(60, 40, 20, 10)
    spikes = random_spikes(network, 4, density)
    front = pareto_front(
        network, replace(AMPLE, luts=3_500), mean_events(reference.run(network, spikes))
    )
    for item in front[:: len(front) // 5]:
        counted = measure(Program(network, item.lanes, item.fire_lanes), spikes).to_class.mean()
        assert item.cycles == pytest.approx(counted, rel=0.15)


# What yosys and nextpnr made of these, from docs/performance.md.
@pytest.mark.parametrize(
    ("name", "bits", "lanes", "fire_lanes", "luts", "blocks"),
    [
        ("stbp-mnist-mlp128", 8, {}, {"output": 2}, 3_656, 60),
        ("stbp-mnist-mlp128.4bit", 4, {"hidden1": 5, "output": 1}, {"hidden1": 1}, 1_282, 27),
        ("stbp-mnist-256.4bit", 4, {"hidden1": 4, "output": 1}, {"hidden1": 1}, 978, 10),
    ],
)
def test_estimated_sizes_come_near_the_synthesised_ones(
    name: str, bits: int, lanes: dict[str, int], fire_lanes: dict[str, int], luts: int, blocks: int
) -> None:
    model = load_model(Path(cards.folder()) / f"{name}.onnx")
    network = lower(import_network(model, "network", Precision(weight_bits=bits)))
    got = folding.estimate(network, lanes, fire_lanes, LFE5U_85F.budget)
    assert got.blocks == blocks
    assert got.luts == pytest.approx(luts, rel=0.15)
