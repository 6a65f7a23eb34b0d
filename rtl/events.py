"""Events and the words that carry them over the accelerator's ports."""

from amaranth import signed, unsigned
from amaranth.lib import data, stream

from spikeloom.compiler.sources import values_bits
from spikeloom.rtl.lane_words import lane_word


def event_layout(
    addresses: int, value_bits: int = 0, sources: int = 1, neurons: int = 1
) -> data.StructLayout:
    """An event of a population with that many addresses.

    Either an event of the neuron with number `address`, or, where `end` is set, the end of the time
    step (then `address` and `value` are 0); `last` is set at the end of a window, only together
    with `end`. Events of a step may come in any order, each neuron at most once. Where events of
    several populations have met, `source` is the number of the one that sent it.

    Neighbouring neurons may share an address. Then `value` has one for each of them, of spikes a
    bit: 1 for those that fired.

    Parameters
    ----------
    value_bits : width of an event's signed value; 0 for spikes, which have none
    sources : populations that send
    neurons : that share an address
    """
    members = {"address": range(max(addresses, 2))}
    if neurons > 1:
        each = signed(value_bits) if value_bits else unsigned(1)
        members["value"] = data.ArrayLayout(each, neurons)
    elif value_bits:
        members["value"] = signed(value_bits)
    if sources > 1:
        members["source"] = range(sources)
    return data.StructLayout(members | {"end": unsigned(1), "last": unsigned(1)})


def joined_layout(core) -> data.StructLayout:
    """An event as the synapse engine of a core takes it."""
    return event_layout(
        core.addresses_joined, core.value_bits, len(core.sources), core.events_per_cycle
    )


def source_layout(source) -> data.StructLayout:
    """An event as a source of a core sends it."""
    return event_layout(source.addresses.count, source.value_bits, neurons=source.events_per_cycle)


def event_stream(addresses: int, value_bits: int = 0, neurons: int = 1) -> stream.Signature:
    """A stream of events of a population; see `event_layout`."""
    return stream.Signature(event_layout(addresses, value_bits, neurons=neurons))


class EventCode:
    """Events of an `event_layout` as integers, for the cycle models.

    Attributes
    ----------
    end, window_end : the events that end a time step, and a window
    """

    def __init__(self, addresses: int, value_bits: int = 0, sources: int = 1, neurons: int = 1):
        self.value_bits = value_bits
        self.neurons = neurons
        self.address_bits = (max(addresses, 2) - 1).bit_length()
        bits = values_bits(value_bits, neurons)
        self.each_bits = bits // neurons
        self.source_start = self.address_bits + bits
        self.source_bits = (sources - 1).bit_length()
        self.end = 1 << (self.source_start + self.source_bits)
        self.window_end = 3 * self.end

    @classmethod
    def joined(cls, core) -> "EventCode":
        """Of events as the synapse engine of a core takes them."""
        sources, neurons = len(core.sources), core.events_per_cycle
        return cls(core.addresses_joined, core.value_bits, sources, neurons)

    @classmethod
    def of_source(cls, source) -> "EventCode":
        """Of events as a source of a core sends them."""
        return cls(source.addresses.count, source.value_bits, neurons=source.events_per_cycle)

    def event(self, address: int, *values: int, source: int = 0) -> int:
        """The event of an address, with the values of the first of its neurons."""
        packed = lane_word(values, self.each_bits) if self.each_bits else 0
        return address | packed << self.address_bits | source << self.source_start

    def address(self, event: int) -> int:
        """The address of an event."""
        return event & ((1 << self.address_bits) - 1)

    def source(self, event: int) -> int:
        """The number of the population that sent an event."""
        return event >> self.source_start & ((1 << self.source_bits) - 1)

    def value(self, event: int) -> int:
        """The value of an event of one neuron, 1 for a spike."""
        return self.values(event)[0]

    def values(self, event: int) -> tuple[int, ...]:
        """The values of the neurons that share the address of an event; of spikes 0 and 1."""
        if not self.each_bits:
            return (1,)
        mask = (1 << self.each_bits) - 1
        starts = range(self.address_bits, self.source_start, self.each_bits)
        values = (event >> start & mask for start in starts)
        if not self.value_bits:
            return tuple(values)
        sign = 1 << (self.value_bits - 1)
        return tuple((value ^ sign) - sign for value in values)


class WordFormat:
    """The words that carry events over the accelerator's input.

    Lowest the address, then the values if events have some; the highest bit of the word marks the
    end of a time step, and then the others are ignored. 16 bits if that is enough, else 32.
    """

    def __init__(self, addresses: int, value_bits: int = 0, neurons: int = 1):
        code = EventCode(addresses, value_bits, neurons=neurons)
        self.address_bits, self.value_bits = code.address_bits, code.each_bits
        self.used = code.source_start
        assert self.used < 32, "the compiler lets no wider events pass"
        self.bits = 16 if self.used < 16 else 32
        self.end = 1 << (self.bits - 1)
        self._code = code

    def word(self, address: int, *values: int) -> int:
        """The word of an event."""
        return self._code.event(address, *values)
