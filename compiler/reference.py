"""The integer reference: runs a fixed network on batches of events, bit for bit like the chip."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import (
    Decay,
    IntArray,
    exact_float,
    reset,
    saturate,
    signed_range,
)
from spikeloom.compiler.inputs import Spikes, check_spikes
from spikeloom.compiler.intervals import synaptic_input, weighted_events
from spikeloom.compiler.ir import FixedNeuron, Network, Population, Projection
from spikeloom.compiler.readouts import MEMBRANE_READOUTS, readout_scores

# How many membranes of the largest layer, over all time steps, a part of the batch may have: what
# this takes is a few hundred megabytes at most, and large arrays are not faster.
_PART = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a network did over one window.

    Attributes
    ----------
    spikes : per population, uint8 array of shape (T, batch, neurons); the input's events included,
        in the narrowest type for them. Only the input's if the spikes are not kept
    membranes : per layer, int64 array of shape (T, batch, neurons): V before the reset; empty
        unless asked for
    scores : int64 array, shape (batch, classes)
    events : per population, how many events each sample has, int64 array of shape (batch,)
    saturated : per layer, how many membranes and currents were saturated when written back
    """

    spikes: dict[str, Spikes]
    membranes: dict[str, IntArray]
    scores: IntArray
    events: dict[str, IntArray] = field(default_factory=dict)
    saturated: dict[str, int] = field(default_factory=dict)

    @property
    def classes(self) -> IntArray:
        """The class of each sample, shape (batch,); a tie goes to the lowest index."""
        return np.asarray(np.argmax(self.scores, axis=1), np.int64)

    def event_counts(self) -> dict[str, IntArray]:
        """Events per population and sample, each of shape (batch,)."""
        return self.events


def run(
    network: Network, spikes: Spikes, membranes: bool = False, keep_spikes: bool = True
) -> Trace:
    """Run a fixed network from rest.

    Parameters
    ----------
    spikes : the input's events, whole numbers of `network.events`, shape (T, batch, inputs)
    membranes : whether to keep the membrane of every neuron at every step
    keep_spikes : whether to keep the spikes of the layers, which of large networks take gigabytes

    Raises
    ------
    SpikeloomError
        If the spikes do not fit the network, or if an accumulator would wrap around.
    """
    if not network.is_fixed:
        raise SpikeloomError(f"network '{network.name}' holds real numbers; quantise it first")
    given = check_spikes(network, spikes)
    steps, batch, _ = given.shape
    layers = [_Layer.of(network, layer) for layer in network.layers]
    trace = Trace({network.input.name: given}, {}, np.empty((batch, network.classes), np.int64))
    for layer in network.layers:
        shape = (steps, batch, layer.size)
        trace.saturated[layer.name] = 0
        if keep_spikes:
            trace.spikes[layer.name] = np.empty(shape, np.uint8)
        if membranes:
            trace.membranes[layer.name] = np.empty(shape, np.int64)
    for item in network.populations:
        trace.events[item.name] = np.empty(batch, np.int64)
    largest = steps * max(layer.size for layer in network.layers)
    size = max(1, _PART // largest)
    for first in range(0, batch, size):
        _run_part(network, layers, trace, slice(first, min(first + size, batch)))
    return trace


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """A layer, prepared for many parts of a batch.

    Attributes
    ----------
    weights : per projection, in a float type in which all its sums are exact
    kind : the integer type of states and sums, wide enough for every intermediate result
    decay, current_decay, threshold, bias : as in the neuron, of this type
    """

    name: str
    neuron: FixedNeuron
    edges: tuple[Projection, ...]
    weights: tuple[NDArray[np.floating], ...]
    kind: type[np.signedinteger]
    decay: Decay
    current_decay: Decay | None
    threshold: NDArray[np.signedinteger]
    bias: NDArray[np.signedinteger]

    @classmethod
    def of(cls, network: Network, layer: Population) -> "_Layer":
        neuron = layer.neuron
        assert isinstance(neuron, FixedNeuron)
        edges = network.projections_to(layer.name)
        weights = tuple(
            edge.weight.astype(exact_float(weighted_events(network, edge).magnitude))
            for edge in edges
        )
        kind = _integer_type(neuron, synaptic_input(network, layer).magnitude)
        current_decay = neuron.current_decay
        return cls(
            name=layer.name,
            neuron=neuron,
            edges=edges,
            weights=weights,
            kind=kind,
            decay=_of_type(neuron.decay, kind),
            current_decay=None if current_decay is None else _of_type(current_decay, kind),
            threshold=neuron.threshold.astype(kind),
            bias=neuron.bias.astype(kind),
        )


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


def _of_type(decay: Decay, kind: type[np.signedinteger]) -> Decay:
    return Decay(decay.multiplier.astype(kind), decay.shift)


def _run_part(network: Network, layers: list[_Layer], trace: Trace, part: slice) -> None:
    """Run some samples of the batch, and write what they did into the trace."""
    given = network.input.name
    fired: dict[str, Spikes] = {given: trace.spikes[given][:, part]}
    readout = network.readout
    potentials: IntArray | None = None
    for layer in layers:
        current = _current(network, layer, fired)
        kept = None
        if layer.name in trace.membranes:
            kept = trace.membranes[layer.name][:, part]
        elif layer.name == readout.population and readout.kind in MEMBRANE_READOUTS:
            kept = np.empty(current.shape, np.int64)
        spikes = np.empty(current.shape, np.uint8)
        trace.saturated[layer.name] += _integrate(layer, current, spikes, kept)
        fired[layer.name] = spikes
        if layer.name in trace.spikes:
            trace.spikes[layer.name][:, part] = spikes
        if layer.name == readout.population:
            potentials = kept
    for name, events in fired.items():
        trace.events[name][part] = np.count_nonzero(events, axis=(0, 2))
    trace.scores[part] = readout_scores(readout, fired[readout.population], potentials)


def _current(
    network: Network, layer: _Layer, fired: dict[str, Spikes]
) -> NDArray[np.signedinteger]:
    """Synaptic input plus bias, shape (T, samples, neurons)."""
    total: NDArray[np.signedinteger] = layer.bias
    for edge, weight in zip(layer.edges, layer.weights, strict=True):
        events = fired[edge.pre]
        if network.events.constant and edge.pre == network.input.name:
            events = events[:1]
        sums = edge.current(events.astype(weight.dtype), weight).astype(layer.kind)
        total = total + (sums << edge.weight_shift)
    shape = (network.steps, *total.shape[1:])
    return np.broadcast_to(total, shape)


def _integrate(
    layer: _Layer, current: NDArray[np.signedinteger], spikes: Spikes, kept: IntArray | None
) -> int:
    """Write the spikes, and V where `kept` is an array; gives how many states saturated."""
    neuron = layer.neuron
    state: NDArray[np.signedinteger] = np.zeros(current.shape[1:], layer.kind)
    synaptic = state
    spent = np.zeros(state.shape, np.bool_)
    saturated = 0
    for step, added in enumerate(current):
        if layer.current_decay is not None:
            added = added + layer.current_decay(synaptic)
            _check_width(layer, "current", added, step)
            synaptic, count = _write_back(added, neuron.current_bits)
            saturated += count
        membrane = layer.decay(state) + added
        _check_width(layer, "membrane", membrane, step)
        if kept is not None:
            kept[step] = membrane
        after = membrane
        if neuron.fire:
            fired = membrane >= layer.threshold
            if neuron.single_spike:
                fired &= ~spent
                spent |= fired
            spikes[step] = fired
            after = reset(membrane, fired, layer.threshold, neuron.reset)
        else:
            spikes[step] = 0
        state, count = _write_back(after, neuron.state_bits)
        saturated += count
    return saturated


def _write_back(
    value: NDArray[np.signedinteger], bits: int
) -> tuple[NDArray[np.signedinteger], int]:
    """A state of `bits` bits, and how many of its numbers had to be saturated."""
    low, high = signed_range(bits)
    if not value.size or (value.min() >= low and value.max() <= high):
        return value, 0
    held = saturate(value, bits)
    return held, int(np.count_nonzero(held != value))


def _check_width(layer: _Layer, what: str, value: NDArray[np.signedinteger], step: int) -> None:
    bits = layer.neuron.accumulator_bits
    if not bits or not value.size:
        return
    low, high = signed_range(bits)
    smallest, largest = value.min(), value.max()
    if smallest < low or largest > high:
        raise SpikeloomError(
            f"layer '{layer.name}' needs a {what} of {smallest} .. {largest} at step {step}, but "
            f"its accumulator of {bits} bits holds {low} .. {high}"
        )
