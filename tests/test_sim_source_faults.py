# amaranth: UnusedElaboratable=no
"""Faults planted where events of several populations meet; the lockstep must catch each."""

from dataclasses import replace

import pytest

from planted_faults import Fault, first_difference, parse
from small_programs import small_residual, small_sources
from spikeloom.compiler.ir import Events
from spikeloom.compiler.program import Program
from spikeloom.rtl.arbiter import Arbiter
from spikeloom.rtl.convolution import AxisTable, ConvolutionEngine
from spikeloom.rtl.fork import Fork
from spikeloom.rtl.synapses import SynapseEngine

BLOCKS = (Arbiter, Fork, SynapseEngine, ConvolutionEngine, AxisTable)

PROGRAMS = {
    "dense": small_sources(),
    "values": small_sources(Events(-3, 7)),
    "together": replace(small_sources(Events(-3, 7)), events_per_cycle={"input": 2}),
    "maps": small_residual(),
    "groups": small_residual(lanes=1),
}

FAULTS = parse("""
a step ends before all sources have ended it [dense] => arbiter.first_step
@ Arbiter.elaborate
- step_end = Cat(ended).all()
+ step_end = Cat(ended).any() & ~Cat(sends).any()

a step ends without waiting for the recurrent source [dense] => source0.queue.level
@ Arbiter.elaborate
- unasked = self.first_step & self.fresh if source.delay else 0
+ unasked = self.first_step if source.delay else 0

the first window waits for spikes before it [dense] => source0.queue.level
@ Arbiter.elaborate
- unasked = self.first_step & self.fresh if source.delay else 0
+ unasked = 0

the last spikes of a window act in the next one [dense] => queue.level, source1.queue.stored
@ Arbiter.elaborate
- sends.append(head.valid & ~head.p.end & ~dropped)
+ sends.append(head.valid & ~head.p.end)

spikes of the last step are not dropped [dense] => source1.queue.level, queue.level
@ Arbiter.elaborate
- dropped = self.first_step & ~head.p.end if source.delay else 0
+ dropped = 0

every step is dropped [dense] => arbiter.first_step
@ Arbiter.elaborate
- self.first_step.eq(joined.i.p.last)
+ self.first_step.eq(1)

a window's end is told by the recurrent source [dense] => queue.head, arbiter.first_step
@ Arbiter._last
- if not source.delay
+ if source.delay == max(each.delay for each in self.core.sources)

an event is taken twice [dense] => source0.queue.level, queue.level
@ Arbiter.elaborate
- (joined.i.ready & (taken[number] | step_end))
+ (joined.i.ready & ((taken[number] & (joined.level == 0)) | step_end))

an event is lost while the joined events wait [dense] => source0.queue.level, queue.level
@ Arbiter.elaborate
- dropped | (joined.i.ready & (taken[number] | step_end))
+ dropped | taken[number] | (joined.i.ready & step_end)

the number of a source is lost [dense] => queue.head
@ Arbiter._join
- joined.source.eq(number)
+ joined.source.eq(0)

spikes beside graded events are worth nothing [values] => queue.head
@ Arbiter._join
- event.value if source.value_bits else 1
+ event.value if source.value_bits else 0

the second of two inputs is where a single spike is [together] => queue.head, queue.level
@ Arbiter._join
- values += [0] * (core.events_per_cycle - len(values))
+ values += [1] * (core.events_per_cycle - len(values))

the weights of neighbouring inputs are swapped [together] => lanes.write_data, queue.level
@ SynapseEngine._weigh
- zip(weights[lane :: core.lanes], factors, strict=True)
+ zip(weights[lane :: core.lanes], factors[::-1], strict=True)

the last of the inputs of an event is not added [together] => lanes.write_data, queue.level
@ SynapseEngine._weigh
- balanced_sum([self._product(*pair) for pair in of_lane])
+ balanced_sum([self._product(*pair) for pair in of_lane][:1])

the scales of two sources are swapped [dense] => lanes.write_data
@ SynapseEngine._weigh
- scaled << each.shift for each in core.sources
+ scaled << each.shift for each in core.sources[::-1]

the scale is that of the event behind [values] => lanes.write_data
@ SynapseEngine._weigh
- delayed(m, self.i.p.source, delay + 2)
+ delayed(m, self.i.p.source, delay + 1)

the taps of one source are those of the other [maps] => engine.before, queue.level
@ AxisTable.__init__
- (source << position_bits | position) << self.visit_bits
+ ((len(foldings) - 1 - source) << position_bits | position) << self.visit_bits

the weights of one source are those of the other [maps] => lanes.write_data
@ ConvolutionEngine._read_weights
- self._by_source(core.words_per_channel)
+ core.words_per_channel[0]

an event visits as many groups as one of the other source [groups] => queue.level, engine.group
@ ConvolutionEngine._advance
- self._by_source([each - 1 for each in core.groups_visited])
+ 0

an event reaches one of its takers only [dense] => source1.queue.stored, source1.queue.level
@ Fork.elaborate
- taker.valid.eq(self.i.valid & ready)
+ taker.valid.eq(self.i.valid & ready & (taker is self.o0))

an event reaches a taker twice [dense] => source1.queue.stored
@ Fork.elaborate
- taker.valid.eq(self.i.valid & ready)
+ taker.valid.eq(self.i.valid)
""")


@pytest.mark.parametrize("name", PROGRAMS)
def test_designs_without_a_fault_agree(name: str) -> None:
    assert first_difference(PROGRAMS[name], PROGRAMS[name]) is None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.name))
def test_planted_fault_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    program: Program = PROGRAMS[fault.network]
    fault.plant(BLOCKS, monkeypatch)
    difference = first_difference(program, program)
    assert difference is not None
    assert difference.signal in fault.signals, difference
