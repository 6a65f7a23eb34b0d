"""One layer of a fixed network over a whole window, for many samples at once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import (
    InPlace,
    exact_float,
    reset,
    saturate,
    signed_range,
    without_repeats,
)
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.intervals import synaptic_input, weighted_events
from spikeloom.compiler.ir import FixedNeuron, Network, Population, Projection

# How many numbers enter a matrix product at once: few enough to stay in a cache.
_PRODUCT = 1 << 18

# Up to how many rows of events (samples times steps), and from how many inputs on, it pays to look
# for inputs that stay silent in all rows, and to leave these out of the product.
_FEW, _MANY = 64, 256

Integers = NDArray[np.signedinteger]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A layer of a fixed network, prepared for many windows.

    Attributes
    ----------
    weights : per projection, in a float type in which all its sums are exact
    kind : the integer type of states and sums, wide enough for every intermediate result
    decay, current_decay, threshold, bias : as in the neuron, of this type; without an axis where
        all neurons have the same; None for a bias of 0
    """

    name: str
    neuron: FixedNeuron
    edges: tuple[Projection, ...]
    weights: tuple[NDArray[np.floating], ...]
    kind: type[np.signedinteger]
    decay: InPlace
    current_decay: InPlace | None
    threshold: Integers
    bias: Integers | None

    @classmethod
    def of(cls, network: Network, layer: Population) -> "Layer":
        """Prepare a layer of a fixed network."""
        neuron = layer.neuron
        assert isinstance(neuron, FixedNeuron)
        edges = network.projections_to(layer.name)
        kind = _integer_type(neuron, synaptic_input(network, layer).magnitude)
        current_decay = neuron.current_decay
        return cls(
            name=layer.name,
            neuron=neuron,
            edges=edges,
            weights=tuple(_exact_weights(network, edge) for edge in edges),
            kind=kind,
            decay=neuron.decay.in_place(kind),
            current_decay=None if current_decay is None else current_decay.in_place(kind),
            threshold=without_repeats(neuron.threshold).astype(kind),
            bias=without_repeats(neuron.bias).astype(kind) if neuron.bias.any() else None,
        )


def _exact_weights(network: Network, edge: Projection) -> NDArray[np.floating]:
    kind = exact_float(weighted_events(network, edge).magnitude)
    # A product with a matrix is faster where the weights of an input lie side by side.
    return edge.weight.astype(kind, order="F" if edge.convolution is None else "C")


def _integer_type(neuron: FixedNeuron, synaptic: int) -> type[np.signedinteger]:
    """int32 where nothing that a layer computes can leave it, else int64."""
    decays = [(neuron.decay, neuron.state_bits)]
    if neuron.current_decay is not None:
        decays.append((neuron.current_decay, neuron.current_bits))
    # Twice the product, for the half that is added before the shift.
    products = [int(decay.multiplier.max()) << bits for decay, bits in decays]
    states = sum(1 << bits for _, bits in decays)
    sums = synaptic + int(np.abs(neuron.bias).max()) + states + int(neuron.threshold.max())
    return np.int32 if max(*products, sums) < 1 << 30 else np.int64


def synaptic_current(network: Network, layer: Layer, fired: dict[str, Spikes]) -> Integers:
    """Synaptic input from the populations before, plus bias; shape (T, samples, neurons)."""
    total = layer.bias
    for edge, weight in zip(layer.edges, layer.weights, strict=True):
        if edge.delay:
            continue
        events = fired[edge.pre]
        if network.input_events.constant and edge.pre == network.input.name:
            events = events[:1]
        sums = _weigh(edge, events, weight).astype(layer.kind)
        if edge.weight_shift:
            sums <<= edge.weight_shift
        total = sums if total is None else total + sums
    assert total is not None
    if len(total) < network.steps:
        return np.broadcast_to(total, (network.steps, *total.shape[1:]))
    return total


def _weigh(edge: Projection, events: Spikes, weight: NDArray[np.floating]) -> NDArray[np.number]:
    """The weighted sums of events, `[T, samples, size of pre]` to `[T, samples, size of post]`."""
    steps, samples, inputs = events.shape
    if steps * samples <= _FEW and inputs >= _MANY and edge.is_matrix:
        rows = events.reshape(-1, inputs)
        active = np.flatnonzero(np.bitwise_or.reduce(rows, axis=0))
        if 2 * len(active) < inputs:
            given = rows.take(active, axis=1).astype(weight.dtype)
            sums: NDArray[np.number] = given @ weight.T.take(active, axis=0)
            return sums.reshape(steps, samples, -1)
    at_once = max(1, _PRODUCT // (samples * inputs))
    if at_once >= steps:
        return edge.current(events.astype(weight.dtype), weight)
    parts = (events[first : first + at_once] for first in range(0, steps, at_once))
    return np.concatenate([edge.current(part.astype(weight.dtype), weight) for part in parts])


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What a layer computed over a window; arrays of shape (T, samples, neurons).

    Attributes
    ----------
    currents : A
    membranes : V
    saturated : how many states were saturated
    """

    currents: Integers
    membranes: Integers
    saturated: int = 0


def _recurrent_current(layer: Layer, spikes: Spikes) -> Integers | None:
    """What a layer adds to itself a step after these spikes, all of shape (samples, neurons)."""
    for edge, weight in zip(layer.edges, layer.weights, strict=True):
        if edge.delay:
            sums = _weigh(edge, spikes[None], weight)[0].astype(layer.kind)
            current: Integers = sums << edge.weight_shift
            return current
    return None


def integrate(layer: Layer, current: Integers, spikes: Spikes) -> Window:
    """Run a layer from rest, and write its spikes.

    Parameters
    ----------
    current : synaptic input from the populations before, plus bias, shape (T, samples, neurons)
    spikes : uint8 array of the same shape, for the result

    Raises
    ------
    SpikeloomError
        If a current or a membrane does not fit the accumulator.
    """
    # Hardly ever does a state leave its range, so that it pays to look for it afterwards only.
    window = _advance(layer, current, spikes)
    if not _fits(layer, window):
        window = _advance(layer, current, spikes, saturate)
        _check_width(layer, window)
    return window


def _fits(layer: Layer, window: Window) -> bool:
    """Whether all currents and membranes fit the accumulator and the words of the states.

    A reset brings a membrane nearer to 0, so that what it leaves then fits as well.
    """
    neuron = layer.neuron
    bits = neuron.accumulator_bits or neuron.state_bits
    fit = _within(window.membranes, min(neuron.state_bits, bits))
    if neuron.current_decay is not None:
        fit = fit and _within(window.currents, min(neuron.current_bits, bits))
    return fit


def _within(values: Integers, bits: int) -> bool:
    low, high = signed_range(bits)
    return bool(values.min() >= low and values.max() <= high)


def _advance(
    layer: Layer,
    current: Integers,
    spikes: Spikes,
    hold: Callable[[Integers, int], Integers] | None = None,
) -> Window:
    """All steps of a window.

    Parameters
    ----------
    hold : what is carried from step to step, given what is computed and the width of its word;
        without, it is the same
    """
    neuron, threshold = layer.neuron, layer.threshold
    decay, current_decay = layer.decay, layer.current_decay
    recurs = any(edge.delay for edge in layer.edges)
    keeps = recurs or current_decay is not None
    currents = np.empty(current.shape, layer.kind) if keeps else current
    membranes = np.empty(current.shape, layer.kind)
    fired = spikes.view(np.bool_)
    if not neuron.fire:
        fired[...] = False
    shape = current.shape[1:]
    state = synaptic = np.zeros(shape, layer.kind)
    decayed, after = np.empty(shape, layer.kind), np.empty(shape, layer.kind)
    spent = np.zeros(shape, np.bool_)
    recurrent: Integers | None = None
    saturated = 0
    # A loop over rows of arrays: to take them by their number costs as much as to compute.
    for added, total, membrane, spike in zip(current, currents, membranes, fired, strict=True):
        if recurrent is not None:
            added = np.add(added, recurrent, total)
        elif recurs:
            total[...] = added
        if current_decay is not None:
            current_decay(synaptic, decayed)
            np.add(decayed, added, total)
            synaptic = total
            if hold is not None:
                synaptic = hold(total, neuron.current_bits)
                saturated += int(np.count_nonzero(synaptic != total))
        decay(state, decayed)
        np.add(decayed, total, membrane)
        state = membrane
        if neuron.fire:
            np.greater_equal(membrane, threshold, spike)
            if neuron.single_spike:
                spike &= ~spent
                spent |= spike
            state = reset(membrane, spike, threshold, neuron.reset, after)
        if hold is not None:
            held = hold(state, neuron.state_bits)
            saturated += int(np.count_nonzero(held != state))
            state = held
        if recurs:
            recurrent = _recurrent_current(layer, spike.view(np.uint8))
    return Window(currents, membranes, saturated)


def _check_width(layer: Layer, window: Window) -> None:
    """Raise SpikeloomError at the first current or membrane that the accumulator does not hold."""
    bits = layer.neuron.accumulator_bits
    if not bits:
        return
    low, high = signed_range(bits)
    sums = {"membrane": window.membranes}
    if layer.neuron.current_decay is not None:
        sums = {"current": window.currents} | sums
    if all(_within(values, bits) for values in sums.values()):
        return
    for step in range(len(window.membranes)):
        for what, values in sums.items():
            smallest, largest = values[step].min(), values[step].max()
            if smallest < low or largest > high:
                raise SpikeloomError(
                    f"layer '{layer.name}' needs a {what} of {smallest} .. {largest} at step "
                    f"{step}, but its accumulator of {bits} bits holds {low} .. {high}"
                )
