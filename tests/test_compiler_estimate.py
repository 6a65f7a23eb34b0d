"""What memories are made of before synthesis, by what yosys weighs."""

import pytest
from edge_cores import CORES

from spikeloom.compiler.budget import Budget
from spikeloom.compiler.estimate import core_size
from spikeloom.compiler.estimate_memories import memory
from spikeloom.sim.boards import ICE40UP5K, LFE5U_85F

BUDGET = LFE5U_85F.budget


@pytest.mark.parametrize(
    ("depth", "width", "blocks"),
    [
        # Yosys makes distributed memories of these, as block RAMs would cost more.
        (32, 36, 0),
        (64, 16, 0),
        (64, 36, 1),
        (512, 36, 1),
        # In the best shape: 2048 words of 9 bits.
        (2048, 80, 9),
    ],
)
def test_memory_is_made_of_what_costs_least(depth: int, width: int, blocks: int) -> None:
    assert memory(depth, width, BUDGET, "next").blocks == blocks


def test_part_without_distributed_memories_takes_flip_flops_where_a_block_cannot_answer() -> None:
    part = Budget(luts=5_000, multipliers=8, blocks=30, block_width=16, block_depth=256)
    assert memory(8, 12, part, "at once").registers == 96
    assert memory(8, 12, BUDGET, "at once").registers == 0


@pytest.mark.parametrize(("empty", "blocks", "large_blocks"), [(True, 0, 2), (False, 128, 0)])
def test_only_memories_that_start_empty_are_spram(
    empty: bool, blocks: int, large_blocks: int
) -> None:
    found = memory(1 << 15, 16, ICE40UP5K.budget, "next", "shared", empty=empty)
    assert (found.blocks, found.large_blocks) == (blocks, large_blocks)


def test_register_of_a_block_ram_is_behind_one_of_them_only() -> None:
    assert memory(512, 36, BUDGET, "registered", "read").registers == 0
    assert memory(1 << 15, 1, BUDGET, "registered", "read").registers > 0


def test_short_products_are_no_multipliers_on_an_ice40() -> None:
    # 200 inputs of five words each: ten bits.
    core = CORES["groups"]()
    assert core_size(core, BUDGET).multipliers == 1
    assert core_size(core, ICE40UP5K.budget).multipliers == 0
