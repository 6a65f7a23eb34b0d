"""The lanes of a convolution: banks in which the weights of a time step's events are summed."""

from functools import cache, reduce
from itertools import pairwise
from operator import or_
from typing import NamedTuple

import numpy as np
from amaranth import Array, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.core_pipeline import product_bits
from spikeloom.compiler.fixed import IntArray
from spikeloom.rtl.delays import delayed
from spikeloom.rtl.lane_words import joined_lanes, signed_lanes
from spikeloom.rtl.operations import Kind, Operation, operation_layout
from spikeloom.rtl.probe import Probe, lane_bits, pack_lanes
from spikeloom.rtl.ranks import Write, registered_read
from spikeloom.rtl.target import Target

ADD, NONE = Kind.ADD.value, Kind.NONE.value


class Access(NamedTuple):
    """What an operation does in a bank: it adds to a word, clears one, takes a part of one."""

    adds: Value
    clears: Value
    takes: Value


class BankArray(wiring.Component):
    """Sums of the weights of a step's events, in one memory per bank.

    ADD adds to one word of each bank that its target names: `grid.channels` neurons at one
    position of the feature maps. FIRE and CLEAR take a part of one word of one bank; with the last
    part of a word its sums become 0, so that the next step can begin while the fire unit still
    works on this one.

    Parameters
    ----------
    core : ConvolutionCore

    Members
    -------
    earlier, apply : In, operations from the synapse engine; the one in `earlier` is in `apply` two
        cycles later, three where banks are block RAM
    weights : In(lanes * product_bits), bank by bank, lane 0 lowest
    sums : Out(fire_lanes * sum_bits), the row of the operation that was in `apply` a cycle ago
    """

    def __init__(self, core):
        self.core = core
        self.target = Target(core)
        self.width = core.grid.channels * core.sum_bits
        self.write_enable = Signal(core.banks)
        self.added = [Signal(self.width, name=f"added{bank}") for bank in range(core.banks)]
        # A signal, as each lane's part of an expression would be the whole expression again.
        self.written = Signal(core.banks * self.width)
        super().__init__(
            {
                "earlier": In(operation_layout(core)),
                "apply": In(operation_layout(core)),
                "weights": In(core.lanes * product_bits(core)),
                "sums": Out(core.fire_lanes * core.sum_bits),
            }
        )

    def probes(self):
        """The write ports."""
        return [
            Probe("lanes.write_enable", self.write_enable),
            Probe("lanes.write_data", self.written, self.core.lanes, of_neurons=False),
        ]

    def elaborate(self, platform):
        m = Module()
        core = self.core
        words = self.target.words(self.earlier.target, self.earlier.group)
        follows = Signal(operation_layout(core))
        m.d.sync += follows.eq(delayed(m, self.earlier.as_value(), int(core.has_deep_banks)))
        adding = follows.kind == Kind.ADD
        taken = (follows.kind != Kind.NONE) & ~adding
        clearing = taken & (follows.part == core.parts - 1)
        read, written = [], []
        for bank, enable in enumerate(self.target.enables(follows.target)):
            # In registers of each bank: what they say goes to all of its lanes.
            does = Access(*(Signal(name=f"{name}{bank}") for name in Access._fields))
            coming = Access(enable & adding, enable & clearing, enable & taken)
            m.d.sync += [now.eq(soon) for now, soon in zip(does, coming, strict=True)]
            m.d.comb += self.write_enable[bank].eq(does.adds | does.clears)
            stored = self._bank(m, bank, words[bank], coming, does)
            written.append(Mux(does.adds, self._add(m, bank, stored), 0))
            read.append(Mux(does.takes, stored, 0))
        m.d.comb += self.written.eq(Cat(written))
        self._take(m, reduce(or_, read))
        return m

    def _add(self, m, bank, stored):
        """Add the weights of `apply` to what a bank holds of it."""
        core = self.core
        bits = core.grid.channels * product_bits(core)
        weights = self.weights[bank * bits : (bank + 1) * bits]
        lanes = zip(
            signed_lanes(stored, core.grid.channels),
            signed_lanes(weights, core.grid.channels),
            strict=True,
        )
        added = joined_lanes([total + weight for total, weight in lanes], core.sum_bits)
        m.d.comb += self.added[bank].eq(added)
        return self.added[bank]

    def _take(self, m, word):
        """Give the part of a word that is due; among many banks, finding the word takes a cycle."""
        core = self.core
        row, part = Signal(self.width, reset_less=True), self.apply.part
        if core.banks > 1:
            m.d.sync += row.eq(word)
            part = delayed(m, part, 1)
        else:
            m.d.comb += row.eq(word)
        width = len(self.sums)
        parts = Array(row[start : start + width] for start in range(0, core.parts * width, width))
        domain = m.d.comb if core.banks > 1 else m.d.sync
        domain += self.sums.eq(parts[part])

    def _bank(self, m, bank, word, coming, does):
        """A bank; gives what it holds of the operation in `apply`."""
        core = self.core
        # What stands here before the first scan does not matter: a reset of so many bits, which are
        # everywhere on the part, takes longer than a clock cycle.
        stored = Signal(self.width, name=f"stored{bank}", reset_less=True)
        added = self.added[bank]
        if core.bank_depth == 1:
            with m.If(does.clears):
                m.d.sync += stored.eq(0)
            with m.Elif(does.adds):
                m.d.sync += stored.eq(added)
        elif core.has_deep_banks:
            m.d.sync += stored.eq(self._deep(m, bank, word, does))
        else:
            self._shallow(m, bank, word, coming, does, stored)
        return stored

    def _shallow(self, m, bank, word, coming, does, stored):
        """Distributed memory, and of each of its words whether it is more than zeros.

        Between memory and adder stands a register, so that neither waits for the other. It takes
        what is being written, where that is the same word: events that follow on each other reach
        the same neurons. Of a word that was cleared the memory keeps what it was; the register
        starts from 0 instead, which costs no look-up table per bit as writing zeros would.
        """
        core = self.core
        added = self.added[bank]
        m.submodules[f"sum_memory{bank}"] = store = memory.Memory(
            shape=unsigned(self.width), depth=core.bank_depth, init=[]
        )
        read, write = store.read_port(domain="comb"), store.write_port()
        before, held = Signal.like(write.addr), Signal.like(write.addr)
        filled = Signal(core.bank_depth, name=f"filled{bank}")
        passed, empty = Signal(name=f"passed{bank}"), Signal(name=f"empty{bank}")
        changes = coming.adds | coming.clears
        same = word == before
        m.d.sync += [
            before.eq(word),
            held.eq(before),
            passed.eq(same & coming.adds),
            empty.eq(Mux(same & changes, coming.clears, ~filled.bit_select(word, 1))),
            stored.eq(Mux(passed, added, read.data)),
        ]
        with m.If(changes):
            m.d.sync += filled.bit_select(before, 1).eq(coming.adds)
        with m.If(empty):
            m.d.sync += stored.eq(0)
        m.d.comb += [
            read.addr.eq(before),
            write.en.eq(does.adds),
            write.addr.eq(held),
            write.data.eq(added),
        ]

    def _deep(self, m, bank, word, does):
        """Block RAM; gives what it holds of the operation that is in `apply` a cycle later.

        By the time that it has answered, three operations have passed that it did not know of, the
        last of which writes in this cycle.
        """
        core = self.core
        words = [Signal(range(core.bank_depth), name=f"word{bank}_{age}") for age in range(3)]
        m.d.sync += [later.eq(earlier) for earlier, later in pairwise([word, *words])]
        written, is_written = Mux(does.adds, self.added[bank], 0), self.write_enable[bank]
        write = Write(is_written, words[2], written)
        value = registered_read(
            m, f"sum_memory{bank}", self.width, core.bank_depth, word, write=write
        )
        passed = []
        for age in range(3):
            # The operation that stands so many cycles before this one reached the same word.
            same = delayed(m, words[age] == word, 2)
            passed.append((same & is_written, written))
            if age < 2:
                written, is_written = delayed(m, written, 1), delayed(m, is_written, 1)
        for hit, one in reversed(passed):
            value = Mux(hit, one, value)
        return value

    def model(self):
        """The cycle model of these lanes."""
        return BankArrayModel(self.core)


class BankArrayModel:
    """Cycle model of BankArray.

    A word of a bank is one integer, as the words of `LaneArrayModel` are.

    Parameters
    ----------
    core : ConvolutionCore
    """

    def __init__(self, core):
        self.core = core
        self.lane_bits = lane_bits(core.sum_bits)
        channels = core.grid.channels
        self.word_bits = channels * self.lane_bits
        self.offset = sum(
            1 << (lane * self.lane_bits + self.lane_bits - 1) for lane in range(channels)
        )
        self.banks = [[self.offset] * core.bank_depth for _ in range(core.banks)]
        self.used = cache(Target(core).used)
        self.load(core.weight_table)
        # Bank, word, and what is written.
        self.port: list[tuple[int, int, int]] = []

    def load(self, weights: IntArray) -> None:
        """Take these weights, shape (words, lanes), from here on."""
        self.table = weights
        self.weights = cache(self._weights)

    def settle(self, operation: Operation, row: int, values: tuple[int, ...]) -> None:
        """Let the write ports settle: the operation in `apply`, its weights, its value."""
        self.port = []
        if operation.kind == ADD:
            weights = self.weights(row, values)
            for bank, place in self.used(operation.target):
                word = place + operation.group
                self.port.append((bank, word, self.banks[bank][word] + weights[bank]))
        elif operation.kind != NONE and operation.part == self.core.parts - 1:
            ((bank, place),) = self.used(operation.target)
            self.port.append((bank, place + operation.group, self.offset))

    def _weights(self, row: int, values: tuple[int, ...]) -> list[int]:
        """What an event adds to the integer of a word, per bank."""
        lanes = self.table[row].reshape(self.core.banks, -1) * values[0]
        return [(pack_lanes(each, self.lane_bits) ^ self.offset) - self.offset for each in lanes]

    def sums(self) -> np.ndarray:
        """The sums of all neurons, int64 of shape (neurons,)."""
        raw = b"".join(
            (word ^ self.offset).to_bytes(self.word_bits // 8, "little")
            for bank in self.banks
            for word in bank
        )
        values = np.frombuffer(raw, f"<i{self.lane_bits // 8}")
        return values[self.core.sums_of_neurons].astype(np.int64)

    def clock(self) -> None:
        """Go on by one clock edge."""
        for bank, word, written in self.port:
            self.banks[bank][word] = written

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        enable = data = 0
        for bank, _, written in self.port:
            enable |= 1 << bank
            data |= (written ^ self.offset) << (bank * self.word_bits)
        return enable, data
