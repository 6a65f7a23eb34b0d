# amaranth: UnusedElaboratable=no
"""The fork: where the events of one population go to several cores."""

from amaranth import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Fork(wiring.Component):
    """Gives each event of a stream to all takers in the same cycle, when all are ready.

    No taker's `ready` may depend on its `valid`.

    Parameters
    ----------
    layout : of the events
    takers : how many, at least 1

    Members
    -------
    i : In(stream) of events
    o0, o1, .. : Out(stream) of the same events
    """

    def __init__(self, layout, takers: int):
        signature = stream.Signature(layout)
        outputs = {f"o{number}": Out(signature) for number in range(takers)}
        self.takers = takers
        super().__init__({"i": In(signature)} | outputs)

    @property
    def outputs(self):
        """The streams of the takers."""
        return [getattr(self, f"o{number}") for number in range(self.takers)]

    def elaborate(self, platform):
        m = Module()
        ready = Cat(taker.ready for taker in self.outputs).all()
        m.d.comb += self.i.ready.eq(ready)
        for taker in self.outputs:
            m.d.comb += [taker.payload.eq(self.i.payload), taker.valid.eq(self.i.valid & ready)]
        return m
