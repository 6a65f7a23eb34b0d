"""How words of a weight image reach the memories of a core."""

from amaranth import Cat
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.weight_image import WORD_BITS, LoadedMemory, loaded_memories


class LoadSignature(wiring.Signature):
    """What the weight loader tells a core, of the loader's view.

    There are two copies of all memories: copy number `copy` is in use, the other one is loaded.

    Members
    -------
    copy : Out(1), the copy in use
    restart : Out(1), the copies have just changed places: neurons begin from rest
    select : Out(memories), at most one bit set: the memory that takes a word
    row, column, word : Out, which one, and the word
    taken : In(1), the word is taken with the next clock edge

    Parameters
    ----------
    memories : of the core, in the order of the image
    """

    def __init__(self, memories: list[LoadedMemory]):
        self.memories = memories
        super().__init__(
            {
                "copy": Out(1),
                "restart": Out(1),
                "select": Out(len(memories)),
                "row": Out(range(max(2, *(memory.depth for memory in memories)))),
                "column": Out(range(max(2, *(memory.columns for memory in memories)))),
                "word": Out(WORD_BITS),
                "taken": In(1),
            }
        )


def selected(load, what: str):
    """The bit of `select` for the memory of that name; None where it cannot be loaded."""
    if load is None:
        return None
    names = [memory.what for memory in load.signature.memories]
    return load.select[names.index(what)] if what in names else None


def load_member(core):
    """The member `load` of a core or of one of its blocks; none where weights are fixed."""
    if not core.has_run_time_weights:
        return {}
    return {"load": In(LoadSignature(loaded_memories([core])))}


def load_of(block):
    """The member `load` of a block, or None."""
    return getattr(block, "load", None)


def share_load(m, core, blocks):
    """Tell blocks of a core what it is told; the one that has the memory takes the word."""
    load = load_of(core)
    if load is None:
        return
    for block in blocks:
        for name in ("copy", "restart", "select", "row", "column", "word"):
            m.d.comb += getattr(block.load, name).eq(getattr(load, name))
    m.d.comb += load.taken.eq(Cat(block.load.taken for block in blocks).any())
