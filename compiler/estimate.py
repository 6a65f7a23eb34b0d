"""What a core is estimated to take of a part, before synthesis.

Look-up tables are estimated from what their parts take, registers, block RAMs and multipliers are
counted.
"""

from dataclasses import dataclass
from typing import NamedTuple

from spikeloom.compiler.addresses import Addresses
from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.compiler.cores import DISTRIBUTED_DEPTH, HALF_WORD, RANK_DEPTH, Core
from spikeloom.compiler.estimate_luts import core_luts, distributed
from spikeloom.compiler.estimate_registers import REGISTERS_OF_PORTS, core_registers, event_bits
from spikeloom.compiler.ir import Network
from spikeloom.compiler.on_chip import pixel_lanes, pixel_rows

# Of the ports and the readout, whatever the network.
LUTS_OF_PORTS = 420
# Of the control port and the weight loader, most of them for the checksum of a word.
LUTS_OF_CONTROL, REGISTERS_OF_CONTROL = 580, 140
# What the ends of the choice between block RAMs take per bit.
LUTS_PER_RANK = 0.75
# Of an encoder on the chip: its counters, and a comparison, for random spikes a shift register too.
LUTS_OF_ENCODER = 200
LUTS_PER_PIXEL_BIT = 4.0
# Two tables of 16 words and a choice.
LUTS_PER_ROM_BIT = 2.0
# What synthesis weighs 16 words of 4 bits in look-up tables against a block RAM with; the choice
# between several of them counts one per bit.
COST_OF_PIECE, COST_OF_BLOCK = 4, 128
# Width and depth of an SPRAM.
LARGE_BLOCK = 16, 16_384


@dataclass(frozen=True, slots=True)
class Budget:
    """What a design may take.

    Attributes
    ----------
    luts : look-up tables
    multipliers : DSP blocks
    blocks : block RAMs
    block_width, block_depth : shape of a block RAM at its widest
    has_distributed : whether memories can be made of look-up tables
    large_blocks : memories of `LARGE_BLOCK` bits without contents at the start, such as SPRAM
    """

    luts: int
    multipliers: int
    blocks: int
    block_width: int
    block_depth: int
    has_distributed: bool = False
    large_blocks: int = 0


class Size(NamedTuple):
    """Of a core."""

    luts: float
    registers: float
    multipliers: float
    blocks: float
    large_blocks: float = 0


class _Memory(NamedTuple):
    """What a memory takes.

    Attributes
    ----------
    registered : whether the register behind it is the one that block RAM has itself: it is not used
        behind a choice between several
    """

    blocks: int
    luts: float
    registered: bool = False


def ports_size(network: Network, budget: Budget) -> Size:
    """What stands beside the cores: the ports, the readout, and an encoder on the chip."""
    ports, registers = LUTS_OF_PORTS, REGISTERS_OF_PORTS
    if network.has_run_time_weights:
        ports, registers = ports + LUTS_OF_CONTROL, registers + REGISTERS_OF_CONTROL
    encoder = network.on_chip
    if encoder is None:
        return Size(ports, registers, 0, 0)
    addresses = Addresses(network.input.shape)
    lanes = pixel_lanes(addresses)
    # One is filled while the other is scanned.
    memories = [_memory(pixel_rows(addresses), lanes * encoder.code_bits, budget)] * 2
    luts = ports + LUTS_OF_ENCODER + LUTS_PER_PIXEL_BIT * lanes * encoder.code_bits
    luts += sum(item.luts for item in memories)
    registers += 90 + 2 * lanes * encoder.code_bits
    return Size(luts, registers, 0, sum(item.blocks for item in memories))


def core_size(core: Core, budget: Budget) -> Size:
    """What a core takes of a part whose block RAMs are shaped as those of the budget."""
    memories = _memories(core, budget)
    blocks = sum(memory.blocks for memory in memories)

    def memory(depth: int, width: int) -> float:
        return distributed(depth, width) if _is_distributed(depth, width, budget) else 0.0

    luts = core_luts(core, memory) + sum(memory.luts for memory in memories)
    registers = core_registers(core)
    if not memories[0].registered:
        registers += core.lanes * core.weight_bits
    large = _large_blocks(core, budget)
    return Size(luts, registers, _core_multipliers(core), blocks, large)


def _large_blocks(core: Core, budget: Budget) -> int:
    """Memories of SPRAM for weights that are loaded, if there are so many that they lie there."""
    if not budget.large_blocks or core.weights != "loaded":
        return 0
    width, depth = LARGE_BLOCK
    if core.weight_memory_bits <= width * depth // 4:
        return 0
    columns = -(-core.lanes * core.weight_bits // width)
    return columns * -(-core.weight_depth // depth)


def _core_multipliers(core: Core) -> int:
    """Of the decays, of the weights where an event is more than a sign, and of an address."""
    products = sum(core.fire_lanes for decay in core.decays if core.is_product(decay))
    return products + (core.lanes if core.has_products else 0) + _multiplies_address(core)


def _multiplies_address(core: Core) -> bool:
    """Whether an address of two bits or more is multiplied by a number that is no power of two."""
    if isinstance(core, ConvolutionCore):
        factor, addresses = max(core.words_per_channel), core.sources[0].maps[0]
    else:
        factor, addresses = core.groups, core.inputs
    return factor & (factor - 1) != 0 and addresses > 2


def _memories(core: Core, budget: Budget) -> list[_Memory]:
    """Of weights, of sums of more than one group, of states of more than one row, of events.

    What is made of look-up tables is counted in compiler/estimate_luts.py.
    """
    width = core.lanes * core.weight_bits // core.weight_memories
    memories = [_block_memory(core.weight_depth, width, budget)] * core.weight_memories
    if _large_blocks(core, budget):
        memories = [_Memory(0, 0.0)]
    if isinstance(core, ConvolutionCore):
        memories = _ranks(core.weight_depth, width, budget)
        if core.weight_depth <= DISTRIBUTED_DEPTH:
            memories = [_Memory(0, LUTS_PER_ROM_BIT * width)]
    if core.bank_depth > 1:
        width = core.lanes_per_group * core.sum_bits
        bank = [_memory(core.bank_depth, width, budget)]
        memories += (_ranks(core.bank_depth, width, budget) if core.has_deep_banks else bank) * (
            core.banks
        )
    memories += [
        _memory(source.waiting, event_bits(source), budget)
        for source in core.sources
        if source.waiting
    ]
    if core.has_biases_beside_states:
        memories.append(_block_memory(core.rows, 2 * HALF_WORD, budget))
        kept = _kept_bits(core)[1:]
    else:
        kept = _kept_bits(core)
    if core.rows > 1:
        for bits in filter(None, kept):
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
    choice = _Memory(0, LUTS_PER_RANK * width * (len(ranks) - 1))
    return [*ranks, choice]


def _memory(depth: int, width: int, budget: Budget) -> _Memory:
    if _is_distributed(depth, width, budget):
        return _Memory(0, 0.0)
    return _block_memory(depth, width, budget)


def _is_distributed(depth: int, width: int, budget: Budget) -> bool:
    """Whether synthesis makes a memory that is written of look-up tables: if that is cheaper."""
    if not budget.has_distributed:
        return False
    ranks = -(-depth // 16)
    cost = COST_OF_PIECE * ranks * -(-width // 4) + width * (ranks - 1)
    return cost < COST_OF_BLOCK * _block_memory(depth, width, budget).blocks


def _block_memory(depth: int, width: int, budget: Budget) -> _Memory:
    """In the shape that takes fewest block RAMs; of several that with least choice between them."""
    found = []
    # Half as wide is twice as deep.
    for half in range(budget.block_width.bit_length() - 1):
        wide, deep = budget.block_width >> half, budget.block_depth << half
        ranks = -(-depth // deep)
        choices = width * (ranks - 1) * LUTS_PER_RANK
        registered = ranks == 1
        found.append(_Memory(-(-width // wide) * ranks, choices, registered))
    return min(found, key=lambda memory: (memory.blocks, memory.luts))
