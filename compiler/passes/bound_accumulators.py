"""The pass `bound_accumulators`."""

from dataclasses import dataclass, replace

import numpy as np

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import IntArray, Reset, saturate, signed_bits
from spikeloom.compiler.ir import FixedNeuron, Network, Population

# The program file stores thresholds and biases in 32 bits.
MAX_ACCUMULATOR_BITS = 32


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """A smallest and a largest integer per neuron, each of shape (neurons,)."""

    low: IntArray
    high: IntArray

    def hull(self, other: "Interval") -> "Interval":
        """The narrowest interval that holds both."""
        return Interval(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    @property
    def bits(self) -> int:
        """Width of a word that holds every neuron's interval."""
        return signed_bits(int(self.low.min()), int(self.high.max()))


def bound_accumulators(network: Network) -> Network:
    """Make accumulators wide enough for any order of any events, membranes no wider than needed.

    Exact interval analysis over the window, neuron by neuron (docs/arithmetic.md): each presynaptic
    neuron gives at most one event per step, so that every partial sum lies between the start of the
    step plus all negative weights and the start plus all positive weights.
    """
    populations = [network.input, *(_bound(network, layer) for layer in network.layers)]
    return replace(network, populations=tuple(populations))


def _bound(network: Network, layer: Population) -> Population:
    neuron = layer.neuron
    assert isinstance(neuron, FixedNeuron)
    low = np.zeros(layer.size, np.int64)
    high = np.zeros(layer.size, np.int64)
    for edge in network.projections_to(layer.name):
        weight = edge.weight.astype(np.int64)
        low += np.minimum(weight, 0).sum(axis=1) << edge.weight_shift
        high += np.maximum(weight, 0).sum(axis=1) << edge.weight_shift
    state, membrane = _ranges(neuron, Interval(low, high), network.steps)
    # The comparison with the threshold takes place in the accumulator's width.
    held = membrane.hull(Interval(neuron.threshold, neuron.threshold))
    if held.bits > MAX_ACCUMULATOR_BITS:
        raise SpikeloomError(
            f"layer '{layer.name}' needs an accumulator of {held.bits} bits (membrane "
            f"{held.low.min()} .. {held.high.max()}); at most {MAX_ACCUMULATOR_BITS} are supported"
        )
    bounded = replace(
        neuron,
        state_bits=min(neuron.state_bits, state.bits),
        accumulator_bits=held.bits,
    )
    return replace(layer, neuron=bounded)


def _ranges(neuron: FixedNeuron, synaptic: Interval, steps: int) -> tuple[Interval, Interval]:
    """Ranges over the window of Vr before it saturates, and of V with all its partial sums."""
    rest = np.zeros_like(neuron.threshold)
    now = Interval(rest, rest)
    state, membrane = now, now
    for _ in range(steps):
        # Decay never swaps two membranes, so that the ends of the interval stay its ends.
        start = Interval(neuron.decay(now.low) + neuron.bias, neuron.decay(now.high) + neuron.bias)
        total = Interval(start.low + synaptic.low, start.high + synaptic.high)
        membrane = membrane.hull(total)
        after = _after_reset(total, neuron)
        state = state.hull(after)
        before, now = (
            now,
            Interval(
                saturate(after.low, neuron.state_bits), saturate(after.high, neuron.state_bits)
            ),
        )
        if np.array_equal(before.low, now.low) and np.array_equal(before.high, now.high):
            break
    return state, membrane


def _after_reset(total: Interval, neuron: FixedNeuron) -> Interval:
    """The range of the membrane after the reset, for a range before it."""
    threshold = neuron.threshold
    if neuron.reset is Reset.NONE:
        return total
    # Where only one of the two cases can occur, the other one's interval is taken to be the same.
    silent = Interval(total.low, np.minimum(total.high, threshold - 1))
    if neuron.reset is Reset.ZERO:
        fired = Interval(np.zeros_like(threshold), np.zeros_like(threshold))
    else:
        fired = Interval(np.maximum(total.low - threshold, 0), total.high - threshold)
    can_fire = total.high >= threshold
    can_stay = total.low < threshold
    assert (can_fire | can_stay).all()
    both = silent.hull(fired)
    return Interval(
        np.where(can_fire & can_stay, both.low, np.where(can_fire, fired.low, silent.low)),
        np.where(can_fire & can_stay, both.high, np.where(can_fire, fired.high, silent.high)),
    )
