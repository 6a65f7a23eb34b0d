"""Events and the words that carry them over the accelerator's ports."""

from amaranth import unsigned
from amaranth.lib import data, stream


def event_layout(addresses: int) -> data.StructLayout:
    """An event of a population with that many neurons.

    Either a spike of the neuron with number `address`, or, where `end` is set, the end of the time
    step (then `address` is 0). Spikes of a step may come in any order, each neuron at most once.
    """
    return data.StructLayout({"address": range(max(addresses, 2)), "end": unsigned(1)})


def event_stream(addresses: int) -> stream.Signature:
    """A stream of events of a population with that many neurons."""
    return stream.Signature(event_layout(addresses))


def event_word_bits(addresses: int) -> int:
    """Width of an input word: 16 bits, or 32 for more than 32,768 inputs.

    The highest bit marks the end of a time step, the others are the address of the input.
    """
    return 16 if addresses <= 1 << 15 else 32


def event_word(addresses: int, address: int | None) -> int:
    """The input word of a spike of input number `address`, or of the end of a step (None)."""
    return 1 << (event_word_bits(addresses) - 1) if address is None else address
