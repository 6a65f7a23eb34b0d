# amaranth: UnusedElaboratable=no
"""Faults planted in the host port and the readout, which the lockstep comparison must catch."""

import pytest

from networks import LayerOptions
from planted_faults import Fault, first_difference, parse
from small_programs import small_program
from spikeloom.compiler.ir import Events, Readout
from spikeloom.compiler.program import Program
from spikeloom.rtl.host_port import EventInput
from spikeloom.rtl.readout import Readout as ReadoutBlock
from spikeloom.rtl.score_reader import ScoreReader
from spikeloom.rtl.scores import ScoreBanks
from spikeloom.rtl.stopwatch import Stopwatch
from spikeloom.rtl.top import Accelerator

BLOCKS = EventInput, ScoreBanks, ScoreReader, ReadoutBlock, Stopwatch, Accelerator


def read_out(
    readout: Readout, steps: int = 3, events: Events | None = None, seed: int = 14
) -> Program:
    """Six neurons in groups, or in no groups, and their readout."""
    options = LayerOptions(decay="general", weight_bits=4)
    return small_program(
        (5, 6), 3, seed=seed, steps=steps, options=options, events=events, readout=readout
    )


GRADED = Events(-6, 9)

PROGRAMS = {
    "counts": read_out(Readout("layer1", "spike_count", group=3)),
    "weighted": read_out(Readout("layer1", "weighted_spike_count", weights=(255, 90, 7))),
    "first": read_out(Readout("layer1", "first_spike"), steps=5),
    "groups": read_out(Readout("layer1", "first_spike", group=2), steps=5),
    # Decided in different steps.
    "early": read_out(Readout("layer1", "first_spike", early_stop=True), steps=7, seed=7),
    "final": read_out(Readout("layer1", "final_membrane", group=2), events=GRADED),
    "maximum": read_out(Readout("layer1", "maximum_membrane", group=2), events=GRADED),
}

FAULTS = parse("""
an address out of range is passed on [counts, address] => input.error, queue.level
@ EventInput._is_legal
- address[field.start : field.end] < field.count
+ address[field.start : field.end] + 1 > 0

a value below the range is passed on [final, value] => input.error, queue.level
@ EventInput._is_legal
- (value >= events.lowest) & (value <= events.highest)
+ (value <= events.highest)

bits that nothing needs are ignored [final, between] => input.error, queue.level
@ EventInput._is_legal
- self.word[used:-1] == 0
+ 1

a malformed word sets no error [counts, address] => input.error
@ EventInput.elaborate
- m.d.sync += self.error.eq(1)
+ m.d.sync += self.error.eq(self.error)

`last` may stand anywhere [counts, last] => input.error
@ EventInput.elaborate
- with m.If(~legal | (self.last != window_end)):
+ with m.If(~legal):

the lowest bit of a value is lost [final] => queue.head
@ EventInput.elaborate
- Mux(end | ending, 0, values)
+ Mux(end | ending, 0, values & -2)

a sample has a step more [counts] => input.step, input.begun, queue.head
@ EventInput.elaborate
- last_step = self.step == self.steps - 1
+ last_step = self.step == self.steps

an early stop is ignored at the input [early] => s_axis_tready
@ EventInput.elaborate
- ending = self.stop & self.begun
+ ending = 0 & self.begun

an early stop ends another sample [early] => s_axis_tready
@ EventInput.elaborate
- (self.decided == self.sample)
+ (self.decided != self.sample)

the rest of a decided sample is not dropped [early] => input.dropping
@ EventInput.elaborate
- m.d.sync += self.dropping.eq(1)
+ m.d.sync += self.dropping.eq(0)

the next sample is dropped too [early] => input.dropping
@ EventInput.elaborate
- self.dropping.eq(0),
+ self.dropping.eq(self.dropping),

samples that reach the readout are not counted [early] => s_axis_tready
@ Accelerator.elaborate
- self.arriving.eq(self.arriving + 1)
+ self.arriving.eq(self.arriving)

a window is decided while the packet before is sent [counts] => queue.level, readout.state
@ ScoreBanks._keep_time
- (deciding & self.held)
+ 0

an early stop is ignored [early] => readout.stop, readout.step
@ ScoreBanks._keep_time
- self.i.p.last | (self.i.p.end & self.fired)
+ self.i.p.last

the first step decides, spike or not [early] => readout.step, readout.stop, readout.bank
@ ScoreBanks._keep_time
- (self.i.p.end & self.fired)
+ self.i.p.end

spikes behind the decision count [early] => readout.fired, readout.write_enable
@ ScoreBanks._take
- self.i.p.end & ~self.stop
+ self.i.p.end

steps are not counted from 0 in each window [first] => readout.step
@ ScoreBanks._keep_time
- Mux(over, 0, self.step + 1)
+ self.step + 1

banks do not change places [counts] => readout.bank
@ ScoreBanks._keep_time
- self.bank.eq(~self.bank)
+ self.bank.eq(self.bank)

every step weighs as the first one [weighted] => readout.write
@ ScoreBanks._worth
- [self.step]
+ [0]

a late first spike scores as an early one [first] => readout.write
@ ScoreBanks._worth
- scoring.steps - self.step
+ Const(scoring.steps)

a second spike counts as a first one [first] => readout.write_enable
@ ScoreBanks._count
- self.taken & (before == 0)
+ self.taken

a second spike of a neuron in a group counts [groups] => readout.write_enable
@ ScoreBanks._take
- self.taken.eq(counting & ~self.seen.bit_select(address, 1))
+ self.taken.eq(counting)

neurons of a group that have fired stay marked [groups] => readout.seen
@ ScoreBanks._take
- self.seen.eq(0)
+ self.seen.eq(self.seen)

a neuron votes for the wrong class [counts] => readout.write
@ ScoreBanks._entry_of
- Array(number // per_entry for
+ Array((number + 1) // per_entry for

scores of the window before are not erased [counts] => readout.write
@ ScoreBanks._store
- write.data.eq(Mux(counts, self.write_data, 0))
+ write.data.eq(self.write_data)

only the last membrane of a group counts [final] => readout.write
@ ScoreBanks._count
- data = before + self.worth
+ data = self.worth

the smallest membrane [maximum] => readout.write_enable
@ ScoreBanks._count
- self.worth > before
+ self.worth < before

the maximum of the window before lasts [maximum] => readout.write_enable
@ ScoreBanks._count
- (self.fresh | (self.worth > before))
+ (self.worth > before)

a group has the maximum of its last neuron [maximum] => readout.score
@ ScoreReader.elaborate
- Mux(first, 0, self.score) + entry
+ entry

a tie goes to the highest class [counts] => readout.best_class
@ Readout._scan
- reader.score > self.best_score
+ reader.score >= self.best_score

the best score of the window before lasts [weighted] => readout.best_score
@ Readout.elaborate
- self.best_score.eq(self.best_score.init)
+ self.best_score.eq(self.best_score)

back-pressure is ignored by the readout [counts] => readout.state
@ Readout._send
- with m.If(valid & self.o.ready):
+ with m.If(valid):

a packet ends too early [counts] => readout.word
@ Readout._send
- self.o.p.last.eq(self._is(State.SCORES) & last)
+ self.o.p.last.eq(self._is(State.STEPS) | (self._is(State.SCORES) & last))

steps used are those before the decision [early] => readout.steps_used
@ Readout.elaborate
- self.steps_used.eq(banks.steps_used)
+ self.steps_used.eq(banks.steps_used - 1)

samples are not numbered [counts] => readout.sample
@ Readout._send
- self.sample.eq(self.sample + 1)
+ self.sample.eq(self.sample)

the stopwatch has the start of the sample behind [counts] => readout.cycles
@ Stopwatch.elaborate
- read.addr.eq(self.ended)
+ read.addr.eq(self.ended + 1)
""")


@pytest.mark.parametrize("network", PROGRAMS)
def test_correct_design_has_no_difference(network: str) -> None:
    malformed = {"counts": "address", "weighted": "last", "final": "value", "maximum": "between"}
    program = PROGRAMS[network]
    assert first_difference(program, program, malformed.get(network, "")) is None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.name))
def test_fault_in_a_block_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    program = PROGRAMS[fault.network]
    fault.plant(BLOCKS, monkeypatch)
    difference = first_difference(program, program, fault.malformed)
    assert difference is not None
    assert difference.signal in fault.signals, difference
    assert difference.neuron is None
