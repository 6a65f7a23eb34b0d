"""The scores of the classes, counted for one window while those of the window before are read."""

from amaranth import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.events import event_layout, event_stream
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.scoring import Scoring, shape_of


class ScoreBanks(wiring.Component):
    """Counts the events of a window while the scores of the window before are read.

    There are two banks of entries (rtl/scoring.py), one that counts and one that is read; they
    change places when a window is decided. Each is a memory of one address, as it has one task at
    a time. Entries that must be 0 before a window are erased with the last look at them, and after
    reset: as many cycles as entries, in which no event is taken.

    An event is taken in one cycle and written in the next, so that the way from its address into
    the entries stays short.

    Parameters
    ----------
    scoring : Scoring

    Members
    -------
    i : In(stream) of events; `i.ready` depends on `i.payload`, as only what decides a window waits
    held : In(1), the scores of the window before are still needed; no window is decided meanwhile
    decided : Out(1), the window is decided in this cycle; depends on `i`
    steps_used : Out, time steps of the window up to the present one
    stop : Out(1), the window is decided, but its `last` has not been taken yet
    index, index_ahead : In, the entry that is read, and the one in the next cycle
    erase : In(1), the entry that is read is not needed again
    entry : Out, the entry that is read
    clearing : Out(1), all entries are being erased: `index` has to go through all of them
    """

    def __init__(self, scoring: Scoring):
        self.scoring = scoring
        entries = scoring.entries
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
        super().__init__(
            {
                "i": In(event_stream(scoring.neurons, scoring.value_bits)),
                "held": In(1),
                "decided": Out(1),
                "steps_used": Out(range(scoring.steps + 1)),
                "stop": Out(1),
                "index": In(range(entries)),
                "index_ahead": In(range(entries)),
                "erase": In(1),
                "entry": Out(shape_of(*scoring.entry_range)),
                "clearing": Out(1, init=scoring.starts_from_zero),
            }
        )

    def probes(self):
        """Counters and marks of the window, and what is written into the entries."""
        write = Cat(self.write_entry, self.write_data)
        return [
            Probe("readout.clearing", self.clearing),
            Probe("readout.step", self.step),
            Probe("readout.bank", self.bank),
            Probe("readout.stop", self.stop),
            Probe("readout.fired", self.fired),
            Probe("readout.seen", self.seen),
            Probe("readout.write_enable", self.write_enable),
            Probe("readout.write", Mux(self.write_enable, write, 0)),
        ]

    def elaborate(self, platform):
        m = Module()
        self._keep_time(m)
        self._take(m)
        self._count(m, self._store(m))
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
            self.i.ready.eq(~(self.clearing | (deciding & self.held))),
            self.decided.eq(self.i.valid & self.i.ready & deciding),
            self.steps_used.eq(self.step + 1),
        ]
        with m.If(ended):
            m.d.sync += self.step.eq(Mux(over, 0, self.step + 1))
        with m.If(self.decided):
            m.d.sync += self.bank.eq(~self.bank)
        with m.If(self.index == self.scoring.entries - 1):
            m.d.sync += self.clearing.eq(0)

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
        """The banks; gives the entry that an event acts on."""
        scoring = self.scoring
        erasing = self.clearing | self.erase
        found = []
        for number in range(2):
            m.submodules[f"bank{number}"] = bank = memory.Memory(
                shape=self.write_data.shape(), depth=scoring.entries, init=[]
            )
            read, write = bank.read_port(domain="comb"), bank.write_port()
            counts = (self.bank == number) & ~self.clearing
            # Chosen a cycle ahead, to be quick. What decides a window has the address 0, where
            # reading then starts.
            address = Signal.like(self.index, name=f"address{number}")
            m.d.sync += address.eq(Mux(counts, self._entry_of(self.i.p.address), self.index_ahead))
            m.d.comb += read.addr.eq(address if scoring.reads_back else self.index)
            if scoring.starts_from_zero:
                m.d.comb += [
                    write.addr.eq(address),
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
        m.d.comb += self.entry.eq(Mux(self.bank, found[0], found[1]))
        return Mux(self.bank, found[1], found[0])

    def _count(self, m, before):
        """Write what the event taken in the cycle before makes of its entry."""
        scoring, enable, data = self.scoring, self.taken, self.worth
        if scoring.kind == "maximum_membrane":
            enable = self.taken & (self.fresh | (self.worth > before))
        elif scoring.kind == "first_spike" and scoring.reads_back and scoring.group == 1:
            # No first spike counts 0.
            enable = self.taken & (before == 0)
        elif scoring.reads_back:
            data = before + self.worth
        m.d.comb += [self.write_enable.eq(enable), self.write_data.eq(data)]

    def model(self):
        """The cycle model of these banks."""
        return ScoreBanksModel(self.scoring)


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
        # What this window's events have made of the entries; a bit per neuron that has sent one.
        self.entries = [0] * scoring.entries
        self.neurons_per_entry = scoring.neurons // scoring.entries
        self.heard = 0
        self.marked = (1 << scoring.neurons) - 1 if scoring.marks_neurons else 0
        self.clearing = scoring.entries if scoring.starts_from_zero else 0
        self.step = self.bank = self.steps_done = self.windows_done = 0
        self.stop = False
        self.written: tuple[int, int] | None = None

    @property
    def rests(self) -> bool:
        """Whether nothing changes here until an event comes."""
        return self.written is None and not self.clearing

    def ready(self, event: int, held: bool) -> bool:
        """Whether the event is taken in this cycle; `held` as in ScoreBanks."""
        return not self.clearing and not (held and self.decides(event))

    def decides(self, event: int) -> bool:
        """Whether the event, if it is taken, decides the window."""
        if self.stop or not event >> self.end_shift:
            return False
        at_once = self.scoring.early_stop and self.heard
        return bool(at_once or event >> (self.end_shift + 1))

    def clock(self, event: int | None) -> list[int] | None:
        """Go on by one clock edge: the event taken, if any; gives the scores if it decides."""
        self.written = None
        if self.clearing:
            self.clearing -= 1
        elif event is not None and event >> self.end_shift:
            return self._end(event)
        elif event is not None and not self.stop:
            self._count(event & ((1 << self.address_bits) - 1), event >> self.address_bits)
        return None

    def _end(self, event: int) -> list[int] | None:
        assert event & ((1 << self.end_shift) - 1) == 0, "the end of a step has an address"
        last = event >> (self.end_shift + 1)
        decided, scores = self.decides(event), None
        self.steps_done += 1
        self.windows_done += last
        if not self.stop:
            self.step += 1
        if decided:
            complete = self.heard.bit_count() == self.scoring.neurons
            assert complete or not self.scoring.value_bits, "a neuron has not sent its membrane"
            members = self.scoring.members
            scores = [
                sum(self.entries[first : first + members])
                for first in range(0, self.scoring.entries, members)
            ]
            self.entries = [0] * self.scoring.entries
            self.step = self.heard = 0
            self.bank ^= 1
        if decided or self.stop:
            self.stop = not last
        assert self.step < self.scoring.steps, "a window without a last step"
        return scores

    def _count(self, address: int, value: int) -> None:
        scoring = self.scoring
        entry = address // self.neurons_per_entry
        after = self.entries[entry]
        heard = self.heard >> address & 1
        self.heard |= 1 << address
        if scoring.kind == "first_spike":
            if heard:
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
            elif heard and membrane <= after:
                return
            else:
                after = membrane
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
            self.heard > 0,
            self.heard & self.marked,
            self.written is not None,
            write,
        )
