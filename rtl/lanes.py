"""The lanes of a core: where the weights of a time step's events are summed."""

import numpy as np
from amaranth import Array, Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.core_pipeline import product_bits
from spikeloom.compiler.fixed import IntArray
from spikeloom.rtl.lane_words import joined_lanes, signed_lanes
from spikeloom.rtl.operations import Kind, Operation, operation_layout
from spikeloom.rtl.probe import Probe, lane_bits, pack_lanes, unpack_lanes

ADD, NONE = Kind.ADD.value, Kind.NONE.value


class LaneArray(wiring.Component):
    """Sums of the weights of a step's events, `lanes` neurons at a time.

    ADD adds a word of weights to the sums of a group. FIRE and CLEAR take a row of the fire scan
    out of its group; with the last row of a group its sums become 0, so that the next step can
    begin while the fire unit still works on this one.

    With one group the sums are registers. With more they are a memory that is read while an
    operation is in the stage before `apply`; successive ADD operations then visit different groups,
    so a read never meets the write of the operation before.

    Parameters
    ----------
    core : Core

    Members
    -------
    before, apply : In, operations from the synapse engine
    weights : In(lanes * product_bits), lane 0 lowest
    sums : Out(fire_lanes * sum_bits), the row of the operation that was in `apply` a cycle ago
    """

    def __init__(self, core):
        self.core = core
        width = core.lanes * core.sum_bits
        self.stored = Signal(width)
        self.write_enable = Signal()
        self.write_group = Signal(range(core.groups))
        self.write_data = Signal(width)
        super().__init__(
            {
                "before": In(operation_layout(core)),
                "apply": In(operation_layout(core)),
                "weights": In(core.lanes * product_bits(core)),
                "sums": Out(core.fire_lanes * core.sum_bits),
            }
        )

    def probes(self):
        """The sums or, where they are in a memory, its write port."""
        core = self.core
        if core.groups == 1:
            return [Probe("lanes.sums", self.stored, core.lanes)]
        starts = [group * core.lanes for group in range(core.groups)]
        return [
            Probe("lanes.write_enable", self.write_enable),
            Probe("lanes.write_group", Mux(self.write_enable, self.write_group, 0)),
            Probe(
                "lanes.write_data",
                Mux(self.write_enable, self.write_data, 0),
                core.lanes,
                place=("lanes.write_group", starts, 1),
            ),
        ]

    def elaborate(self, platform):
        m = Module()
        core = self.core
        adding = self.apply.kind == Kind.ADD
        taken = (self.apply.kind != Kind.NONE) & ~adding
        clearing = taken & (self.apply.part == core.parts - 1)
        totals = signed_lanes(self.stored, core.lanes)
        weights = signed_lanes(self.weights, core.lanes)
        added = joined_lanes(
            [total + weight for total, weight in zip(totals, weights, strict=True)], core.sum_bits
        )
        m.d.comb += [
            self.write_enable.eq(adding | clearing),
            self.write_group.eq(self.apply.group),
            self.write_data.eq(Mux(adding, added, 0)),
        ]
        if core.groups == 1:
            # Two conditions in place of one value: a register clears itself without look-up tables.
            with m.If(clearing):
                m.d.sync += self.stored.eq(0)
            with m.Elif(adding):
                m.d.sync += self.stored.eq(added)
        else:
            m.submodules.sum_memory = store = memory.Memory(
                shape=unsigned(len(self.stored)), depth=core.groups, init=[]
            )
            read, write = store.read_port(), store.write_port()
            m.d.comb += [
                read.addr.eq(self.before.group),
                self.stored.eq(read.data),
                write.en.eq(self.write_enable),
                write.addr.eq(self.write_group),
                write.data.eq(self.write_data),
            ]
        width = len(self.sums)
        parts = Array(self.stored[part * width : (part + 1) * width] for part in range(core.parts))
        m.d.sync += self.sums.eq(parts[self.apply.part])
        return m

    def model(self):
        """The cycle model of these lanes."""
        return LaneArrayModel(self.core)


class LaneArrayModel:
    """Cycle model of LaneArray.

    The sums of a group are one integer, a part of `lane_bits` bits per lane, each raised by half
    the part's range. All parts are then non-negative, and adding an event's weights is one addition
    of integers, whatever the number of lanes; the bound of the sums keeps a part from running over.
    Flipping the highest bit of each part gives the signed values.

    Parameters
    ----------
    core : Core
    """

    def __init__(self, core):
        self.core = core
        self.lane_bits = lane_bits(core.sum_bits)
        self.offset = sum(
            1 << (lane * self.lane_bits + self.lane_bits - 1) for lane in range(core.lanes)
        )
        self.load(core.weight_table)
        self.groups = [self.offset] * core.groups
        self.port: tuple[int, int] | None = None

    def load(self, weights: IntArray) -> None:
        """Take these weights, shape (words, lanes), from here on."""
        self.rows = weights
        self.raised: dict[tuple[int, int], int] = {}

    def settle(self, operation: Operation, row: int, value: int) -> None:
        """Let the write port settle: the operation in `apply`, its row of weights, the value."""
        if operation.kind == ADD:
            self.port = operation.group, self.groups[operation.group] + self._weights(row, value)
        elif operation.kind != NONE and operation.part == self.core.parts - 1:
            self.port = operation.group, self.offset
        else:
            self.port = None

    def _weights(self, row: int, value: int) -> int:
        """What an event adds to the integer of a group."""
        known = self.raised.get((row, value))
        if known is None:
            known = pack_lanes(self.rows[row] * value, self.lane_bits) ^ self.offset
            known = self.raised[row, value] = known - self.offset
        return known

    def sums(self) -> np.ndarray:
        """The sums of all neurons, int64 of shape (neurons,)."""
        groups = [
            unpack_lanes(raised ^ self.offset, self.core.lanes, self.lane_bits)
            for raised in self.groups
        ]
        return np.concatenate(groups)[: self.core.neurons]

    def clock(self) -> None:
        """Go on by one clock edge."""
        if self.port is not None:
            self.groups[self.port[0]] = self.port[1]

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        if self.core.groups == 1:
            return (self.groups[0] ^ self.offset,)
        group, written = self.port or (0, self.offset)
        return self.port is not None, group, written ^ self.offset
