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
    out of its group; behind the last row of a group its sums are 0, so that the next step can begin
    while the fire unit still works on this one.

    With one group the sums are registers. The row that is taken is always the lowest: all others
    move down by one, as choosing one of many rows would cost more than the sums themselves. With
    more groups the sums are a memory that is read while an operation is in the stage before
    `apply`; successive ADD operations then visit different groups, so a read never meets the write
    of the operation before.

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
            self.write_data.eq(Mux(taken, 0, added)),
        ]
        width = len(self.sums)
        if core.groups == 1:
            with m.If(taken):
                # Not `>>`, whose every bit Amaranth takes for one of every bit of a wide word.
                m.d.sync += self.stored.eq(self.stored.shift_right(width))
            with m.Elif(adding):
                m.d.sync += self.stored.eq(added)
            m.d.sync += self.sums.eq(self.stored[:width])
            return m
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
        """Take these weights, in the order of `Core.weight_table`, from here on."""
        self.rows = weights
        self.raised: dict[tuple[int, tuple[int, ...]], int] = {}

    def settle(self, operation: Operation, row: int, values: tuple[int, ...]) -> None:
        """Let the write port settle: the operation in `apply`, its row of weights, the values."""
        if operation.kind == ADD:
            self.port = operation.group, self.groups[operation.group] + self._weights(row, values)
        elif operation.kind == NONE:
            self.port = None
        elif self.core.groups == 1:
            # Behind the row that is taken, zeros follow.
            taken = self.core.fire_lanes * self.lane_bits
            self.port = 0, (self.groups[0] ^ self.offset) >> taken ^ self.offset
        elif operation.part == self.core.parts - 1:
            self.port = operation.group, self.offset
        else:
            self.port = None

    def _weights(self, row: int, values: tuple[int, ...]) -> int:
        """What an event adds to the integer of a group."""
        known = self.raised.get((row, values))
        if known is None:
            weights = np.asarray(values) @ self.rows[row].reshape(len(values), -1)
            known = pack_lanes(weights, self.lane_bits) ^ self.offset
            known = self.raised[row, values] = known - self.offset
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
