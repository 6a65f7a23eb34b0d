# amaranth: UnusedElaboratable=no
"""The arbiter: where the events of several populations meet before a core."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.events import EventCode, joined_layout, source_layout
from spikeloom.rtl.operations import is_convolution
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.queue import EventQueue, source_queue


class Arbiter(wiring.Component):
    """Joins the events of a core's sources, time step by time step.

    Each source has a queue. Events of a step leave in any order, one per clock cycle, those of the
    first source first; the step ends when all sources have ended it. A source with a delay is a
    step behind: what the layer itself sent in step t belongs to step t + 1, and what it sent in the
    last step of a window is dropped. In the first window after reset there is nothing to drop.

    Parameters
    ----------
    core : Core with several sources

    Members
    -------
    i0, i1, .. : In(stream) of events, one per source
    o : Out(stream) of events of all sources
    """

    def __init__(self, core):
        self.core = core
        self.queues = [source_queue(source) for source in core.sources]
        self.joined = EventQueue(joined_layout(core))
        # Whether events belong to the first step of a window, and of the first window after reset.
        self.first_step = Signal(init=1)
        self.fresh = Signal(init=1)
        inputs = {
            f"i{number}": In(stream.Signature(source_layout(source)))
            for number, source in enumerate(core.sources)
        }
        super().__init__(inputs | {"o": Out(stream.Signature(joined_layout(core)))})

    def probes(self):
        """The queues, the joined events last, and the flags."""
        probes = [
            Probe(f"source{number}.{probe.name}", probe.value)
            for number, queue in enumerate(self.queues)
            for probe in queue.probes()
        ]
        flags = [
            Probe("arbiter.first_step", self.first_step),
            Probe("arbiter.fresh", self.fresh),
        ]
        return [*probes, *flags, *self.joined.probes()]

    def elaborate(self, platform):
        m = Module()
        core, joined = self.core, self.joined
        m.submodules.joined = joined
        for number, queue in enumerate(self.queues):
            m.submodules[f"queue{number}"] = queue
            wiring.connect(m, wiring.flipped(getattr(self, f"i{number}")), queue.i)
        wiring.connect(m, joined.o, wiring.flipped(self.o))
        heads = [queue.o for queue in self.queues]
        sends, ended = [], []
        for source, head in zip(core.sources, heads, strict=True):
            dropped = self.first_step if source.delay else Const(0)
            unasked = self.first_step & self.fresh if source.delay else 0
            sends.append(head.valid & ~head.p.end & ~dropped)
            ended.append((head.valid & head.p.end) | unasked)
        step_end = Cat(ended).all()
        taken = Signal(len(heads))
        for number, head in reversed([*enumerate(heads)]):
            with m.If(sends[number]):
                m.d.comb += taken.eq(1 << number)
                self._join(m, number, head.p)
        with m.If(step_end):
            m.d.comb += [joined.i.p.end.eq(1), joined.i.p.last.eq(self._last(heads))]
        m.d.comb += joined.i.valid.eq(Cat(sends).any() | step_end)
        for number, (source, head) in enumerate(zip(core.sources, heads, strict=True)):
            dropped = self.first_step & ~head.p.end if source.delay else 0
            m.d.comb += head.ready.eq(dropped | (joined.i.ready & (taken[number] | step_end)))
        with m.If(step_end & joined.i.ready):
            m.d.sync += [self.first_step.eq(joined.i.p.last), self.fresh.eq(0)]
        return m

    def _join(self, m, number, event):
        """Make an event of a source one of all sources."""
        core, source, joined = self.core, self.core.sources[number], self.joined.i.p
        m.d.comb += [joined.address.eq(joined_address(core, number, event.address))]
        if core.events_per_cycle > 1:
            # Who sends fewer events at a time has only the first of the weights in a word.
            values = list(event.value) if source.events_per_cycle > 1 else [1]
            if source.events_per_cycle == 1 and source.value_bits:
                values = [event.value]
            values += [0] * (core.events_per_cycle - len(values))
            m.d.comb += [joined.value[place].eq(value) for place, value in enumerate(values)]
        elif core.value_bits:
            m.d.comb += joined.value.eq(event.value if source.value_bits else 1)
        m.d.comb += joined.source.eq(number)

    def _last(self, heads):
        """Whether a window ends with this step; a source with a delay does not know yet."""
        return next(
            head.p.last
            for source, head in zip(self.core.sources, heads, strict=True)
            if not source.delay
        )

    def model(self):
        """The cycle model of this arbiter."""
        return ArbiterModel(self)


def joined_address(core, number, address):
    """`core.joined` in gates."""
    if not is_convolution(core):
        return address + core.first_senders[number]
    fields = zip(core.sources[number].addresses.fields, core.fields_joined, strict=True)
    padding = (
        (address[own.start : own.end], Const(0, common.width - own.width)) for own, common in fields
    )
    return Cat(padding)


class ArbiterModel:
    """Cycle model of Arbiter; events are integers."""

    def __init__(self, arbiter: Arbiter):
        core = arbiter.core
        self.core = core
        self.queues = [queue.model() for queue in arbiter.queues]
        self.joined = arbiter.joined.model()
        self.code = EventCode.joined(core)
        self.codes = [EventCode.of_source(source) for source in core.sources]
        self.delays = [source.delay for source in core.sources]
        self.leading = self.delays.index(0)
        self.first_step = self.fresh = True

    @property
    def valid(self) -> bool:
        """Whether `head` is an event."""
        return self.joined.valid

    @property
    def head(self) -> int:
        """The event that leaves next."""
        return self.joined.head

    @property
    def moves(self) -> bool:
        """Whether something changes here without anybody sending or taking an event."""
        if any(queue.moves for queue in self.queues) or any(self._dropped()):
            return True
        return self.joined.ready and self._next()[0] is not None

    def _dropped(self) -> list[bool]:
        """Per source whether the event at its head is dropped."""
        return [
            bool(delay and self.first_step and queue.valid and not queue.head & code.end)
            for delay, queue, code in zip(self.delays, self.queues, self.codes, strict=True)
        ]

    def _next(self) -> tuple[int | None, list[bool]]:
        """The event that can leave, None for none, and which sources it would be taken from."""
        ended = []
        for number, (queue, code) in enumerate(zip(self.queues, self.codes, strict=True)):
            delayed = self.delays[number] and self.first_step
            at_end = queue.valid and bool(queue.head & code.end)
            if queue.valid and not at_end and not delayed:
                taken = [other == number for other in range(len(self.queues))]
                return self._join(number, queue.head), taken
            ended.append(at_end or bool(delayed and self.fresh))
        if not all(ended):
            return None, [False] * len(ended)
        last = self.queues[self.leading].head == self.codes[self.leading].window_end
        return (self.code.window_end if last else self.code.end), [
            queue.valid for queue in self.queues
        ]

    def _join(self, number: int, event: int) -> int:
        code = self.codes[number]
        address = self.core.joined(number, code.address(event))
        return self.code.event(address, *code.values(event), source=number)

    def clock(self, pushed: list[int | None], pop: bool) -> None:
        """Go on by one clock edge.

        Parameters
        ----------
        pushed : per source the event that it sends, None for none
        pop : whether an event leaves
        """
        event, taken = self._next()
        if not self.joined.ready:
            event, taken = None, [False] * len(taken)
        dropped = self._dropped()
        if event is not None and event & self.code.end:
            self.first_step, self.fresh = event == self.code.window_end, False
        for queue, item, left, drop in zip(self.queues, pushed, taken, dropped, strict=True):
            queue.clock(item, left or drop)
        self.joined.clock(event, pop)

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        of_queues = (value for queue in self.queues for value in queue.values())
        return (*of_queues, self.first_step, self.fresh, *self.joined.values())
