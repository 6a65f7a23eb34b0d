"""The neurons of a core: membranes, accumulation, threshold, reset, decay."""

import numpy as np
from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.fixed import Reset, reset, saturate, shift_round, signed_bits, signed_range
from spikeloom.rtl.probe import Probe, pack_lanes, unpack_lanes
from spikeloom.rtl.synapses import NO_OPERATION, Kind, operation_layout

# Plain integers: the model compares them in every cycle.
ADD, FIRE, CLEAR = Kind.ADD.value, Kind.FIRE.value, Kind.CLEAR.value


def spike_vector_layout(lanes: int) -> data.StructLayout:
    """The spikes of one group of neurons; `scan_end` marks the last group of a time step."""
    return data.StructLayout({"spikes": unsigned(lanes), "scan_end": unsigned(1)})


def fire_latency(core) -> int:
    """Clock cycles from a FIRE operation to the write of its membranes.

    A decay by a power of two is wiring; any other takes two more stages for its multiplier.
    """
    return 3 if core.needs_multiplier else 1


class NeuronArray(wiring.Component):
    """The membranes of a core and what happens to them, `lanes` neurons at a time.

    A membrane in store is `decay(Vr[t-1]) + bias + (weights of this step's events so far)`. ADD
    adds a weight in the cycle in which it is in `apply`. FIRE, at the end of the step, finds V
    there; one cycle later the spikes leave, and after `fire_latency` cycles the membranes for the
    next step are written: `decay(Vr) + bias`, or the bias alone behind the last step of a window,
    so that every window starts from rest. CLEAR writes the bias alone and sends no spikes.

    With one group the membranes are registers. With more they are a memory that is read while an
    operation is in `fetch`; successive operations then visit different groups, so a read never
    meets the write of the operation before.

    Parameters
    ----------
    core : Core

    Members
    -------
    fetch, apply : In, operations from the synapse engine
    weights : In(lanes * weight_bits), lane 0 lowest
    vector_valid : Out(1), `vector` holds the spikes of a group
    vector : Out, spikes of a group
    """

    def __init__(self, core):
        self.core = core
        self.bits = core.neuron.accumulator_bits
        self.fire_latency = fire_latency(core)
        width = core.lanes * self.bits
        self.membranes = Signal(width)
        self.write_enable = Signal()
        self.write_group = Signal(range(core.groups))
        self.write_data = Signal(width)
        operation = operation_layout(core.groups)
        super().__init__(
            {
                "fetch": In(operation),
                "apply": In(operation),
                "weights": In(core.lanes * core.weight_bits),
                "vector_valid": Out(1),
                "vector": Out(spike_vector_layout(core.lanes)),
            }
        )

    def probes(self):
        """Spikes, and the lanes' membranes or, where they are in a memory, its write port."""
        lanes = self.core.lanes
        probes = [
            Probe("neurons.vector_valid", self.vector_valid),
            Probe("neurons.spikes", self.vector.spikes, lanes),
        ]
        if self.core.groups == 1:
            return [*probes, Probe("neurons.membranes", self.membranes, lanes)]
        return [
            *probes,
            Probe("neurons.write_enable", self.write_enable),
            Probe("neurons.write_group", Mux(self.write_enable, self.write_group, 0)),
            Probe("neurons.write_data", Mux(self.write_enable, self.write_data, 0), lanes),
        ]

    def elaborate(self, platform):
        m = Module()
        self._store(m)
        resting, fired = self._fire(m)
        written, values = self._decay(m, resting, fired)
        adding = self.apply.kind == Kind.ADD
        m.d.comb += [
            self.write_enable.eq(adding | (written.kind != Kind.NONE)),
            self.write_group.eq(Mux(adding, self.apply.group, written.group)),
        ]
        sums = self._sums()
        for lane, (total, value) in enumerate(zip(sums, values, strict=True)):
            part = self.write_data[lane * self.bits :][: self.bits]
            m.d.comb += part.eq(Mux(adding, total, value))
        return m

    def _store(self, m):
        """Keep the membranes, in registers or in a memory."""
        if self.core.groups == 1:
            with m.If(self.write_enable):
                m.d.sync += self.membranes.eq(self.write_data)
            return
        m.submodules.membrane_memory = store = memory.Memory(
            shape=unsigned(len(self.membranes)),
            depth=self.core.groups,
            init=[],
        )
        read, write = store.read_port(), store.write_port()
        m.d.comb += [
            read.addr.eq(self.fetch.group),
            self.membranes.eq(read.data),
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_group),
            write.data.eq(self.write_data),
        ]

    def _sums(self):
        """Membranes plus weights. The bits below the weights' unit pass the adder by."""
        shift = self.core.weight_shift
        membranes = _lanes(self.membranes, self.core.lanes)
        weights = _lanes(self.weights, self.core.lanes)
        return [
            Cat(membrane[:shift], (membrane >> shift) + weight)
            for membrane, weight in zip(membranes, weights, strict=True)
        ]

    def _fire(self, m):
        """Compare with the thresholds and reset; gives Vr and its operation, a cycle later."""
        core = self.core
        firing = self.apply.kind == Kind.FIRE
        fired = Signal(operation_layout(core.groups))
        m.d.sync += [
            fired.eq(Mux(self.apply.kind == Kind.ADD, 0, self.apply.as_value())),
            self.vector_valid.eq(firing),
            self.vector.scan_end.eq(self.apply.scan_end),
        ]
        thresholds = self._table(m, "threshold", core.thresholds, self.fetch.group)
        resting, spikes = [], []
        for membrane, threshold in zip(_lanes(self.membranes, core.lanes), thresholds, strict=True):
            difference = membrane - threshold
            spike = Signal(name="spike")
            m.d.comb += spike.eq(difference >= 0)
            after = {
                Reset.ZERO: Mux(spike, 0, membrane),
                Reset.SUBTRACT: Mux(spike, difference, membrane),
                Reset.NONE: membrane,
            }[core.neuron.reset]
            rest = Signal(signed(self.bits), name="rest")
            m.d.sync += rest.eq(Mux(self.apply.window_end, 0, after))
            spikes.append(spike)
            resting.append(rest)
        m.d.sync += self.vector.spikes.eq(Mux(firing, Cat(spikes), 0))
        return resting, fired

    def _decay(self, m, resting, fired):
        """Saturate, decay and add the bias; gives the operation and the membranes to write."""
        core = self.core
        shift = core.neuron.decay.shift
        state_bits = core.neuron.state_bits
        before, now = self.apply.group, fired
        if self.fire_latency == 1:
            values = [
                _clip(rest, state_bits) * int(factor)
                for rest, factor in zip(resting, core.multipliers[0], strict=True)
            ]
        else:
            factors = self._table(m, "multiplier", core.multipliers, fired.group)
            values = []
            for rest, factor in zip(resting, factors, strict=True):
                saturated = Signal(signed(state_bits), name="saturated")
                product = Signal((saturated * factor).shape(), name="product")
                m.d.sync += [
                    saturated.eq(_clip(rest, state_bits)),
                    product.eq(saturated * factor),
                ]
                values.append(product)
            saturating, now = Signal.like(fired), Signal.like(fired)
            m.d.sync += [saturating.eq(fired), now.eq(saturating)]
            before = saturating.group
        biases = self._table(m, "bias", core.biases << shift, before)
        # The bias goes in before the shift, which is exact and saves an adder.
        return now, [
            shift_round(value + bias, shift) for value, bias in zip(values, biases, strict=True)
        ]

    def _table(self, m, name, rows, group):
        """A parameter per lane: constants, or a memory that is read by the group a cycle before."""
        if (rows == rows[0]).all():
            return [int(value) for value in rows[0]]
        bits = signed_bits(int(rows.min()), int(rows.max()))
        m.submodules[f"{name}_memory"] = table = memory.Memory(
            shape=unsigned(self.core.lanes * bits),
            depth=len(rows),
            init=[_word(row, bits) for row in rows],
        )
        read = table.read_port()
        m.d.comb += read.addr.eq(group)
        return _lanes(read.data, self.core.lanes)

    def model(self):
        """The cycle model of these neurons."""
        return NeuronArrayModel(self.core, self.probes()[-1].lane_bits)


def _lanes(word, lanes):
    """The signed parts of a word, lane 0 lowest."""
    width = len(word) // lanes
    return [word[lane * width :][:width].as_signed() for lane in range(lanes)]


def _word(values, bits):
    """The word that holds signed `values` side by side."""
    return sum(
        (int(value) & ((1 << bits) - 1)) << (bits * lane) for lane, value in enumerate(values)
    )


def _clip(value, bits):
    """`fixed.saturate` in gates; none where the value has no more bits than that.

    A value fits if the bits from the new sign upwards are all alike, which needs no carry chain.
    """
    if len(value) <= bits:
        return value
    low, high = signed_range(bits)
    upper = value[bits - 1 :]
    fits = upper.all() | ~upper.any()
    return Mux(fits, value[:bits].as_signed(), Mux(value[-1], low, high))


class NeuronArrayModel:
    """Cycle model of NeuronArray.

    The membranes of a group are one integer, a part of `lane_bits` bits per lane, each raised by
    half the part's range. All parts are then non-negative, and adding an event's weights is one
    addition of integers, whatever the number of lanes; the accumulators' bound keeps a part from
    running over. Flipping the highest bit of each part gives the signed values.

    `fired` gets an entry (group, V of all lanes, spikes of all lanes) for every FIRE operation, in
    the cycle in which the neurons compare.

    Parameters
    ----------
    core : Core
    lane_bits : bits that a membrane takes in the probe port
    """

    def __init__(self, core, lane_bits: int):
        self.core = core
        self.lane_bits = lane_bits
        self.in_registers = core.groups == 1
        self.offset = _word([1 << (lane_bits - 1)] * core.lanes, lane_bits)
        table = core.weight_table << core.weight_shift
        self.weights = [self._raised(row) - self.offset for row in table]
        self.membranes = [self.offset] * core.groups
        self.nothing = NO_OPERATION, np.zeros(core.lanes, np.int64)
        self.returning = [self.nothing] * fire_latency(core)
        self.port: tuple[int, int] | None = None
        self.vector_valid = False
        self.spikes = 0
        self.scan_end = 0
        self.fired: list[tuple[int, np.ndarray, np.ndarray]] = []

    def settle(self, operation, row):
        """Let the write port settle: the operation in `apply` and its row of weights."""
        kind, group = operation[:2]
        done, resting = self.returning[-1]
        if kind == ADD:
            self.port = group, self.membranes[group] + self.weights[row]
        elif done[0]:
            neuron = self.core.neuron
            product = saturate(resting, neuron.state_bits) * self.core.multipliers[done[1]]
            decayed = shift_round(product, neuron.decay.shift)
            self.port = done[1], self._raised(decayed + self.core.biases[done[1]])
        else:
            self.port = None

    def clock(self, operation):
        """Go on by one clock edge, with the operation in `apply`."""
        kind, group, scan_end, window_end = operation
        rising = self.nothing
        self.vector_valid = kind == FIRE
        self.spikes = 0
        self.scan_end = scan_end
        if kind == FIRE:
            membrane, threshold = self._signed(self.membranes[group]), self.core.thresholds[group]
            spike = membrane >= threshold
            after = reset(membrane, spike, threshold, self.core.neuron.reset)
            rising = (operation, after * (1 - window_end))
            self.spikes = int.from_bytes(np.packbits(spike, bitorder="little").tobytes(), "little")
            self.fired.append((group, membrane, spike))
        elif kind == CLEAR:
            rising = operation, self.nothing[1]
        self.returning = [rising, *self.returning[:-1]]
        if self.port is not None:
            self.membranes[self.port[0]] = self.port[1]

    def _raised(self, values):
        return pack_lanes(values, self.lane_bits) ^ self.offset

    def _signed(self, raised):
        return unpack_lanes(raised ^ self.offset, self.core.lanes, self.lane_bits)

    @property
    def rests(self) -> bool:
        """Whether nothing changes here until an operation comes."""
        returning = any(operation[0] for operation, _ in self.returning)
        return not returning and not self.vector_valid

    def values(self):
        """Values of the probes."""
        if self.in_registers:
            return self.vector_valid, self.spikes, self.membranes[0] ^ self.offset
        group, written = self.port or (0, self.offset)
        enabled = self.port is not None
        return self.vector_valid, self.spikes, enabled, group, written ^ self.offset
