"""Sizes that are estimated before synthesis, against what synthesis made of the same cores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from networks import LayerOptions, random_network
from spikeloom.compiler.budget import Budget
from spikeloom.compiler.cores import Core
from spikeloom.compiler.estimate import core_size
from spikeloom.compiler.estimate_memories import memory
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.ir import Network, Precision
from spikeloom.compiler.onnx_import import import_network, load_model
from spikeloom.compiler.passes import lower
from spikeloom.compiler.program import Program
from spikeloom.models import cards
from spikeloom.rtl.core import LayerCore
from spikeloom.sim.boards import LFE5U_85F
from spikeloom.sim.synthesis import synthesised_cells

BUDGET = LFE5U_85F.budget
# Look-up tables and flip-flops come this near; block RAMs and multipliers are exact.
NEAR = 0.15


@dataclass(frozen=True)
class Case:
    """A core of a network of the zoo.

    Attributes
    ----------
    file : the network's, without its ending
    lanes, fire_lanes : of the layer; None for the default
    measured : look-up tables, flip-flops, multipliers and block RAMs, counted behind nextpnr's
        packing on an ECP5, for 110 MHz
    """

    file: str
    layer: str
    lanes: int | None
    fire_lanes: int | None
    measured: tuple[int, int, int, int]

    def __str__(self) -> str:
        return f"{self.file} {self.layer} {self.lanes}/{self.fire_lanes}"


CASES = (
    Case("stbp-mnist-mlp128", "hidden1", None, None, (4162, 2506, 0, 57)),
    Case("stbp-mnist-mlp128", "output", None, 2, (446, 416, 0, 3)),
    Case("stbp-mnist-mlp128.4bit", "hidden1", 5, 1, (794, 309, 1, 26)),
    Case("stbp-mnist-mlp128.4bit", "output", 1, None, (235, 178, 1, 1)),
    Case("stbp-mnist-256", "hidden1", None, None, (3738, 3264, 0, 29)),
    Case("stbp-mnist-256.4bit", "hidden1", 8, 1, (640, 285, 0, 9)),
    Case("stdbp-mnist-mlp400", "hidden1", 50, None, (8456, 2139, 0, 153)),
    Case("stdbp-mnist-mlp400", "output", None, None, (1512, 1320, 0, 3)),
    Case("nmnist-mlp", "hidden1", 100, None, (21186, 3473, 8, 851)),
    Case("tssl-fashion-mlp", "hidden1", 40, None, (6409, 3749, 57, 158)),
    Case("tssl-fashion-mlp", "hidden2", 40, None, (4083, 2398, 17, 80)),
    Case("tssl-fashion-mlp", "output", None, None, (1709, 1767, 16, 3)),
    Case("stbp-mnist-cnn.4bit", "hidden1", 5, 5, (1316, 919, 5, 10)),
    Case("stbp-mnist-cnn.4bit", "hidden1", 15, 4, (1621, 1257, 4, 13)),
    Case("stbp-mnist-cnn.4bit", "hidden1", 75, 15, (5289, 4182, 15, 24)),
    Case("stbp-mnist-cnn.4bit", "hidden2", 40, 4, (3893, 2901, 5, 24)),
    Case("stbp-mnist-cnn", "hidden2", 80, 8, (11238, 3031, 9, 23)),
    Case("stbp-mnist-cnn.4bit", "hidden3", 150, None, (12662, 3536, 8, 54)),
    Case("stbp-mnist-cnn.4bit", "hidden3", 20, 1, (2591, 849, 2, 45)),
    Case("stbp-mnist-cnn.4bit", "output", None, 1, (404, 364, 1, 2)),
)


@cache
def network_of(file: str) -> Network:
    """The network of the zoo, in integers."""
    bits = 4 if file.endswith(".4bit") else 8
    model = load_model(cards.folder() / f"{file}.onnx")
    return lower(import_network(model, "network", Precision(weight_bits=bits)))


def core_of(program: Program, layer: str) -> Core:
    return next(core for core in program.cores if core.name == layer)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_sizes_come_near_the_measured_ones(case: Case) -> None:
    lanes = {} if case.lanes is None else {case.layer: case.lanes}
    fire_lanes = {} if case.fire_lanes is None else {case.layer: case.fire_lanes}
    program = Program(network_of(case.file), lanes, fire_lanes)
    size = core_size(core_of(program, case.layer), BUDGET)
    luts, flip_flops, multipliers, blocks = case.measured
    assert (size.multipliers, size.blocks) == (multipliers, blocks)
    assert size.luts == pytest.approx(luts, rel=NEAR)
    assert size.flip_flops == pytest.approx(flip_flops, rel=NEAR)


@dataclass(frozen=True)
class Small:
    """A core of random weights, and its layer's options."""

    sizes: tuple[int, int]
    lanes: int
    fire_lanes: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def core(self) -> Core:
        """The core."""
        network = random_network(0, list(self.sizes), 8, [LayerOptions(**self.options)])
        return Program(network, {"layer1": self.lanes}, {"layer1": self.fire_lanes}).cores[0]


SMALL = {
    "one row": Small((100, 12), 12, 12),
    "multipliers": Small((100, 64), 16, 4, {"decay": "general"}),
    "subtraction": Small((200, 60), 20, 2, {"weight_bits": 4, "reset": Reset.SUBTRACT}),
}


def small_convolution() -> Core:
    program = Program(network_of("stbp-mnist-cnn.4bit"), {"hidden1": 5}, {"hidden1": 2})
    return core_of(program, "hidden1")


@pytest.mark.parametrize("name", [*SMALL, "convolution"])
def test_flip_flops_come_near_those_of_a_netlist(name: str, tmp_path: Path) -> None:
    """The gates as they are today: a register more or less in them shows here."""
    core = small_convolution() if name == "convolution" else SMALL[name].core()
    cells = synthesised_cells(LayerCore(core), LFE5U_85F, tmp_path, 110.0)
    size = core_size(core, BUDGET)
    assert size.flip_flops == pytest.approx(cells["TRELLIS_FF"], rel=NEAR)
    assert size.multipliers == cells.get("MULT18X18D", 0)
    assert size.blocks == cells["DP16KD"]


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
