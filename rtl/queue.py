"""A queue of events between two blocks."""

from amaranth import Array, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.probe import Probe


class EventQueue(wiring.Component):
    """A first-in first-out queue held in registers.

    Takes and gives one item per clock cycle. Neither `i.ready` nor `o.valid` depends on the other
    side in the same cycle, so a chain of blocks has no long combinational path.

    Parameters
    ----------
    layout : of the items
    depth : number of items, at least 2

    Members
    -------
    i : In(stream) of items
    o : Out(stream) of items
    """

    def __init__(self, layout: data.Layout, depth: int = 2):
        assert depth >= 2, "a queue of one item halves the rate"
        self.depth = depth
        self.level = Signal(range(depth + 1))
        self.items = Array(Signal(layout, name=f"item{index}") for index in range(depth))
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def probes(self):
        """Level and head of the queue: they are `o.valid`, `o.payload` and `i.ready` as well."""
        return [Probe("queue.level", self.level), Probe("queue.head", self.items[0].as_value())]

    def elaborate(self, platform):
        m = Module()
        push = self.i.valid & self.i.ready
        pop = self.o.valid & self.o.ready
        m.d.comb += [
            self.i.ready.eq(self.level != self.depth),
            self.o.valid.eq(self.level != 0),
            self.o.payload.eq(self.items[0]),
        ]
        m.d.sync += self.level.eq(self.level + push - pop)
        for index, item in enumerate(self.items):
            behind = self.items[index + 1] if index + 1 < self.depth else item
            with m.If(push & (self.level == index + pop)):
                m.d.sync += item.eq(self.i.payload)
            with m.Elif(pop):
                m.d.sync += item.eq(behind)
        return m

    def model(self):
        """The cycle model of this queue."""
        return QueueModel(self.depth)


class QueueModel:
    """Cycle model of EventQueue; items are integers.

    An item that has left is kept until another takes its place, as in the registers.
    """

    def __init__(self, depth: int):
        self.depth = depth
        self.level = 0
        self.items = [0] * depth

    @property
    def ready(self) -> bool:
        """Whether an item is taken in this cycle."""
        return self.level != self.depth

    @property
    def valid(self) -> bool:
        """Whether `head` is an item."""
        return self.level != 0

    @property
    def head(self) -> int:
        """The item that leaves next."""
        return self.items[0]

    def clock(self, pushed: int | None, pop: bool) -> None:
        """Go on by one clock edge: the item pushed (None for none) and whether one is taken."""
        if pop:
            self.items[:-1] = self.items[1:]
            self.level -= 1
        if pushed is not None:
            self.items[self.level] = pushed
            self.level += 1

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return self.level, self.items[0]
