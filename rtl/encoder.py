# amaranth: UnusedElaboratable=no
"""The spike encoder: turns the spikes of a scan into a stream of events."""

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.events import EventCode, event_stream
from spikeloom.rtl.fire import vector_layout
from spikeloom.rtl.operations import is_convolution
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.vectors import VectorQueue


class SpikeEncoder(wiring.Component):
    """Sends the spikes of each row as events, lowest address first, then the end of the step.

    Vectors with spikes, and the last one of a scan, wait in a queue, each with the address of its
    first neuron; those without spikes give their place back at once. The head of the queue is
    loaded into the word register, which sends one event per clock cycle: of one neuron, or of a
    block of neighbouring neurons with at least one spike. A change of vectors costs
    nothing beside the events, as the next one is loaded with the last event of the one before.

    Parameters
    ----------
    core : Core
    places : vectors that wait; whoever sends one must know that there is a place

    Members
    -------
    vector_valid : In(1), `vector` is to be taken
    vector : In, spikes of a row, in the order of the rows
    release : Out(2), how many places have become free
    o : Out(stream) of events
    """

    def __init__(self, core, places: int):
        self.core = core
        base_bits = core.addresses_out.fields[-1].end
        placed = data.StructLayout({"vector": vector_layout(core), "base": unsigned(base_bits)})
        self.queue = VectorQueue(placed, places)
        self.part = Signal(range(core.parts))
        # Rows of filling lie behind the last neuron, or channel.
        _, columns, rows = core.addresses_out.fields
        self.channel = Signal(range(core.groups * core.lanes_per_group + 1))
        self.column, self.row = Signal(columns.width), Signal(rows.width)
        self.base = Cat(self.channel, self.column, self.row)
        self.word = Signal(core.fire_lanes)
        self.word_base = Signal(base_bits)
        self.word_end = Signal()
        self.word_last = Signal()
        self.blocks = _blocks(core)
        self.any_spike = Signal()
        self.many_spikes = Signal()
        super().__init__(
            {
                "vector_valid": In(1),
                "vector": In(vector_layout(core)),
                "release": Out(2),
                "o": Out(event_stream(core.event_addresses_out.count, neurons=core.sent_per_cycle)),
            }
        )

    def probes(self):
        """Queue of vectors, word register and the events sent."""
        return [
            *self.queue.probes(),
            Probe("encoder.base", self.base),
            Probe("encoder.word", self.word),
            Probe("encoder.word_base", self.word_base),
            Probe("encoder.valid", self.o.valid),
            Probe("encoder.event", self.o.payload.as_value()),
        ]

    def elaborate(self, platform):
        m = Module()
        core = self.core
        m.submodules.queue = queue = self.queue
        self._count(m)
        load = Signal()
        keep = self.vector.spikes.any() | self.vector.scan_end
        channels = core.addresses_out.fields[0]
        m.d.comb += [
            queue.vector_valid.eq(self.vector_valid & keep),
            queue.vector.vector.eq(self.vector),
            queue.vector.base.eq(Cat(self.channel[: channels.width], self.column, self.row)),
            queue.pop.eq(load),
            self.release.eq(load + (self.vector_valid & ~keep)),
        ]
        head = queue.head.vector

        # Whether the word has a spike, and more than one, is known beside it, so that the way from
        # there to `load` is short.
        any_spike, many_spikes = self.any_spike, self.many_spikes
        others = _without_lowest(self.word, self.blocks)
        with m.If(load):
            m.d.sync += [
                self.word.eq(head.spikes),
                self.word_base.eq(queue.head.base),
                self.word_end.eq(head.scan_end),
                self.word_last.eq(head.window_end),
                any_spike.eq(head.spikes.any()),
                many_spikes.eq(_without_lowest(head.spikes, self.blocks).any()),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += [
                self.word.eq(others),
                self.word_end.eq(self.word_end & any_spike),
                any_spike.eq(many_spikes),
                many_spikes.eq(_without_lowest(others, self.blocks).any()),
            ]
        only_event = Mux(any_spike, ~many_spikes & ~self.word_end, 1)
        m.d.comb += load.eq(queue.valid & (~self.o.valid | (self.o.ready & only_event)))

        together = core.sent_per_cycle
        lowest, spikes = Signal(range(len(self.blocks))), Signal(together)
        for number, block in reversed([*enumerate(self.blocks)]):
            with m.If(self.word[block].any()):
                m.d.comb += [lowest.eq(number), spikes.eq(self.word[block])]
        if together > 1:
            m.d.comb += Value.cast(self.o.p.value).eq(spikes)
        first = self.word_base[together.bit_length() - 1 :]
        ending = ~any_spike & self.word_end
        m.d.comb += [
            self.o.valid.eq(any_spike | self.word_end),
            self.o.p.address.eq(Mux(any_spike, first + lowest, 0)),
            self.o.p.end.eq(ending),
            self.o.p.last.eq(ending & self.word_last),
        ]
        return m

    def _count(self, m):
        """Keep the place of the first neuron of the row that comes next."""
        core = self.core
        last_part = self.part == core.parts - 1
        last_column = self.column == core.addresses_out.fields[1].count - 1
        rest = core.lanes_per_group - (core.parts - 1) * core.fire_lanes
        step = Mux(last_part, rest, core.fire_lanes)
        with m.If(self.vector_valid):
            m.d.sync += [
                self.part.eq(Mux(last_part, 0, self.part + 1)),
                self.channel.eq(Mux(self.vector.scan_end, 0, self.channel + step)),
            ]
            if is_convolution(core):
                # Behind the last channels of one position of the feature maps comes the next.
                with m.If(self.channel == core.channel_starts[-1]):
                    m.d.sync += [
                        self.channel.eq(0),
                        self.column.eq(Mux(last_column, 0, self.column + 1)),
                    ]
                    with m.If(last_column):
                        m.d.sync += self.row.eq(Mux(self.vector.scan_end, 0, self.row + 1))

    def model(self):
        """The cycle model of this encoder."""
        return SpikeEncoderModel(self.core)


def _without_lowest(word, blocks):
    """The word without its lowest block in which a bit is set; a carry chain would be slower."""
    width = blocks[0].stop
    return Cat(word[block] & word[: block.start].any().replicate(width) for block in blocks)


def _blocks(core) -> list[slice]:
    """The lanes of a row whose spikes leave as one event."""
    together = core.sent_per_cycle
    return [slice(first, first + together) for first in range(0, core.fire_lanes, together)]


def _bases(core) -> tuple[list[int], list[int]]:
    """Of each row the counters of channel, column and row, and the address of its first neuron."""
    channels, columns, rows = core.addresses_out.fields
    width = (core.groups * core.lanes_per_group).bit_length()
    mask = (1 << channels.width) - 1
    positions = [
        column | row << columns.width
        for row in range(rows.count)
        for column in range(columns.count)
    ]
    places = [(start, place) for place in positions for start in core.channel_starts]
    return (
        [start | place << width for start, place in places],
        [start & mask | place << channels.width for start, place in places],
    )


class SpikeEncoderModel:
    """Cycle model of SpikeEncoder; spikes are integers with lane 0 lowest."""

    def __init__(self, core):
        self.core = core
        self.together = core.sent_per_cycle
        self.code = EventCode(core.event_addresses_out.count, neurons=self.together)
        # Each with the address of its first neuron.
        self.vectors: list[tuple[int, int]] = []
        self.bases, self.addresses = _bases(core)
        self.row = self.word = self.word_base = 0
        self.ending = 0

    @property
    def valid(self) -> bool:
        """Whether `event` is sent."""
        return bool(self.word or self.ending)

    @property
    def event(self) -> int:
        """The event at the output."""
        if not self.word:
            return self.ending
        first = self._end - self.together
        address = (self.word_base + first) // self.together
        if self.together == 1:
            return address
        return self.code.event(
            address, *(self.word >> lane & 1 for lane in range(first, self._end))
        )

    @property
    def _end(self) -> int:
        """The lane behind the lowest block with spikes; 0 without spikes."""
        lowest = (self.word & -self.word).bit_length() - 1
        return (lowest | (self.together - 1)) + 1

    @property
    def _others(self) -> int:
        """The word without its lowest block with spikes."""
        return self.word >> self._end << self._end

    @property
    def waits(self) -> bool:
        """Whether nothing changes here until the event is taken or a vector comes."""
        return self.valid or not self.vectors

    def drops(self, vector: int | None) -> bool:
        """Whether a vector that comes in this cycle leaves its place at once."""
        return vector is not None and not vector & ((2 << self.core.fire_lanes) - 1)

    def releases(self, ready: bool) -> bool:
        """Whether a vector leaves the queue in this cycle."""
        if not self.vectors:
            return False
        only_event = not (self._others or (self.word and self.ending))
        return not self.valid or (ready and only_event)

    def clock(self, vector: int | None, ready: bool, load: bool) -> None:
        """Go on by one clock edge: the vector taken, if any, and whether one leaves the queue."""
        core = self.core
        if load:
            self.word_base, head = self.vectors.pop(0)
            self.word = head & ((1 << core.fire_lanes) - 1)
            scan_end, window_end = head >> core.fire_lanes & 1, head >> (core.fire_lanes + 1)
            self.ending = (self.code.window_end if window_end else self.code.end) * scan_end
        elif ready:
            if self.word:
                self.word = self._others
            else:
                self.ending = 0
        if vector is not None:
            if not self.drops(vector):
                self.vectors.append((self.addresses[self.row], vector))
            self.row = 0 if vector >> core.fire_lanes & 1 else self.row + 1

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return (
            len(self.vectors),
            self.bases[self.row],
            self.word,
            self.word_base,
            self.valid,
            self.event,
        )
