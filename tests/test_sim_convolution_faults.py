# amaranth: UnusedElaboratable=no
"""Faults planted in the cores of convolutions, each of which the lockstep comparison must catch."""

import pytest

from planted import Mutation
from planted_faults import Fault, first_difference, parse
from small_programs import small_maps
from spikeloom.compiler.geometry import Convolution
from spikeloom.compiler.ir import Events
from spikeloom.compiler.program import Program
from spikeloom.rtl import fire, parameters
from spikeloom.rtl.banks import BankArray
from spikeloom.rtl.convolution import AxisTable, ConvolutionEngine
from spikeloom.rtl.encoder import SpikeEncoder
from spikeloom.rtl.fire import FireUnit
from spikeloom.rtl.host_port import EventInput
from spikeloom.rtl.queue import DeepQueue
from spikeloom.rtl.target import Target

BLOCKS = (
    *(ConvolutionEngine, AxisTable, Target, BankArray, DeepQueue),
    *(FireUnit, SpikeEncoder, EventInput),
)

PROGRAMS = {
    # Banks along both axes, padding, pooling behind.
    "banks": small_maps(
        Convolution((2, 5, 6), 5, (3, 3), padding=(1, 1, 1, 1)), lanes=30, pooling=2
    ),
    # A lane or two, groups of channels, a stride; sums in one deep memory.
    "groups": small_maps(
        Convolution((4, 4, 7), 6, (2, 3), (1, 2), (0, 1, 0, 1), groups=2), lanes=2, fire_lanes=1
    ),
    # Events that follow on each other reach the same neurons, in a memory that is deep.
    "points": small_maps(Convolution((3, 6, 6), 2, (1, 1)), lanes=2),
    # Values, once per sample.
    "constant": small_maps(
        Convolution((1, 5, 5), 3, (2, 2)), lanes=6, events=Events(-3, 7, constant=True)
    ),
}

FAULTS = parse("""
the first column of a border is missed [banks] => queue.level
@ AxisTable.__init__
- entries[place | number] = (
+ entries[place | number] = (position > 0) * (

visits end too early along the rows [groups] => queue.level
@ AxisTable.__init__
- (number == len(visits) - 1)
+ (number == max(len(visits) - 2, 0))

the words of a row are taken for another one [banks] => lanes.write_data
@ AxisTable.__init__
- words[source][visit.word] << self.target_bits
+ (words[source][visit.word] ^ 1) << self.target_bits

a bank too many is used [banks] => lanes.write_enable
@ Target.enables
- target[row] & columns[column]
+ target[row]

rows lie in the wrong word [groups] => lanes.write_data
@ Target.words
- (row_word + column_word + group)[: self.row_bits]
+ (row_word + group)[: self.row_bits]

groups lie in the wrong word [groups] => lanes.write_data
@ Target.words
- (row_word + column_word + group)[: self.row_bits]
+ (row_word + column_word)[: self.row_bits]

the channel does not choose the weights [banks] => lanes.write_data
@ ConvolutionEngine._read_weights
- channel * per_channel + self.at_row.word
+ self.at_row.word

the group does not choose the weights [groups] => lanes.write_data
@ ConvolutionEngine._read_weights
- self.at_column.word + self.group
+ self.at_column.word

the operation is a cycle early [banks] => engine.before
@ ConvolutionEngine._read_weights
- self.fetch.eq(self.located)
+ self.fetch.eq(issued)

a group of channels is skipped [groups] => queue.level
@ ConvolutionEngine._advance
- self._by_source([each - 1 for each in core.groups_visited])
+ self._by_source([max(each - 2, 0) for each in core.groups_visited])

all channels reach the first groups [groups] => engine.before
@ ConvolutionEngine._aim
- self.group + self._first_group(m)
+ self.group

the last row visit is left out [groups] => queue.level
@ ConvolutionEngine._advance
- adding & last_visited & self.at_column.last & self.at_row.last
+ adding & last_visited & self.at_column.last

the event stays for a second time [groups] => engine.column_visit
@ ConvolutionEngine._advance
- Mux(self.at_column.last, 0, self.column_visit + 1)
+ self.column_visit + 1

the scan misses the last column [banks] => engine.before
@ ConvolutionEngine._next_position
- self.column == core.shape[2] - 1
+ self.column == core.shape[2] - 2

the scan begins the next step elsewhere [banks] => engine.before
@ ConvolutionEngine._next_position
- m.d.sync += [self.row_bank.eq(1), self.row_word.eq(0)]
+ m.d.sync += [self.row_word.eq(0)]

the scan goes through the columns on and on [banks] => engine.before
@ ConvolutionEngine._next_position
- m.d.sync += [self.column_bank.eq(1), self.column_word.eq(0)]
+ m.d.sync += [self.column_bank.eq(1)]

sums are not cleared [banks] => lanes.write_enable
@ BankArray.elaborate
- does.adds | does.clears
+ does.adds

sums are cleared with the first part [banks] => lanes.write_enable
@ BankArray.elaborate
- taken & (follows.part == core.parts - 1)
+ taken & (follows.part == 0)

all banks answer a scan [banks] => fire.membranes
@ BankArray.elaborate
- read.append(Mux(does.takes, stored, 0))
+ read.append(stored)

an event that follows at once is lost in a small bank [banks] => lanes.write_data
@ BankArray._shallow
- Mux(passed, added, read.data)
+ read.data

sums that were cleared go on [banks] => lanes.write_data
@ BankArray._shallow
- m.d.sync += filled.bit_select(before, 1).eq(coming.adds)
+ m.d.sync += filled.bit_select(before, 1).eq(1)

sums that were added to begin anew [banks] => lanes.write_data
@ BankArray._shallow
- ~filled.bit_select(word, 1)
+ 1

an event that follows a scan at once finds its sums [banks] => lanes.write_data
@ BankArray._shallow
- Mux(same & changes, coming.clears, ~filled.bit_select(word, 1))
+ ~filled.bit_select(word, 1)

the part of a row comes a cycle early [banks] => fire.membranes
@ BankArray._take
- delayed(m, part, 1)
+ part

an event that follows at once is lost [points] => lanes.write_data
@ BankArray._deep
- passed.append((same & is_written, written))
+ passed.append((same & is_written & int(age != 0), written))

an event that follows two cycles later is lost [groups] => lanes.write_data
@ BankArray._deep
- passed.append((same & is_written, written))
+ passed.append((same & is_written & int(age != 1), written))

an event that follows three cycles later is lost [points] => lanes.write_data, fire.membranes
@ BankArray._deep
- passed.append((same & is_written, written))
+ passed.append((same & is_written & int(age != 2), written))

the oldest of the events that follow counts [points] => lanes.write_data
@ BankArray._deep
- reversed(passed)
+ passed

a word is written where the next one is read [groups] => lanes.write_data
@ BankArray._deep
- Write(is_written, words[2], written)
+ Write(is_written, words[1], written)

events are numbered along the columns alone [banks] => encoder.base
@ SpikeEncoder._count
- self.column == core.addresses_out.fields[1].count - 1
+ self.column == 99

the next row is the first one again [banks] => encoder.base
@ SpikeEncoder._count
- Mux(self.vector.scan_end, 0, self.row + 1)
+ 0

the channels of a position go on [groups] => encoder.base
@ SpikeEncoder._count
- self.channel == core.channel_starts[-1]
+ self.channel == 99

an event is lost at the head of the queue [banks] => queue.stored
@ DeepQueue.elaborate
- (head.level + self.moving < HEAD_PLACES)
+ (head.level + self.moving < HEAD_PLACES + 1)

an event comes twice out of the memory [banks] => queue.head
@ DeepQueue.elaborate
- read.addr.eq(self.oldest)
+ read.addr.eq(self.newest)

a value comes with the event before [constant] => lanes.write_data
@ ConvolutionEngine._read_weights
- self._weigh(m, word, 1)
+ self._weigh(m, word, 0)

an address that is no pixel's is passed on [constant, address] => input.error
@ EventInput._is_legal
- address[field.start : field.end] < field.count
+ address[field.start : field.end] + 1 > 0
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


def test_parameters_of_another_channel_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "operation.group * core.parts + operation.part"
    function = "parameter_lanes"
    mutation = Mutation(function, parameters, function, line, "operation.group * core.parts")
    mutation.plant(monkeypatch)
    monkeypatch.setattr(fire, function, parameters.parameter_lanes)
    difference = first_difference(PROGRAMS["banks"], PROGRAMS["banks"])
    assert difference is not None
    assert difference.signal == "fire.sent", difference
