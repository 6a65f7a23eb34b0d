# amaranth: UnusedElaboratable=no
"""The spike encoder: turns the spikes of a scan into a stream of events."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.events import EventCode, event_stream
from spikeloom.rtl.fire import vector_layout
from spikeloom.rtl.operations import is_convolution
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.vectors import VectorQueue


class SpikeEncoder(wiring.Component):
    """Sends the spikes of each row as events, lowest address first, then the end of the step.

    Vectors wait in a queue. Its head is loaded into the word register, which sends one event per
    clock cycle. A change of vectors costs nothing beside the events, as the next one is loaded with
    the last event of the one before; a silent vector costs one cycle.

    Parameters
    ----------
    core : Core
    places : vectors that wait; whoever sends one must know that there is a place

    Members
    -------
    vector_valid : In(1), `vector` is to be taken
    vector : In, spikes of a row, in the order of the rows
    release : Out(1), a place has become free
    o : Out(stream) of events
    """

    def __init__(self, core, places: int):
        self.core = core
        self.queue = VectorQueue(vector_layout(core), places)
        self.part = Signal(range(core.parts))
        # Rows of filling lie behind the last neuron, or channel.
        _, columns, rows = core.addresses_out.fields
        self.channel = Signal(range(core.groups * core.lanes_per_group + 1))
        self.column, self.row = Signal(columns.width), Signal(rows.width)
        self.base = Cat(self.channel, self.column, self.row)
        self.word = Signal(core.fire_lanes)
        self.word_base = Signal(core.addresses_out.fields[-1].end)
        self.word_end = Signal()
        self.word_last = Signal()
        self.any_spike = Signal()
        self.many_spikes = Signal()
        super().__init__(
            {
                "vector_valid": In(1),
                "vector": In(vector_layout(core)),
                "release": Out(1),
                "o": Out(event_stream(core.addresses_out.count)),
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
        head = queue.head
        load = Signal()
        m.d.comb += [
            queue.vector_valid.eq(self.vector_valid),
            queue.vector.eq(self.vector),
            queue.pop.eq(load),
            self.release.eq(load),
        ]

        # Whether the word has a spike, and more than one, is known beside it, so that the way from
        # there to `load` is short.
        any_spike, many_spikes = self.any_spike, self.many_spikes
        channels = core.addresses_out.fields[0]
        address = Cat(self.channel[: channels.width], self.column, self.row)
        others = _without_lowest(self.word)
        with m.If(load):
            m.d.sync += [
                self.word.eq(head.spikes),
                self.word_base.eq(address),
                self.word_end.eq(head.scan_end),
                self.word_last.eq(head.window_end),
                any_spike.eq(head.spikes.any()),
                many_spikes.eq(_without_lowest(head.spikes).any()),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += [
                self.word.eq(others),
                self.word_end.eq(self.word_end & any_spike),
                any_spike.eq(many_spikes),
                many_spikes.eq(_without_lowest(others).any()),
            ]
        only_event = Mux(any_spike, ~many_spikes & ~self.word_end, 1)
        m.d.comb += load.eq(queue.valid & (~self.o.valid | (self.o.ready & only_event)))

        with m.If(load):
            last_part = self.part == core.parts - 1
            rest = core.lanes_per_group - (core.parts - 1) * core.fire_lanes
            step = Mux(last_part, rest, core.fire_lanes)
            m.d.sync += [
                self.part.eq(Mux(last_part, 0, self.part + 1)),
                self.channel.eq(Mux(head.scan_end, 0, self.channel + step)),
            ]
            if is_convolution(core):
                self._move_on(m, head.scan_end)

        lowest = Signal(range(core.fire_lanes))
        for lane in reversed(range(core.fire_lanes)):
            with m.If(self.word[lane]):
                m.d.comb += lowest.eq(lane)
        ending = ~any_spike & self.word_end
        m.d.comb += [
            self.o.valid.eq(any_spike | self.word_end),
            self.o.p.address.eq(Mux(any_spike, self.word_base + lowest, 0)),
            self.o.p.end.eq(ending),
            self.o.p.last.eq(ending & self.word_last),
        ]
        return m

    def _move_on(self, m, scan_end):
        """Go to the next position of the feature maps behind the last channels of one."""
        core = self.core
        last_column = self.column == core.addresses_out.fields[1].count - 1
        with m.If(self.channel == core.channel_starts[-1]):
            m.d.sync += [
                self.channel.eq(0),
                self.column.eq(Mux(last_column, 0, self.column + 1)),
            ]
            with m.If(last_column):
                m.d.sync += self.row.eq(Mux(scan_end, 0, self.row + 1))

    def model(self):
        """The cycle model of this encoder."""
        return SpikeEncoderModel(self.core)


def _without_lowest(word):
    """The word without its lowest bit that is set; a carry chain would be slower."""
    return Cat(word[lane] & word[:lane].any() for lane in range(len(word)))


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
        self.code = EventCode(core.addresses_out.count)
        self.vectors: list[int] = []
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
        if self.word:
            return self.word_base + (self.word & -self.word).bit_length() - 1
        return self.ending

    @property
    def waits(self) -> bool:
        """Whether nothing changes here until the event is taken or a vector comes."""
        return self.valid or not self.vectors

    def releases(self, ready: bool) -> bool:
        """Whether a vector leaves the queue in this cycle."""
        if not self.vectors:
            return False
        only_event = not (self.word & (self.word - 1) or (self.word and self.ending))
        return not self.valid or (ready and only_event)

    def clock(self, vector: int | None, ready: bool, load: bool) -> None:
        """Go on by one clock edge: the vector taken, if any, and whether one leaves the queue."""
        core = self.core
        if load:
            head = self.vectors.pop(0)
            self.word = head & ((1 << core.fire_lanes) - 1)
            scan_end, window_end = head >> core.fire_lanes & 1, head >> (core.fire_lanes + 1)
            self.word_base = self.addresses[self.row]
            self.ending = (self.code.window_end if window_end else self.code.end) * scan_end
            self.row = 0 if scan_end else self.row + 1
        elif ready:
            if self.word:
                self.word &= self.word - 1
            else:
                self.ending = 0
        if vector is not None:
            self.vectors.append(vector)

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
