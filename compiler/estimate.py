"""What a core is estimated to take of a part, before synthesis.

Look-up tables are estimated from what other designs took, block RAMs and multipliers are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from spikeloom.compiler.addresses import Addresses
from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.compiler.cores import DISTRIBUTED_DEPTH, RANK_DEPTH, Core
from spikeloom.compiler.ir import Network
from spikeloom.compiler.on_chip import pixel_lanes, pixel_rows
from spikeloom.compiler.sources import Source

# Look-up tables, measured on synthesised designs for ECP5: what a lane takes per bit of its sums
# (the adder and its share of the choice of a row), what a fire lane takes per bit of its membrane
# (three adders, saturation), what a core and the ports take whatever their width, and per bit what
# the choice between two block RAMs takes. A distributed memory has 16 words of 4 bits in 4 of them.
LUTS_PER_LANE_BIT = 1.75
LUTS_PER_FIRE_LANE_BIT = 6.0
LUTS_PER_CORE = 200
LUTS_OF_PORTS = 450
LUTS_PER_CHOICE = 1.0
# A convolution has tables of taps and addresses of its own, and a word to choose from each bank.
LUTS_PER_CONVOLUTION = 400
LUTS_PER_BANK_BIT = 0.5
# Where events of several sources meet: two places per source and two for all, and the choice.
LUTS_PER_EVENT_BIT = 5.0
# A comparison, and for random spikes a bit of a shift register.
LUTS_PER_PIXEL_BIT = 4.0
# Two tables of 16 words and a choice.
LUTS_PER_ROM_BIT = 2.0


@dataclass(frozen=True, slots=True)
class Budget:
    """What a design may take.

    Attributes
    ----------
    luts : look-up tables
    multipliers : DSP blocks
    blocks : block RAMs
    block_width, block_depth : shape of a block RAM at its widest
    distributed_depth : words of the deepest memory that is made of look-up tables; 0 for none
    """

    luts: int
    multipliers: int
    blocks: int
    block_width: int
    block_depth: int
    distributed_depth: int = 0


class Size(NamedTuple):
    """Of a core."""

    luts: float
    multipliers: float
    blocks: float


class _Memory(NamedTuple):
    """What a memory takes."""

    blocks: int
    luts: float


def ports_size(network: Network, budget: Budget) -> Size:
    """What stands beside the cores: the ports, the readout, and an encoder on the chip."""
    encoder = network.on_chip
    if encoder is None:
        return Size(LUTS_OF_PORTS, 0, 0)
    addresses = Addresses(network.input.shape)
    lanes = pixel_lanes(addresses)
    # One is filled while the other is scanned.
    memories = [_memory(pixel_rows(addresses), lanes * encoder.code_bits, budget)] * 2
    luts = LUTS_OF_PORTS + LUTS_PER_CORE + LUTS_PER_PIXEL_BIT * lanes * encoder.code_bits
    luts += sum(item.luts for item in memories)
    return Size(luts, 0, sum(item.blocks for item in memories))


def core_size(core: Core, budget: Budget) -> Size:
    """What a core takes of a part whose block RAMs are shaped as those of the budget."""
    memories = _memories(core, budget)
    blocks = sum(memory.blocks for memory in memories)
    return Size(_core_luts(core, memories), _core_multipliers(core), blocks)


def _core_multipliers(core: Core) -> int:
    """Of the decays, and of the weights where an event is more than a sign."""
    products = sum(core.fire_lanes for decay in core.decays if core.is_product(decay))
    return products + (core.lanes if core.has_products else 0)


def _core_luts(core: Core, memories: Sequence[_Memory]) -> float:
    states = len(core.decays) * core.fire_lanes * core.neuron.accumulator_bits
    return (
        LUTS_PER_CORE
        + _arbiter_luts(core)
        + LUTS_PER_LANE_BIT * core.lanes * core.sum_bits
        + LUTS_PER_FIRE_LANE_BIT * states
        + _bank_luts(core)
        + sum(memory.luts for memory in memories)
    )


def _arbiter_luts(core: Core) -> float:
    """Of the queues of several sources and the choice between them, and of their shifts."""
    if len(core.sources) == 1:
        return 0
    events = sum(_event_bits(source) for source in core.sources)
    shifted = core.lanes * (core.weight_bits + core.largest_shift) if core.largest_shift else 0
    return LUTS_PER_EVENT_BIT * events + LUTS_PER_CHOICE * shifted


def _bank_luts(core: Core) -> float:
    """Of the addresses of banks, and the choice of one of them for the fire scan."""
    if not isinstance(core, ConvolutionCore):
        return 0
    chosen = (core.banks - 1) * core.lanes_per_group * core.sum_bits
    return LUTS_PER_CONVOLUTION + LUTS_PER_BANK_BIT * chosen


def _memories(core: Core, budget: Budget) -> list[_Memory]:
    """Of weights, of sums of more than one group, of states of more than one row, of events."""
    width = core.lanes * core.weight_bits // core.weight_memories
    memories = [_block_memory(core.weight_words, width, budget)] * core.weight_memories
    if isinstance(core, ConvolutionCore):
        memories = _ranks(core.weight_words, width, budget)
        if core.weight_words <= DISTRIBUTED_DEPTH:
            memories = [_Memory(0, LUTS_PER_ROM_BIT * width)]
    if core.bank_depth > 1:
        width = core.lanes_per_group * core.sum_bits
        bank = [_memory(core.bank_depth, width, budget)]
        memories += (_ranks(core.bank_depth, width, budget) if core.has_deep_banks else bank) * (
            core.banks
        )
    memories += [
        _memory(source.waiting, _event_bits(source), budget)
        for source in core.sources
        if source.waiting
    ]
    if core.rows > 1:
        for bits in filter(None, _kept_bits(core)):
            memories += _ranks(core.rows, core.fire_lanes * bits, budget)
    return memories


def _kept_bits(core: Core) -> tuple[int, ...]:
    """Of what the fire unit keeps of a neuron: states, spent spikes, sums of constant input."""
    neuron = core.neuron
    spent = int(neuron.single_spike and neuron.fire)
    return neuron.state_bits, neuron.current_bits, spent, core.sum_bits if core.constant else 0


def _ranks(depth: int, width: int, budget: Budget) -> list[_Memory]:
    """A memory in ranks, as deep ones of convolutions and of states are made (rtl/ranks.py)."""
    full, rest = divmod(depth, RANK_DEPTH)
    ranks = [_block_memory(RANK_DEPTH, width, budget)] * full
    ranks += [_memory(rest, width, budget)] if rest else []
    choice = _Memory(0, LUTS_PER_CHOICE * width * (len(ranks) - 1))
    return [*ranks, choice]


def _event_bits(source: Source) -> int:
    """Of an event with its two flags."""
    return max(1, (source.addresses.count - 1).bit_length()) + source.value_bits + 2


def _memory(depth: int, width: int, budget: Budget) -> _Memory:
    if depth <= budget.distributed_depth:
        return _Memory(0, 4.0 * -(-depth // 16) * -(-width // 4))
    return _block_memory(depth, width, budget)


def _block_memory(depth: int, width: int, budget: Budget) -> _Memory:
    """In the shape that takes fewest block RAMs; a choice between them counts a little too."""
    found = []
    # Half as wide is twice as deep.
    for half in range(budget.block_width.bit_length() - 1):
        wide, deep = budget.block_width >> half, budget.block_depth << half
        ranks = -(-depth // deep)
        choices = width * (ranks - 1) * LUTS_PER_CHOICE
        found.append(_Memory(-(-width // wide) * ranks, choices))
    return min(found, key=lambda memory: memory.blocks + memory.luts / 100)
