"""The input side of the host port: checks the words that arrive and makes events of them."""

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.events_per_cycle import input_addresses
from spikeloom.compiler.sources import value_bits
from spikeloom.rtl.events import EventCode, WordFormat, event_stream
from spikeloom.rtl.lane_words import signed_lanes
from spikeloom.rtl.probe import Probe

# So many samples can be told apart on their way through the accelerator: more than it ever holds.
IN_FLIGHT_BITS = 5


class EventInput(wiring.Component):
    """Takes AXI4-Stream words (rtl/events.py) and passes them on as events.

    A word is malformed if its address is not an input's, if its value is out of the input's range,
    or if `last` is not set exactly on the last end of a step of a sample. A malformed event is
    taken and dropped, so that it cannot reach another neuron's weights nor make a sum wrap around;
    either fault sets `error`, which stays until reset.

    Once the readout has decided the sample that is coming in (`stop`), the window is ended and the
    rest of the sample's words are dropped.

    Parameters
    ----------
    network : a fixed network
    events_per_cycle : neighbouring inputs whose events share a word

    Members
    -------
    valid, word, last : In, the AXI4-Stream word
    ready : Out(1)
    o : Out(stream) of events
    begin : Out(1), the first word of a sample is taken in this cycle
    begin_ready : In(1), a sample may begin
    stop : In(1), the readout has decided sample number `decided` before its window was over
    decided : In(IN_FLIGHT_BITS)
    error : Out(1), a malformed word has arrived since reset
    """

    def __init__(self, network, events_per_cycle: int = 1):
        self.network = network
        self.addresses = input_addresses(network, events_per_cycle)
        self.events_per_cycle = events_per_cycle
        self.value_bits = value_bits(network.events.lowest, network.events.highest)
        self.format = WordFormat(self.addresses.count, self.value_bits, events_per_cycle)
        # The ends of steps that a sample has.
        self.steps = 1 if network.events.constant else network.steps
        self.step = Signal(range(self.steps))
        self.sample = Signal(IN_FLIGHT_BITS)
        self.begun = Signal()
        self.dropping = Signal()
        super().__init__(
            {
                "valid": In(1),
                "ready": Out(1),
                "word": In(self.format.bits),
                "last": In(1),
                "o": Out(event_stream(self.addresses.count, self.value_bits, events_per_cycle)),
                "begin": Out(1),
                "begin_ready": In(1),
                "stop": In(1),
                "decided": In(IN_FLIGHT_BITS),
                "error": Out(1),
            }
        )

    def probes(self):
        """Counters and flags."""
        return [
            Probe("input.step", self.step),
            Probe("input.sample", self.sample),
            Probe("input.begun", self.begun),
            Probe("input.dropping", self.dropping),
            Probe("input.error", self.error),
        ]

    def elaborate(self, platform):
        m = Module()
        end = self.word[-1]
        address = self.word[: self.format.address_bits]
        last_step = self.step == self.steps - 1
        window_end = end & last_step
        legal = end | self._is_legal()
        # The window ends early: with one event in place of those that are dropped from here on.
        ending = self.stop & self.begun & ~self.dropping & (self.decided == self.sample)
        open_ = (self.begun | self.begin_ready) & ~ending
        m.d.comb += [
            self.ready.eq(open_ & (self.dropping | self.o.ready)),
            self.o.valid.eq(ending | (self.valid & legal & open_ & ~self.dropping)),
            self.o.p.address.eq(Mux(end | ending, 0, address)),
            self.o.p.end.eq(end | ending),
            self.o.p.last.eq(window_end | ending),
            self.begin.eq(self.valid & self.ready & ~self.begun),
        ]
        values = self.word[self.format.address_bits : self.format.used]
        if len(values):
            m.d.comb += Value.cast(self.o.p.value).eq(Mux(end | ending, 0, values))
        with m.If(ending & self.o.ready):
            m.d.sync += self.dropping.eq(1)
        with m.If(self.valid & self.ready):
            m.d.sync += self.begun.eq(1)
            with m.If(~legal | (self.last != window_end)):
                m.d.sync += self.error.eq(1)
            with m.If(end):
                m.d.sync += self.step.eq(Mux(last_step, 0, self.step + 1))
            with m.If(window_end):
                m.d.sync += [
                    self.begun.eq(0),
                    self.dropping.eq(0),
                    self.sample.eq(self.sample + 1),
                ]
        return m

    def _is_legal(self):
        """Whether the word names an input, with a value in its range."""
        events, used = self.network.events, self.format.used
        address = self.word[: self.format.address_bits]
        legal = Const(1)
        for field in self.addresses.fields:
            if field.count < 1 << field.width:
                legal &= address[field.start : field.end] < field.count
        if used < self.format.bits - 1:
            legal &= self.word[used:-1] == 0
        if self.value_bits:
            for value in signed_lanes(
                self.word[self.format.address_bits : used], self.events_per_cycle
            ):
                legal &= (value >= events.lowest) & (value <= events.highest)
        return legal

    def model(self):
        """The cycle model of this input."""
        return EventInputModel(self)


class EventInputModel:
    """Cycle model of EventInput.

    Attributes
    ----------
    samples_done : samples of which the last word has been taken since reset
    """

    def __init__(self, port: EventInput):
        self.events, self.addresses = port.network.events, port.addresses
        self.value_bits = port.value_bits
        self.format = port.format
        self.code = EventCode(port.addresses.count, port.value_bits, neurons=port.events_per_cycle)
        self.steps = port.steps
        self.step = self.samples_done = 0
        self.begun = self.dropping = self.error = False

    def ends_early(self, stop: bool, decided: int) -> bool:
        """Whether the end of the window is sent in place of a word."""
        return stop and self.begun and not self.dropping and decided == self.sample

    def ready(self, queue_ready: bool, begin_ready: bool, ends_early: bool) -> bool:
        """Whether a word is taken in this cycle."""
        is_open = (self.begun or begin_ready) and not ends_early
        return is_open and (self.dropping or queue_ready)

    def end_early(self) -> int:
        """Go on by one clock edge, in which the queue takes the end of the window."""
        self.dropping = True
        return self.code.window_end

    def clock(self, word: int, last: bool) -> int | None:
        """Take a word; gives the event that it becomes, or None if it is dropped."""
        end = bool(word & self.format.end)
        window_end = end and self.step == self.steps - 1
        dropping, self.begun = self.dropping, True
        legal = end or self._is_legal(word)
        if not legal or bool(last) != window_end:
            self.error = True
        if end:
            self.step = (self.step + 1) % self.steps
        if window_end:
            self.begun = self.dropping = False
            self.samples_done += 1
        if dropping or not legal:
            return None
        if end:
            return self.code.window_end if window_end else self.code.end
        return word

    def _is_legal(self, word: int) -> bool:
        if word >= self.code.end or not self.addresses.is_neuron(self.code.address(word)):
            return False
        lowest, highest = self.events.lowest, self.events.highest
        return all(lowest <= value <= highest for value in self.code.values(word))

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return self.step, self.sample, self.begun, self.dropping, self.error

    def drained(self, windows_done: int) -> bool:
        """Whether of all samples the readout has seen the last event, of so many since reset."""
        return not self.begun and self.sample == windows_done % (1 << IN_FLIGHT_BITS)

    @property
    def sample(self) -> int:
        """The number of the sample that comes in, as the hardware counts."""
        return self.samples_done % (1 << IN_FLIGHT_BITS)
