# amaranth: UnusedElaboratable=no
"""Queues of events between two blocks."""

from collections import deque

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.events import source_layout
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.ranks import NO_COLLISION


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

    @property
    def moves(self) -> bool:
        """Whether something changes here without anybody pushing or taking an item."""
        return False

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return self.level, self.items[0]


# Between the memory of a deep queue and its head: one item on its way and two that can leave.
HEAD_PLACES = 3


class DeepQueue(wiring.Component):
    """A first-in first-out queue held in a memory.

    Takes and gives one item per clock cycle, as `EventQueue` does; an item is at the head three
    cycles after it came.

    Parameters
    ----------
    layout : of the items
    depth : number of items in the memory; those at the head come on top

    Members
    -------
    i : In(stream) of items
    o : Out(stream) of items

    Attributes
    ----------
    store, read, write : the memory and its ports
    level : items in it
    oldest, newest : the place of its oldest item, and that of the next one
    moving : whether `read` holds an item that is on its way to the head
    head : the items that can leave
    """

    def __init__(self, layout: data.Layout, depth: int):
        assert depth >= 2, "a pointer takes a bit"
        self.depth = depth
        self.level = Signal(range(depth + 1))
        self.oldest, self.newest = Signal(range(depth)), Signal(range(depth))
        self.moving = Signal()
        self.head = EventQueue(layout, HEAD_PLACES)
        self.store = memory.Memory(shape=layout, depth=depth, init=[], attrs=NO_COLLISION)
        self.read, self.write = self.store.read_port(), self.store.write_port()
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def probes(self):
        """Level of the memory, whether an item is on its way to the head, and the head."""
        return [
            Probe("queue.stored", self.level),
            Probe("queue.moving", self.moving),
            *self.head.probes(),
        ]

    def elaborate(self, platform):
        m = Module()
        m.submodules.head = head = self.head
        m.submodules.store = self.store
        read, write = self.read, self.write
        push = self.i.valid & self.i.ready
        move = (self.level != 0) & (head.level + self.moving < HEAD_PLACES)
        m.d.comb += [
            self.i.ready.eq(self.level != self.depth),
            write.en.eq(push),
            write.addr.eq(self.newest),
            write.data.eq(self.i.payload),
            read.en.eq(move),
            read.addr.eq(self.oldest),
            head.i.valid.eq(self.moving),
            head.i.payload.eq(read.data),
        ]
        m.d.sync += [self.level.eq(self.level + push - move), self.moving.eq(move)]
        for pointer, moved in ((self.newest, push), (self.oldest, move)):
            with m.If(moved):
                m.d.sync += pointer.eq(Mux(pointer == self.depth - 1, 0, pointer + 1))
        wiring.connect(m, head.o, wiring.flipped(self.o))
        return m

    def model(self):
        """The cycle model of this queue."""
        return DeepQueueModel(self.depth)


class DeepQueueModel:
    """Cycle model of DeepQueue; items are integers."""

    def __init__(self, depth: int):
        self.depth = depth
        self.stored: deque[int] = deque()
        self.moving: int | None = None
        self.at_head = QueueModel(HEAD_PLACES)

    @property
    def ready(self) -> bool:
        """Whether an item is taken in this cycle."""
        return len(self.stored) != self.depth

    @property
    def valid(self) -> bool:
        """Whether `head` is an item."""
        return self.at_head.valid

    @property
    def head(self) -> int:
        """The item that leaves next."""
        return self.at_head.head

    @property
    def moves(self) -> bool:
        """Whether something changes here without anybody pushing or taking an item."""
        return self.moving is not None or self._can_move

    @property
    def _can_move(self) -> bool:
        on_its_way = self.moving is not None
        return bool(self.stored) and self.at_head.level + on_its_way < HEAD_PLACES

    def clock(self, pushed: int | None, pop: bool) -> None:
        """Go on by one clock edge: the item pushed (None for none) and whether one is taken."""
        moved = self.stored.popleft() if self._can_move else None
        self.at_head.clock(self.moving, pop)
        self.moving = moved
        if pushed is not None:
            self.stored.append(pushed)

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return len(self.stored), self.moving is not None, *self.at_head.values()


def source_queue(source):
    """The queue that a source's events wait in before a core."""
    layout = source_layout(source)
    return DeepQueue(layout, source.waiting) if source.waiting else EventQueue(layout)
