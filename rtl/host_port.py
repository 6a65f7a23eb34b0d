"""The input side of the host port: checks the words that arrive and makes events of them."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.events import event_layout, event_stream, event_word_bits
from spikeloom.rtl.probe import Probe


class EventInput(wiring.Component):
    """Takes AXI4-Stream words (rtl/events.py) and passes them on as events.

    A word is malformed if its address is not an input's, or if `last` is not set exactly on the
    last end of a step of a sample. A malformed address is taken and dropped, so that it cannot
    reach another neuron's weights; either fault sets `error`, which stays until reset.

    Parameters
    ----------
    inputs : number of inputs
    steps : time steps of a sample

    Members
    -------
    valid, word, last : In, the AXI4-Stream word
    ready : Out(1)
    o : Out(stream) of events
    error : Out(1), a malformed word has arrived since reset
    """

    def __init__(self, inputs: int, steps: int):
        self.inputs = inputs
        self.steps = steps
        self.step = Signal(range(steps))
        super().__init__(
            {
                "valid": In(1),
                "ready": Out(1),
                "word": In(event_word_bits(inputs)),
                "last": In(1),
                "o": Out(event_stream(inputs)),
                "error": Out(1),
            }
        )

    def probes(self):
        """Step counter and error flag."""
        return [Probe("input.step", self.step), Probe("input.error", self.error)]

    def elaborate(self, platform):
        m = Module()
        end = self.word[-1]
        address = self.word[:-1]
        last_step = self.step == self.steps - 1
        legal = end | (address < self.inputs)
        m.d.comb += [
            self.ready.eq(self.o.ready),
            self.o.valid.eq(self.valid & legal),
            self.o.p.address.eq(Mux(end, 0, address)),
            self.o.p.end.eq(end),
        ]
        with m.If(self.valid & self.ready):
            with m.If(~legal | (self.last != (end & last_step))):
                m.d.sync += self.error.eq(1)
            with m.If(end):
                m.d.sync += self.step.eq(Mux(last_step, 0, self.step + 1))
        return m

    def model(self):
        """The cycle model of this input."""
        return EventInputModel(self.inputs, self.steps)


class EventInputModel:
    """Cycle model of EventInput."""

    def __init__(self, inputs: int, steps: int):
        self.inputs = inputs
        self.steps = steps
        self.end_shift = event_word_bits(inputs) - 1
        self.end_event = 1 << (event_layout(inputs).size - 1)
        self.step = 0
        self.steps_done = 0
        self.error = False

    def clock(self, word: int, last: bool) -> int | None:
        """Take a word; gives the event that it becomes, or None if it is dropped."""
        end = word >> self.end_shift
        if bool(last) != bool(end and self.step == self.steps - 1):
            self.error = True
        if end:
            self.step = 0 if self.step == self.steps - 1 else self.step + 1
            self.steps_done += 1
            return self.end_event
        if word >= self.inputs:
            self.error = True
            return None
        return word

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return self.step, self.error
