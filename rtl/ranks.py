"""Deep memories in block RAM, in ranks: each answers into a register, and the choice comes last."""

from typing import NamedTuple

from amaranth import Array, Signal, Value, unsigned
from amaranth.lib import memory

from spikeloom.compiler.cores import RANK_DEPTH

# For synthesis (sim/memory_attributes.py): no word is used that was read in the cycle of its write.
# Without it, tools that do not know what a block RAM does then build a way past it.
NO_COLLISION = {"no_collision": 1}


class Write(NamedTuple):
    """A write port's signals."""

    enable: Value
    address: Value
    data: Value


def registered_read(
    m,
    name,
    width,
    depth,
    address,
    *,
    init=(),
    enable=1,
    write=None,
    written=None,
    attrs=None,
    rank_depth=RANK_DEPTH,
):
    """A memory of `depth` words that is read into a register; gives the word two cycles later.

    A block RAM answers late in a cycle, so nothing stands between it and a register, which can be
    the one that it has itself; for that it has no reset. A memory that is deeper than a block RAM
    of a useful width is divided into ranks, whose registers are chosen between. What a read gives
    of a word that is written in the same cycle must not matter.

    Parameters
    ----------
    m : the module; the memory becomes its submodule `name`, or `name` and the number of the rank
    address, enable : of the read
    init : the contents, words as integers; zeros without
    write : a write port; None for a memory that is only read
    written : so many of the lowest bits are written, a divisor of the width; all without
    attrs : of the memory
    rank_depth : words of a rank
    """
    ranks = -(-depth // rank_depth)
    low = (rank_depth - 1).bit_length()
    words = []
    for rank in range(ranks):
        first = rank * rank_depth
        size = min(rank_depth, depth - first)
        store = memory.Memory(
            shape=unsigned(width),
            depth=size,
            init=list(init[first : first + size]),
            attrs=(NO_COLLISION if write is not None else {}) | (attrs or {}),
        )
        m.submodules[name if ranks == 1 else f"{name}{rank}"] = store
        read = store.read_port()
        m.d.comb += [read.addr.eq(address[:low]), read.en.eq(enable)]
        if write is not None:
            port = store.write_port(granularity=written)
            here = write.enable if ranks == 1 else write.enable & (write.address[low:] == rank)
            m.d.comb += [
                port.en.eq(here),
                port.addr.eq(write.address[:low]),
                port.data.eq(write.data),
            ]
        word = Signal(width, name=f"{name}_read{rank}", reset_less=True)
        m.d.sync += word.eq(read.data)
        words.append(word)
    if ranks == 1:
        return words[0]
    asked, chosen = Signal(range(ranks)), Signal(range(ranks))
    m.d.sync += [asked.eq(address[low:]), chosen.eq(asked)]
    return Array(words)[chosen]
