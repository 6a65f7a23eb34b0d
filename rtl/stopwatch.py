"""How many clock cycles each sample has taken, from its first word to its answer."""

from collections import deque

from amaranth import Module, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.probe import Probe

CYCLE_BITS = 32
# Samples that may be on their way at once. More than the layers of a network ever hold, so that
# nobody waits for a place in practice.
PLACES = 16


class Stopwatch(wiring.Component):
    """Queue of the times at which samples have begun.

    The oldest start is read ahead of its use, so its memory may be a block RAM as well as LUTs. A
    sample must therefore not be decided in the cycle after it began, nor two samples in cycles
    next to each other; both take far longer.

    Members
    -------
    begin : In(1), a sample begins; only with `begin_ready`
    begin_ready : Out(1), there is a place for another start
    decided : In(1), the oldest sample's answer is decided
    cycles : Out(32), clock cycles from the `begin` to the `decided` of the sample decided last,
        modulo 2**32
    """

    def __init__(self):
        self.now = Signal(CYCLE_BITS)
        # One bit more than an address tells full from empty.
        self.begun = Signal(range(2 * PLACES))
        self.ended = Signal(range(2 * PLACES))
        super().__init__(
            {
                "begin": In(1),
                "begin_ready": Out(1),
                "decided": In(1),
                "cycles": Out(CYCLE_BITS),
            }
        )

    def probes(self):
        """Both ends of the queue, the result, and the clock."""
        return [
            Probe("readout.begun", self.begun),
            Probe("readout.ended", self.ended),
            Probe("readout.begin_ready", self.begin_ready),
            Probe("readout.cycles", self.cycles),
            Probe("readout.now", self.now),
        ]

    def elaborate(self, platform):
        m = Module()
        m.submodules.starts = starts = memory.Memory(
            shape=unsigned(CYCLE_BITS), depth=PLACES, init=[]
        )
        write, read = starts.write_port(), starts.read_port()
        m.d.comb += [
            self.begin_ready.eq((self.begun ^ self.ended) != PLACES),
            write.addr.eq(self.begun),
            write.data.eq(self.now),
            write.en.eq(self.begin),
            read.addr.eq(self.ended),
            read.en.eq(1),
        ]
        m.d.sync += self.now.eq(self.now + 1)
        with m.If(self.begin):
            m.d.sync += self.begun.eq(self.begun + 1)
        with m.If(self.decided):
            m.d.sync += [self.ended.eq(self.ended + 1), self.cycles.eq(self.now - read.data)]
        return m

    def model(self):
        """The cycle model of this stopwatch."""
        return StopwatchModel()


class StopwatchModel:
    """Cycle model of Stopwatch."""

    def __init__(self) -> None:
        self.now = self.ended = self.cycles = 0
        self.starts: deque[int] = deque()

    @property
    def begin_ready(self) -> bool:
        """Whether a sample may begin."""
        return len(self.starts) < PLACES

    def clock(self, begin: bool, decided: bool) -> None:
        """Go on by one clock edge: whether a sample begins, and whether one is decided."""
        if decided:
            assert self.starts, "decided before it began"
            cycles = self.now - self.starts.popleft()
            assert cycles > 1, "the start was not read ahead"
            self.cycles = cycles % (1 << CYCLE_BITS)
            self.ended += 1
        if begin:
            assert self.begin_ready, "a sample began without a place for its start"
            self.starts.append(self.now)
        self.now += 1

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        begun = self.ended + len(self.starts)
        return (
            begun % (2 * PLACES),
            self.ended % (2 * PLACES),
            self.begin_ready,
            self.cycles,
            self.now % (1 << CYCLE_BITS),
        )
