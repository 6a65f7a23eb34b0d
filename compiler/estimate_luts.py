"""How many look-up tables a core takes on an ECP5: block by block, from what is wired there.

The constants are what synthesis makes of an adder, a choice, a memory of look-up tables; they were
read from synthesised cores (docs/architecture.md, "Estimates"). `spikeloom bench hardware` shows
what they come to beside what place and route says.
"""

from collections.abc import Callable

from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.compiler.core_pipeline import has_scale_stage, product_bits, vector_places
from spikeloom.compiler.cores import Core
from spikeloom.compiler.estimate_registers import (
    LARGEST_LOGIC_TABLE,
    count_bits,
    event_bits,
    parameter_tables,
    target_bits,
)
from spikeloom.compiler.fixed import Reset

# A chain begins without a carry: one more look-up table, or one more place.
LUTS_PER_CHAIN = 1
# A choice between n is about so many times n for each bit.
LUTS_PER_CHOICE = 0.7
# 16 words of 4 bits: four look-up tables, and two that take the data to be written.
LUTS_PER_MEMORY = 6.0
# Queues of events, counters and conditions of a core, whatever their width, and per bit.
LUTS_PER_CORE = 25
LUTS_PER_COUNTER_BIT = 2.0
LUTS_PER_EVENT_BIT = 2.5
# A spike on its way through a word of spikes.
LUTS_PER_SPIKE = 6.0
# Tables of taps, and the decoding of what they say into words and banks.
LUTS_PER_CONVOLUTION = 150
LUTS_PER_TARGET_BIT = 4.0

Memory = Callable[[int, int], float]


def core_luts(core: Core, memory: Memory) -> float:
    """Look-up tables of a core, without its weight memory.

    Parameters
    ----------
    memory : what a memory of a depth and a width takes of them
    """
    sums = _banks(core, memory) if isinstance(core, ConvolutionCore) else _lanes(core, memory)
    return sums + _fire(core, memory) + _encoder(core) + _engine(core)


def adder(bits: int) -> int:
    """Of a sum of so many bits."""
    return bits + LUTS_PER_CHAIN


def choosing_adder(bits: int) -> int:
    """Of such a sum, or something else; two places of its chain are a cell."""
    return 2 * -(-(bits + LUTS_PER_CHAIN) // 2)


def comparison(bits: int, constant: bool) -> int:
    """Of a comparison; with a constant, two bits share a place."""
    return adder(-(-bits // 2) if constant else bits)


def choice(options: int, bits: int) -> float:
    """Of the choice between some words."""
    return 0.0 if options < 2 else LUTS_PER_CHOICE * options * bits


def distributed(depth: int, bits: int) -> float:
    """Of a memory that is made of look-up tables."""
    blocks = -(-depth // 16)
    return LUTS_PER_MEMORY * blocks * -(-bits // 4) + choice(blocks, bits)


def _lanes(core: Core, memory: Memory) -> float:
    bits = core.lanes * core.sum_bits
    # In place of a sum, 0 is written into a memory, and registers take the row above.
    luts: float = core.lanes * choosing_adder(core.sum_bits)
    if core.groups > 1:
        luts += memory(core.groups, bits) + choice(core.parts, core.fire_lanes * core.sum_bits)
    return luts


def _banks(core: ConvolutionCore, memory: Memory) -> float:
    width = core.lanes_per_group * core.sum_bits
    bits = core.banks * width
    luts = core.lanes * adder(core.sum_bits) + choice(core.banks, width)
    luts += choice(core.parts, core.fire_lanes * core.sum_bits)
    luts += LUTS_PER_CONVOLUTION + LUTS_PER_TARGET_BIT * target_bits(core)
    if core.has_deep_banks:
        # Zeros, and what three operations before have written.
        luts += 4 * bits
    elif core.bank_depth > 1:
        luts += core.banks * memory(core.bank_depth, width) + 2 * bits
    return luts


def _fire(core: Core, memory: Memory) -> float:
    neuron = core.neuron
    bits = neuron.accumulator_bits
    luts = 5.0 + 3 * neuron.single_spike
    sums = 1
    if neuron.fire:
        table = core.threshold_table
        constant = table.loaded is None and len(table.rows) == 1
        # Its sums are the new states where a spike subtracts the threshold.
        luts += comparison(bits, constant and neuron.reset is not Reset.SUBTRACT)
    widths = [neuron.state_bits]
    if neuron.current_decay is not None:
        widths.append(neuron.current_bits)
        sums += 1
    # The bias is added where the decay is rounded.
    sums += sum(decay.shift > 0 for decay in core.decays)
    sums += bool(neuron.bias.any()) and core.decays[-1].shift == 0
    luts += sums * adder(bits)
    if neuron.fire and neuron.reset is Reset.SUBTRACT:
        luts += bits
    luts += sum(width for width in widths if bits > width)
    kept = [*widths, neuron.single_spike and neuron.fire, core.constant * core.sum_bits]
    luts *= core.fire_lanes
    if core.rows > 1:
        luts += sum(memory(core.rows, core.fire_lanes * int(each)) for each in kept if each)
    for table in parameter_tables(core):
        depth, lanes = table.rows.shape
        width = lanes * table.bits
        if table.loaded is None and depth > 1 and depth * width <= LARGEST_LOGIC_TABLE:
            luts += width * max(1.0, depth / 16)
    return luts


def _encoder(core: Core) -> float:
    if core.value_sent_bits:
        return 40 + 2 * core.value_sent_bits
    base = max(1, count_bits(core.addresses_out.count))
    waiting = distributed(vector_places(core), core.fire_lanes + 2 + base)
    return 25 + 3 * base + LUTS_PER_SPIKE * core.fire_lanes + waiting


def _engine(core: Core) -> float:
    counters = count_bits(core.groups) + count_bits(core.parts) + count_bits(core.rows)
    luts = LUTS_PER_CORE + LUTS_PER_COUNTER_BIT * counters
    # Where events of several sources meet, each has two places, and there are two for all.
    several = 2 if len(core.sources) > 1 else 1
    for source in core.sources:
        luts += several * LUTS_PER_EVENT_BIT * event_bits(source)
    if has_scale_stage(core) and (core.value_bits or core.largest_shift):
        luts += core.lanes * product_bits(core)
    return luts
