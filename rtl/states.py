"""Where the states of a core's neurons are kept between time steps."""

from amaranth import Signal, unsigned
from amaranth.lib import memory

from spikeloom.compiler.core_pipeline import has_deep_states
from spikeloom.rtl.ranks import Write, registered_read


class StateRows:
    """States of the neurons by row: a memory, or registers where there is one row.

    Parameters
    ----------
    name : of the memory
    core : Core
    bits : width of a word
    """

    def __init__(self, name: str, core, bits: int):
        self.name = name
        self.rows = core.rows
        self.deep = has_deep_states(core)
        self.bits = bits

    def build(self, m, before, apply, write_enable, write_row, write_data):
        """Gives the word of the row whose operation was in `apply` a cycle ago.

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
            return registered_read(m, name, self.bits, self.rows, before.row, write=write)
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
