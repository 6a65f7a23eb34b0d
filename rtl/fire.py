"""The fire unit of a core: states, threshold, reset, decay, a row of neurons at a time."""

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.core_pipeline import state_bits, write_latency
from spikeloom.compiler.fixed import Reset, shift_round, signed_range
from spikeloom.rtl.fire_model import FireUnitModel
from spikeloom.rtl.lane_words import joined_lanes, signed_lanes
from spikeloom.rtl.loading import load_member, load_of, selected
from spikeloom.rtl.operations import Kind, operation_layout
from spikeloom.rtl.parameters import parameter_lanes
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.states import StateRows


def vector_layout(core) -> data.StructLayout:
    """What the fire unit sends of a row: spikes or, with one lane, the membrane V."""
    sent = {"spikes": unsigned(core.fire_lanes)}
    if core.value_sent_bits:
        sent = {"membrane": signed(core.value_sent_bits)}
    return data.StructLayout(sent | {"scan_end": unsigned(1), "window_end": unsigned(1)})


class FireUnit(wiring.Component):
    """What becomes of a step's sums: spikes, and the states that the next step starts from.

    A row passes the stages `integrate` (V is formed), `decide` (threshold and reset), with
    multipliers two more, and the write of its states. Stored is what the next step adds to its
    sums, so that `integrate` is an addition: `decay(Vr) + bias`, or with a synaptic current
    `current_decay(I) + bias` and `decay(Vr)`. Behind the last step of a window, and for CLEAR, Vr
    and I are 0, so that every window starts from rest.

    With constant input the sums of the first step are kept and used in all steps of the window.

    Parameters
    ----------
    core : Core

    Members
    -------
    before, apply : In, operations from the synapse engine
    sums : In(fire_lanes * sum_bits), of the operation that was in `apply` a cycle ago
    vector_valid : Out(1), `vector` holds a row
    vector : Out, see `vector_layout`
    load : In(LoadSignature), where thresholds and biases can be loaded
    """

    def __init__(self, core):
        self.core = core
        self.bits = core.neuron.accumulator_bits
        operation = operation_layout(core)
        self.integrate = Signal(operation)
        self.decide = Signal(operation)
        self.rested = Signal(operation)
        self.membranes = Signal(core.fire_lanes * self.bits)
        self.written = Signal(operation)
        self.has_current = core.neuron.current_decay is not None
        self.single_spike = core.neuron.single_spike and core.neuron.fire
        self.state_bits = state_bits(core, core.neuron.decay, not self.has_current)
        self.states = Signal(core.fire_lanes * self.state_bits)
        self.written_states = Signal.like(self.states)
        if self.has_current:
            self.current_bits = state_bits(core, core.neuron.current_decay, True)
            self.currents = Signal(core.fire_lanes * self.current_bits)
            self.written_currents = Signal.like(self.currents)
        if self.single_spike:
            self.spent = Signal(core.fire_lanes)
            self.written_spent = Signal.like(self.spent)
        super().__init__(
            {
                "before": In(operation),
                "apply": In(operation),
                "sums": In(core.fire_lanes * core.sum_bits),
                "vector_valid": Out(1),
                "vector": Out(vector_layout(core)),
            }
            | load_member(core)
        )

    def probes(self):
        """The membranes in `decide`, what is sent, and what is written."""
        core = self.core
        deciding = self.decide.kind == Kind.FIRE
        writing = self.written.kind != Kind.NONE
        lanes = core.fire_lanes
        sending = self.vector_valid
        sent = self.vector.membrane if core.value_sent_bits else self.vector.spikes
        ends = Cat(self.vector.scan_end, self.vector.window_end)
        places = core.row_starts, core.lane_distance
        decided = {"lanes": lanes, "place": ("fire.row", *places)}
        written = {"lanes": lanes, "place": ("fire.write_row", *places)}
        probes = [
            Probe("fire.row", Mux(deciding, self.decide.row, 0)),
            Probe("fire.membranes", Mux(deciding, self.membranes, 0), **decided),
            Probe("fire.sending", sending),
            Probe("fire.sent_row", Mux(sending, self.rested.row, 0)),
            Probe(
                "fire.sent",
                Mux(sending, sent.as_unsigned(), 0),
                lanes,
                place=("fire.sent_row", *places),
            ),
            Probe("fire.sent_ends", Mux(sending, ends, 0)),
            Probe("fire.write_enable", writing),
            Probe("fire.write_row", Mux(writing, self.written.row, 0)),
            Probe("fire.states", Mux(writing, self.written_states, 0), **written),
        ]
        if self.has_current:
            probes.append(Probe("fire.currents", Mux(writing, self.written_currents, 0), **written))
        if self.single_spike:
            probes.append(Probe("fire.spent", Mux(writing, self.written_spent, 0), **written))
        return probes

    def elaborate(self, platform):
        m = Module()
        scanning = (self.apply.kind == Kind.FIRE) | (self.apply.kind == Kind.CLEAR)
        m.d.sync += [
            self.integrate.eq(Mux(scanning, self.apply.as_value(), 0)),
            self.decide.eq(self.integrate),
        ]
        if load_of(self) is not None:
            # Each has a port of its own.
            parameters = (selected(self.load, what) for what in ("thresholds", "biases"))
            m.d.comb += self.load.taken.eq(Cat(bit for bit in parameters if bit is not None).any())
        self._store(m)
        currents = self._integrate(m)
        rest, spent = self._decide(m, currents)
        self._write(m, rest, spent)
        return m

    def _store(self, m):
        """Keep what was written until the row comes again."""
        core = self.core
        writing = self.written.kind != Kind.NONE
        kept = [("state", self.states, self.written_states)]
        if self.has_current:
            kept.append(("current", self.currents, self.written_currents))
        if self.single_spike:
            kept.append(("spent", self.spent, self.written_spent))
        for name, read, written in kept:
            rows = StateRows(name, core, len(read))
            word = rows.build(m, self.before, self.apply, writing, self.written.row, written)
            m.d.comb += read.eq(word)

    def _integrate(self, m):
        """Form V, and with synaptic currents A, which is returned in the `decide` stage."""
        core = self.core
        sums = self._given(m)
        lanes = core.fire_lanes
        states = signed_lanes(self.states, lanes)
        given = [total << core.weight_shift for total in sums]
        currents = None
        if self.has_current:
            currents = Signal(lanes * self.bits)
            stored = signed_lanes(self.currents, lanes)
            given = [total + current for total, current in zip(given, stored, strict=True)]
            m.d.sync += currents.eq(joined_lanes(given, self.bits))
        membranes = [total + state for total, state in zip(given, states, strict=True)]
        m.d.sync += self.membranes.eq(joined_lanes(membranes, self.bits))
        return currents

    def _given(self, m):
        """The row's sums; with constant input those of the window's first step."""
        core = self.core
        if not core.constant:
            return signed_lanes(self.sums, core.fire_lanes)
        first = self.integrate.window_start
        kept, taken = Signal.like(self.sums), Signal.like(self.sums)
        word = StateRows("constant", core, len(self.sums)).build(
            m,
            self.before,
            self.apply,
            (self.integrate.kind == Kind.FIRE) & first,
            self.integrate.row,
            self.sums,
        )
        m.d.comb += [kept.eq(word), taken.eq(Mux(first, self.sums, kept))]
        return signed_lanes(taken, core.fire_lanes)

    def _decide(self, m, currents):
        """Compare, reset, send; gives Vr and I and who has spiked, a cycle later."""
        core, neuron = self.core, self.core.neuron
        lanes = core.fire_lanes
        firing = self.decide.kind == Kind.FIRE
        resting = self.decide.window_end
        m.d.sync += [
            self.rested.eq(self.decide),
            self.vector_valid.eq(firing),
            self.vector.scan_end.eq(self.decide.scan_end),
            self.vector.window_end.eq(self.decide.window_end),
        ]
        membranes = signed_lanes(self.membranes, lanes)
        spikes, after = [], membranes
        spent_before = Signal(lanes)
        if neuron.fire:
            thresholds = self._loadable(m, "threshold", core.threshold_table, self.integrate)
            if self.single_spike:
                m.d.sync += spent_before.eq(self.spent)
            after = []
            for lane, (membrane, threshold) in enumerate(zip(membranes, thresholds, strict=True)):
                difference = membrane - threshold
                spike = Signal(name="spike")
                m.d.comb += spike.eq((difference >= 0) & ~spent_before[lane])
                spikes.append(spike)
                after.append(
                    {
                        Reset.ZERO: Mux(spike, 0, membrane),
                        Reset.SUBTRACT: Mux(spike, difference, membrane),
                        Reset.NONE: membrane,
                    }[neuron.reset]
                )
        if core.value_sent_bits:
            m.d.sync += self.vector.membrane.eq(membranes[0])
        else:
            m.d.sync += self.vector.spikes.eq(Cat(spikes))
        rest = {"state": [self._rest(m, resting, value) for value in after]}
        if currents is not None:
            rest["current"] = [
                self._rest(m, resting, value) for value in signed_lanes(currents, lanes)
            ]
        spent = Signal(lanes)
        if self.single_spike:
            m.d.sync += spent.eq(Mux(resting, 0, spent_before | Cat(spikes)))
        return rest, spent

    def _rest(self, m, resting, value):
        """A state after the reset, 0 at the end of a window."""
        rest = Signal(signed(self.bits), name="rest")
        m.d.sync += rest.eq(Mux(resting, 0, value))
        return rest

    def _write(self, m, rest, spent):
        """Saturate, decay and add the bias, and write."""
        core, neuron = self.core, self.core.neuron
        rested = self.rested
        before, now, spent_now = self.decide, rested, spent
        if core.needs_multiplier:
            saturating, now = Signal.like(rested), Signal.like(rested)
            held, spent_now = Signal.like(spent), Signal.like(spent)
            m.d.sync += [saturating.eq(rested), now.eq(saturating)]
            m.d.sync += [held.eq(spent), spent_now.eq(held)]
            before = saturating
        m.d.comb += self.written.eq(now)
        shift = self._biased.shift
        biases = [bias << shift for bias in self._loadable(m, "bias", core.bias_table, before)]
        none = [0] * core.fire_lanes
        states = self._decayed(m, "state", rest["state"], neuron.decay, neuron.state_bits)
        m.d.comb += self.written_states.eq(
            joined_lanes(
                self._shifted(states, neuron.decay, none if self.has_current else biases),
                self.state_bits,
            )
        )
        if self.has_current:
            decay = neuron.current_decay
            currents = self._decayed(m, "current", rest["current"], decay, neuron.current_bits)
            m.d.comb += self.written_currents.eq(
                joined_lanes(self._shifted(currents, decay, biases), self.current_bits)
            )
        if self.single_spike:
            m.d.comb += self.written_spent.eq(spent_now)

    @property
    def _biased(self):
        """The decay whose result the bias is added to."""
        neuron = self.core.neuron
        return neuron.current_decay if self.has_current else neuron.decay

    def _decayed(self, m, name, rest, decay, bits):
        """Saturated values times the decay's multipliers, in the stage of their write."""
        core = self.core
        table = core.multiplier_table(decay)
        if not core.needs_multiplier:
            factors = core.multipliers(decay)[0]
            return [
                _clip(value, bits) * int(factor)
                for value, factor in zip(rest, factors, strict=True)
            ]
        values = []
        for value, factor in zip(
            rest, parameter_lanes(m, core, f"{name}_multiplier", table, self.rested), strict=True
        ):
            saturated = Signal(signed(bits), name="saturated")
            product = Signal((saturated * factor).shape(), name="product")
            m.d.sync += [saturated.eq(_clip(value, bits)), product.eq(saturated * factor)]
            values.append(product)
        return values

    def _shifted(self, values, decay, biases):
        """The end of a decay. The bias goes in before the shift: exact, and it saves an adder."""
        return [
            shift_round(value + bias, decay.shift)
            for value, bias in zip(values, biases, strict=True)
        ]

    def _loadable(self, m, name, table, operation):
        """A parameter per lane that may be one that can be loaded."""
        load = load_of(self)
        plural = {"threshold": "thresholds", "bias": "biases"}[name]
        select = selected(load, plural)
        return parameter_lanes(m, self.core, name, table, operation, load=load, select=select)

    def model(self):
        """The cycle model of this unit."""
        stored = [self.state_bits]
        if self.has_current:
            stored.append(self.current_bits)
        if self.single_spike:
            stored.append(1)
        return FireUnitModel(self.core, write_latency(self.core), tuple(stored))


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
