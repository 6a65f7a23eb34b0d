"""What a core is estimated to take of a part, before synthesis.

Block RAMs, multipliers and flip-flops are counted from what the gates have, look-up tables are
estimated (compiler/estimate_luts.py).
"""

from typing import NamedTuple

from spikeloom.compiler.budget import Budget
from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.compiler.cores import Core
from spikeloom.compiler.estimate_luts import core_luts
from spikeloom.compiler.estimate_memories import (
    parameter_memories,
    queue_memory,
    state_memories,
    sum_memories,
    total,
    weight_memories,
)
from spikeloom.compiler.estimate_ports import ports
from spikeloom.compiler.estimate_registers import core_registers, event_bits, number_bits
from spikeloom.compiler.fixed import Decay
from spikeloom.compiler.ir import Network
from spikeloom.compiler.parameters import Repeats


class Size(NamedTuple):
    """Of a core."""

    luts: float
    registers: float
    multipliers: float
    blocks: float
    large_blocks: float = 0


def ports_size(network: Network, budget: Budget) -> Size:
    """What stands beside the cores: the ports, the readout, and an encoder on the chip."""
    found = ports(network, budget)
    return Size(found.luts, found.registers, 0, found.blocks)


def core_size(core: Core, budget: Budget) -> Size:
    """What a core takes of a part that is made as the budget says."""
    memories = total(
        [
            *weight_memories(core, budget),
            *sum_memories(core, budget),
            *state_memories(core, budget),
            *parameter_memories(core, budget),
            *(
                memory
                for source in core.sources
                for memory in queue_memory(source, event_bits(source), budget)
            ),
        ]
    )
    return Size(
        core_luts(core, budget) + memories.luts,
        core_registers(core) + memories.registers,
        core_multipliers(core, budget),
        memories.blocks,
        memories.large_blocks,
    )


def core_multipliers(core: Core, budget: Budget) -> int:
    """Of the decays, of the weights where an event is more than a sign, and of their addresses."""
    products = core.word_weights if core.has_products else 0
    if core.needs_multiplier:
        widths = (core.neuron.state_bits, core.neuron.current_bits)
        for decay, bits in zip(core.decays, widths, strict=False):
            each = _parts(min(bits, core.neuron.accumulator_bits), budget)
            products += each * _multiplied_lanes(core, decay)
    return products + _address_multipliers(core, budget) + _table_multipliers(core, budget)


def _parts(bits: int, budget: Budget) -> int:
    """DSP blocks of a product: what is wider than one by a bit is still made of one."""
    return -(-(bits - 2) // (budget.multiplier_width - 1))


def _multiplied_lanes(core: Core, decay: Decay) -> int:
    """Fire lanes that multiply by more than a constant power of two."""
    rows = core.multiplier_table(decay).rows
    if len(rows) > 1:
        return core.fire_lanes
    factors = [int(factor) for factor in rows[0]]
    return sum(map(_is_product, factors)) * (core.fire_lanes // len(factors))


def _is_product(factor: int) -> bool:
    return bool(factor & (factor - 1))


def _address_multipliers(core: Core, budget: Budget) -> int:
    """One where an event's address is multiplied to find its words of weights."""
    words = {core.groups}
    multiplied = number_bits(core.senders)
    if isinstance(core, ConvolutionCore):
        words = set(core.words_per_channel)
        multiplied = core.fields_joined[0].width
    if multiplied < 2 or (len(words) == 1 and not any(map(_is_product, words))):
        return 0
    # Zeros at the end of a constant factor are wiring.
    even = 0 if len(words) > 1 else min((word & -word).bit_length() - 1 for word in words)
    found = min(number_bits(core.weight_words), multiplied + max(words).bit_length()) - even
    return int(found >= budget.multiplied_bits)


def _table_multipliers(core: Core, budget: Budget) -> int:
    """One per stage in which a row of a table is found by its group and part."""
    bits = min(number_bits(core.groups) + core.parts.bit_length(), number_bits(core.rows))
    if number_bits(core.groups) < 2 or not _is_product(core.parts) or bits < budget.multiplied_bits:
        return 0
    stages = [[core.bias_table]]
    if core.neuron.fire:
        stages.append([core.threshold_table])
    if core.needs_multiplier:
        stages.append([core.multiplier_table(decay) for decay in core.decays])
    return sum(any(table.repeats is Repeats.ROWS for table in stage) for stage in stages)
