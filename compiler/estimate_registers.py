"""How many flip-flops a core takes: counted block by block, as its registers are declared.

The register behind the weight memory is left out, which may be the one that block RAM has itself
(compiler/estimate.py). Synthesis drops registers that nobody reads and splits others, a few in a
hundred.
"""

from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.compiler.core_pipeline import (
    has_deep_states,
    has_scale_stage,
    product_bits,
    vector_places,
)
from spikeloom.compiler.cores import Core
from spikeloom.compiler.parameters import ParameterTable
from spikeloom.compiler.sources import Source

# Of the ports and the readout, whatever the network: the counters of a sample's cycles, and the
# answer on its way.
REGISTERS_OF_PORTS = 165

# A table of parameters of more bits is block RAM.
LARGEST_LOGIC_TABLE = 2048


def core_registers(core: Core) -> int:
    """Flip-flops of a core."""
    return (
        sum(_queue(source, core) for source in core.sources)
        + _engine(core)
        + (_banks(core) if isinstance(core, ConvolutionCore) else _lanes(core))
        + _fire(core)
        + _encoder(core)
    )


def count_bits(values: int) -> int:
    """Bits of a number below `values`."""
    return max(0, values - 1).bit_length()


def event_bits(source: Source) -> int:
    """Of an event with its two flags."""
    return max(1, count_bits(source.addresses.count)) + source.value_bits + 2


def _queue(source: Source, core: Core) -> int:
    """Of the events of a source: two places, three behind a memory, more where several meet."""
    event = event_bits(source)
    places = 2 * event + 2
    if source.waiting:
        places = 3 * event + 3 + 3 * count_bits(source.waiting)
    if len(core.sources) > 1:
        joined = max(1, count_bits(core.addresses_joined)) + core.value_bits + 3
        places += (2 * joined + 4) // len(core.sources)
    return places


def _operation(core: Core) -> int:
    """Bits of an operation, without the target of a convolution."""
    counters = count_bits(core.groups) + count_bits(core.parts) + count_bits(core.rows)
    return 4 + counters + core.constant


def target_bits(core: Core) -> int:
    """Bits that say which banks an operation reaches, and where; none but of a convolution."""
    return core.target_bits if isinstance(core, ConvolutionCore) else 0


def _engine(core: Core) -> int:
    operation = _operation(core) + target_bits(core)
    counters = _operation(core) + 6
    stages = 2
    if has_scale_stage(core):
        stages += 1
        counters += core.lanes * product_bits(core)
        counters += 2 * (core.value_bits + count_bits(len(core.sources)))
    if isinstance(core, ConvolutionCore):
        stages += 1
        counters += (
            2 * count_bits(core.weight_words) + target_bits(core) + count_bits(core.shape[2])
        )
    return counters + stages * operation


def _lanes(core: Core) -> int:
    """One group in registers; of several what their memory has read."""
    return core.lanes * core.sum_bits + core.fire_lanes * core.sum_bits


def _banks(core: ConvolutionCore) -> int:
    width = core.lanes_per_group * core.sum_bits
    words = core.banks * width
    if core.bank_depth > 1:
        words += core.banks * (2 * count_bits(core.bank_depth) + 1)
    if core.has_deep_banks:
        # What two operations before this one have written, beside what is stored.
        words += core.banks * (2 * width + 2 * count_bits(core.bank_depth) + 6)
    return words + core.fire_lanes * core.sum_bits


def _fire(core: Core) -> int:
    neuron, lanes = core.neuron, core.fire_lanes
    operation = 4 + count_bits(core.rows) + core.constant
    single = neuron.single_spike and neuron.fire
    kept = neuron.state_bits + neuron.current_bits + single + core.sum_bits * core.constant
    bits = 3 * operation + lanes * 2 * neuron.accumulator_bits
    if neuron.current_decay is not None:
        bits += lanes * 2 * neuron.accumulator_bits
    if core.needs_multiplier:
        widths = (neuron.state_bits, neuron.current_bits)
        for decay, width in zip(core.decays, widths, strict=False):
            bits += lanes * (2 * width + decay.shift)
        bits += 2 * operation + 2 * lanes * single
    bits += lanes * 2 * single
    bits += core.value_sent_bits or lanes + 3
    # One row stands in registers; a memory of look-up tables has one behind it.
    if not has_deep_states(core):
        bits += lanes * kept
    for table in parameter_tables(core):
        bits += _table(table)
    if core.has_biases_beside_states:
        # On their way from where the states are read to where they are written.
        bits += (4 if core.needs_multiplier else 2) * lanes * core.bias_table.bits
    return bits


def parameter_tables(core: Core) -> list[ParameterTable]:
    """The parameters that the fire unit keeps in memories of their own."""
    tables = [] if core.has_biases_beside_states else [core.bias_table]
    if core.neuron.fire:
        tables.append(core.threshold_table)
    if core.needs_multiplier:
        tables += [core.multiplier_table(decay) for decay in core.decays]
    return tables


def _table(table: ParameterTable) -> int:
    """What a table has read; one that can be loaded and has one row stands in registers, twice."""
    depth, lanes = (int(size) for size in table.rows.shape)
    width = lanes * table.bits
    if table.loaded is not None and depth == 1:
        return 2 * width
    if depth == 1 or depth * width > LARGEST_LOGIC_TABLE:
        return 0
    return width


def _encoder(core: Core) -> int:
    """The queue's pointers, the place of the next row, and the word that is sent."""
    if core.value_sent_bits:
        return 2 * (core.value_sent_bits + 8)
    places = vector_places(core)
    base = max(1, count_bits(core.addresses_out.count))
    return 3 * count_bits(places) + 2 * base + count_bits(core.parts) + core.fire_lanes + 6
