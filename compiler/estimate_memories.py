"""What the memories of a core take of a part, before synthesis.

Synthesis makes a memory of what costs it least: block RAMs in the best of their shapes, distributed
memories, or look-up tables alone. Its costs are known, so that block RAMs are counted rather than
estimated.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from spikeloom.compiler.budget import LARGE_BLOCK, Budget
from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.compiler.core_pipeline import has_deep_states
from spikeloom.compiler.cores import DISTRIBUTED_DEPTH, HALF_WORD, RANK_DEPTH, Core
from spikeloom.compiler.fixed import IntArray
from spikeloom.compiler.parameters import ParameterTable, Repeats
from spikeloom.compiler.sources import Source
from spikeloom.compiler.weight_image import lanes_per_column

# A distributed memory has 16 words of 4 bits. It is storage in four look-up tables, and two more
# write it; synthesis counts the four.
DISTRIBUTED_DEPTH_OF_ONE, DISTRIBUTED_WIDTH = 16, 4
DISTRIBUTED_LUTS, DISTRIBUTED_COST = 6, 4
# A look-up table holds 16 bits that never change. Flip-flops with a choice between them cost a
# look-up table per bit.
LUT_BITS = 16
# What synthesis expects a choice to cost, per bit and word beyond the first.
CHOICE_COST = 0.5
# And an SPRAM, in look-up tables.
LARGE_BLOCK_COST = 2048

Access = Literal["at once", "next", "registered"]
"""When a memory gives a word: in the cycle in which it is asked, in the next one, or in the one
behind that, with a register behind the memory."""
STAGES: dict[Access, int] = {"at once": 0, "next": 1, "registered": 2}
Ports = Literal["read", "shared", "free", "exact"]
"""Of a memory: one that only reads; one that reads or writes; two, where what is read of a word in
the cycle of its write does not matter; two, where it is the word before the write."""


class Memory(NamedTuple):
    """What a memory takes, with the registers and the choice behind it."""

    blocks: float = 0
    luts: float = 0
    registers: float = 0
    large_blocks: float = 0


def choice_luts(count: int) -> float:
    """Of a choice between so many bits: two by two, and of many bits four by four."""
    return min(count - 1, 0.75 * count) if count > 1 else 0


def total(memories: Iterator[Memory] | list[Memory]) -> Memory:
    """What memories take together."""
    return Memory(*(sum(numbers) for numbers in zip(*(Memory(), *memories), strict=True)))


def memory(
    depth: int,
    width: int,
    budget: Budget,
    access: Access,
    ports: Ports = "free",
    *,
    distinct: Callable[[], int] | None = None,
    empty: bool = False,
) -> Memory:
    """What a memory takes of so many words of so many bits.

    Parameters
    ----------
    distinct : counts, of a memory that is only read, the bits of a word that are not the same in
        all words and no copies of others; all bits by default
    empty : whether what it holds at the start does not matter
    """
    fixed = ports == "read"
    found = [(_constants if fixed else _in_logic)(depth, width, access)]
    if budget.has_distributed and not fixed:
        found.append(_distributed(depth, width, access))
    if access != "at once":
        found += _in_blocks(depth, width, budget, access, ports)
    if budget.large_blocks and empty:
        found.append(_in_large_blocks(depth, width, access))
    # Of equal costs that of the look-up tables. The contents do not matter to what is chosen.
    number = min(range(len(found)), key=lambda index: found[index][0])
    if fixed and number == 0 and distinct is not None:
        return _constants(depth, distinct(), access)[1]
    return found[number][1]


Costed = tuple[float, Memory]


def _in_logic(depth: int, width: int, access: Access) -> Costed:
    """Flip-flops and a choice between them."""
    bits = depth * width
    return bits, Memory(0, choice_luts(depth) * width, bits + STAGES[access] * width)


def _constants(depth: int, width: int, access: Access) -> Costed:
    """Look-up tables that hold what is only read."""
    luts = width * max(1, depth / LUT_BITS)
    return depth * width / LUT_BITS, Memory(0, luts, STAGES[access] * width)


def _distributed(depth: int, width: int, access: Access) -> Costed:
    ranks = -(-depth // DISTRIBUTED_DEPTH_OF_ONE)
    cells = -(-ranks * width // DISTRIBUTED_WIDTH)
    cost = DISTRIBUTED_COST * cells + CHOICE_COST * ((ranks - 1) * width + ranks * (ranks > 1))
    luts = DISTRIBUTED_LUTS * cells + choice_luts(ranks) * width + ranks * (ranks > 1)
    return cost, Memory(0, luts, STAGES[access] * width)


def _in_blocks(
    depth: int, width: int, budget: Budget, access: Access, ports: Ports
) -> Iterator[Costed]:
    # Half as wide is twice as deep. The widest shape has one port to write and one to read.
    for half in reversed(range(budget.block_width.bit_length() - 1)):
        wide, deep = budget.block_width >> half, budget.block_depth << half
        ranks = -(-depth // deep)
        # Ranks share block RAMs; what is written to one of them begins with a byte.
        byte = 1 if ports == "read" else min(budget.block_byte, wide)
        blocks = -(-ranks * -(-width // byte) * byte // wide)
        choice = (ranks - 1) * width
        cost = budget.block_cost * blocks + CHOICE_COST * (choice + ranks * (ranks > 1))
        registers = (ranks - 1).bit_length()
        if access == "registered":
            # A choice between several stands before the register.
            inside = budget.has_block_registers and ranks == 1
            registers += 0 if inside else width
        luts = choice_luts(ranks) * width
        if ports == "exact":
            # A block RAM does not say what a read gives in the cycle of a write: the write comes a
            # cycle later, and who reads the word before that takes it from the side.
            address = (depth - 1).bit_length()
            registers += 2 * width + address + 2
            luts += width + address
        yield cost, Memory(blocks, luts, registers)


def _in_large_blocks(depth: int, width: int, access: Access) -> Costed:
    wide, deep = LARGE_BLOCK
    ranks = -(-depth // deep)
    blocks = -(-width // wide) * ranks
    luts = choice_luts(ranks) * width
    registers = (ranks - 1).bit_length() + (STAGES[access] - 1) * width
    cost = LARGE_BLOCK_COST * blocks + CHOICE_COST * (ranks - 1) * width
    return cost, Memory(0, luts, registers, blocks)


def ranked(depth: int, width: int, budget: Budget, ports: Ports = "free") -> list[Memory]:
    """A memory in ranks, as deep ones of convolutions and of states are made (rtl/ranks.py)."""
    full, rest = divmod(depth, RANK_DEPTH)
    ranks = [memory(RANK_DEPTH, width, budget, "registered", ports)] * full
    ranks += [memory(rest, width, budget, "registered", ports)] if rest else []
    return [*ranks, _choice_of_ranks(len(ranks), width)]


def _choice_of_ranks(ranks: int, width: int) -> Memory:
    """Behind the ranks of a memory, with the number of the rank in the cycles before."""
    return Memory(0, choice_luts(ranks) * width, 2 * (ranks - 1).bit_length())


def _fixed(rows: IntArray, bits: int, budget: Budget, access: Access) -> Memory:
    """A memory that is only read; bits that are the same in all words are none of it.

    Parameters
    ----------
    rows : numbers, shape (depth, lanes)
    bits : width of a number
    """
    width = changing_bits(rows, bits)
    if not width:
        return Memory()
    distinct = partial(distinct_bits, rows, bits)
    return memory(len(rows), width, budget, access, "read", distinct=distinct)


def weight_memories(core: Core, budget: Budget) -> list[Memory]:
    """The memories of the weights."""
    if core.has_run_time_weights:
        return _loaded_weights(core, budget)
    table, bits = core.weight_table, core.weight_bits
    if not isinstance(core, ConvolutionCore):
        weights = core.word_weights // core.weight_memories
        parts = np.split(table, range(weights, core.word_weights, weights), axis=1)
        return [_fixed(part, bits, budget, "registered") for part in parts]
    if len(table) <= DISTRIBUTED_DEPTH:
        return [_constants(len(table), distinct_bits(table, bits), "registered")[1]]
    ranks = np.split(table, range(RANK_DEPTH, len(table), RANK_DEPTH))
    found = [_fixed(rank, bits, budget, "registered") for rank in ranks]
    return [*found, _choice_of_ranks(len(ranks), core.lanes * bits)]


def _loaded_weights(core: Core, budget: Budget) -> list[Memory]:
    """Of two copies, a memory for each word of an image that a row of weights takes."""
    depth, empty = core.weight_depth, core.weights == "loaded"
    most = 1 if core.weight_memories == core.word_weights else lanes_per_column(core.weight_bits)
    found = []
    for first in range(0, core.word_weights, most):
        width = min(most, core.word_weights - first) * core.weight_bits
        if isinstance(core, ConvolutionCore) and depth > RANK_DEPTH:
            found += ranked(depth, width, budget, "shared")
        else:
            found.append(memory(depth, width, budget, "registered", "shared", empty=empty))
    return found


def sum_memories(core: Core, budget: Budget) -> list[Memory]:
    """The memories of sums, without the registers of a convolution's banks."""
    if core.bank_depth == 1:
        return []
    width = core.lanes_per_group * core.sum_bits
    if not isinstance(core, ConvolutionCore):
        return [memory(core.bank_depth, width, budget, "next", "exact")]
    if core.has_deep_banks:
        return ranked(core.bank_depth, width, budget) * core.banks
    return [memory(core.bank_depth, width, budget, "at once")] * core.banks


def state_memories(core: Core, budget: Budget) -> list[Memory]:
    """The memories, or the one row of registers, of all that the fire unit keeps of a neuron."""
    found = []
    for number, bits in enumerate(kept_bits(core)):
        width = core.fire_lanes * bits
        if number == 0 and core.has_biases_beside_states:
            width = 2 * HALF_WORD
        if core.rows == 1:
            found.append(Memory(0, 0, width))
        elif has_deep_states(core):
            found += ranked(core.rows, width, budget)
        else:
            found.append(memory(core.rows, width, budget, "next", "exact"))
    return found


def kept_bits(core: Core) -> list[int]:
    """Widths of what the fire unit keeps of a neuron: states, spent spikes, constant input."""
    neuron = core.neuron
    current = neuron.current_decay
    bits = [core.stored_bits(neuron.decay, current is None)]
    if current is not None:
        bits.append(core.stored_bits(current, True))
    if neuron.single_spike and neuron.fire:
        bits.append(1)
    if core.constant:
        bits.append(core.sum_bits)
    return bits


def parameter_memories(core: Core, budget: Budget) -> list[Memory]:
    """The tables of thresholds, biases and multipliers, of those that differ between rows."""
    return [_table(table, budget) for table in parameter_tables(core)]


def parameter_tables(core: Core) -> list[ParameterTable]:
    """Thresholds, biases and multipliers, of those that are no constants."""
    tables = [] if core.has_biases_beside_states else [core.bias_table]
    if core.neuron.fire:
        tables.append(core.threshold_table)
    if core.needs_multiplier:
        tables += [core.multiplier_table(decay) for decay in core.decays]
    return [table for table in tables if table.loaded is not None or len(table.rows) > 1]


def _table(table: ParameterTable, budget: Budget) -> Memory:
    depth, lanes = table.rows.shape
    width = lanes * table.bits
    if table.loaded is None:
        return _fixed(table.rows, table.bits, budget, "next")
    if table.repeats in (Repeats.NUMBER, Repeats.ROW):
        return Memory(0, width, 2 * width)
    return memory((1 << (depth - 1).bit_length()) + depth, width, budget, "next")


def changing_bits(rows: IntArray, bits: int) -> int:
    """Bits of the words of a table that are not the same in all of them.

    Parameters
    ----------
    rows : numbers, shape (depth, lanes)
    bits : width of a number
    """
    changes = np.bitwise_or.reduce(rows) ^ np.bitwise_and.reduce(rows)
    return int((changes[:, None] >> np.arange(bits) & 1).sum())


def distinct_bits(rows: IntArray, bits: int) -> int:
    """Bits of the words of a table that are not constant and no copies of others.

    Parameters
    ----------
    rows : numbers, shape (depth, lanes)
    bits : width of a number
    """
    columns = (rows[:, :, None] >> np.arange(bits) & 1).reshape(len(rows), -1)
    changing = columns[:, (columns != columns[0]).any(axis=0)]
    return len({column.tobytes() for column in np.ascontiguousarray(changing.T)})


def queue_memory(source: Source, event_bits: int, budget: Budget) -> list[Memory]:
    """The memory in which a source's events wait, if they do."""
    if not source.waiting:
        return []
    return [memory(source.waiting, event_bits, budget, "next")]
