# amaranth: UnusedElaboratable=no
"""Faults planted in the cores, each of which the lockstep comparison must catch and name."""

import pytest

from networks import LayerOptions
from planted_faults import Fault, first_difference, parse
from small_programs import small_program
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.ir import Events, Readout
from spikeloom.compiler.program import Program
from spikeloom.rtl.encoder import SpikeEncoder
from spikeloom.rtl.fire import FireUnit
from spikeloom.rtl.lanes import LaneArray
from spikeloom.rtl.membranes import MembraneSender
from spikeloom.rtl.queue import EventQueue
from spikeloom.rtl.synapses import SynapseEngine
from spikeloom.rtl.vectors import VectorQueue

BLOCKS = (
    *(EventQueue, SynapseEngine, LaneArray, FireUnit),
    *(VectorQueue, SpikeEncoder, MembraneSender),
)

# Signals that belong to neurons.
OF_NEURONS = {
    *("lanes.sums", "lanes.write_data", "fire.membranes", "fire.states"),
    *("fire.sent", "fire.currents", "fire.spent"),
}

PROGRAMS = {
    # Two folded layers, several rows per group, multipliers, membranes that saturate.
    "folded": small_program(
        (12, 11, 4),
        4,
        3,
        seed=5,
        steps=4,
        options=LayerOptions(Reset.ZERO, "per neuron", state_bits=10, weight_shift=1),
    ),
    # One group and one row, so that the scan pauses; decays that are shifts.
    "flat": small_program(
        (8, 6, 3), 6, 6, steps=4, options=LayerOptions(Reset.SUBTRACT, "half", state_bits=8)
    ),
    # So many rows that states lie in block RAM, with the biases beside them.
    "deep": small_program(
        (6, 70, 3), 4, 1, seed=9, options=LayerOptions(decay="half", state_bits=12)
    ),
    # A bit per neuron and a current, of signed events.
    "single": small_program(
        (8, 9),
        6,
        2,
        steps=6,
        events=Events(-1, 1),
        single_spike=True,
        current=0.5,
        options=LayerOptions(Reset.NONE, "zero"),
    ),
    # Products, and membranes of the last step.
    "constant": small_program(
        (5, 7),
        3,
        events=Events(-6, 9, constant=True),
        readout=Readout("layer1", "final_membrane"),
        options=LayerOptions(decay="general"),
    ),
    "graded": small_program(
        (5, 7),
        7,
        events=Events(-6, 9),
        readout=Readout("layer1", "maximum_membrane"),
        options=LayerOptions(decay="general"),
    ),
}

FAULTS = parse("""
an event is lost [folded] => queue.level
@ EventQueue.elaborate
- push = self.i.valid & self.i.ready
+ push = self.i.valid & self.i.ready & (self.level != 1)

an event comes twice [folded] => queue.level
@ EventQueue.elaborate
- pop = self.o.valid & self.o.ready
+ pop = self.o.valid & self.o.ready & (self.level != 2)

a group is skipped [folded] => engine.group, engine.state, queue.level
@ SynapseEngine._advance
- last_group = self.group == core.groups - 1
+ last_group = self.group == max(core.groups - 2, 0)

a row of the scan is skipped [folded] => engine.group, engine.row
@ SynapseEngine._advance
- last_part = self.part == core.parts - 1
+ last_part = self.part == max(core.parts - 2, 0)

credits are ignored [constant] => engine.state
@ SynapseEngine._issue
- with m.Elif(self.credits == 0):
+ with m.Elif(self.credits + 1 == 0):

a credit is lost [folded] => engine.credits, engine.state
@ SynapseEngine._advance
- self.credits + self.release - firing
+ self.credits + (self.release & ~firing) - firing

no pause between scans [flat] => engine.wait
@ SynapseEngine._advance
- self.wait.eq(self.pause)
+ self.wait.eq(0)

the pause is ignored [flat] => engine.state
@ SynapseEngine._issue
- with m.Elif(self.wait != 0):
+ with m.Elif(self.wait + 1 == 0):

the end of a window is ignored [folded] => engine.before
@ SynapseEngine._issue
- last_step if core.constant else self.i.p.last
+ 0

weights of another group [folded] => lanes.write_data
@ SynapseEngine._read_weights
- self.i.p.address * core.groups + self.group
+ self.i.p.address * core.groups

weights of another input [flat] => lanes.sums
@ SynapseEngine._read_weights
- self.i.p.address * core.groups + self.group
+ (self.i.p.address ^ 1) * core.groups + self.group

a signed event has the wrong sign [single] => lanes.write_data
@ SynapseEngine._product
- Mux(factor[-1], -weight, weight)
+ weight

the highest bit of a value is lost [graded] => lanes.sums
@ SynapseEngine._weigh
- delayed(m, self.i.p.value, delay + 2)
+ delayed(m, self.i.p.value[:-1], delay + 2)

the value of the event behind [graded] => lanes.sums
@ SynapseEngine._weigh
- delayed(m, self.i.p.value, delay + 2)
+ delayed(m, self.i.p.value, delay + 1)

constant input acts in one step [constant] => queue.level
@ SynapseEngine._advance
- done = done & last_step
+ done = done & (self.step == 0)

sums in a memory are not cleared [folded] => lanes.write_data
@ LaneArray.elaborate
- self.write_data.eq(Mux(taken, 0, added))
+ self.write_data.eq(added)

the next row does not move down [flat] => lanes.sums
@ LaneArray.elaborate
- m.d.sync += self.stored.eq(self.stored.shift_right(width))
+ m.d.sync += self.stored.eq(self.stored)

sums are cleared too early [folded] => lanes.write_enable
@ LaneArray.elaborate
- taken & (self.apply.part == core.parts - 1)
+ taken & (self.apply.part == 0)

sums of the next part [folded] => fire.membranes
@ LaneArray.elaborate
- parts[self.apply.part]
+ parts[self.apply.part + 1]

sums of the group before [folded] => lanes.write_data, fire.membranes
@ LaneArray.elaborate
- read.addr.eq(self.before.group)
+ read.addr.eq(self.apply.group)

the shift of the weights is forgotten [folded] => fire.membranes
@ FireUnit._integrate
- total << core.weight_shift
+ total

the synaptic current is forgotten [single] => fire.membranes
@ FireUnit._integrate
- given = [total + current for
+ given = [total + 0 * current for

constant sums are not kept [constant] => fire.membranes
@ FireUnit._given
- (self.integrate.kind == Kind.FIRE) & first
+ self.integrate.kind == Kind.FIRE

constant sums are those of the window before [constant] => fire.membranes
@ FireUnit._given
- taken.eq(Mux(first, self.sums, kept))
+ taken.eq(kept)

a membrane must exceed its threshold by 1 [flat] => fire.sent
@ FireUnit._decide
- (difference >= 0)
+ (difference > 0)

thresholds of the next row [folded] => fire.sent
@ FireUnit._decide
- core.threshold_table, self.integrate)
+ core.threshold_table, self.decide)

no reset to zero [folded] => fire.states
@ FireUnit._decide
- Reset.ZERO: Mux(spike, 0, membrane)
+ Reset.ZERO: membrane

no reset by subtraction [flat] => fire.states
@ FireUnit._decide
- Reset.SUBTRACT: Mux(spike, difference, membrane)
+ Reset.SUBTRACT: membrane

a neuron of a single spike fires again [single] => fire.sent
@ FireUnit._decide
- & ~spent_before[lane]
+ & (spent_before[lane] | 1)

a spike of an earlier step is forgotten [single] => fire.spent
@ FireUnit._decide
- spent_before | Cat(spikes)
+ Cat(spikes)

spent neurons stay so in the next window [single] => fire.spent
@ FireUnit._decide
- Mux(resting, 0, spent_before | Cat(spikes))
+ spent_before | Cat(spikes)

a window does not start from rest [folded] => fire.states
@ FireUnit._rest
- Mux(resting, 0, value)
+ value

a current lasts into the next window [single] => fire.currents
@ FireUnit._rest
- Mux(resting, 0, value)
+ value

a product is taken without saturation [folded] => fire.states
@ FireUnit._decayed
- saturated.eq(_clip(value, bits))
+ saturated.eq(value)

a shifted state wraps around [flat] => fire.states
@ FireUnit._decayed
- _clip(value, bits) * int(factor)
+ value[:bits].as_signed() * int(factor)

a decay rounds down [folded] => fire.states
@ FireUnit._shifted
- shift_round(value + bias, decay.shift)
+ (value + bias) >> decay.shift

biases of the row behind [deep] => fire.states
@ FireUnit._store
- core.fire_lanes * table.bits], write_latency(core)
+ core.fire_lanes * table.bits], write_latency(core) - 1

no bias [folded] => fire.states
@ FireUnit._write
- bias << self._biased.shift
+ bias * 0

multipliers of the row before [folded] => fire.states
@ FireUnit._decayed
- table, self.rested)
+ table, self.written)

states are kept for the next row [folded] => fire.membranes
@ FireUnit._store
- writing, self.written.row, written
+ writing, self.written.row + 1, written

a vector takes the place of the oldest one [folded] => encoder.word, encoder.word_base
@ VectorQueue.elaborate
- write.addr.eq(newest)
+ write.addr.eq(oldest)

back-pressure is ignored [folded] => encoder.word, encoder.event, encoder.valid
@ SpikeEncoder.elaborate
- with m.Elif(self.o.ready):
+ with m.Elif(self.o.valid):

the highest spike leaves first [folded] => encoder.event
@ SpikeEncoder.elaborate
- for number, block in reversed([*enumerate(self.blocks)]):
+ for number, block in [*enumerate(self.blocks)]:

the next group is numbered from the wrong neuron [folded] => encoder.base
@ SpikeEncoder._count
- core.lanes_per_group - (core.parts - 1) * core.fire_lanes
+ core.fire_lanes

the next step is numbered from the wrong neuron [folded] => encoder.base
@ SpikeEncoder._count
- Mux(self.vector.scan_end, 0, self.channel + step)
+ self.channel + step

the end of a step is lost behind a spike [folded] => encoder.valid
@ SpikeEncoder.elaborate
- self.word_end & any_spike
+ 0

the end of a window is the end of a step [folded] => encoder.event
@ SpikeEncoder.elaborate
- self.word_last.eq(head.window_end)
+ self.word_last.eq(0)

filling is sent as a neuron [constant] => membranes.valid
@ MembraneSender.elaborate
- sends = sends & (self.address < self.core.neurons)
+ sends = sends & 1

membranes of every step [constant] => vectors.level, membranes.valid
@ MembraneSender.elaborate
- sends = sends & head.window_end
+ sends = sends & 1

membranes are numbered on and on [graded] => membranes.address
@ MembraneSender.elaborate
- Mux(head.scan_end, 0, self.address + 1)
+ self.address + 1
""")


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_correct_design_has_no_difference(program: Program) -> None:
    assert first_difference(program, program) is None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.name))
def test_fault_in_a_block_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    program = PROGRAMS[fault.network]
    fault.plant(BLOCKS, monkeypatch)
    difference = first_difference(program, program, fault.malformed)
    assert difference is not None
    assert difference.signal in fault.signals, difference
    assert (difference.neuron is not None) == (difference.signal in OF_NEURONS)
    assert difference.layer in program.lanes
