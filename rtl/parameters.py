"""Parameters of the neurons in gates: constants, memories, and what can be loaded."""

from amaranth import Cat, Mux, Signal, unsigned
from amaranth.lib import memory

from spikeloom.compiler.parameters import Repeats
from spikeloom.compiler.weight_image import lanes_per_column
from spikeloom.rtl.lane_words import lane_word, signed_lanes
from spikeloom.rtl.ranks import NO_COLLISION


def parameter_lanes(m, core, name, table, operation, *, load=None, select=None):
    """A parameter of each lane of a row, a cycle after the row's operation; or constants.

    Parameters
    ----------
    table : ParameterTable
    operation : in the stage before the one that uses the parameter
    load : the core's side of a LoadSignature, of what can be loaded
    select : its bit for this parameter
    """
    depth, lanes = table.rows.shape
    if table.loaded is None and depth == 1:
        return [int(value) for value in table.rows[0]] * (core.fire_lanes // lanes)
    row = operation.row
    if table.repeats is Repeats.ROWS:
        row = operation.group * core.parts + operation.part
    words = [lane_word(each, table.bits) for each in table.rows]
    width = lanes * table.bits
    if table.loaded is None:
        data = _fixed(m, name, words, width, row)
    else:
        if core.weights == "loaded":
            words = [0] * depth
        columns = _columns(width, table.bits)
        parts = []
        for number, (first, size) in enumerate(columns):
            part = [word >> first & ((1 << size) - 1) for word in words]
            here = select & (load.column == number)
            build = _registers if depth == 1 else _memory
            parts.append(build(m, f"{name}{number}", part, size, row, load, here))
        data = Cat(parts)
    values = signed_lanes(data, lanes)
    return values * (core.fire_lanes // lanes)


def _columns(width, bits):
    """First bit and width of what the words of an image hold of a row."""
    column = lanes_per_column(bits) * bits
    return [(first, min(column, width - first)) for first in range(0, width, column)]


def _fixed(m, name, words, width, row):
    table = memory.Memory(shape=unsigned(width), depth=len(words), init=words)
    m.submodules[f"{name}_memory"] = table
    read = table.read_port()
    m.d.comb += read.addr.eq(row)
    return read.data


def _registers(m, name, words, width, row, load, here):
    """One row in two copies. A reset keeps what was loaded, as memories do."""
    copies = [
        Signal(width, name=f"{name}_copy{copy}", init=words[0] * (1 - copy), reset_less=True)
        for copy in range(2)
    ]
    for copy, register in enumerate(copies):
        with m.If(here & (load.copy != copy)):
            m.d.sync += register.eq(load.word[:width])
    return Mux(load.copy, copies[1], copies[0])


def _memory(m, name, words, width, row, load, here):
    """Rows in two copies, the second one from a power of two on."""
    number_bits = (len(words) - 1).bit_length()
    depth = (1 << number_bits) + len(words)
    # Read and written are different copies.
    table = memory.Memory(shape=unsigned(width), depth=depth, init=words, attrs=NO_COLLISION)
    m.submodules[f"{name}_memory"] = table
    read, write = table.read_port(), table.write_port()
    m.d.comb += [
        read.addr.eq(Cat(row[:number_bits], load.copy)),
        write.en.eq(here),
        write.addr.eq(Cat(load.row[:number_bits], ~load.copy)),
        write.data.eq(load.word[:width]),
    ]
    return read.data
