"""Estimates beside what synthesis makes of a core."""

import json
from collections import Counter
from pathlib import Path

import pytest
from amaranth.back import rtlil
from edge_cores import CORES

from spikeloom.compiler.cores import Core
from spikeloom.compiler.estimate import core_size
from spikeloom.rtl.core import LayerCore
from spikeloom.sim.boards import LFE5U_85F
from spikeloom.sim.ecp5_carry_chains import pack_carry_chains
from spikeloom.sim.ecp5_netlist import use_output_registers
from spikeloom.sim.memory_attributes import apply_memory_attributes
from spikeloom.sim.synthesis import delay_target
from spikeloom.sim.toolchain import run_tool

# What nextpnr makes of a cell of yosys': two look-up tables of a carry cell, six of a memory.
LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}
# Faster logic takes more of them.
MHZ = 110.0


def synthesise(core: Core, folder: Path) -> Counter[str]:
    """Cells of the netlist for an ECP5."""
    text = str(rtlil.convert(LayerCore(core), name="top"))
    (folder / "top.il").write_text(apply_memory_attributes(text))
    script = ["read_rtlil top.il", delay_target(MHZ), "synth_ecp5 -top top", "write_json top.json"]
    (folder / "top.ys").write_text("\n".join(script) + "\n")
    run_tool("yosys", ["top.ys"], folder, folder / "yosys.log", lambda line: None)
    netlist = json.loads((folder / "top.json").read_text())
    use_output_registers(netlist)
    pack_carry_chains(netlist)
    return Counter(cell["type"] for cell in netlist["modules"]["top"]["cells"].values())


@pytest.mark.parametrize("name", CORES)
def test_estimates_are_near_what_synthesis_makes(name: str, tmp_path: Path) -> None:
    core = CORES[name]()
    cells = synthesise(core, tmp_path)
    estimated = core_size(core, LFE5U_85F.budget)
    luts = sum(count * cells[kind] for kind, count in LUTS.items())
    assert estimated.blocks == cells["DP16KD"]
    assert estimated.multipliers == cells["MULT18X18D"]
    assert estimated.registers == pytest.approx(cells["TRELLIS_FF"], rel=0.15)
    assert estimated.luts == pytest.approx(luts, rel=0.15)
