"""Where the states of a core's neurons are kept between time steps."""

from amaranth import Signal, unsigned
from amaranth.lib import memory

from spikeloom.compiler.fixed import signed_bits, signed_range


def state_bits(core, decay, biased: bool) -> int:
    """Width of what is stored of a state: decayed, and with the bias added to one of them."""
    neuron = core.neuron
    saturated = neuron.state_bits if decay is neuron.decay else neuron.current_bits
    low, high = (decay(end + 0 * decay.multiplier) for end in signed_range(saturated))
    if biased:
        low, high = low + neuron.bias, high + neuron.bias
    return max(2, signed_bits(int(low.min()), int(high.max())))


class StateRows:
    """States of the neurons by row: a memory, or registers where there is one row.

    Parameters
    ----------
    name : of the memory
    rows, bits : words and their width
    """

    def __init__(self, name: str, rows: int, bits: int):
        self.name = name
        self.rows = rows
        self.bits = bits

    def build(self, m, read_row, write_enable, write_row, write_data):
        """Gives the word of the row that was `read_row` a cycle ago."""
        if self.rows == 1:
            word = Signal(self.bits, name=self.name)
            with m.If(write_enable):
                m.d.sync += word.eq(write_data)
            return word
        m.submodules[f"{self.name}_memory"] = store = memory.Memory(
            shape=unsigned(self.bits), depth=self.rows, init=[]
        )
        read, write = store.read_port(), store.write_port()
        m.d.comb += [
            read.addr.eq(read_row),
            write.en.eq(write_enable),
            write.addr.eq(write_row),
            write.data.eq(write_data),
        ]
        return read.data
