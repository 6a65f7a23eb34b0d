"""Proof about a fire lane: what a neuron does is what docs/arithmetic.md says.

The definition stands here once more, in plain signed arithmetic of unbounded width, and goes from
step to step in one clock cycle. The fire unit has a pipeline, states that are stored decayed, and
words as narrow as `bound_accumulators` has proved them to be enough.
"""

from typing import Any

from amaranth import Mux, Signal, signed

from spikeloom.compiler.core_pipeline import scan_pause
from spikeloom.compiler.cores import Core
from spikeloom.compiler.fixed import Decay, Reset
from spikeloom.rtl.fire import FireUnit
from spikeloom.rtl.operations import Kind
from spikeloom.sim.formal import Proof


def decayed(decay: Decay, value: Any) -> Any:
    """`decay(x) = (x * multiplier + half) >> shift`."""
    return (value * int(decay.multiplier[0]) + (1 << decay.shift) // 2) >> decay.shift


def saturated(value: Any, bits: int) -> Any:
    """The number of so many bits that is nearest."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return Mux(value < low, low, Mux(value > high, high, value))


class Definition:
    """The state of one neuron, and what a time step makes of it.

    Attributes
    ----------
    current, membrane, spent : I, Vr and whether the neuron has spiked, in registers
    potential, spike : V and s of the step that `total`, the sum of its weights, belongs to
    """

    def __init__(self, core: Core, total: Any) -> None:
        self.core, neuron = core, core.neuron
        self.membrane = Signal(signed(neuron.state_bits))
        self.current = Signal(signed(max(1, neuron.current_bits)))
        self.spent = Signal()
        self.given = (total << core.weight_shift) + int(neuron.bias[0])
        if neuron.current_decay is not None:
            self.given = decayed(neuron.current_decay, self.current) + self.given
        self.potential = decayed(neuron.decay, self.membrane) + self.given
        self.spike = (self.potential >= int(neuron.threshold[0])) & neuron.fire
        if neuron.single_spike:
            self.spike &= ~self.spent

    def after(self) -> list[tuple[Any, Any]]:
        """The states, and what they are after the step."""
        neuron = self.core.neuron
        lowered = {
            Reset.ZERO: 0,
            Reset.SUBTRACT: self.potential - int(neuron.threshold[0]),
            Reset.NONE: self.potential,
        }[neuron.reset]
        reset = Mux(self.spike, lowered, self.potential)
        states = [(self.membrane, saturated(reset, neuron.state_bits))]
        if neuron.current_decay is not None:
            states.append((self.current, saturated(self.given, neuron.current_bits)))
        if neuron.single_spike:
            states.append((self.spent, self.spent | self.spike))
        return states

    def stored(self, unit: FireUnit) -> list[tuple[Any, Any]]:
        """What the unit keeps of the states, and what that must be."""
        neuron = self.core.neuron
        bias = int(neuron.bias[0])
        membrane = decayed(neuron.decay, self.membrane)
        if neuron.current_decay is None:
            kept = [(unit.states.as_signed(), membrane + bias)]
        else:
            current = decayed(neuron.current_decay, self.current)
            kept = [
                (unit.states.as_signed(), membrane),
                (unit.currents.as_signed(), current + bias),
            ]
        if neuron.single_spike:
            kept.append((unit.spent, self.spent))
        return kept


def fire_lane(core: Core) -> Proof:
    """A FireUnit of one lane under any operations that an engine may send, followed at row 0.

    Where there are other rows, their operations come at any time, and the states are in a memory
    that the claims do not look into: such a proof is no induction.
    """
    proof = Proof()
    m = proof.module
    m.submodules.unit = unit = FireUnit(core)
    operation = unit.apply
    m.d.comb += operation.as_value().eq(proof.anything(len(operation.as_value()), "apply"))
    total = proof.anything(signed(core.sum_bits), "sums")
    m.d.comb += unit.sums.eq(total)
    weight = core.sources[0].weight[0]
    proof.suppose((total >= int(weight.clip(max=0).sum())) & (total <= int(weight.clip(0).sum())))

    # An engine first clears the row, and leaves it the time to come back between two visits.
    firing = (operation.kind == Kind.FIRE) & (operation.row == 0)
    clearing = (operation.kind == Kind.CLEAR) & (operation.row == 0)
    pause = scan_pause(core) + core.rows - 1
    wait, cleared = Signal(range(pause + 1)), Signal()
    with m.If(firing | clearing):
        m.d.sync += [wait.eq(pause), cleared.eq(1)]
    with m.Elif(wait != 0):
        m.d.sync += wait.eq(wait - 1)
    proof.suppose(~(firing | clearing) | (wait == 0))
    proof.suppose(~firing | cleared)
    proof.suppose(~clearing | operation.window_end)

    # The sums of an operation come in the cycle after it.
    fires, rests = Signal(), Signal()
    m.d.sync += [fires.eq(firing), rests.eq((firing & operation.window_end) | clearing)]
    neuron = Definition(core, total)
    for state, after in neuron.after():
        with m.If(rests):
            m.d.sync += state.eq(0)
        with m.Elif(fires):
            m.d.sync += state.eq(after)

    bits = len(unit.membranes) + 8
    decided, potential, spike = Signal(), Signal(signed(bits)), Signal()
    sent, membrane, spiked = Signal(), Signal(signed(bits)), Signal()
    m.d.sync += [decided.eq(fires), potential.eq(neuron.potential), spike.eq(neuron.spike)]
    m.d.sync += [sent.eq(decided), membrane.eq(potential), spiked.eq(spike)]
    proof.claim("V is that of the definition", unit.membranes.as_signed() == potential, decided)
    proof.claim("a row is sent two cycles later", unit.vector_valid, sent)
    if core.value_sent_bits:
        proof.claim("the membrane is sent", unit.vector.membrane == membrane, sent)
    else:
        proof.claim("the neuron spikes as defined", unit.vector.spikes == spiked, sent)
        proof.reach("a spike", sent & spiked)
    proof.reach("a state at its bound", neuron.membrane == -(1 << (core.neuron.state_bits - 1)))
    if core.rows > 1:
        return proof

    proof.claim("no other row is sent", sent, unit.vector_valid)
    # What the registers hold, for the induction.
    over = wait == 0
    proof.claim("the wait ends", wait <= pause)
    for stage in (unit.integrate, unit.decide, unit.written):
        proof.claim("a scan is over when the wait is", stage.kind == Kind.NONE, over)
    for number, (held, wanted) in enumerate(neuron.stored(unit)):
        name = f"state {number} is that of the definition"
        proof.claim(name, held == wanted, cleared & over)
    return proof
