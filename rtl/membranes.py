# amaranth: UnusedElaboratable=no
"""The membrane sender: turns the membranes of a scan into events for a readout of membranes."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.events import EventCode, event_stream
from spikeloom.rtl.fire import vector_layout
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.vectors import VectorQueue


class MembraneSender(wiring.Component):
    """Sends the membrane V of each neuron as an event with a value, then the end of the step.

    Of all time steps, or of the last one of each window only.

    Parameters
    ----------
    core : Core
    places : see SpikeEncoder

    Members
    -------
    vector_valid, vector, release : as of SpikeEncoder
    o : Out(stream) of events with values
    """

    def __init__(self, core, places: int):
        self.core = core
        self.queue = VectorQueue(vector_layout(core), places)
        self.address = Signal(range(core.rows))
        self.ending = Signal()
        self.last = Signal()
        super().__init__(
            {
                "vector_valid": In(1),
                "vector": In(vector_layout(core)),
                "release": Out(2),
                "o": Out(event_stream(core.neurons, core.value_sent_bits)),
            }
        )

    def probes(self):
        """Queue of vectors, counter and the events sent."""
        valid = self.o.valid
        return [
            *self.queue.probes(),
            Probe("membranes.address", self.address),
            Probe("membranes.valid", valid),
            Probe("membranes.event", Mux(valid, self.o.payload.as_value(), 0)),
        ]

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = self.queue
        head = queue.head
        sends = queue.valid
        if self.core.sends == "final_membrane":
            sends = sends & head.window_end
        if self.core.rows > self.core.neurons:
            # What fills up the last group is no neuron.
            sends = sends & (self.address < self.core.neurons)
        pop = Signal()
        m.d.comb += [
            queue.vector_valid.eq(self.vector_valid),
            queue.vector.eq(self.vector),
            queue.pop.eq(pop),
            self.release.eq(pop),
            self.o.valid.eq(self.ending | sends),
            self.o.p.end.eq(self.ending),
            self.o.p.last.eq(self.ending & self.last),
            pop.eq(queue.valid & ~self.ending & (self.o.ready | ~sends)),
        ]
        with m.If(~self.ending):
            m.d.comb += [self.o.p.address.eq(self.address), self.o.p.value.eq(head.membrane)]
        with m.If(pop):
            m.d.sync += [
                self.address.eq(Mux(head.scan_end, 0, self.address + 1)),
                self.ending.eq(head.scan_end),
                self.last.eq(head.window_end),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += self.ending.eq(0)
        return m

    def model(self):
        """The cycle model of this sender."""
        return MembraneSenderModel(self.core)


class MembraneSenderModel:
    """Cycle model of MembraneSender."""

    def __init__(self, core):
        self.neurons = core.neurons
        self.bits = core.value_sent_bits
        self.always = core.sends == "maximum_membrane"
        self.code = EventCode(core.neurons, self.bits)
        self.vectors: list[int] = []
        self.address = self.ending = 0

    @property
    def _head_sends(self) -> bool:
        if not self.vectors or self.address >= self.neurons:
            return False
        return self.always or bool(self.vectors[0] >> (self.bits + 1))

    @property
    def valid(self) -> bool:
        """Whether `event` is sent."""
        return bool(self.ending) or self._head_sends

    @property
    def event(self) -> int:
        """The event at the output."""
        if self.ending or not self._head_sends:
            return self.ending
        return self.code.event(self.address, self.vectors[0])

    @property
    def waits(self) -> bool:
        """Whether nothing changes here until the event is taken or a vector comes."""
        return self.valid or not self.vectors

    def drops(self, vector: int | None) -> bool:
        """Whether a vector that comes in this cycle leaves its place at once."""
        return False

    def releases(self, ready: bool) -> bool:
        """Whether a vector leaves the queue in this cycle."""
        return bool(self.vectors) and not self.ending and (ready or not self._head_sends)

    def clock(self, vector: int | None, ready: bool, load: bool) -> None:
        """Go on by one clock edge: the vector taken, if any, and whether one leaves the queue."""
        if load:
            head = self.vectors.pop(0) >> self.bits
            self.address += 1
            if head & 1:
                self.address = 0
                self.ending = self.code.window_end if head >> 1 else self.code.end
        elif ready:
            self.ending = 0
        if vector is not None:
            self.vectors.append(vector)

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return len(self.vectors), self.address, self.valid, self.event
