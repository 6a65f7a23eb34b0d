"""Reads the scores of a window from its entries, one after the other."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.probe import Probe
from spikeloom.rtl.scoring import Scoring, shape_of


class ScoreReader(wiring.Component):
    """Reads the scores of a window from class 0 on, round and round, as they are asked for.

    A score is there one cycle after it was asked for or, if it is a sum of several entries, as many
    cycles later as these and one more.

    Parameters
    ----------
    scoring : Scoring

    Members
    -------
    start : In(1), asks for the score of class 0; only when all classes have been read equally often
    next : In(1), asks for the next score; only with `valid`
    sweep : In(1), goes through the entries without reading; only while nothing is asked for
    index, index_ahead : Out, the entry that is read, and the one in the next cycle
    entry : In, that entry
    valid : Out(1), `score` is the one of class `position`
    score, position : Out
    """

    def __init__(self, scoring: Scoring):
        self.scoring = scoring
        self.fetching = Signal()
        self.member = Signal(range(scoring.members))
        super().__init__(
            {
                "start": In(1),
                "next": In(1),
                "sweep": In(1),
                "index": Out(range(scoring.entries)),
                "index_ahead": Out(range(scoring.entries)),
                "entry": In(shape_of(*scoring.entry_range)),
                "valid": Out(1, init=1),
                "score": Out(shape_of(*scoring.score_range)),
                "position": Out(range(scoring.classes), init=scoring.classes - 1),
            }
        )

    def probes(self):
        """The entry read next, and the score that is there."""
        return [
            Probe("readout.index", self.index),
            Probe("readout.position", self.position),
            Probe("readout.score_valid", self.valid),
            Probe("readout.score", Mux(self.valid, self.score.as_unsigned(), 0)),
        ]

    def elaborate(self, platform):
        m = Module()
        scoring = self.scoring
        fetching = self.fetching | self.next
        following = _following(self.index, scoring.entries)
        m.d.comb += self.index_ahead.eq(Mux(fetching | self.sweep, following, self.index))
        m.d.sync += self.index.eq(self.index_ahead)
        if scoring.members == 1:
            loads, completes, score = fetching, fetching, self.entry
            m.d.sync += self.fetching.eq(self.start)
        else:
            # Sums are formed a cycle behind the memory.
            entry, loads, first, last = Signal.like(self.entry), Signal(), Signal(), Signal()
            last_member = self.member == scoring.members - 1
            with m.If(fetching):
                m.d.sync += self.member.eq(_following(self.member, scoring.members))
            m.d.sync += [
                self.fetching.eq(self.start | (fetching & ~last_member)),
                entry.eq(self.entry),
                loads.eq(fetching),
                first.eq(self.member == 0),
                last.eq(last_member),
            ]
            completes, score = loads & last, Mux(first, 0, self.score) + entry
        with m.If(loads):
            m.d.sync += self.score.eq(score)
        with m.If(completes):
            m.d.sync += [
                self.valid.eq(1),
                self.position.eq(_following(self.position, scoring.classes)),
            ]
        with m.Elif(self.next | self.start):
            m.d.sync += self.valid.eq(0)
        return m

    def model(self):
        """The cycle model of this reader."""
        return ScoreReaderModel(self.scoring)


def _following(number, count):
    return Mux(number == count - 1, 0, number + 1)


class ScoreReaderModel:
    """Cycle model of ScoreReader."""

    def __init__(self, scoring: Scoring):
        self.entries, self.members, self.classes = scoring.entries, scoring.members, scoring.classes
        self.latency = scoring.members + (scoring.members > 1)
        self.mask = (1 << shape_of(*scoring.score_range).width) - 1
        self.scores = [0] * scoring.classes
        self.index, self.position = 0, scoring.classes - 1
        self.missing = 0

    @property
    def valid(self) -> bool:
        """Whether a score is there."""
        return self.missing == 0

    @property
    def score(self) -> int:
        """The score of class `position`."""
        return self.scores[self.position]

    @property
    def at_last(self) -> bool:
        """Whether the score of the last class is there."""
        return self.valid and self.position == self.classes - 1

    def clock(self, scores: list[int] | None, following: bool, sweep: bool) -> None:
        """Go on by one clock edge.

        Parameters
        ----------
        scores : those of another window, where reading starts
        following : whether the next score is asked for
        sweep : as in ScoreReader
        """
        if following:
            self.missing = self.latency
        # The last cycle of a sum reads nothing.
        if sweep or self.missing > self.latency - self.members:
            self.index = (self.index + 1) % self.entries
        if self.missing:
            self.missing -= 1
            if self.valid:
                self.position = (self.position + 1) % self.classes
        if scores is not None:
            assert self.at_last, "the scores before have not all been read"
            self.scores, self.missing = scores, self.latency

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return self.index, self.position, self.valid, self.score & self.mask if self.valid else 0
