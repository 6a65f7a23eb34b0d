"""The readout: counts the spikes of each class and sends the result packet."""

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.events import event_layout, event_stream
from spikeloom.rtl.probe import Probe

RESULT_BITS = 16


class State(enum.Enum, shape=2):
    """State of the readout's state machine, which sends the packet."""

    IDLE = 0
    CLASS = 1
    SCORES = 2


# Plain integers: the model compares them in every cycle.
IDLE, CLASS, SCORES = (state.value for state in State)


def result_layout() -> data.StructLayout:
    """A word of the result packet; `last` marks the last one."""
    return data.StructLayout({"word": unsigned(RESULT_BITS), "last": unsigned(1)})


class SpikeCountReadout(wiring.Component):
    """Counts spikes over the window; the class is the highest count, lowest index first.

    The best class is kept up to date with every event, which is exact because counts only grow, so
    the class is known as soon as the window ends. The packet is the class, then the score of each
    class from 0 on.

    There are two banks of counts: one is sent while the next window is counted in the other. Only
    the end of a window waits, while the packet of the window before is still being sent. A bit per
    class says whether its count is of this window, so that no bank has ever to be cleared.

    Parameters
    ----------
    classes : number of classes
    steps : time steps of the window, at most 65535

    Members
    -------
    i : In(stream) of events
    o : Out(stream) of result words
    """

    def __init__(self, classes: int, steps: int):
        assert steps < 1 << RESULT_BITS and classes <= 1 << RESULT_BITS
        self.classes = classes
        self.steps = steps
        self.step = Signal(range(steps))
        self.bank = Signal()
        self.counted = Signal(classes)
        self.best_class = Signal(range(classes))
        self.best_count = Signal(range(steps + 1))
        self.state = Signal(State)
        self.index = Signal(range(classes))
        self.sent_counted = Signal(classes)
        self.sent_class = Signal(range(classes))
        super().__init__(
            {"i": In(event_stream(classes)), "o": Out(stream.Signature(result_layout()))}
        )

    def probes(self):
        """Counters, the best class so far, the state machine and the word sent."""
        return [
            Probe("readout.step", self.step),
            Probe("readout.bank", self.bank),
            Probe("readout.counted", self.counted),
            Probe("readout.best_class", self.best_class),
            Probe("readout.best_count", self.best_count),
            Probe("readout.state", self.state.as_value()),
            Probe("readout.index", self.index),
            Probe("readout.valid", self.o.valid),
            Probe("readout.word", self.o.payload.as_value()),
        ]

    def elaborate(self, platform):
        m = Module()
        address_bits = (self.classes - 1).bit_length()
        m.submodules.counts = counts = memory.Memory(
            shape=unsigned(len(self.best_count)), depth=2 << address_bits, init=[]
        )
        self._count(m, counts)
        self._send(m, counts.read_port(domain="comb"))
        return m

    def _count(self, m, counts):
        """Count events; at the end of a window hand over to the state machine that sends."""
        read, write = counts.read_port(domain="comb"), counts.write_port()
        event = self.i.p
        address = Cat(event.address[: len(read.addr) - 1], self.bank)
        before = Mux(self.counted.bit_select(event.address, 1), read.data, 0)
        count = Signal.like(self.best_count)
        last_step = self.step == self.steps - 1
        window_end = self.i.valid & event.end & last_step
        spike = self.i.valid & ~event.end
        m.d.comb += [
            self.i.ready.eq(~window_end | (self.state == State.IDLE)),
            read.addr.eq(address),
            count.eq(before + 1),
            write.addr.eq(address),
            write.data.eq(count),
            write.en.eq(spike),
        ]
        tie = (count == self.best_count) & (event.address < self.best_class)
        with m.If(spike):
            m.d.sync += self.counted.bit_select(event.address, 1).eq(1)
            with m.If((count > self.best_count) | tie):
                m.d.sync += [self.best_count.eq(count), self.best_class.eq(event.address)]
        with m.If(self.i.valid & event.end & self.i.ready):
            m.d.sync += self.step.eq(Mux(last_step, 0, self.step + 1))
        with m.If(window_end & self.i.ready):
            m.d.sync += [
                self.bank.eq(~self.bank),
                self.sent_counted.eq(self.counted),
                self.sent_class.eq(self.best_class),
                self.counted.eq(0),
                self.best_class.eq(0),
                self.best_count.eq(0),
                self.state.eq(State.CLASS),
            ]

    def _send(self, m, read):
        """Send the packet of the window before."""
        last = self.index == self.classes - 1
        m.d.comb += read.addr.eq(Cat(self.index, ~self.bank))
        with m.Switch(self.state):
            with m.Case(State.CLASS):
                m.d.comb += [self.o.valid.eq(1), self.o.p.word.eq(self.sent_class)]
                with m.If(self.o.ready):
                    m.d.sync += self.state.eq(State.SCORES)
            with m.Case(State.SCORES):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.p.word.eq(
                        Mux(self.sent_counted.bit_select(self.index, 1), read.data, 0)
                    ),
                    self.o.p.last.eq(last),
                ]
                with m.If(self.o.ready):
                    m.d.sync += self.index.eq(Mux(last, 0, self.index + 1))
                    with m.If(last):
                        m.d.sync += self.state.eq(State.IDLE)

    def model(self):
        """The cycle model of this readout."""
        return SpikeCountReadoutModel(self.classes, self.steps)


class SpikeCountReadoutModel:
    """Cycle model of SpikeCountReadout.

    Attributes
    ----------
    steps_done : time steps that have ended since reset
    transitions : pairs of different states that have followed on each other
    """

    STATES = tuple(State.__members__)

    def __init__(self, classes: int, steps: int):
        self.classes = classes
        self.steps = steps
        self.end_shift = event_layout(classes).size - 1
        self.counts = [0] * classes
        self.counted = 0
        self.step = self.bank = self.best_class = self.best_count = 0
        self.state = self.index = self.sent_class = 0
        self.sent_counts = [0] * classes
        self.steps_done = 0
        self.transitions: set[tuple[int, int]] = set()

    @property
    def legal_transitions(self) -> set[tuple[str, str]]:
        """All pairs of different states that can follow on each other."""
        return {("IDLE", "CLASS"), ("CLASS", "SCORES"), ("SCORES", "IDLE")}

    def ready(self, event: int) -> bool:
        """Whether the event, at the head of the queue, is taken in this cycle."""
        window_end = event >> self.end_shift and self.step == self.steps - 1
        return self.state == IDLE or not window_end

    @property
    def valid(self) -> bool:
        """Whether a result word is sent."""
        return self.state != IDLE

    @property
    def last(self) -> bool:
        """Whether the word sent ends the packet."""
        return self.state == SCORES and self.index == self.classes - 1

    @property
    def word(self) -> int:
        """The result word sent."""
        if self.state == SCORES:
            return self.sent_counts[self.index]
        return self.sent_class if self.state == CLASS else 0

    def clock(self, event: int | None, ready: bool) -> None:
        """Go on by one clock edge: the event taken, if any, and whether a word is taken."""
        before = self.state
        if self.state == CLASS and ready:
            self.state = SCORES
        elif self.state == SCORES and ready:
            self.index += 1
            if self.index == self.classes:
                self.index, self.state = 0, IDLE
        if event is not None:
            self._count(event)
        if self.state != before:
            self.transitions.add((before, self.state))

    def _count(self, event: int) -> None:
        if not event >> self.end_shift:
            self.counts[event] += 1
            self.counted |= 1 << event
            if (self.counts[event], -event) > (self.best_count, -self.best_class):
                self.best_count, self.best_class = self.counts[event], event
            return
        self.step += 1
        self.steps_done += 1
        if self.step == self.steps:
            self.sent_counts, self.sent_class = self.counts, self.best_class
            self.counts = [0] * self.classes
            self.step = self.counted = self.best_class = self.best_count = 0
            self.bank ^= 1
            self.state = CLASS

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return (
            self.step,
            self.bank,
            self.counted,
            self.best_class,
            self.best_count,
            self.state,
            self.index,
            self.valid,
            self.word | self.last << RESULT_BITS,
        )
