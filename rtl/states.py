"""Where the states of a core's neurons are kept between time steps."""

from amaranth import Signal, unsigned
from amaranth.lib import memory

from spikeloom.compiler.cores import DISTRIBUTED_DEPTH
from spikeloom.compiler.fixed import signed_bits, signed_range
from spikeloom.rtl.ranks import Write, registered_read


def state_bits(core, decay, biased: bool) -> int:
    """Width of what is stored of a state: decayed, and with the bias added to one of them."""
    neuron = core.neuron
    saturated = neuron.state_bits if decay is neuron.decay else neuron.current_bits
    low, high = (decay(end + 0 * decay.multiplier) for end in signed_range(saturated))
    if biased:
        smallest, largest = core.biases_taken
        low, high = low + smallest, high + largest
    return max(2, signed_bits(int(low.min()), int(high.max())))


def are_deep(core) -> bool:
    """Whether states lie in block RAM, which answers late in a cycle.

    They are then read one cycle earlier, into a register; so many rows lie between two visits of
    one that what was written of it is there all the same.
    """
    return core.rows > DISTRIBUTED_DEPTH


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
        self.deep = are_deep(core)
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
