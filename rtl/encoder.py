"""The spike encoder: turns the spikes of a scan into a stream of events."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.events import event_layout, event_stream
from spikeloom.rtl.neurons import spike_vector_layout
from spikeloom.rtl.probe import Probe

# Lanes that are searched for a spike within one cycle. Wider vectors are cut into words of this
# many lanes, and silent words cost no cycle.
WORD = 16


class SpikeEncoder(wiring.Component):
    """Sends the spikes of each group as events, lowest address first, then the end of the step.

    Spike vectors wait in a short queue. Its head gives one word of lanes that holds a spike to the
    word register, which sends one event per clock cycle. A change of words or of vectors costs
    nothing beside the events, as the next word is loaded with the last event of the one before; a
    silent vector costs one cycle.

    Parameters
    ----------
    neurons : number of neurons of the core
    lanes : number of lanes
    depth : number of spike vectors that wait; whoever sends one must know that there is a place

    Members
    -------
    vector_valid : In(1), `vector` is to be taken
    vector : In, spikes of a group, in the order of the groups
    release : Out(1), a place has become free
    o : Out(stream) of events
    """

    def __init__(self, neurons: int, lanes: int, depth: int):
        self.neurons = neurons
        self.lanes = lanes
        self.depth = depth
        vector = spike_vector_layout(lanes)
        self.level = Signal(range(depth + 1))
        self.vectors = Array(Signal(vector, name=f"vector{index}") for index in range(depth))
        self.base = Signal(range(neurons + lanes))
        self.word = Signal(min(WORD, lanes))
        self.word_base = Signal(range(neurons + lanes))
        self.word_end = Signal()
        self.any_spike = Signal()
        self.many_spikes = Signal()
        super().__init__(
            {
                "vector_valid": In(1),
                "vector": In(vector),
                "release": Out(1),
                "o": Out(event_stream(neurons)),
            }
        )

    def probes(self):
        """Queue of vectors, word register and the events sent."""
        return [
            Probe("encoder.level", self.level),
            Probe("encoder.base", self.base),
            Probe("encoder.word", self.word),
            Probe("encoder.word_base", self.word_base),
            Probe("encoder.valid", self.o.valid),
            Probe("encoder.event", self.o.payload.as_value()),
        ]

    def elaborate(self, platform):
        m = Module()
        head = self.vectors[0]
        words = [head.spikes[first : first + WORD] for first in range(0, self.lanes, WORD)]
        load = Signal()
        pop = Signal()

        # the head of the queue: its lowest word with a spike, and what is left
        chosen = Signal(range(len(words)))
        occupied = [word.any() for word in words]
        for index in reversed(range(len(words))):
            with m.If(occupied[index]):
                m.d.comb += chosen.eq(index)
        rest = Signal(self.lanes)
        for index, word in enumerate(words):
            m.d.comb += rest[index * WORD :][: len(word)].eq(Mux(chosen == index, 0, word))
        finished = ~_several(occupied)
        m.d.comb += [pop.eq(load & finished), self.release.eq(pop)]

        # What is left of the word is kept beside it, so that the way from there to `load` is short.
        others = Signal.like(self.word)
        m.d.comb += others.eq(self.word & (self.word - 1))
        with m.If(load):
            m.d.sync += [
                self.word.eq(Array(words)[chosen]),
                self.word_base.eq(self.base + chosen * WORD),
                self.word_end.eq(head.scan_end & finished),
                self.any_spike.eq(Cat(occupied).any()),
                self.many_spikes.eq(Array(_several(word) for word in words)[chosen]),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += [
                self.word.eq(others),
                self.word_end.eq(self.word_end & self.any_spike),
                self.any_spike.eq(self.many_spikes),
                self.many_spikes.eq(_several(others)),
            ]
        last = Mux(self.any_spike, ~self.many_spikes & ~self.word_end, 1)
        m.d.comb += load.eq((self.level != 0) & (~self.o.valid | (self.o.ready & last)))

        with m.If(pop):
            m.d.sync += self.base.eq(Mux(head.scan_end, 0, self.base + self.lanes))

        m.d.sync += self.level.eq(self.level + self.vector_valid - pop)
        for index, vector in enumerate(self.vectors):
            with m.If(self.vector_valid & (self.level == index + pop)):
                m.d.sync += vector.eq(self.vector)
            with m.Elif(pop):
                if index + 1 < self.depth:
                    m.d.sync += vector.eq(self.vectors[index + 1])
            with m.Elif(load):
                if index == 0:
                    m.d.sync += vector.spikes.eq(rest)

        # the event of the lowest spike in the word register
        lowest = Signal(range(len(self.word)))
        for lane in reversed(range(len(self.word))):
            with m.If(self.word[lane]):
                m.d.comb += lowest.eq(lane)
        m.d.comb += [
            self.o.valid.eq(self.any_spike | self.word_end),
            self.o.p.address.eq(Mux(self.any_spike, self.word_base + lowest, 0)),
            self.o.p.end.eq(~self.any_spike & self.word_end),
        ]
        return m

    def model(self):
        """The cycle model of this encoder."""
        return SpikeEncoderModel(self.neurons, self.lanes)


def _several(word):
    """Whether two bits or more are set, as a tree: a carry chain would be slower."""
    counts = [(bit, 0) for bit in word]
    while len(counts) > 1:
        pairs = [counts[index : index + 2] for index in range(0, len(counts), 2)]
        counts = [
            (pair[0][0] | pair[1][0], pair[0][1] | pair[1][1] | (pair[0][0] & pair[1][0]))
            if len(pair) == 2
            else pair[0]
            for pair in pairs
        ]
    return counts[0][1]


class SpikeEncoderModel:
    """Cycle model of SpikeEncoder; spikes are integers with lane 0 lowest."""

    def __init__(self, neurons: int, lanes: int):
        self.lanes = lanes
        self.end = 1 << (event_layout(neurons).size - 1)
        self.vectors: list[tuple[int, int]] = []
        self.base = self.word = self.word_base = self.word_end = 0
        self.vector_bits = (1 << lanes) - 1

    @property
    def valid(self) -> bool:
        """Whether `event` is sent."""
        return bool(self.word or self.word_end)

    @property
    def event(self) -> int:
        """The event at the output."""
        if self.word:
            return self.word_base + (self.word & -self.word).bit_length() - 1
        return self.end if self.word_end else 0

    @property
    def waits(self) -> bool:
        """Whether nothing changes here until the event is taken or a vector comes."""
        return self.valid or not self.vectors

    def loads(self, ready: bool) -> bool:
        """Whether the word register is loaded in this cycle."""
        if not self.vectors:
            return False
        if not self.valid:
            return True
        only_event = not self.word & (self.word - 1) and not self.word_end if self.word else True
        return ready and only_event

    def releases(self, load: bool) -> bool:
        """Whether a spike vector leaves the queue in this cycle."""
        return load and not self._rest()

    def _chosen(self) -> int:
        spikes = self.vectors[0][0]
        return ((spikes & -spikes).bit_length() - 1) // WORD if spikes else 0

    def _rest(self) -> int:
        first = self._chosen() * WORD
        return self.vectors[0][0] & ~(((1 << WORD) - 1) << first)

    def clock(self, vector: tuple[int, int] | None, ready: bool, load: bool) -> None:
        """Go on by one clock edge: the vector taken, if any, as (spikes, scan_end)."""
        if load:
            spikes, scan_end = self.vectors[0]
            chosen, rest = self._chosen(), self._rest()
            self.word = spikes >> (chosen * WORD) & ((1 << WORD) - 1)
            self.word_base = self.base + chosen * WORD
            self.word_end = int(scan_end and not rest)
            if rest:
                self.vectors[0] = rest, scan_end
            else:
                del self.vectors[0]
                self.base = 0 if scan_end else self.base + self.lanes
        elif ready:
            if self.word:
                self.word &= self.word - 1
            else:
                self.word_end = 0
        if vector is not None:
            self.vectors.append(vector)

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return (
            len(self.vectors),
            self.base,
            self.word,
            self.word_base,
            self.valid,
            self.event,
        )
