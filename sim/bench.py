# amaranth: UnusedElaboratable=no
"""The cocotb bench: runs in the simulator and compares the RTL with the cycle model in lockstep.

One bench serves every program. It is told by a JSON file (named by $SPIKELOOM_BENCH) what to run,
and writes the outcome as JSON; `sim/verify.py` makes the one and reads the other.

All outputs and probes of the accelerator depend on registers alone, so one look per clock cycle,
at the falling edge, sees what the rising edge before it has made. The inputs for the next rising
edge are driven at the same time.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from spikeloom.compiler.program import Program
from spikeloom.rtl.control_port import NO_CONTROL
from spikeloom.rtl.top import Accelerator, AcceleratorModel
from spikeloom.sim.control_driver import ControlDriver, load_own_weights
from spikeloom.sim.coverage import transitions_seen
from spikeloom.sim.difference import Observation
from spikeloom.sim.stimulus import Pauses, Word, input_words
from spikeloom.sim.wrapper import drive_control, drive_word

CONFIGURATION = "SPIKELOOM_BENCH"
# How the bench tells on standard output that a sample is done.
PROGRESS = "samples done:"


class Sender:
    """Offers the words of the AXI4-Stream input; a word once offered stays until it is taken."""

    def __init__(self, words: list[Word], pauses: Pauses) -> None:
        self.words = words
        self.position = 0
        self.pausing = pauses.on_input()
        self.offered: Word | None = None

    def go_on(self) -> None:
        """Decide what is offered to the next rising edge."""
        pause = next(self.pausing)
        if self.offered is None and self.position < len(self.words) and not pause:
            self.offered = self.words[self.position]

    def taken(self) -> None:
        """The word offered has been taken."""
        self.position += 1
        self.offered = None


class Receiver:
    """Takes result packets from the AXI4-Stream output."""

    def __init__(self, pauses: Pauses) -> None:
        self.pausing = pauses.on_output()
        self.ready = False
        self.packet: list[int] = []
        self.packets: list[list[int]] = []

    def go_on(self) -> None:
        """Decide whether a word is taken at the next rising edge."""
        self.ready = not next(self.pausing)

    def take(self, word: int, last: bool) -> None:
        """Take a word of a packet."""
        self.packet.append(word)
        if last:
            self.packets.append(self.packet)
            self.packet = []


@cocotb.test()
async def lockstep(dut: Any) -> None:
    """Send all samples, once per run, and compare at every clock edge; stop at a difference."""
    configuration = json.loads(Path(os.environ[CONFIGURATION]).read_text())
    program = Program.load(Path(configuration["program"]))
    spikes = np.load(configuration["spikes"])["spikes"]
    words = input_words(program.network, spikes, program.events_per_word)
    accelerator = Accelerator(program, configuration["probe"])

    Clock(dut.clk, 10, "ns").start()
    outcomes: list[dict[str, Any]] = []
    model: AcceleratorModel | None = None
    for run in configuration["runs"]:
        pauses = Pauses(**run["pauses"])
        if run["reset_after"]:
            # A sample or an image that a reset cuts short must leave nothing behind.
            await _reset(dut)
            model = accelerator.model(model)
            await _run(dut, accelerator, model, words, pauses, 1, run["reset_after"])
        await _reset(dut)
        model = accelerator.model(model)
        samples, patience = spikes.shape[1], configuration["patience"]
        outcomes.append(await _run(dut, accelerator, model, words, pauses, samples, patience))
        if outcomes[-1]["difference"] is not None:
            break
    Path(configuration["result"]).write_text(json.dumps(outcomes))


async def _reset(dut: Any) -> None:
    dut.driven.value = 0
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    dut.rst.value = 0


async def _run(
    dut: Any,
    accelerator: Accelerator,
    model: AcceleratorModel,
    words: list[Word],
    pauses: Pauses,
    samples: int,
    patience: int,
) -> dict[str, Any]:
    """Run in lockstep until `samples` results are out, a difference, or `patience` idle cycles.

    An idle cycle is one in which no result word leaves and the control port does nothing. Where
    weights can be loaded, those that the program has are loaded meanwhile.
    """
    control = ControlDriver(load_own_weights(accelerator.program), pauses.input, pauses.seed)
    observation = Observation(accelerator)
    word_bits = len(accelerator.s_axis_tdata)
    sender, receiver = Sender(words, pauses), Receiver(pauses)
    driven = idle = cycle = 0
    difference = None
    observed, driver, falling = dut.observed, dut.driven, FallingEdge(dut.clk)
    started = time.monotonic()
    given = NO_CONTROL
    while (len(receiver.packets) < samples or not control.done) and idle < patience:
        # As text: to compare it takes half the time that making an integer of it does.
        expected, shown = observation.expected(model), str(observed.value)
        if shown != observation.text(expected):
            got = observation.value(shown, expected)
            difference = observation.first_difference(model, cycle, expected, got).as_dict()
            break
        sender.go_on()
        receiver.go_on()
        idle += 1
        if receiver.ready and model.readout.valid:
            _, result, result_last = model.m_axis
            receiver.take(result, result_last)
            idle = 0
            if result_last:
                print(f"{PROGRESS} {len(receiver.packets)}", flush=True)
        word, last = sender.offered or (None, False)
        before, driven = driven, drive_word(word, last, receiver.ready, word_bits)
        if model.control is not None:
            given, answered = control.go_on(), len(control.answers)
            driven |= drive_control(given, word_bits)
            control.edge(model.control.port)
            idle = 0 if len(control.answers) > answered else idle
        if driven != before:
            driver.value = driven
        if word is not None and model.s_axis_tready:
            sender.taken()
        model.clock(word, last, receiver.ready, given)
        cycle += 1
        await falling
    return {
        "stuck": len(receiver.packets) < samples and difference is None,
        "control": control.answers,
        "cycles": cycle,
        "seconds": time.monotonic() - started,
        "difference": difference,
        "packets": receiver.packets,
        "signals": len(observation.signals),
        "bits": observation.width,
        "transitions": transitions_seen(model),
        "fired": _fired(model),
    }


def _fired(model: AcceleratorModel) -> dict[str, Any]:
    """What the neurons compared, scan by scan: sample, step, membranes, spikes."""
    return {
        layer.name: [
            (fired.sample, fired.step, fired.membranes.tolist(), fired.spikes.astype(int).tolist())
            for fired in layer.fire.fired
        ]
        for layer in model.layers
    }
