"""The integer reference: runs a fixed network on batches of events, bit for bit like the chip."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import IntArray
from spikeloom.compiler.inputs import Spikes, check_spikes
from spikeloom.compiler.ir import Network
from spikeloom.compiler.layer_window import Layer, integrate, synaptic_current
from spikeloom.compiler.readouts import MEMBRANE_READOUTS, readout_scores

# How many membranes of the largest layer, over all time steps, a part of the batch may have: what
# this takes is a few hundred megabytes at most, and large arrays are not faster.
_PART = 1 << 20

# How many networks stay prepared.
_NETWORKS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a network did over one window.

    Attributes
    ----------
    spikes : per population, uint8 array of shape (T, batch, neurons); the input's events included,
        in the narrowest type for them, as the layers get them. Only the input's if the spikes are
        not kept
    membranes : per layer, int64 array of shape (T, batch, neurons): V before the reset; empty
        unless asked for
    scores : int64 array, shape (batch, classes)
    counts : of the populations whose spikes are not kept, how many each sample has, int64 array of
        shape (batch,)
    saturated : per layer, how many membranes and currents were saturated when written back
    """

    spikes: dict[str, Spikes]
    membranes: dict[str, IntArray]
    scores: IntArray
    counts: dict[str, IntArray] = field(default_factory=dict)
    saturated: dict[str, int] = field(default_factory=dict)

    @property
    def classes(self) -> IntArray:
        """The class of each sample, shape (batch,); a tie goes to the lowest index."""
        return np.asarray(np.argmax(self.scores, axis=1), np.int64)

    def event_counts(self) -> dict[str, IntArray]:
        """Events per population and sample, each of shape (batch,)."""
        return {name: _count_events(item) for name, item in self.spikes.items()} | self.counts


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
    layers = _prepare(network)
    given = check_spikes(network, spikes)
    steps, batch, _ = given.shape
    sent = _encode(network, given)
    trace = Trace({network.input.name: sent}, {}, np.empty((batch, network.classes), np.int64))
    for layer in network.layers:
        shape = (steps, batch, layer.size)
        trace.saturated[layer.name] = 0
        if keep_spikes:
            trace.spikes[layer.name] = np.empty(shape, np.uint8)
        else:
            trace.counts[layer.name] = np.empty(batch, np.int64)
        if membranes:
            trace.membranes[layer.name] = np.empty(shape, np.int64)
    largest = steps * max(layer.size for layer in network.layers)
    size = max(1, _PART // largest)
    for first in range(0, batch, size):
        _run_part(network, layers, trace, slice(first, min(first + size, batch)))
    return trace


def _encode(network: Network, given: Spikes) -> Spikes:
    """What the input sends: what is given, or what an encoder on the chip makes of it."""
    if network.on_chip is None:
        return given
    spikes = network.on_chip.encode(given[0], network.input.shape, network.steps)
    return spikes.astype(np.uint8)


@lru_cache(_NETWORKS)
def _prepare(network: Network) -> tuple[Layer, ...]:
    """What running a network takes and no input changes; networks are immutable."""
    if not network.is_fixed:
        raise SpikeloomError(f"network '{network.name}' holds real numbers; quantise it first")
    return tuple(Layer.of(network, layer) for layer in network.layers)


def _run_part(network: Network, layers: tuple[Layer, ...], trace: Trace, part: slice) -> None:
    """Run some samples of the batch, and write what they did into the trace."""
    given = network.input.name
    fired: dict[str, Spikes] = {given: trace.spikes[given][:, part]}
    readout = network.readout
    potentials: IntArray | None = None
    for layer in layers:
        current = synaptic_current(network, layer, fired)
        kept = trace.spikes.get(layer.name)
        spikes = np.empty(current.shape, np.uint8) if kept is None else kept[:, part]
        window = integrate(layer, current, spikes)
        trace.saturated[layer.name] += window.saturated
        fired[layer.name] = spikes
        if layer.name in trace.membranes:
            trace.membranes[layer.name][:, part] = window.membranes
        if layer.name == readout.population and readout.kind in MEMBRANE_READOUTS:
            potentials = window.membranes
    for name, counts in trace.counts.items():
        counts[part] = _count_events(fired[name])
    trace.scores[part] = readout_scores(readout, fired[readout.population], potentials)


def _count_events(events: Spikes) -> IntArray:
    """How many numbers other than 0 each sample has, shape (samples,)."""
    # Over time in the narrowest type first, which is several times as fast as all at once.
    narrow = np.min_scalar_type(len(events))
    per_neuron = np.add.reduce((events != 0).view(np.uint8), axis=0, dtype=narrow)
    counts: IntArray = np.add.reduce(per_neuron, axis=1, dtype=np.int64)
    return counts
