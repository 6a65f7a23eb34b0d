"""The look-up tables of a core, estimated block by block from what the gates do (rtl/).

Adders are carry chains, which take a look-up table per bit. What is chosen, masked, passed on or
saturated takes one per bit as well. What controls a block was measured on synthesised cores, and
counts little where there are many lanes. Memories are counted in compiler/estimate_memories.py.
"""

import numpy as np

from spikeloom.compiler.budget import Budget
from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.compiler.core_pipeline import has_scale_stage, product_bits, vector_places
from spikeloom.compiler.cores import Core
from spikeloom.compiler.estimate_memories import choice_luts, memory
from spikeloom.compiler.estimate_registers import (
    HEAD_PLACES,
    event_bits,
    joined_event_bits,
    lane_factors,
    number_bits,
)
from spikeloom.compiler.fixed import IntArray, Reset
from spikeloom.compiler.sources import Source
from spikeloom.compiler.taps import AxisFolding

# Sums of so few bits are no carry chain.
SHORT_SUM = 4
# Measured: control of a queue, of the engine and per bit of its counters, of the fire unit, of the
# encoder and per spike of a row for the search of the lowest one, and of a convolution's counters.
QUEUE_CONTROL = 7
ENGINE_CONTROL, COUNTER_BIT = 12, 1.2
FIRE_CONTROL = 14
ENCODER_CONTROL, SPIKE_SEARCH = 12, 6
CONVOLUTION_CONTROL = 8
LUT_INPUTS = 4
REGULAR = 0.65
"""Share of the look-up tables of a memory of any contents that a regular one takes."""


def adder(bits: int) -> float:
    """A sum of so many bits, or a comparison of the larger and the smaller number."""
    if bits <= SHORT_SUM:
        return bits
    # A cell of the chain has two bits, and the first one is added beside it.
    return 2 * -(-bits // 2) + 1


def choosing_adder(bits: int) -> float:
    """A sum, or something else: the choice is in the chain (sim/ecp5_carry_chains.py)."""
    return 2 * -(-(bits + 1) // 2)


def comparison(bits: int, constant: bool) -> float:
    """A comparison; with a constant, two bits share a place of the chain."""
    return adder(-(-bits // 2) if constant else bits)


def core_luts(core: Core, budget: Budget) -> float:
    """Look-up tables of a core, without those of its memories of weights, sums and states."""
    return (
        input_luts(core)
        + engine_luts(core)
        + sum_luts(core, budget)
        + fire_luts(core)
        + sender_luts(core, budget)
    )


def queue_luts(bits: int, places: int = 2) -> float:
    """A queue in registers: all items but the last one come from two sides."""
    return (places - 1) * bits + QUEUE_CONTROL


def input_luts(core: Core) -> float:
    """The queues of the sources, and the choice between them."""
    luts = float(sum(_source_luts(source) for source in core.sources))
    if len(core.sources) > 1:
        bits = joined_event_bits(core)
        luts += queue_luts(bits) + choice_luts(len(core.sources)) * bits + QUEUE_CONTROL
    return luts


def _source_luts(source: Source) -> float:
    bits = event_bits(source)
    if not source.waiting:
        return queue_luts(bits)
    pointers = 2 * adder(number_bits(source.waiting)) + adder(source.waiting.bit_length())
    return queue_luts(bits, HEAD_PLACES) + pointers + QUEUE_CONTROL


def engine_luts(core: Core) -> float:
    """The synapse engine: counters, the address of the weights, and products of weights."""
    credits = vector_places(core).bit_length()
    counters = [number_bits(core.groups), number_bits(core.parts), number_bits(core.rows), credits]
    luts = ENGINE_CONTROL + COUNTER_BIT * sum(counters)
    if core.has_run_time_weights:
        # The address of what is read or of what is loaded.
        luts += number_bits(core.weight_depth)
    luts += sum(adder(bits) for bits in counters[2:] if bits > SHORT_SUM)
    if isinstance(core, ConvolutionCore):
        luts += _tap_luts(core)
    elif core.groups & (core.groups - 1):
        luts += adder(number_bits(core.weight_words))
    if has_scale_stage(core):
        luts += core.lanes * _scale_luts(core)
    return luts


def _scale_luts(core: Core) -> float:
    """Per lane: the weights or their negatives, their sum, and the choice of its shift."""
    luts = 0.0
    together = core.events_per_cycle
    if core.value_bits and not core.has_products:
        luts += together * (adder(core.weight_bits + 1) + core.weight_bits)
    if together > 1:
        product = product_bits(core) - core.largest_shift - (together - 1).bit_length()
        luts += (together - 1) * adder(product + 1)
        # Weights of neurons that are silent count as 0.
        luts += 0 if core.value_bits else together * core.weight_bits
    shifts = {source.shift for source in core.sources}
    return luts + choice_luts(len(shifts)) * product_bits(core)


def _tap_luts(core: ConvolutionCore) -> float:
    """The tables of taps, and the addresses of weights and of the fire scan."""
    visits = [max(axis.most_visits for axis in axes) for axes in zip(*core.axes, strict=True)]
    counters = core.row_word_bits + core.column_word_bits + number_bits(core.shape[2])
    luts = CONVOLUTION_CONTROL + COUNTER_BIT * (counters + sum(map(number_bits, visits)))
    luts += 2 * adder(number_bits(core.weight_words))
    luts += adder(core.row_word_bits) + adder(core.column_word_bits)
    for axis, pitch in enumerate((core.row_pitch, core.groups)):
        luts += _table_luts([axes[axis] for axes in core.axes], pitch)
    # Which sums an operation is for: those of an event, or of the fire scan.
    return luts + core.target_bits


def _table_luts(foldings: list[AxisFolding], pitch: int) -> float:
    """A table of taps: each of its bits depends on some bits of its address.

    Parameters
    ----------
    pitch : words of a bank between one place and the next
    """
    visits = 1 << number_bits(max(folding.most_visits for folding in foldings))
    positions = 1 << number_bits(max(len(folding.visits) for folding in foldings))
    sources = 1 << number_bits(len(foldings))
    banks = foldings[0].banks
    # Per bank the word and whether it is used; the word of the weights, and whether it is the last.
    entries = np.full((2 * banks + 2, sources, positions, visits), -1, np.int64)
    for source, folding in enumerate(foldings):
        for position, found in enumerate(folding.visits):
            for number, visit in enumerate(found):
                words = [0 if place is None else place * pitch for place in visit.places]
                used = [int(place is not None) for place in visit.places]
                last = int(number == len(found) - 1)
                entries[:, source, position, number] = (*words, *used, visit.word, last)
    return sum(_entry_luts(entry) for entry in entries.reshape(len(entries), -1))


def _entry_luts(values: IntArray) -> float:
    """Of numbers by their address, shape (addresses,), where -1 is any number."""
    luts = 0.0
    for bit in range(int(values.max()).bit_length()):
        column = np.where(values < 0, -1, values >> bit & 1)
        needed = 0
        for axis in range(number_bits(len(values))):
            low, high = np.moveaxis(column.reshape(-1, 2, 1 << axis), 1, 0)
            needed += bool(((low != high) & (low >= 0) & (high >= 0)).any())
        if needed > 1:
            luts += 1 if needed <= LUT_INPUTS else REGULAR * 2 ** (needed - LUT_INPUTS)
    return luts


def sum_luts(core: Core, budget: Budget) -> float:
    """The lanes: an adder each, and the choice of the row that the fire scan takes."""
    bits = core.sum_bits
    if not isinstance(core, ConvolutionCore):
        # Of one group the rows move down, and sums in a memory are cleared by what is written:
        # both are part of the adders.
        choice = _row_choice(core) * bits if core.groups > 1 else 0.0
        luts = core.lanes * choosing_adder(bits) + choice
        if core.groups == 1 and not budget.packs_choices:
            luts += core.lanes * bits
        return luts
    # Sums become 0 in place of what is added.
    luts = core.lanes * choosing_adder(bits) + _row_choice(core) * bits
    width = core.lanes_per_group * bits
    address = number_bits(core.bank_depth)
    # What was just written is passed on to who reads the same word.
    passed = 3 if core.has_deep_banks else 1
    each = float(passed * (width + address))
    if not budget.packs_choices:
        each += width
    if core.bank_depth > 1 and not core.has_deep_banks:
        # A bit per word says whether its sums are 0.
        each += core.bank_depth + choice_luts(core.bank_depth)
    if core.banks > 1:
        each += adder(address) * (address > 0) + width / 2
    return luts + core.banks * each


def _row_choice(core: Core) -> float:
    """Of one bit: of each fire lane between the lanes that it takes its sums from."""
    full, rest = divmod(core.lanes_per_group, core.fire_lanes)
    return rest * choice_luts(full + 1) + (core.fire_lanes - rest) * choice_luts(full)


def fire_luts(core: Core) -> float:
    """The fire unit: membrane, threshold, reset, saturation and decay of each fire lane."""
    neuron, bits = core.neuron, core.neuron.accumulator_bits
    each = float(adder(bits))
    if neuron.current_decay is not None:
        each += adder(bits)
    if neuron.fire:
        table = core.threshold_table
        constant = table.loaded is None and len(table.rows) == 1
        # Where a spike subtracts the threshold, the difference is a state.
        each += comparison(bits, constant and neuron.reset is not Reset.SUBTRACT)
        each += bits if neuron.reset is Reset.SUBTRACT else 0
        each += 2 * neuron.single_spike
    if core.constant:
        each += core.sum_bits
    luts = FIRE_CONTROL + core.fire_lanes * each
    biased = neuron.decay if neuron.current_decay is None else neuron.current_decay
    for decay, kept in zip(core.decays, (neuron.state_bits, neuron.current_bits), strict=False):
        for factor in lane_factors(core, decay):
            luts += kept if kept < bits else 0
            if decay.shift or (decay is biased and neuron.bias.any()):
                wider = factor.bit_length() if core.needs_multiplier else 1
                luts += adder(min(kept, bits) + wider)
    return luts


def sender_luts(core: Core, budget: Budget) -> float:
    """The spike encoder or the membrane sender, with the queue of vectors before it."""
    channels, columns, rows = core.addresses_out.fields
    base = channels.width + columns.width + rows.width
    spikes = core.sends == "spikes"
    width = core.fire_lanes + base if spikes else core.value_sent_bits
    places = vector_places(core)
    luts = memory(places, width + 2, budget, "at once").luts + QUEUE_CONTROL
    luts += 2 * adder(number_bits(places)) + adder(places.bit_length())
    if not spikes:
        return luts + QUEUE_CONTROL + COUNTER_BIT * number_bits(core.rows) + width
    luts += ENCODER_CONTROL + SPIKE_SEARCH * (core.fire_lanes - 1)
    luts += adder((core.groups * core.lanes_per_group).bit_length())
    if isinstance(core, ConvolutionCore):
        luts += CONVOLUTION_CONTROL + COUNTER_BIT * (columns.width + rows.width) + adder(base)
    return luts
