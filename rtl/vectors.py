# amaranth: UnusedElaboratable=no
"""The queue of vectors between the fire unit and what sends them on."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.probe import Probe


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
