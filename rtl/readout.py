# amaranth: UnusedElaboratable=no
"""The readout: scores the classes over a window, finds the best and sends the result packet."""

from itertools import pairwise

from amaranth import Cat, Const, Module, Signal, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.ir import ReadoutKind
from spikeloom.rtl.events import event_stream
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.scores import ScoreBanks
from spikeloom.rtl.scoring import SCORE_BITS, Scoring
from spikeloom.rtl.stopwatch import Stopwatch

RESULT_BITS = SCORE_BITS
CLASS_BITS = 16
SAMPLE_BITS = RESULT_BITS - CLASS_BITS
# Words of a packet before the scores.
HEADER_WORDS = 3


class State(enum.Enum, shape=6):
    """State of the readout's state machine, which finds the class and sends the packet.

    One bit per state: the words of the packet are then chosen with one LUT per bit.
    """

    IDLE = 1
    SCAN = 2
    CLASS = 4
    STEPS = 8
    CYCLES = 16
    SCORES = 32


# Plain integers: the model compares them in every cycle. Its states are numbers of bits.
IDLE, SCAN, CLASS, STEPS, CYCLES, SCORES = range(len(State))


def result_layout() -> data.StructLayout:
    """A word of the result packet; `last` marks the last one.

    | word | |
    | --- | --- |
    | 0 | the class in bits 0 .. 15, the number of the sample since reset in bits 16 .. 31 |
    | 1 | the time steps that decided the class |
    | 2 | the clock cycles from `begin` to the decision |
    | 3 .. | the score of each class from 0 on, two's complement |
    """
    return data.StructLayout({"word": unsigned(RESULT_BITS), "last": unsigned(1)})


class Readout(wiring.Component):
    """Scores the classes over a window; the class is the highest score, lowest index first.

    A window is decided when its `last` event is taken or, with an early stop, at the end of the
    first step with a spike, if that comes before; everything behind it up to `last` is then
    dropped. Scores are kept twice (rtl/scores.py): those of one window are scanned for the class
    and sent while the next window is counted. Only what decides a window waits, while the packet of
    the window before is still being sent. The first word is there classes + 2 cycles after the
    cycle in which the window was decided, and the next window may be decided as soon as the last
    word has been taken.

    Parameters
    ----------
    kind : ReadoutKind
    neurons : number of neurons that send events
    steps : time steps of a whole window; none is longer
    group : neurons per class
    weights : what a spike at each step counts, 0 .. 255; for weighted_spike_count
    value_bits : width of the membranes in the events, for readouts of membranes. Each neuron sends
        its membrane once in every step for maximum_membrane, once in the last step of a window for
        final_membrane
    early_stop : whether the first step with a spike decides; for first_spike

    Members
    -------
    i : In(stream) of events. `i.ready` depends on registers and on `i.payload`
    begin : In(1), a sample begins in this cycle; only with `begin_ready`, and at least two cycles
        before its window is decided
    begin_ready : Out(1), a sample may begin
    stop : Out(1), the present window is decided, but its `last` has not been taken yet: high from
        the cycle after the decision to the one in which `last` is taken
    o : Out(stream) of result words
    """

    def __init__(
        self,
        kind: ReadoutKind,
        neurons: int,
        steps: int,
        *,
        group: int = 1,
        weights: tuple[int, ...] = (),
        value_bits: int = 0,
        early_stop: bool = False,
    ):
        self.scoring = Scoring(kind, neurons, steps, group, weights, value_bits, early_stop)
        assert self.scoring.classes <= 1 << CLASS_BITS, "the class does not fit into its word"
        self.banks = ScoreBanks(self.scoring)
        self.stopwatch = Stopwatch()
        self.state = Signal(State, init=State.IDLE)
        lowest = self.scoring.score_range[0]
        self.best_score = Signal(self.banks.score.shape(), init=lowest)
        self.best_class = Signal(range(self.scoring.classes))
        self.steps_used = Signal.like(self.banks.steps_used)
        self.sample = Signal(SAMPLE_BITS)
        super().__init__(
            {
                "i": In(event_stream(neurons, value_bits)),
                "begin": In(1),
                "begin_ready": Out(1),
                "stop": Out(1),
                "o": Out(stream.Signature(result_layout())),
            }
        )

    def probes(self):
        """The scores, the stopwatch, the state machine and the word sent."""
        return [
            *self.banks.probes(),
            *self.stopwatch.probes(),
            Probe("readout.state", self.state.as_value()),
            Probe("readout.best_class", self.best_class),
            Probe("readout.best_score", self.best_score),
            Probe("readout.steps_used", self.steps_used),
            Probe("readout.sample", self.sample),
            Probe("readout.valid", self.o.valid),
            Probe("readout.word", self.o.payload.as_value()),
        ]

    def elaborate(self, platform):
        m = Module()
        m.submodules.banks = banks = self.banks
        m.submodules.stopwatch = stopwatch = self.stopwatch
        wiring.connect(m, wiring.flipped(self.i), banks.i)
        m.d.comb += [
            banks.held.eq(~self._is(State.IDLE)),
            self.stop.eq(banks.stop),
            stopwatch.begin.eq(self.begin),
            stopwatch.decided.eq(banks.decided),
            self.begin_ready.eq(stopwatch.begin_ready),
        ]
        with m.If(banks.decided):
            m.d.sync += [
                self.state.eq(State.SCAN),
                self.steps_used.eq(banks.steps_used),
                self.best_class.eq(0),
                self.best_score.eq(self.best_score.init),
            ]
        last = banks.valid & (banks.position == self.scoring.classes - 1)
        self._scan(m, last)
        self._send(m, last)
        m.d.comb += [
            banks.next.eq(
                (self._is(State.SCAN) & ~last)
                | (self._is(State.CYCLES) & self.o.ready)
                | (self._is(State.SCORES) & self.o.ready & ~last)
            ),
            banks.erase.eq(~self._is(State.SCAN)),
        ]
        return m

    def _is(self, state):
        return self.state.as_value()[state.value.bit_length() - 1]

    def _scan(self, m, last):
        """Find the class, one score per cycle."""
        banks = self.banks
        better = banks.valid & (banks.score > self.best_score)
        with m.If(self._is(State.SCAN)):
            with m.If(better):
                m.d.sync += [self.best_class.eq(banks.position), self.best_score.eq(banks.score)]
            with m.If(last):
                m.d.sync += self.state.eq(State.CLASS)

    def _send(self, m, last):
        """Send the packet."""
        # A score that is a sum of several entries takes its time, any other is always there.
        available = self.banks.valid if self.scoring.members > 1 else 1
        words = {
            State.CLASS: (Cat(_word(self.best_class)[:CLASS_BITS], self.sample), 1),
            State.STEPS: (self.steps_used, 1),
            State.CYCLES: (self.stopwatch.cycles, 1),
            State.SCORES: (self.banks.score, available),
        }
        word, valid = Const(0), Const(0)
        for state, (content, there) in words.items():
            chosen = self._is(state) & there
            word |= _word(content) & chosen.replicate(RESULT_BITS)
            valid |= chosen
        m.d.comb += [
            self.o.valid.eq(valid),
            self.o.p.word.eq(word),
            self.o.p.last.eq(self._is(State.SCORES) & last),
        ]
        with m.If(valid & self.o.ready):
            for state, following in pairwise(words):
                with m.If(self._is(state)):
                    m.d.sync += self.state.eq(following)
            with m.If(self._is(State.SCORES) & last):
                m.d.sync += self.state.eq(State.IDLE)
            with m.If(self._is(State.CLASS)):
                m.d.sync += self.sample.eq(self.sample + 1)

    def model(self):
        """The cycle model of this readout."""
        return ReadoutModel(self)


def _word(value):
    """The value with as many bits as a word, sign-extended if it is signed."""
    shape = value.shape()
    fill = value[-1] if shape.signed else Const(0)
    return Cat(value, fill.replicate(RESULT_BITS - shape.width))


class ReadoutModel:
    """Cycle model of Readout; events are integers as in `event_layout`.

    Attributes
    ----------
    transitions : pairs of different states that have followed on each other
    """

    STATES = tuple(State.__members__)

    def __init__(self, readout: Readout):
        self.steps = readout.scoring.steps
        self.classes = readout.scoring.classes
        self.banks = readout.banks.model()
        self.stopwatch = readout.stopwatch.model()
        self.score_mask = self.banks.score_mask
        self.lowest = readout.scoring.score_range[0]
        self.best_score, self.best_class = self.lowest, 0
        self.state = IDLE
        self.steps_used = self.sample = 0
        self.transitions: set[tuple[int, int]] = set()

    @property
    def legal_transitions(self) -> set[tuple[str, str]]:
        """All pairs of different states that can follow on each other."""
        return set(zip(self.STATES, (*self.STATES[1:], self.STATES[0]), strict=True))

    def ready(self, event: int) -> bool:
        """Whether the event, at the head of the queue, is taken in this cycle."""
        return self.banks.ready(event, self.state != IDLE)

    @property
    def begin_ready(self) -> bool:
        """Whether a sample may begin."""
        return self.stopwatch.begin_ready

    @property
    def stop(self) -> bool:
        """Whether the present window is decided, but has not ended."""
        return self.banks.stop

    @property
    def valid(self) -> bool:
        """Whether a result word is sent."""
        return self.state >= CLASS and (self.state != SCORES or self.banks.valid)

    @property
    def last(self) -> bool:
        """Whether the word sent ends the packet."""
        return self.state == SCORES and self._at_last

    @property
    def _at_last(self) -> bool:
        return self.banks.valid and self.banks.position == self.classes - 1

    @property
    def word(self) -> int:
        """The result word sent."""
        if self.state == SCORES and self.banks.valid:
            return self.banks.scores[self.banks.position] % (1 << RESULT_BITS)
        header = {
            CLASS: self.sample << CLASS_BITS | self.best_class,
            STEPS: self.steps_used,
            CYCLES: self.stopwatch.cycles,
        }
        return header.get(self.state, 0)

    @property
    def progress(self) -> tuple[int, int]:
        """Sample and time step that is being scored."""
        return self.banks.windows_done, self.banks.step

    @property
    def steps_done(self) -> int:
        """Time steps that have ended since reset, those that were dropped included."""
        return self.banks.steps_done

    @property
    def windows_done(self) -> int:
        """Windows whose `last` has been taken since reset."""
        return self.banks.windows_done

    def clock(self, event: int | None, ready: bool, begin: bool) -> None:
        """Go on by one clock edge.

        Parameters
        ----------
        event : the event taken, if any
        ready : whether whoever takes the results is ready for a word
        begin : whether a sample begins
        """
        before = self.state
        following = ready if before in (CYCLES, SCORES) else before == SCAN
        if before in (SCAN, SCORES) and self._at_last:
            following = False
        decided = event is not None and self.banks.decides(event)
        if decided:
            assert before == IDLE, "decided before the packet was sent"
            self.state, self.steps_used = SCAN, self.banks.step + 1
            self.best_score, self.best_class = self.lowest, 0
        elif before == SCAN:
            self._scan()
        elif ready and self.valid:
            if before == CLASS:
                self.sample = (self.sample + 1) % (1 << SAMPLE_BITS)
            if before != SCORES:
                self.state += 1
            elif self._at_last:
                self.state = IDLE
        self.banks.clock(event, following)
        self.stopwatch.clock(begin, decided)
        if self.state != before:
            self.transitions.add((before, self.state))

    def _scan(self) -> None:
        if not self.banks.valid:
            return
        score, position = self.banks.scores[self.banks.position], self.banks.position
        if score > self.best_score:
            self.best_score, self.best_class = score, position
        if position == self.classes - 1:
            self.state = CLASS

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return (
            *self.banks.values(),
            *self.stopwatch.values(),
            1 << self.state,
            self.best_class,
            self.best_score & self.score_mask,
            self.steps_used,
            self.sample,
            self.valid,
            self.word | self.last << RESULT_BITS,
        )
