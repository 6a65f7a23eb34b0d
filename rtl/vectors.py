# amaranth: UnusedElaboratable=no
"""The queue of vectors between the fire unit and what sends them on."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.probe import Probe

# As many as keep scans going while a vector travels from the engine to its place and the credit for
# it back, and as many as a distributed memory holds.
LEAST_PLACES, FEW_PLACES = 8, 16
# Four distributed memories deep: beyond, a vector would cost more than what it waits for.
MOST_PLACES = 64


def vector_places(core) -> int:
    """Places of the queue behind a core's fire unit.

    A place for every row of a short scan; for every eighth of a long one, as only rows with spikes
    take one: the core goes on to the next step while the layer behind it works off the spikes,
    which come in a burst. Where a scan is one row, the next one waits for longer than that anyway.
    """
    if core.rows == 1:
        return 2
    few = min(max(LEAST_PLACES, _power_of_two(core.rows)), FEW_PLACES)
    return min(max(few, _power_of_two(-(-core.rows // 8))), MOST_PLACES)


def _power_of_two(count: int) -> int:
    """The smallest one that is not less."""
    return 1 << (count - 1).bit_length()


class VectorQueue(wiring.Component):
    """A first-in first-out queue without `ready`: whoever sends holds a credit for a place.

    Parameters
    ----------
    layout : of the vectors
    places : number of vectors

    Members
    -------
    vector_valid, vector : In, a vector to be taken
    valid, head : Out, the oldest vector
    pop : In(1), it is done with

    Attributes
    ----------
    store : the memory of the places
    oldest, newest : the place of `head`, and the place of the next vector
    """

    def __init__(self, layout: data.Layout, places: int):
        self.places = places
        self.level = Signal(range(places + 1))
        self.oldest, self.newest = Signal(range(places)), Signal(range(places))
        self.store = memory.Memory(shape=layout, depth=places, init=[])
        self.read = self.store.read_port(domain="comb")
        self.write = self.store.write_port()
        super().__init__(
            {
                "vector_valid": In(1),
                "vector": In(layout),
                "valid": Out(1),
                "head": Out(layout),
                "pop": In(1),
            }
        )

    def probes(self):
        """The level."""
        return [Probe("vectors.level", self.level)]

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = self.store
        read, write, oldest, newest = self.read, self.write, self.oldest, self.newest
        m.d.comb += [
            self.valid.eq(self.level != 0),
            read.addr.eq(oldest),
            self.head.eq(read.data),
            write.addr.eq(newest),
            write.data.eq(self.vector),
            write.en.eq(self.vector_valid),
        ]
        for pointer, moved in ((oldest, self.pop), (newest, self.vector_valid)):
            with m.If(moved):
                m.d.sync += pointer.eq(Mux(pointer == self.places - 1, 0, pointer + 1))
        m.d.sync += self.level.eq(self.level + self.vector_valid - self.pop)
        return m
