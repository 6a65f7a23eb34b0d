"""Where the states of a core's neurons are kept between time steps."""

from amaranth import Signal, unsigned
from amaranth.lib import memory

from spikeloom.compiler.core_pipeline import has_deep_states
from spikeloom.compiler.cores import HALF_WORD
from spikeloom.rtl.ranks import Write, registered_read


class StateRows:
    """States of the neurons by row: a memory, or registers where there is one row.

    Parameters
    ----------
    name : of the memory
    core : Core
    bits : width of a word
    beside : what stays in the other half of the words, an integer per row; only with deep states
    """

    def __init__(self, name: str, core, bits: int, beside=()):
        self.beside = beside
        self.name = name
        self.rows = core.rows
        self.deep = has_deep_states(core)
        self.bits = bits

    def build(self, m, before, apply, write_enable, write_row, write_data):
        """Gives the word of the row whose operation was in `apply` a cycle ago.

        What stands beside it begins at bit HALF_WORD.

        Parameters
        ----------
        before, apply : operations; the one in `before` is in `apply` a cycle later
        """
        if self.rows == 1:
            word = Signal(self.bits, name=self.name)
            with m.If(write_enable):
                m.d.sync += word.eq(write_data)
            return word
        if self.deep:
            write = Write(write_enable, write_row, write_data)
            name = f"{self.name}_memory"
            width, half, init = self.bits, None, []
            if self.beside:
                width, half = 2 * HALF_WORD, HALF_WORD
                init = [word << HALF_WORD for word in self.beside]
            return registered_read(
                m, name, width, self.rows, before.row, init=init, write=write, written=half
            )
        m.submodules[f"{self.name}_memory"] = store = memory.Memory(
            shape=unsigned(self.bits), depth=self.rows, init=[]
        )
        read, write = store.read_port(), store.write_port()
        m.d.comb += [
            read.addr.eq(apply.row),
            write.en.eq(write_enable),
            write.addr.eq(write_row),
            write.data.eq(write_data),
        ]
        return read.data
