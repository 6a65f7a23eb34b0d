"""What stands beside the cores of an accelerator: the input, the readout, an encoder on the chip.

All of it is small, but for the encoder.
"""

from spikeloom.compiler.addresses import Addresses
from spikeloom.compiler.budget import Budget
from spikeloom.compiler.estimate_luts import (
    COUNTER_BIT,
    ENCODER_CONTROL,
    QUEUE_CONTROL,
    SPIKE_SEARCH,
    adder,
    queue_luts,
)
from spikeloom.compiler.estimate_memories import Memory, choice_luts, memory, total
from spikeloom.compiler.estimate_registers import EVENT_FLAGS, number_bits, queue_registers
from spikeloom.compiler.fixed import signed_bits, signed_range
from spikeloom.compiler.ir import Network
from spikeloom.compiler.on_chip import BYTE, REGISTER_BITS, pixel_lanes, pixel_rows
from spikeloom.compiler.readouts import MEMBRANE_READOUTS

# Of the result packet, of the number of a sample, and of that of a sample under way.
RESULT_BITS, SAMPLE_BITS, IN_FLIGHT_BITS = 32, 16, 5
# Samples whose beginnings are kept; states of the readout, one bit each.
STARTS, READOUT_STATES = 16, 6
PIXEL_PLACES = 16
# Measured: control of the input and of the readout.
INPUT_CONTROL, READOUT_CONTROL = 25, 50
# Measured: the port by which weights are loaded, and the loader with its checksum.
WEIGHT_LOADER = Memory(0, 500, 95)


def ports(network: Network, budget: Budget) -> Memory:
    """Input, readout and encoder."""
    parts = [_input(network), *_readout(network, budget), *_stopwatch(budget)]
    if network.has_run_time_weights:
        parts.append(WEIGHT_LOADER)
    if network.on_chip is not None:
        parts += _pixels(network, budget)
    return total(parts)


def _input(network: Network) -> Memory:
    address = number_bits(Addresses(network.input.shape).count)
    steps = number_bits(1 if network.events.constant else network.steps)
    begun, error = 1, 1
    registers = steps + begun + error
    if network.readout.early_stop:
        # Which sample has been decided while it still comes in.
        registers += 2 * IN_FLIGHT_BITS + 1
    return Memory(0, INPUT_CONTROL + address + COUNTER_BIT * steps, registers)


def _readout(network: Network, budget: Budget) -> list[Memory]:
    """The scores of two windows, of which one is counted and one is read."""
    readout, steps = network.readout, number_bits(network.steps)
    last = network.population(readout.population)
    summed = readout.kind == "maximum_membrane"
    entries = last.size if summed else network.classes
    value = _value_bits(network)
    score = _score_bits(network, readout.group)
    entry = _score_bits(network, 1) if summed else score
    worth = value if value else 0 if readout.kind == "spike_count" else score
    address = number_bits(entries)
    queue = number_bits(last.size) + value + EVENT_FLAGS
    counted = steps + worth + 3 * address + 4
    read = address + score + number_bits(network.classes) + 2
    decided = READOUT_STATES + score + number_bits(network.classes) + steps + 1 + SAMPLE_BITS
    registers = queue_registers(queue) + counted + read + decided
    if readout.kind == "first_spike" and readout.group > 1 and not readout.early_stop:
        registers += last.size
    # The word of the packet is one of four.
    luts = queue_luts(queue) + READOUT_CONTROL + choice_luts(4) * score + RESULT_BITS
    luts += 2 * adder(entry) + 2 * adder(score) + adder(SAMPLE_BITS) + COUNTER_BIT * counted
    banks = [memory(entries, entry, budget, "at once")] * 2
    return [Memory(0, luts, registers), *banks]


def _value_bits(network: Network) -> int:
    """Width of the membranes that are read out; 0 for spikes."""
    if network.readout.kind not in MEMBRANE_READOUTS:
        return 0
    neuron = network.population(network.readout.population).neuron
    return int(getattr(neuron, "accumulator_bits", 0))


def _score_bits(network: Network, group: int) -> int:
    value = _value_bits(network)
    if value:
        low, high = signed_range(value)
        return signed_bits(low * group, high * group)
    highest = int(sum(network.readout.weights)) or network.steps
    return (highest * group).bit_length()


def _stopwatch(budget: Budget) -> list[Memory]:
    """The clock, when each sample has begun, and how long the last one took."""
    ends = 2 * STARTS.bit_length()
    luts = 2 * adder(RESULT_BITS) + ends
    starts = memory(STARTS, RESULT_BITS, budget, "next")
    return [Memory(0, luts, 2 * RESULT_BITS + ends), starts]


def _pixels(network: Network, budget: Budget) -> list[Memory]:
    """The encoder on the chip: one memory of pixels is filled while another one is scanned."""
    encoder = network.on_chip
    assert encoder is not None
    addresses = Addresses(network.input.shape)
    lanes, rows = pixel_lanes(addresses), pixel_rows(addresses)
    steps, row, address = number_bits(network.steps), number_bits(rows), addresses.count
    base = number_bits(address)
    # Each code is written by itself.
    stores = [memory(rows, lanes * encoder.code_bits, budget, "next")] * 2
    flags, looking = 8, 5
    registers = row + 2 * steps + PIXEL_PLACES.bit_length() + flags + looking + IN_FLIGHT_BITS
    sent = PIXEL_PLACES.bit_length() + 2 * number_bits(PIXEL_PLACES) + base + 1
    registers += sent + lanes + base + 4
    luts = choice_luts(2) * lanes * encoder.code_bits + COUNTER_BIT * (2 * row + 2 * steps)
    luts += ENCODER_CONTROL + SPIKE_SEARCH * lanes + 3 * QUEUE_CONTROL + 2 * adder(base)
    queue = memory(PIXEL_PLACES, lanes + EVENT_FLAGS + base, budget, "at once")
    if encoder.kind == "bernoulli":
        registers += lanes * REGISTER_BITS
        luts += lanes * (REGISTER_BITS + BYTE + adder(BYTE))
    else:
        luts += lanes * encoder.code_bits / 2
        stores.append(memory(1 << BYTE, encoder.code_bits, budget, "at once", "read"))
    return [Memory(0, luts, registers), queue, *stores]
