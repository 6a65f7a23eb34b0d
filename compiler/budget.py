"""What a design may take of a part, and what the part is made of."""

from dataclasses import dataclass

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
    block_byte : bits of a word of a block RAM that are written together
    block_cost : look-up tables that synthesis would rather take than one block RAM more
    multiplier_width : of a factor of a DSP block, its sign included
    multiplied_bits : of the shortest product that synthesis makes of a DSP block
    has_distributed : whether look-up tables can be memories
    has_block_registers : whether a register behind a block RAM can be the one in it
    packs_choices : whether a choice behind a sum is part of its carry chain
    large_blocks : memories of `LARGE_BLOCK` bits without contents at the start, such as SPRAM
    """

    luts: int
    multipliers: int
    blocks: int
    block_width: int
    block_depth: int
    block_byte: int = 1
    block_cost: int = 128
    multiplier_width: int = 18
    multiplied_bits: int = 2
    has_distributed: bool = False
    has_block_registers: bool = False
    packs_choices: bool = False
    large_blocks: int = 0
