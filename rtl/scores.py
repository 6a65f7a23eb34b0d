"""The scores of the classes, counted for one window while those of the window before are read."""

from amaranth import Array, Cat, Const, Module, Mux, Shape, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.events import event_layout, event_stream
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.scoring import Scoring


def shape_of(low: int, high: int) -> Shape:
    """The narrowest shape that holds both numbers; signed if `low` is negative."""
    return Shape.cast(range(low, high + 1))


class ScoreBanks(wiring.Component):
    """Counts the events of a window while the scores of the window before are read.

    There are two banks of entries (rtl/scoring.py), one that counts and one that is read; they
    change places when a window is decided. Each is a memory of one port, as it has one task at a
    time. Entries that must be 0 before a window are erased with the last look at them, and after
    reset: 2 * entries cycles in which no event is taken.

    An event is taken in one cycle and written in the next, so that the way from its address into
    the entries stays short.

    Scores are read one after the other from class 0 on, round and round, as the reader asks for the
    next. Each is there one cycle after it was asked for or, if it is a sum of several entries, as
    many cycles later as these.

    Parameters
    ----------
    scoring : Scoring

    Members
    -------
    i : In(stream) of events; `i.ready` depends on `i.payload`, as only what decides a window waits
    held : In(1), the scores of the window before are still needed; no window is decided meanwhile
    decided : Out(1), the window is decided in this cycle; depends on `i`. It also asks for the
        score of class 0; by then all scores of the window before have been read
    steps_used : Out, time steps of the window up to the present one
    stop : Out(1), the window is decided, but its `last` has not been taken yet
    next : In(1), the next score is asked for
    erase : In(1), no score that comes now is asked for again
    valid : Out(1), `score` is the one of class `position`
    score, position : Out
    """

    def __init__(self, scoring: Scoring):
        self.scoring = scoring
        entries = scoring.entries
        self.uncleared = Signal(init=scoring.starts_from_zero)
        self.step = Signal(range(scoring.steps))
        self.bank = Signal()
        self.fired = Signal()
        self.seen = Signal(scoring.neurons if scoring.marks_neurons else 0)
        self.taken = Signal()
        self.fresh = Signal()
        self.worth = Signal(shape_of(*scoring.worth_range), init=int(scoring.kind == "spike_count"))
        self.write_enable = Signal()
        self.write_entry = Signal(range(entries))
        self.write_data = Signal(shape_of(*scoring.entry_range))
        self.awaited = Signal()
        self.index = Signal(range(entries))
        self.member = Signal(range(scoring.members))
        super().__init__(
            {
                "i": In(event_stream(scoring.neurons, scoring.value_bits)),
                "held": In(1),
                "decided": Out(1),
                "steps_used": Out(range(scoring.steps + 1)),
                "stop": Out(1),
                "next": In(1),
                "erase": In(1),
                "valid": Out(1),
                "score": Out(shape_of(*scoring.score_range)),
                "position": Out(range(scoring.classes), init=scoring.classes - 1),
            }
        )

    def probes(self):
        """Counters and marks of the window, what is written into the entries, the score read."""
        write = Cat(self.write_entry, self.write_data)
        return [
            Probe("readout.uncleared", self.uncleared),
            Probe("readout.step", self.step),
            Probe("readout.bank", self.bank),
            Probe("readout.stop", self.stop),
            Probe("readout.seen", self.seen),
            Probe("readout.write_enable", self.write_enable),
            Probe("readout.write", Mux(self.write_enable, write, 0)),
            Probe("readout.index", self.index),
            Probe("readout.score_valid", self.valid),
            Probe("readout.position", self.position),
            Probe("readout.score", Mux(self.valid, self.score, 0)),
        ]

    def elaborate(self, platform):
        m = Module()
        self._keep_time(m)
        self._take(m)
        counted, read = self._store(m)
        self._count(m, counted)
        self._read(m, read)
        return m

    def _keep_time(self, m):
        """Follow the ends of the steps and of the window."""
        ended = self.i.valid & self.i.p.end & self.i.ready
        deciding, over = self.i.p.last, self.decided
        if self.scoring.early_stop:
            deciding = ~self.stop & (self.i.p.last | (self.i.p.end & self.fired))
            over = self.decided | self.stop
            with m.If(ended):
                m.d.sync += self.stop.eq(over & ~self.i.p.last)
        m.d.comb += [
            self.i.ready.eq(~(self.uncleared | (deciding & self.held))),
            self.decided.eq(self.i.valid & self.i.ready & deciding),
            self.steps_used.eq(self.step + 1),
        ]
        with m.If(ended):
            m.d.sync += self.step.eq(Mux(over, 0, self.step + 1))
        cleared = self.uncleared & (self.index == self.scoring.entries - 1)
        with m.If(self.decided | cleared):
            m.d.sync += self.bank.eq(~self.bank)
        with m.If(cleared & self.bank):
            m.d.sync += self.uncleared.eq(0)

    def _take(self, m):
        """Take an event: its entry and what it brings."""
        scoring, address = self.scoring, self.i.p.address
        counting = self.i.valid & self.i.ready & ~self.i.p.end & ~self.stop
        m.d.sync += [
            self.taken.eq(counting),
            self.write_entry.eq(self._entry_of(address)),
            self.worth.eq(self._worth()),
            self.fresh.eq(self.step == 0),
        ]
        if scoring.marks_neurons:
            m.d.sync += self.taken.eq(counting & ~self.seen.bit_select(address, 1))
            with m.If(counting):
                m.d.sync += self.seen.bit_select(address, 1).eq(1)
        with m.If(counting):
            m.d.sync += self.fired.eq(1)
        with m.If(self.decided):
            m.d.sync += [self.fired.eq(0), self.seen.eq(0)]

    def _entry_of(self, address):
        per_entry = self.scoring.neurons // self.scoring.entries
        if per_entry & (per_entry - 1):
            return Array(number // per_entry for number in range(self.scoring.neurons))[address]
        return address[per_entry.bit_length() - 1 :][: len(self.write_entry)]

    def _worth(self):
        scoring = self.scoring
        if scoring.value_bits:
            return self.i.p.value
        if scoring.kind == "weighted_spike_count":
            return Array(scoring.weights)[self.step]
        return scoring.steps - self.step if scoring.kind == "first_spike" else Const(1)

    def _store(self, m):
        """The banks; gives the entry that an event acts on and the one that is read."""
        scoring = self.scoring
        erasing = self.uncleared | (self.erase & self.next)
        found = []
        for number in range(2):
            m.submodules[f"bank{number}"] = bank = memory.Memory(
                shape=self.write_data.shape(), depth=scoring.entries, init=[]
            )
            read, write = bank.read_port(domain="comb"), bank.write_port()
            counts = self.bank == number
            shared = Mux(counts, self.write_entry, self.index)
            m.d.comb += read.addr.eq(shared if scoring.reads_back else self.index)
            if scoring.starts_from_zero:
                m.d.comb += [
                    write.addr.eq(shared),
                    write.data.eq(Mux(counts, self.write_data, 0)),
                    write.en.eq(Mux(counts, self.write_enable, erasing)),
                ]
            else:
                m.d.comb += [
                    write.addr.eq(self.write_entry),
                    write.data.eq(self.write_data),
                    write.en.eq(counts & self.write_enable),
                ]
            found.append(read.data)
        return Mux(self.bank, found[1], found[0]), Mux(self.bank, found[0], found[1])

    def _count(self, m, before):
        """Write what the event taken in the cycle before makes of its entry."""
        scoring, enable, data = self.scoring, self.taken, self.worth
        if scoring.kind == "maximum_membrane":
            data = Mux(self.fresh | (self.worth > before), self.worth, before)
        elif scoring.kind == "first_spike" and scoring.reads_back and scoring.group == 1:
            # No first spike counts 0.
            enable = self.taken & (before == 0)
        elif scoring.reads_back:
            data = before + self.worth
        m.d.comb += [self.write_enable.eq(enable), self.write_data.eq(data)]

    def _read(self, m, entry):
        """Give the scores of the window before, class by class."""
        scoring, complete = self.scoring, Const(1)
        if scoring.members > 1:
            entry = Mux(self.member == 0, 0, self.score) + entry
            complete = self.member == scoring.members - 1
        m.d.comb += self.valid.eq(~self.awaited)
        fetching = self.awaited | self.next
        with m.If(fetching):
            m.d.sync += [
                self.score.eq(entry),
                self.awaited.eq(~complete),
                self.member.eq(_following(self.member, scoring.members)),
            ]
            with m.If(complete):
                m.d.sync += self.position.eq(_following(self.position, scoring.classes))
        with m.If(fetching | self.uncleared):
            m.d.sync += self.index.eq(_following(self.index, scoring.entries))
        with m.If(self.decided):
            m.d.sync += self.awaited.eq(1)

    def model(self):
        """The cycle model of these banks."""
        return ScoreBanksModel(self.scoring)


def _following(number, count):
    return Mux(number == count - 1, 0, number + 1)


class ScoreBanksModel:
    """Cycle model of ScoreBanks; events are integers as in `event_layout`.

    Attributes
    ----------
    steps_done : time steps that have ended since reset, those behind a decision included
    windows_done : windows whose `last` has been taken since reset
    """

    def __init__(self, scoring: Scoring):
        self.scoring = scoring
        self.address_bits = (max(scoring.neurons, 2) - 1).bit_length()
        self.end_shift = event_layout(scoring.neurons, scoring.value_bits).size - 2
        self.entry_bits = (scoring.entries - 1).bit_length()
        self.entry_mask = (1 << shape_of(*scoring.entry_range).width) - 1
        self.score_mask = (1 << shape_of(*scoring.score_range).width) - 1
        # What this window's events have made of the entries; a bit per neuron that has sent one.
        self.entries = [0] * scoring.entries
        self.heard = 0
        self.clearing = 2 * scoring.entries if scoring.starts_from_zero else 0
        self.step = self.bank = self.steps_done = self.windows_done = 0
        self.stop = False
        self.written: tuple[int, int] | None = None
        self.scores = [0] * scoring.classes
        self.index, self.position = 0, scoring.classes - 1
        self.valid = True

    def ready(self, event: int, held: bool) -> bool:
        """Whether the event is taken in this cycle; `held` as in ScoreBanks."""
        return not self.clearing and not (held and self.decides(event))

    def decides(self, event: int) -> bool:
        """Whether the event, if it is taken, decides the window."""
        if self.stop or not event >> self.end_shift:
            return False
        at_once = self.scoring.early_stop and self.heard
        return bool(at_once or event >> (self.end_shift + 1))

    def clock(self, event: int | None, following: bool) -> None:
        """Go on by one clock edge: the event taken, if any, and whether a score is asked for."""
        if following or not self.valid:
            self._read()
        self.written = None
        if self.clearing:
            self.clearing -= 1
            self.index = -self.clearing % self.scoring.entries
            self.bank ^= self.index == 0
        elif event is not None and event >> self.end_shift:
            self._end(event)
        elif event is not None and not self.stop:
            self._count(event & ((1 << self.address_bits) - 1), event >> self.address_bits)

    def _read(self) -> None:
        scoring = self.scoring
        self.index += 1
        self.valid = self.index % scoring.members == 0
        if self.valid:
            self.position = self.index // scoring.members - 1
        self.index %= scoring.entries

    def _end(self, event: int) -> None:
        decided = self.decides(event)
        last = event >> (self.end_shift + 1)
        self.steps_done += 1
        self.windows_done += last
        if not self.stop:
            self.step += 1
        if decided:
            complete = self.heard.bit_count() == self.scoring.neurons
            assert complete or not self.scoring.value_bits, "a neuron has not sent its membrane"
            members = self.scoring.members
            self.scores = [
                sum(self.entries[first : first + members])
                for first in range(0, self.scoring.entries, members)
            ]
            self.entries = [0] * self.scoring.entries
            self.heard = 0
            self.valid = False
            self.bank ^= 1
            self.step = 0
        if decided or self.stop:
            self.stop = not last
        assert self.step < self.scoring.steps, "a window without a last step"

    def _count(self, address: int, value: int) -> None:
        scoring = self.scoring
        entry = address * scoring.entries // scoring.neurons
        after = self.entries[entry]
        if scoring.kind == "first_spike":
            if self.heard >> address & 1:
                return
            after += scoring.steps - self.step
        elif scoring.kind == "weighted_spike_count":
            after += scoring.weights[self.step]
        elif scoring.kind == "spike_count":
            after += 1
        else:
            half = 1 << (scoring.value_bits - 1)
            membrane = (value ^ half) - half
            if scoring.kind == "final_membrane":
                after += membrane
            else:
                after = max(after, membrane) if self.heard >> address & 1 else membrane
        self.heard |= 1 << address
        self.entries[entry] = after
        self.written = entry, after

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        write = 0
        if self.written is not None:
            entry, data = self.written
            write = (data & self.entry_mask) << self.entry_bits | entry
        return (
            self.clearing > 0,
            self.step,
            self.bank,
            self.stop,
            self.heard if self.scoring.marks_neurons else 0,
            self.written is not None,
            write,
            self.index,
            self.valid,
            self.position,
            self.scores[self.position] & self.score_mask if self.valid else 0,
        )
