"""The lanes that fit a part: as many as it bears, and never one more."""

from dataclasses import replace

import pytest

from networks import LayerOptions, random_network
from spikeloom.compiler.folding import Budget, fit_lanes
from spikeloom.compiler.ir import Network
from spikeloom.compiler.program import Program
from spikeloom.sim.boards import BOARDS

AMPLE = Budget(luts=10**6, multipliers=10**4, blocks=10**4, block_width=36, block_depth=512)


def chain(*sizes: int, decay: str = "half") -> Network:
    return random_network(0, list(sizes), 4, [LayerOptions(decay=decay)] * (len(sizes) - 1))


def total(lanes: dict[str, int]) -> int:
    return sum(lanes.values())


def test_ample_part_gives_a_lane_to_every_neuron() -> None:
    assert fit_lanes(chain(20, 70, 3), AMPLE) == {"layer1": 70, "layer2": 3}


@pytest.mark.parametrize("decay", ["half", "general"])
@pytest.mark.parametrize(
    "change",
    [
        {"luts": 6000},
        {"luts": 3000},
        {"blocks": 20, "block_width": 16, "block_depth": 256},
        {"multipliers": 8},
    ],
    ids=str,
)
def test_scarcer_part_never_gives_more_lanes(change: dict[str, int], decay: str) -> None:
    network = chain(40, 60, 50, 10, decay=decay)
    ample, scarce = fit_lanes(network, AMPLE), fit_lanes(network, replace(AMPLE, **change))
    assert all(1 <= scarce[name] <= ample[name] for name in ample)
    if not ("multipliers" in change and decay == "half"):
        assert total(scarce) < total(ample)
    # What comes back can be built.
    assert Program(network, scarce).lanes == scarce


def test_only_layers_that_multiply_take_multipliers() -> None:
    layers = [LayerOptions(decay="general"), LayerOptions(decay="half")]
    network = random_network(0, [20, 32, 32], 4, layers)
    lanes = fit_lanes(network, replace(AMPLE, multipliers=4))
    assert lanes == {"layer1": 4, "layer2": 32}


def test_costliest_layer_is_folded_first() -> None:
    lanes = fit_lanes(chain(20, 64, 8), replace(AMPLE, luts=3_500))
    assert lanes["layer1"] < 64
    assert lanes["layer2"] == 8


def test_part_that_is_too_small_gets_one_lane_per_layer() -> None:
    nothing = Budget(luts=0, multipliers=0, blocks=0, block_width=16, block_depth=256)
    assert fit_lanes(chain(20, 33, 7, decay="general"), nothing) == {"layer1": 1, "layer2": 1}


def test_larger_board_gives_more_lanes() -> None:
    by_size = sorted(BOARDS, key=lambda board: board.part.budget.luts)
    counts = [total(fit_lanes(chain(64, 64, 10), board.part.budget)) for board in by_size]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == 74
