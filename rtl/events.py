"""Events and the words that carry them over the accelerator's ports."""

from amaranth import signed, unsigned
from amaranth.lib import data, stream


def event_layout(addresses: int, value_bits: int = 0) -> data.StructLayout:
    """An event of a population with that many neurons.

    Either an event of the neuron with number `address`, with its `value` where `value_bits` is not
    0, or, where `end` is set, the end of the time step (then both are 0). `last` is set together
    with `end` at the end of a window. Events of a step may come in any order, each neuron at most
    once.
    """
    value = {"value": signed(value_bits)} if value_bits else {}
    return data.StructLayout(
        {"address": range(max(addresses, 2)), **value, "end": unsigned(1), "last": unsigned(1)}
    )


def event_stream(addresses: int, value_bits: int = 0) -> stream.Signature:
    """A stream of events of a population with that many neurons."""
    return stream.Signature(event_layout(addresses, value_bits))


def event_word_bits(addresses: int) -> int:
    """Width of an input word: 16 bits, or 32 for more than 32,768 inputs.

    The highest bit marks the end of a time step, the others are the address of the input.
    """
    return 16 if addresses <= 1 << 15 else 32


def event_word(addresses: int, address: int | None) -> int:
    """The input word of a spike of input number `address`, or of the end of a step (None)."""
    return 1 << (event_word_bits(addresses) - 1) if address is None else address
