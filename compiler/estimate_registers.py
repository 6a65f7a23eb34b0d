"""The flip-flops of a core, counted block by block as the gates have them (rtl/).

Registers that are part of a memory, or stand behind one, are counted there
(compiler/estimate_memories.py).
"""

import numpy as np

from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.compiler.core_pipeline import (
    has_scale_stage,
    product_bits,
    scan_pause,
    vector_places,
)
from spikeloom.compiler.cores import Core
from spikeloom.compiler.estimate_memories import parameter_tables
from spikeloom.compiler.fixed import Decay
from spikeloom.compiler.parameters import Repeats
from spikeloom.compiler.sources import Source, values_bits

# A queue in registers has two places; the head of one in a memory has three.
PLACES, HEAD_PLACES = 2, 3
# Of an event: the end of a step, and of a window. Of an operation: what it does, and the ends.
EVENT_FLAGS = 2
KIND_BITS, END_BITS = 2, 2
BANK_AGES = 3
"""Operations that have passed before a bank in block RAM answers."""


def number_bits(count: int) -> int:
    """Width of a number below `count`."""
    return (count - 1).bit_length()


def event_bits(source: Source) -> int:
    """Width of an event of a source, with its flags."""
    values = values_bits(source.value_bits, source.events_per_cycle)
    return max(1, number_bits(source.addresses.count)) + values + EVENT_FLAGS


def joined_event_bits(core: Core) -> int:
    """Width of an event of all sources together."""
    address = max(1, number_bits(core.addresses_joined))
    values = values_bits(core.value_bits, core.events_per_cycle)
    return address + values + number_bits(len(core.sources)) + EVENT_FLAGS


def queue_registers(bits: int, places: int = PLACES) -> int:
    """Of a queue in registers: its items, and how many there are."""
    return places * bits + places.bit_length()


def core_registers(core: Core) -> int:
    """Flip-flops of a core, without those of its memories."""
    return (
        input_registers(core)
        + engine_registers(core)
        + sum_registers(core)
        + fire_registers(core)
        + sender_registers(core)
    )


def input_registers(core: Core) -> int:
    """Of the queues of the sources, and of the one in which they are joined."""
    count = sum(_source_registers(source) for source in core.sources)
    if len(core.sources) > 1:
        count += queue_registers(joined_event_bits(core))
        # Whether a step is the first one, which matters to events of the step before.
        count += 2 * any(source.delay for source in core.sources)
    return count


def _source_registers(source: Source) -> int:
    bits = event_bits(source)
    if not source.waiting:
        return queue_registers(bits)
    moving = 1
    pointers = source.waiting.bit_length() + 2 * number_bits(source.waiting) + moving
    return pointers + queue_registers(bits, HEAD_PLACES)


def _operations(core: Core) -> int:
    """Of the operations in the stages of the engine, each of what a later stage uses."""
    each = KIND_BITS + END_BITS + int(core.constant)
    each += number_bits(core.parts) + number_bits(core.rows)
    group = number_bits(core.groups)
    stages = 2 + has_scale_stage(core)
    if not isinstance(core, ConvolutionCore):
        return stages * (each + group)
    # Which word of each bank is read early; whether it is used matters up to the last stage.
    early = 1 + (has_scale_stage(core) and not core.has_deep_banks)
    words = core.grid.rows * _row_word_bits(core) + core.grid.columns * _column_word_bits(core)
    stages += 1
    named = stages if repeats_by_position(core) else early
    enables = core.grid.rows + core.grid.columns
    return stages * (each + enables) + early * words + named * group


def _row_word_bits(core: ConvolutionCore) -> int:
    """Of a word in a bank of rows, which is a multiple of a row's."""
    return core.row_word_bits - _trailing_zeros(core.row_pitch)


def _column_word_bits(core: ConvolutionCore) -> int:
    return core.column_word_bits - _trailing_zeros(core.groups)


def repeats_by_position(core: Core) -> bool:
    """Whether a table is read by group and part: its rows are those of each position."""
    return any(table.repeats is Repeats.ROWS for table in parameter_tables(core))


def engine_registers(core: Core) -> int:
    """Of the synapse engine: counters, operations, and the weights on their way to the lanes."""
    uncleared = 1
    counters = number_bits(core.groups) + number_bits(core.parts) + number_bits(core.rows)
    counters += number_bits(scan_pause(core) + 1) + vector_places(core).bit_length() + uncleared
    if core.constant:
        counters += number_bits(core.steps)
    # Clock cycles from the head of the queue to the stage that scales.
    late = 2
    if isinstance(core, ConvolutionCore):
        counters += _position_registers(core)
        late += 1
    count = counters + _operations(core)
    if has_scale_stage(core):
        count += core.lanes * product_bits(core)
        count += late * values_bits(core.value_bits, core.events_per_cycle)
        if core.largest_shift:
            count += late * number_bits(len(core.sources))
    return count


def _position_registers(core: ConvolutionCore) -> int:
    """Of the visits of an event, the position of the fire scan, and the address of the weights."""
    visits = sum(
        number_bits(max(axis.most_visits for axis in axes)) for axes in zip(*core.axes, strict=True)
    )
    banks = sum(count for count in (core.grid.rows, core.grid.columns) if count > 1)
    words = _row_word_bits(core) + _column_word_bits(core) + number_bits(core.shape[2])
    # The address is the sum of two, of which that of column and group is the smaller one.
    along_columns = max(
        len(columns.words) * visited
        for (_, columns), visited in zip(core.axes, core.groups_visited, strict=True)
    )
    return visits + banks + words + number_bits(core.weight_words) + number_bits(along_columns)


def sum_registers(core: Core) -> int:
    """Of the lanes or banks: the sums of one group, or what stands behind their memories."""
    row = core.fire_lanes * core.sum_bits
    width = core.lanes_per_group * core.sum_bits
    if not isinstance(core, ConvolutionCore):
        return row + (width if core.bank_depth == 1 else 0)
    if core.banks > 1:
        # The whole of a word that is found among the banks, and which part of it is due.
        row = width + number_bits(core.parts)
    # What an operation does: with one part it clears what it takes.
    row += core.banks * (2 if core.parts == 1 else 3)
    if core.bank_depth == 1:
        return row + core.banks * width
    address = number_bits(core.bank_depth)
    if not core.has_deep_banks:
        passed, empty = 1, 1
        return row + core.banks * (width + 2 * address + passed + empty + core.bank_depth)
    # Three addresses, of which two are compared with a later one and two results are kept; what was
    # written in the two cycles before, and the sums that an operation takes.
    passed = 2 * BANK_AGES + (BANK_AGES - 1) * (width + 1)
    return row + core.banks * (BANK_AGES * address + passed + width)


def fire_registers(core: Core) -> int:
    """Of the fire unit: operations and membranes in its stages."""
    neuron, lanes = core.neuron, core.fire_lanes
    row = KIND_BITS + number_bits(core.rows)
    if repeats_by_position(core):
        row += number_bits(core.groups) + number_bits(core.parts)
    stages = 2 * (row + END_BITS) + int(core.constant) + row
    membranes = lanes * neuron.accumulator_bits
    count = stages + membranes
    if core.needs_multiplier:
        count += 2 * row
    if neuron.current_decay is not None:
        count += membranes
    widths = (neuron.state_bits, neuron.current_bits)
    for decay, saturated in zip(core.decays, widths, strict=False):
        factors = lane_factors(core, decay)
        count += len(factors) * neuron.accumulator_bits
        if core.needs_multiplier:
            bits = min(saturated, neuron.accumulator_bits)
            count += sum(2 * bits + factor.bit_length() for factor in factors)
    if neuron.single_spike and neuron.fire:
        count += 2 * lanes * (2 if core.needs_multiplier else 1)
    valid = 1
    sent = core.value_sent_bits or lanes
    return count + valid + sent + END_BITS


def lane_factors(core: Core, decay: Decay) -> list[int]:
    """Of each fire lane that keeps something, the largest factor that it multiplies its state by.

    Lanes whose state decays at once keep nothing.
    """
    largest = core.multiplier_table(decay).rows.max(axis=0)
    return [int(factor) for factor in np.resize(largest, core.fire_lanes) if factor]


def sender_registers(core: Core) -> int:
    """Of the spike encoder or the membrane sender, with the queue of vectors before it."""
    places = vector_places(core)
    count = places.bit_length() + 2 * number_bits(places)
    if core.sends != "spikes":
        ending = 2
        return count + number_bits(core.rows) + ending
    channels, columns, rows = core.addresses_out.fields
    count += number_bits(core.parts) + columns.width + rows.width
    # Lowest bits of the first neuron of a row, which are the same in all rows.
    even = _trailing_zeros(core.fire_lanes | core.lanes_per_group)
    count += (core.groups * core.lanes_per_group).bit_length() - even
    base = channels.width + columns.width + rows.width
    spikes = core.fire_lanes + 2 if core.fire_lanes > 1 else 1
    return count + spikes + base + END_BITS


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1
