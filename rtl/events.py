"""Events and the words that carry them over the accelerator's ports."""

from amaranth import signed, unsigned
from amaranth.lib import data, stream


def event_layout(addresses: int, value_bits: int = 0, sources: int = 1) -> data.StructLayout:
    """An event of a population with that many neurons.

    Either an event of the neuron with number `address`, or, where `end` is set, the end of the time
    step (then `address` and `value` are 0); `last` is set at the end of a window, only together
    with `end`. Events of a step may come in any order, each neuron at most once. Where events of
    several populations have met, `source` is the number of the one that sent it.

    Parameters
    ----------
    value_bits : width of an event's signed value; 0 for spikes, which have none
    sources : populations that send
    """
    members = {"address": range(max(addresses, 2))}
    if value_bits:
        members["value"] = signed(value_bits)
    if sources > 1:
        members["source"] = range(sources)
    return data.StructLayout(members | {"end": unsigned(1), "last": unsigned(1)})


def joined_layout(core) -> data.StructLayout:
    """An event as the synapse engine of a core takes it."""
    return event_layout(core.addresses_joined, core.value_bits, len(core.sources))


def source_layout(source) -> data.StructLayout:
    """An event as a source of a core sends it."""
    return event_layout(source.addresses.count, source.value_bits)


def event_stream(addresses: int, value_bits: int = 0) -> stream.Signature:
    """A stream of events of a population with that many neurons."""
    return stream.Signature(event_layout(addresses, value_bits))


class EventCode:
    """Events of an `event_layout` as integers, for the cycle models.

    Attributes
    ----------
    end, window_end : the events that end a time step, and a window
    """

    def __init__(self, addresses: int, value_bits: int = 0, sources: int = 1):
        self.value_bits = value_bits
        self.address_bits = (max(addresses, 2) - 1).bit_length()
        self.source_start = self.address_bits + value_bits
        self.source_bits = (sources - 1).bit_length()
        self.end = 1 << (self.source_start + self.source_bits)
        self.window_end = 3 * self.end

    @classmethod
    def joined(cls, core) -> "EventCode":
        """Of events as the synapse engine of a core takes them."""
        return cls(core.addresses_joined, core.value_bits, len(core.sources))

    @classmethod
    def of_source(cls, source) -> "EventCode":
        """Of events as a source of a core sends them."""
        return cls(source.addresses.count, source.value_bits)

    def event(self, address: int, value: int = 0, source: int = 0) -> int:
        """The event of a neuron."""
        value &= (1 << self.value_bits) - 1
        return address | value << self.address_bits | source << self.source_start

    def address(self, event: int) -> int:
        """The neuron of an event."""
        return event & ((1 << self.address_bits) - 1)

    def source(self, event: int) -> int:
        """The number of the population that sent an event."""
        return event >> self.source_start & ((1 << self.source_bits) - 1)

    def value(self, event: int) -> int:
        """The value of an event, 1 for a spike."""
        if not self.value_bits:
            return 1
        value = event >> self.address_bits & ((1 << self.value_bits) - 1)
        return value - (value >> (self.value_bits - 1) << self.value_bits)


class WordFormat:
    """The words that carry events over the accelerator's input.

    Lowest the address, then the value if events have one; the highest bit of the word marks the end
    of a time step, and then the others are ignored. 16 bits if that is enough, else 32.
    """

    def __init__(self, addresses: int, value_bits: int = 0):
        code = EventCode(addresses, value_bits)
        self.address_bits, self.value_bits = code.address_bits, value_bits
        used = self.address_bits + value_bits + 1
        assert used <= 32, "the compiler lets no wider events pass"
        self.bits = 16 if used <= 16 else 32
        self.end = 1 << (self.bits - 1)
        self._code = code

    def word(self, address: int, value: int = 1) -> int:
        """The word of an event."""
        return self._code.event(address, value)
