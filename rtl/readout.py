# amaranth: UnusedElaboratable=no
"""The readout: scores the classes over a window, finds the best and sends the result packet."""

from itertools import pairwise

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.ir import ReadoutKind
from spikeloom.rtl.events import event_stream
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.result import CLASS_BITS, RESULT_BITS, SAMPLE_BITS, result_layout
from spikeloom.rtl.score_reader import ScoreReader
from spikeloom.rtl.scores import ScoreBanks
from spikeloom.rtl.scoring import Scoring
from spikeloom.rtl.stopwatch import Stopwatch


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


class Readout(wiring.Component):
    """Scores the classes over a window; the class is the highest score, lowest index first.

    A window is *decided* in the cycle in which its `last` event is taken or, with an early stop,
    the end of its first step with a spike, if that comes before; everything behind it up to `last`
    is then dropped. Scores are kept twice (rtl/scores.py): those of one window are scanned for the
    class and sent while the next window is counted. Only what decides a window waits, while the
    packet of the window before is still being sent. The first word is there classes + 2 cycles
    after the decision; where a group's largest membranes are summed up, classes * (group + 1) + 2.

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
    o : Out(stream) of result words (rtl/result.py)
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
        self.reader = ScoreReader(self.scoring)
        self.stopwatch = Stopwatch()
        self.state = Signal(State, init=State.IDLE)
        lowest = self.scoring.score_range[0]
        self.best_score = Signal(self.reader.score.shape(), init=lowest)
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
        """The scores, the state machine, the word sent and the stopwatch."""
        return [
            *self.banks.probes(),
            *self.reader.probes(),
            Probe("readout.state", self.state.as_value()),
            Probe("readout.best_class", self.best_class),
            Probe("readout.best_score", self.best_score),
            Probe("readout.steps_used", self.steps_used),
            Probe("readout.sample", self.sample),
            Probe("readout.valid", self.o.valid),
            Probe("readout.word", self.o.payload.as_value()),
            *self.stopwatch.probes(),
        ]

    def elaborate(self, platform):
        m = Module()
        m.submodules.banks = banks = self.banks
        m.submodules.reader = reader = self.reader
        m.submodules.stopwatch = stopwatch = self.stopwatch
        wiring.connect(m, wiring.flipped(self.i), banks.i)
        m.d.comb += [
            banks.held.eq(~self._is(State.IDLE)),
            banks.index.eq(reader.index),
            banks.index_ahead.eq(reader.index_ahead),
            banks.erase.eq(reader.next & ~self._is(State.SCAN)),
            reader.start.eq(banks.decided),
            reader.sweep.eq(banks.clearing),
            reader.entry.eq(banks.entry),
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
        last = reader.valid & (reader.position == self.scoring.classes - 1)
        self._scan(m, last)
        self._send(m, last)
        m.d.comb += reader.next.eq(
            (self._is(State.SCAN) & reader.valid & ~last)
            | (self._is(State.CYCLES) & self.o.ready)
            | (self._is(State.SCORES) & reader.valid & ~last & self.o.ready)
        )
        return m

    def _is(self, state):
        return self.state.as_value()[state.value.bit_length() - 1]

    def _scan(self, m, last):
        """Find the class, one score per cycle."""
        reader = self.reader
        better = reader.valid & (reader.score > self.best_score)
        with m.If(self._is(State.SCAN)):
            with m.If(better):
                m.d.sync += [self.best_class.eq(reader.position), self.best_score.eq(reader.score)]
            with m.If(last):
                m.d.sync += self.state.eq(State.CLASS)

    def _send(self, m, last):
        """Send the packet."""
        # A score that is a sum of several entries takes its time, any other is always there.
        available = self.reader.valid if self.scoring.members > 1 else 1
        words = {
            State.CLASS: (Cat(_word(self.best_class)[:CLASS_BITS], self.sample), 1),
            State.STEPS: (self.steps_used, 1),
            State.CYCLES: (self.stopwatch.cycles, 1),
            State.SCORES: (self.reader.score, available),
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

    While nothing but time goes on, nothing but time is computed.

    Attributes
    ----------
    transitions : pairs of different states that have followed on each other
    """

    STATES = tuple(State.__members__)

    def __init__(self, readout: Readout):
        self.steps = readout.scoring.steps
        self.classes = readout.scoring.classes
        self.banks = readout.banks.model()
        self.reader = readout.reader.model()
        self.stopwatch = readout.stopwatch.model()
        self.lowest = readout.scoring.score_range[0]
        self.best_score, self.best_class = self.lowest, 0
        self.state = IDLE
        self.steps_used = self.sample = 0
        self.transitions: set[tuple[int, int]] = set()
        self.shown: tuple[int, ...] | None = None

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
        return self.state >= CLASS and (self.state != SCORES or self.reader.valid)

    @property
    def last(self) -> bool:
        """Whether the word sent ends the packet."""
        return self.state == SCORES and self.reader.at_last

    @property
    def word(self) -> int:
        """The result word sent."""
        if self.state == SCORES and self.reader.valid:
            return self.reader.score % (1 << RESULT_BITS)
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
        if event is None and self._rests and (before == IDLE or not ready):
            self.stopwatch.clock(begin, False)
            return
        self.shown = None
        following = before == CYCLES and ready
        if before == SCAN or (before == SCORES and ready):
            following = self.reader.valid and not self.reader.at_last
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
            elif self.reader.at_last:
                self.state = IDLE
        sweep = self.banks.clearing > 0
        self.reader.clock(self.banks.clock(event), following, sweep)
        self.stopwatch.clock(begin, decided)
        if self.state != before:
            self.transitions.add((before, self.state))

    @property
    def _rests(self) -> bool:
        return self.banks.rests and self.reader.valid and self.state != SCAN

    def _scan(self) -> None:
        if not self.reader.valid:
            return
        score, position = self.reader.score, self.reader.position
        if score > self.best_score:
            self.best_score, self.best_class = score, position
        if position == self.classes - 1:
            self.state = CLASS

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        if self.shown is None:
            self.shown = (
                *self.banks.values(),
                *self.reader.values(),
                1 << self.state,
                self.best_class,
                self.best_score & self.reader.mask,
                self.steps_used,
                self.sample,
                self.valid,
                self.word | self.last << RESULT_BITS,
            )
        return *self.shown, *self.stopwatch.values()
