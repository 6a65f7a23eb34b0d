"""A cocotb bench whose streams are driven by cocotbext-axi, a bus model that nobody here wrote.

It runs in the simulator on the ports of the emitted Verilog, without probes and without our model,
and writes what it saw as JSON.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from spikeloom.compiler.program import Program
from spikeloom.rtl.top import CONTROL
from spikeloom.rtl.weight_loader import Register
from spikeloom.sim.bench import CONFIGURATION
from spikeloom.sim.control_driver import address_of
from spikeloom.sim.stimulus import Pauses, input_words

# What the control port answers, by channel.
ANSWERS = {"b": ("bresp",), "r": ("rdata", "rresp")}


@dataclass
class Monitor:
    """Watches a stream for what AXI4-Stream forbids.

    Attributes
    ----------
    transfers : clock edges at which a word was taken
    stalls : clock edges at which a word was offered and not taken
    violations : cycle and what happened
    """

    transfers: int = 0
    stalls: int = 0
    violations: list[str] = field(default_factory=list)
    waiting: tuple[int, int] | None = None

    def see(self, cycle: int, valid: bool, ready: bool, payload: tuple[int, int]) -> None:
        """Look at a clock edge: the handshake, and `tdata` and `tlast` if there is a word."""
        if self.waiting is not None and not valid:
            self.violations.append(f"cycle {cycle}: tvalid fell before tready")
        elif self.waiting is not None and payload != self.waiting:
            self.violations.append(f"cycle {cycle}: {self.waiting} became {payload}")
        self.transfers += valid and ready
        self.stalls += valid and not ready
        self.waiting = payload if valid and not ready else None


async def _watch(dut: Any, monitors: dict[str, Monitor]) -> None:
    """See at each falling edge what the next rising edge will."""
    cycle = 0
    while True:
        await FallingEdge(dut.clk)
        for channel, payload in ANSWERS.items():
            if f"{CONTROL}{channel}" in monitors:
                valid, ready, *fields = (
                    int(getattr(dut, f"{CONTROL}{name}").value)
                    for name in (f"{channel}valid", f"{channel}ready", *payload)
                )
                answer = fields[0], fields[-1]
                monitors[f"{CONTROL}{channel}"].see(cycle, bool(valid), bool(ready), answer)
        for prefix in ("s_axis", "m_axis"):
            monitor = monitors[prefix]
            tvalid, tready, tdata, tlast = (
                int(getattr(dut, f"{prefix}_{name}").value)
                for name in ("tvalid", "tready", "tdata", "tlast")
            )
            monitor.see(cycle, bool(tvalid), bool(tready), (tdata, tlast))
        cycle += 1


@cocotb.test()
async def streams(dut: Any) -> None:
    """Send all samples, a frame each, and receive a frame for each; once per kind of pauses."""
    configuration = json.loads(Path(os.environ[CONFIGURATION]).read_text())
    program = Program.load(Path(configuration["program"]))
    spikes = np.load(configuration["spikes"])
    # A lane of the bus model is a word.
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, byte_lanes=1)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, byte_lanes=1)
    control = None
    if "image" in configuration:
        control = AxiLiteMaster(AxiLiteBus.from_prefix(dut, CONTROL[:-1]), dut.clk, dut.rst)
    frames = _frames(program, spikes)
    dut.rst.value = 1
    Clock(dut.clk, 10, "ns").start()
    outcomes = []
    for pauses in (Pauses(**item) for item in configuration["pauses"]):
        dut.rst.value = 1
        await ClockCycles(dut.clk, 3)
        dut.rst.value = 0
        monitors = {"s_axis": Monitor(), "m_axis": Monitor()}
        if control is not None:
            monitors |= {f"{CONTROL}{channel}": Monitor() for channel in ANSWERS}
        watching = cocotb.start_soon(_watch(dut, monitors))
        source.set_pause_generator(pauses.on_input())
        sink.set_pause_generator(pauses.on_output())
        for frame in frames:
            source.send_nowait(AxiStreamFrame(frame))
        # The samples wait in the bus model while the weights are loaded.
        status = None if control is None else await _load(control, configuration["image"])
        packets = [list((await sink.recv()).tdata) for _ in frames]
        await ClockCycles(dut.clk, 20)
        watching.cancel()
        outcomes.append(
            {
                "packets": packets,
                "left": sink.count(),
                "status": status,
                "error": int(dut.error.value),
                "monitors": {name: asdict(item) for name, item in monitors.items()},
            }
        )
    Path(configuration["result"]).write_text(json.dumps(outcomes))


async def _load(control: Any, image: list[int]) -> int:
    """Write an image; gives the status behind it."""
    await control.write_dword(address_of(Register.BEGIN), 0)
    for word in image:
        await control.write_dword(address_of(Register.WORD), word)
    status: int = await control.read_dword(address_of(Register.STATUS))
    return status


def _frames(program: Program, spikes: Any) -> list[list[int]]:
    """The words of each sample."""
    frames: list[list[int]] = [[]]
    for word, last in input_words(program.network, spikes, program.events_per_word):
        frames[-1].append(word)
        if last:
            frames.append([])
    return frames[:-1]
