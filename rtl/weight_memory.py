"""The weight memory of a core, of one copy of its weights or of two."""

from amaranth import Cat, Mux, Signal

from spikeloom.compiler.cores import RANK_DEPTH
from spikeloom.compiler.weight_image import lanes_per_column
from spikeloom.rtl.lane_words import lane_word
from spikeloom.rtl.loading import selected
from spikeloom.rtl.ranks import Write, registered_read

# For synthesis (sim/memory_attributes.py): what the memory holds before it is written does not
# matter, so that it may be one that starts without contents.
UNINITIALISED = {"uninitialised": 1}


def weight_words(core) -> list[int]:
    """The contents of a core's weight memory: one integer per word, its first weight lowest."""
    return [lane_word(row, core.weight_bits) for row in core.weight_table]


def weight_memory(m, core, row, reading, *, load=None, ranked=False, attrs=None):
    """The word of weights of `row`, two clock cycles later.

    Where weights can be loaded, both copies share one port: a memory of one port is larger on some
    parts. A word of an image waits until no weights are read, which is the case in every fire scan.

    Parameters
    ----------
    reading : whether the word is wanted
    load : the core's side of a LoadSignature; None where weights are fixed
    ranked : whether a deep memory is divided into ranks with a register each
    """
    depth, address, write = core.weight_depth, row, None
    init = weight_words(core)
    if load is not None:
        number_bits = (core.weight_words - 1).bit_length()
        address = Signal(range(depth))
        m.d.comb += address.eq(
            Mux(
                reading,
                Cat(row[:number_bits], load.copy),
                Cat(load.row[:number_bits], ~load.copy),
            )
        )
        write = selected(load, "weights") & ~reading
        m.d.comb += load.taken.eq(write)
        if core.weights == "loaded":
            init, attrs = [], UNINITIALISED
    words = []
    for number, (first, count) in enumerate(_parts(core)):
        start, width = first * core.weight_bits, count * core.weight_bits
        mask = (1 << width) - 1
        here = None
        if load is not None:
            per_column = lanes_per_column(core.weight_bits)
            column, place = divmod(first, per_column)
            data = load.word[place * core.weight_bits :][:width]
            here = Write(write & (load.column == column), address, data)
        words.append(
            registered_read(
                m,
                f"weight_memory{number}",
                width,
                depth,
                address,
                init=[word >> start & mask for word in init],
                enable=reading,
                write=here,
                attrs=attrs,
                rank_depth=RANK_DEPTH if ranked else depth,
            )
        )
    return Cat(words)


def _parts(core):
    """First weight and number of weights of each memory that those of a word are divided among.

    A word of an image goes to the memories of its column, so none has weights of two columns.
    """
    if core.weight_memories == core.word_weights:
        most = 1
    elif core.has_run_time_weights:
        most = lanes_per_column(core.weight_bits)
    else:
        most = core.word_weights
    starts = range(0, core.word_weights, most)
    return [(first, min(most, core.word_weights - first)) for first in starts]
