"""The cycle model of the fire unit."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.fixed import IntArray, reset, saturate
from spikeloom.rtl.operations import NO_OPERATION, Kind, Operation
from spikeloom.rtl.probe import lane_bits

FIRE, CLEAR = Kind.FIRE.value, Kind.CLEAR.value


class Row(NamedTuple):
    """What a row of a scan comes to, as the probes show it."""

    membranes: int
    vector: int
    stored: tuple[int, ...]


class Fired(NamedTuple):
    """What the neurons compared in a time step: V and the spikes, each of shape (neurons,)."""

    sample: int
    step: int
    membranes: IntArray
    spikes: NDArray[np.bool_]


class FireUnitModel:
    """Cycle model of FireUnit.

    A scan is computed as a whole, in numpy, when its first row is in `apply`: no row depends on
    another one. In the gates the states are stored decayed; here they are Vr and I themselves.

    Parameters
    ----------
    core : Core
    write_latency : stages behind `integrate`
    stored_bits : widths of the words that are stored, per lane

    Attributes
    ----------
    fired : every scan since reset
    progress : sample and time step of the next scan
    scanned : those of the latest one
    """

    def __init__(self, core, write_latency: int, stored_bits: tuple[int, ...]):
        self.core = core
        self.threshold, self.bias = core.neuron.threshold, core.neuron.bias
        self.stored_bits = stored_bits
        self.nothing = NO_OPERATION, Row(0, 0, (0,) * len(stored_bits))
        self.stages = [self.nothing] * (write_latency + 1)
        zeros = np.zeros(core.neurons, np.int64)
        self.state, self.current, self.constant = zeros, zeros, zeros
        self.spent = np.zeros(core.neurons, np.bool_)
        self.single = core.neuron.single_spike and core.neuron.fire
        self.flags_shift = core.value_sent_bits or core.fire_lanes
        self.rows: list[Row] = []
        self.fired: list[Fired] = []
        self.progress = self.scanned = 0, 0

    @property
    def vector(self) -> int | None:
        """The vector that is sent in this cycle."""
        operation, row = self.stages[2]
        return row.vector if operation.kind == FIRE else None

    @property
    def rests(self) -> bool:
        """Whether nothing changes here until an operation comes."""
        return all(stage is self.nothing for stage in self.stages)

    def load(self, thresholds: IntArray, biases: IntArray) -> None:
        """Take these thresholds and biases by row, shape (rows, fire_lanes), from here on."""
        self.threshold = self.core.by_neuron(thresholds)
        self.bias = self.core.by_neuron(biases)

    def clock(self, operation: Operation, sums: Callable[[], IntArray]) -> None:
        """Go on by one clock edge.

        Parameters
        ----------
        operation : in `apply`
        sums : gives those of all neurons, shape (neurons,)
        """
        entering = self.nothing
        if operation.kind in (FIRE, CLEAR):
            if operation.row == 0:
                self.rows = self._scan(operation, sums())
            entering = operation, self.rows[operation.row]
        self.stages = [entering, *self.stages[:-1]]

    def _scan(self, operation: Operation, sums: IntArray) -> list[Row]:
        core, neuron = self.core, self.core.neuron
        membranes, spikes = np.zeros_like(sums), np.zeros(len(sums), np.bool_)
        if operation.kind == FIRE:
            membranes, spikes = self._compare(operation, sums)
            self.fired.append(Fired(*self.progress, membranes, spikes))
            sample, step = self.scanned = self.progress
            self.progress = (sample + 1, 0) if operation.window_end else (sample, step + 1)
        if operation.window_end:
            self.state, self.current = np.zeros_like(sums), np.zeros_like(sums)
            self.spent = np.zeros_like(spikes)
        sent = self._shown(spikes, 1)
        if core.value_sent_bits:
            mask = (1 << core.value_sent_bits) - 1
            sent = [int(membrane) & mask for membrane in core.by_row(membranes)[:, 0]]
        flags = operation.window_end << (self.flags_shift + 1)
        vectors = [vector | flags for vector in sent]
        vectors[-1] |= 1 << self.flags_shift
        return list(
            map(
                Row,
                self._shown(membranes, neuron.accumulator_bits),
                vectors,
                zip(*self._stored(), strict=True),
            )
        )

    def _compare(self, operation: Operation, sums: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
        """V and the spikes of this time step; Vr and I become those behind it."""
        neuron = self.core.neuron
        given = sums << self.core.weight_shift
        if self.core.constant:
            self.constant = given if operation.window_start else self.constant
            given = self.constant
        given = given + self.bias
        if neuron.current_decay is not None:
            given = given + neuron.current_decay(self.current)
            self.current = saturate(given, neuron.current_bits)
        membranes = after = neuron.decay(self.state) + given
        spikes = np.zeros(len(sums), np.bool_)
        if neuron.fire:
            spikes = (membranes >= self.threshold) & ~self.spent
            self.spent = (self.spent | spikes) & self.single
            after = reset(membranes, spikes, self.threshold, neuron.reset)
        self.state = saturate(after, neuron.state_bits)
        return membranes, spikes

    def _stored(self) -> list[list[int]]:
        """What the gates write into their memories: the rows of each memory."""
        neuron = self.core.neuron
        stored = [neuron.decay(self.state)]
        if neuron.current_decay is None:
            stored[0] = stored[0] + self.bias
        else:
            stored.append(neuron.current_decay(self.current) + self.bias)
        if self.single:
            stored.append(self.spent.astype(np.int64))
        return [
            self._shown(values, bits) for values, bits in zip(stored, self.stored_bits, strict=True)
        ]

    def _shown(self, values: NDArray[np.generic], bits: int) -> list[int]:
        """Numbers of the neurons by row, as a probe of lanes of so many bits shows them."""
        rows = self.core.by_row(values.astype(np.int64))
        part = lane_bits(bits)
        if part == 1:
            packed = np.packbits(rows.astype(np.bool_), axis=1, bitorder="little")
        else:
            packed = rows.astype(f"<i{part // 8}").view(np.uint8)
        return [int.from_bytes(row.tobytes(), "little") for row in packed]

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        deciding, decided = self.stages[1]
        sending, sent = self.stages[2]
        writing, written = self.stages[-1]
        shown = (deciding.row, decided.membranes) if deciding.kind == FIRE else (0, 0)
        vector = (False, 0, 0, 0)
        if sending.kind == FIRE:
            ends = sent.vector >> self.flags_shift
            lanes = sent.vector & ((1 << self.flags_shift) - 1)
            if self.core.value_sent_bits:
                lanes = sent.membranes
            vector = (True, sending.row, lanes, ends)
        return (*shown, *vector, writing.kind != 0, writing.row, *written.stored)
