"""The readout: counts the spikes of each class and sends the result packet."""

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.events import event_layout, event_stream
from spikeloom.rtl.probe import Probe

RESULT_BITS = 16


class State(enum.Enum, shape=2):
    """State of the readout's state machine."""

    CLEAR = 0
    COUNT = 1
    CLASS = 2
    SCORES = 3


def result_layout() -> data.StructLayout:
    """A word of the result packet; `last` marks the last one."""
    return data.StructLayout({"word": unsigned(RESULT_BITS), "last": unsigned(1)})


class SpikeCountReadout(wiring.Component):
    """Counts spikes over the window; the class is the highest count, lowest index first.

    The best class is kept up to date with every event, which is exact because counts only grow, so
    the class is known as soon as the window ends. After reset all counts are cleared first, as a
    reset may cut a sample short. The packet is the class, then the score of each
    class from 0 on.

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
        self.state = Signal(State)
        self.step = Signal(range(steps))
        self.index = Signal(range(classes))
        self.best_class = Signal(range(classes))
        self.best_count = Signal(range(steps + 1))
        super().__init__({"i": In(event_stream(classes)), "o": Out(stream.Signature(result_layout()))})

    def probes(self):
        """State machine, counters, the best class so far and the word sent."""
        return [
            Probe("readout.state", self.state.as_value()),
            Probe("readout.step", self.step),
            Probe("readout.index", self.index),
            Probe("readout.best_class", self.best_class),
            Probe("readout.best_count", self.best_count),
            Probe("readout.valid", self.o.valid),
            Probe("readout.word", self.o.payload.as_value()),
        ]

    def elaborate(self, platform):
        m = Module()
        m.submodules.counts = counts = memory.Memory(
            shape=unsigned(self.best_count.shape().width), depth=self.classes, init=[]
        )
        read, write = counts.read_port(domain="comb"), counts.write_port()
        counted = Signal(range(self.steps + 1))
        last = self.index == self.classes - 1
        m.d.comb += counted.eq(read.data + 1)

        with m.Switch(self.state):
            with m.Case(State.CLEAR):
                m.d.comb += [write.addr.eq(self.index), write.en.eq(1)]
                m.d.sync += self.index.eq(Mux(last, 0, self.index + 1))
                with m.If(last):
                    m.d.sync += self.state.eq(State.COUNT)
            with m.Case(State.COUNT):
                m.d.comb += [
                    self.i.ready.eq(1),
                    read.addr.eq(self.i.p.address),
                    write.addr.eq(self.i.p.address),
                    write.data.eq(counted),
                    write.en.eq(self.i.valid & ~self.i.p.end),
                ]
                tie = (counted == self.best_count) & (self.i.p.address < self.best_class)
                with m.If(write.en & ((counted > self.best_count) | tie)):
                    m.d.sync += [
                        self.best_count.eq(counted),
                        self.best_class.eq(self.i.p.address),
                    ]
                with m.If(self.i.valid & self.i.p.end):
                    m.d.sync += self.step.eq(self.step + 1)
                    with m.If(self.step == self.steps - 1):
                        m.d.sync += [self.step.eq(0), self.state.eq(State.CLASS)]
            with m.Case(State.CLASS):
                m.d.comb += [self.o.valid.eq(1), self.o.p.word.eq(self.best_class)]
                with m.If(self.o.ready):
                    m.d.sync += [
                        self.best_class.eq(0),
                        self.best_count.eq(0),
                        self.state.eq(State.SCORES),
                    ]
            with m.Case(State.SCORES):
                m.d.comb += [
                    read.addr.eq(self.index),
                    self.o.valid.eq(1),
                    self.o.p.word.eq(read.data),
                    self.o.p.last.eq(last),
                    write.addr.eq(self.index),
                    write.en.eq(self.o.ready),
                ]
                with m.If(self.o.ready):
                    m.d.sync += self.index.eq(Mux(last, 0, self.index + 1))
                    with m.If(last):
                        m.d.sync += self.state.eq(State.COUNT)
        return m

    def model(self):
        """The cycle model of this readout."""
        return SpikeCountReadoutModel(self.classes, self.steps)


class SpikeCountReadoutModel:
    """Cycle model of SpikeCountReadout.

    `transitions` holds the pairs of different states that have followed on each other.
    """

    STATES = tuple(State.__members__)

    @property
    def legal_transitions(self) -> set[tuple[str, str]]:
        """All pairs of different states that can follow on each other."""
        return {("CLEAR", "COUNT"), ("COUNT", "CLASS"), ("CLASS", "SCORES"), ("SCORES", "COUNT")}

    def __init__(self, classes: int, steps: int):
        self.classes = classes
        self.steps = steps
        self.end_shift = event_layout(classes).size - 1
        self.counts = [0] * classes
        self.state = State.CLEAR.value
        self.step = self.index = self.best_class = self.best_count = 0
        self.steps_done = 0
        self.transitions: set[tuple[int, int]] = set()

    @property
    def ready(self) -> bool:
        """Whether an event is taken in this cycle."""
        return self.state == 1

    @property
    def valid(self) -> bool:
        """Whether a result word is sent."""
        return self.state >= 2

    @property
    def last(self) -> bool:
        """Whether the word sent ends the packet."""
        return self.state == 3 and self.index == self.classes - 1

    @property
    def word(self) -> int:
        """The result word sent."""
        if self.state == 3:
            return self.counts[self.index]
        return self.best_class if self.state == 2 else 0

    def clock(self, event: int | None, ready: bool) -> None:
        """Go on by one clock edge: the event taken, if any, and whether a word is taken."""
        before = self.state
        if self.state == 1:
            if event is not None:
                self._count(event)
        elif self.state == 2:
            if ready:
                self.best_class = self.best_count = 0
                self.state = 3
        elif self.state == 0 or ready:
            self.counts[self.index] = 0
            self.index += 1
            if self.index == self.classes:
                self.index, self.state = 0, 1
        if self.state != before:
            self.transitions.add((before, self.state))

    def _count(self, event: int) -> None:
        if event >> self.end_shift:
            self.step += 1
            self.steps_done += 1
            if self.step == self.steps:
                self.step, self.state = 0, 2
            return
        self.counts[event] += 1
        if (self.counts[event], -event) > (self.best_count, -self.best_class):
            self.best_count, self.best_class = self.counts[event], event

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return (
            self.state,
            self.step,
            self.index,
            self.best_class,
            self.best_count,
            self.valid,
            self.word | self.last << RESULT_BITS,
        )
