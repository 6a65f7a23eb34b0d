"""The pass `bound_accumulators`."""

from dataclasses import dataclass, replace

import numpy as np

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import IntArray, Reset, saturate, signed_range
from spikeloom.compiler.intervals import Interval, synaptic_input
from spikeloom.compiler.ir import FixedNeuron, Network, Population
from spikeloom.compiler.run_time_weights import bias_range, threshold_range

# The program file stores thresholds and biases in 32 bits.
MAX_ACCUMULATOR_BITS = 32


@dataclass(frozen=True, slots=True, eq=False)
class _Ranges:
    """What a layer's numbers may be over the window.

    Attributes
    ----------
    current, state : I and Vr before they saturate
    sums : A and V with all their partial sums
    """

    current: Interval
    state: Interval
    sums: Interval


def bound_accumulators(network: Network, like: Network | None = None) -> Network:
    """Make accumulators wide enough for any order of any events, states no wider than needed.

    Exact interval analysis over the window, neuron by neuron (docs/arithmetic.md): every partial
    sum of a step lies between its start plus all that events can take away and its start plus all
    that they can add. Where weights, thresholds and biases can be loaded, for any of them: states
    then keep the width that they have.

    Parameters
    ----------
    like : a fixed network of the same structure whose accumulators are no narrower, such as one
        with biases where this one has none; their width is taken
    """
    layers = [_bound(network, layer) for layer in network.layers]
    if like is not None:
        layers = [_as_wide(layer, other) for layer, other in zip(layers, like.layers, strict=True)]
    return replace(network, populations=(network.input, *layers))


def never_fire(network: Network, layer: Population) -> IntArray:
    """Numbers of the neurons of a layer that no input of any kind brings to their threshold.

    Their membranes stay below it even if every event that adds arrives in every time step, and
    none that takes away.
    """
    neuron = layer.neuron
    assert isinstance(neuron, FixedNeuron)
    ranges = _ranges(neuron, synaptic_input(network, layer), network.steps)
    return np.flatnonzero(neuron.fire & (ranges.sums.high < neuron.threshold))


def _bound(network: Network, layer: Population) -> Population:
    neuron = layer.neuron
    assert isinstance(neuron, FixedNeuron)
    synaptic = synaptic_input(network, layer)
    thresholds = Interval(neuron.threshold, neuron.threshold)
    if network.has_run_time_weights:
        ranges = _ranges_of_any(layer, synaptic)
        thresholds = _everywhere(layer, threshold_range(neuron))
    else:
        ranges = _ranges(neuron, synaptic, network.steps)
    held = ranges.sums
    if neuron.fire:
        # The comparison with the threshold takes place in the accumulator's width.
        held = held.hull(thresholds)
    if held.bits > MAX_ACCUMULATOR_BITS:
        raise SpikeloomError(_too_wide(layer.name, held, synaptic, neuron))
    bounded = replace(
        neuron,
        state_bits=min(neuron.state_bits, ranges.state.bits),
        accumulator_bits=held.bits,
    )
    if neuron.current_decay is not None:
        bounded = replace(bounded, current_bits=min(neuron.current_bits, ranges.current.bits))
    return replace(layer, neuron=bounded)


def _as_wide(layer: Population, other: Population) -> Population:
    neuron, wanted = layer.neuron, other.neuron
    assert isinstance(neuron, FixedNeuron) and isinstance(wanted, FixedNeuron)
    bits = max(neuron.accumulator_bits, wanted.accumulator_bits)
    return replace(layer, neuron=replace(neuron, accumulator_bits=bits))


def _too_wide(name: str, held: Interval, synaptic: Interval, neuron: FixedNeuron) -> str:
    """Which of its parts makes an accumulator too wide, and what helps."""
    parts = {
        "the bias": (int(np.abs(neuron.bias).max()).bit_length() + 1, "a smaller bias"),
        "the synaptic input of one step": (
            synaptic.bits,
            "a smaller --weight-bits or an input of fewer levels",
        ),
        "the state": (neuron.state_bits, "a smaller --state-bits"),
        "the threshold": (int(neuron.threshold.max()).bit_length() + 1, "a smaller threshold"),
    }
    part, (bits, remedy) = max(parts.items(), key=lambda item: item[1][0])
    return (
        f"layer '{name}' needs an accumulator of {held.bits} bits (membrane {held.low.min()} .. "
        f"{held.high.max()}); at most {MAX_ACCUMULATOR_BITS} are supported; {part} takes {bits} "
        f"of them, so {remedy} helps"
    )


def _ranges(neuron: FixedNeuron, synaptic: Interval, steps: int) -> _Ranges:
    rest = np.zeros_like(neuron.threshold)
    at_rest = Interval(rest, rest)
    bias = Interval(neuron.bias, neuron.bias)
    current = state = sums = at_rest
    current_now, state_now = at_rest, at_rest
    for _ in range(steps):
        # Decays never swap two numbers, so that the ends of an interval stay its ends.
        held = bias
        if neuron.current_decay is not None:
            held += Interval(
                neuron.current_decay(current_now.low), neuron.current_decay(current_now.high)
            )
        added = held + synaptic
        total = added + Interval(neuron.decay(state_now.low), neuron.decay(state_now.high))
        sums = sums.hull(added).hull(total)
        after = _after_reset(total, neuron)
        state, current = state.hull(after), current.hull(added)
        before = current_now, state_now
        state_now = _saturate(after, neuron.state_bits)
        if neuron.current_decay is not None:
            current_now = _saturate(added, neuron.current_bits)
        if current_now.equals(before[0]) and state_now.equals(before[1]):
            break
    return _Ranges(current, state, sums)


def _ranges_of_any(layer: Population, synaptic: Interval) -> _Ranges:
    """Ranges whatever weights, thresholds and biases are loaded: from any state to any other."""
    neuron = layer.neuron
    assert isinstance(neuron, FixedNeuron)
    for what, values, (low, high) in (
        ("threshold", neuron.threshold, threshold_range(neuron)),
        ("bias", neuron.bias, bias_range(neuron)),
    ):
        beyond = values[(values < low) | (values > high)]
        if beyond.size and (neuron.fire or what == "bias"):
            raise SpikeloomError(
                f"layer '{layer.name}' has a {what} of {beyond[0]} membrane units; with weights "
                f"that can be loaded, {low} .. {high} are supported; a larger --state-bits helps"
            )
    state = _everywhere(layer, signed_range(neuron.state_bits))
    added = _everywhere(layer, bias_range(neuron))
    current = state
    if neuron.current_decay is not None:
        current = _everywhere(layer, signed_range(neuron.current_bits))
        added += Interval(neuron.current_decay(current.low), neuron.current_decay(current.high))
    added += synaptic
    total = added + Interval(neuron.decay(state.low), neuron.decay(state.high))
    return _Ranges(current, state, added.hull(total))


def _everywhere(layer: Population, ends: tuple[int, int]) -> Interval:
    low, high = (np.full(layer.size, end, np.int64) for end in ends)
    return Interval(low, high)


def _saturate(interval: Interval, bits: int) -> Interval:
    return Interval(saturate(interval.low, bits), saturate(interval.high, bits))


def _after_reset(total: Interval, neuron: FixedNeuron) -> Interval:
    """The range of the membrane after the reset, for a range before it."""
    threshold = neuron.threshold
    if not neuron.fire or neuron.reset is Reset.NONE:
        return total
    # Where only one of the two cases can occur, the other one's interval is taken to be the same.
    # A neuron that has spent its only spike stays silent at any membrane.
    top = total.high if neuron.single_spike else np.minimum(total.high, threshold - 1)
    silent = Interval(total.low, top)
    if neuron.reset is Reset.ZERO:
        fired = Interval(np.zeros_like(threshold), np.zeros_like(threshold))
    else:
        fired = Interval(np.maximum(total.low - threshold, 0), total.high - threshold)
    can_fire = total.high >= threshold
    can_stay = (total.low < threshold) | neuron.single_spike
    assert (can_fire | can_stay).all()
    both = silent.hull(fired)
    return Interval(
        np.where(can_fire & can_stay, both.low, np.where(can_fire, fired.low, silent.low)),
        np.where(can_fire & can_stay, both.high, np.where(can_fire, fired.high, silent.high)),
    )
