"""The integer reference: runs a fixed network on batches of spikes, bit for bit like the chip."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import IntArray, reset, saturate, signed_range
from spikeloom.compiler.ir import FixedNeuron, Network, Population

Spikes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a network did over one window.

    Attributes
    ----------
    spikes : per population, uint8 array of shape (T, batch, neurons); the input's included
    membranes : per layer, int64 array of shape (T, batch, neurons): V before the reset; empty
        unless asked for
    scores : int64 array, shape (batch, classes)
    """

    spikes: dict[str, Spikes]
    membranes: dict[str, IntArray]
    scores: IntArray

    @property
    def classes(self) -> IntArray:
        """The class of each sample, shape (batch,); a tie goes to the lowest index."""
        return np.asarray(np.argmax(self.scores, axis=1), np.int64)

    def event_counts(self) -> dict[str, IntArray]:
        """Events per population and sample, each of shape (batch,)."""
        return {name: item.sum(axis=(0, 2), dtype=np.int64) for name, item in self.spikes.items()}


def run(network: Network, spikes: Spikes, membranes: bool = False) -> Trace:
    """Run a fixed network from rest.

    Parameters
    ----------
    spikes : array of 0 and 1, shape (T, batch, inputs)
    membranes : whether to keep the membrane of every neuron at every step

    Raises
    ------
    SpikeloomError
        If the spikes do not fit the network, or if an accumulator would wrap around.
    """
    if not network.is_fixed:
        raise SpikeloomError(f"network '{network.name}' holds real numbers; quantise it first")
    check_spikes(network, spikes)
    fired = {network.input.name: spikes.astype(np.uint8, copy=False)}
    potentials: dict[str, IntArray] = {}
    for layer in network.layers:
        current = _current(network, layer, fired)
        kept = np.empty(current.shape, np.int64) if membranes else None
        fired[layer.name] = _integrate(layer, current, kept)
        if kept is not None:
            potentials[layer.name] = kept
    scores = fired[network.readout.population].sum(axis=0, dtype=np.int64)
    return Trace(fired, potentials, scores)


def check_spikes(network: Network, spikes: NDArray[np.generic]) -> None:
    """Raise SpikeloomError unless `spikes` is a legal input of `network`."""
    wanted = (network.steps, "batch", network.input.size)
    if spikes.ndim != 3 or (spikes.shape[0], spikes.shape[2]) != (wanted[0], wanted[2]):
        raise SpikeloomError(
            f"input spikes have shape {spikes.shape}; network '{network.name}' takes "
            f"(T={wanted[0]}, batch, {wanted[2]})"
        )
    if spikes.dtype.kind not in "biuf":
        raise SpikeloomError(f"input spikes are of type {spikes.dtype}; wanted the numbers 0 and 1")
    wrong = (spikes != 0) & (spikes != 1)
    if wrong.any():
        step, sample, neuron = np.argwhere(wrong)[0]
        raise SpikeloomError(
            f"input spike at step {step}, sample {sample}, input {neuron} is "
            f"{spikes[step, sample, neuron]}; wanted 0 or 1"
        )


def _current(
    network: Network, layer: Population, spikes: dict[str, Spikes]
) -> NDArray[np.floating]:
    """Synaptic input plus bias, shape (T, batch, neurons), as exact integers in floats.

    Matrix products of integers are slow in numpy and exact in floats, whatever the order of the
    sum, as long as the largest partial sum fits the mantissa.
    """
    neuron = layer.neuron
    assert isinstance(neuron, FixedNeuron)
    weights = {
        edge.pre: edge.weight.astype(np.int64) << edge.weight_shift
        for edge in network.projections_to(layer.name)
    }
    largest = int(np.abs(neuron.bias).max())
    largest += sum(int(np.abs(weight).sum(axis=1).max()) for weight in weights.values())
    assert largest < 1 << 53
    exact: type[np.floating] = np.float32 if largest < 1 << 24 else np.float64
    total: NDArray[np.floating] = neuron.bias.astype(exact)
    for pre, weight in weights.items():
        total = total + spikes[pre].astype(exact) @ weight.T.astype(exact)
    return total


def _integrate(layer: Population, current: NDArray[np.floating], kept: IntArray | None) -> Spikes:
    neuron = layer.neuron
    assert isinstance(neuron, FixedNeuron)
    spikes = np.empty(current.shape, np.uint8)
    state = np.zeros(current.shape[1:], np.int64)
    bits = neuron.accumulator_bits
    low, high = signed_range(bits) if bits else (np.iinfo(np.int64).min, np.iinfo(np.int64).max)
    for step in range(len(current)):
        membrane = neuron.decay(state) + current[step].astype(np.int64)
        if membrane.size and (membrane.min() < low or membrane.max() > high):
            raise SpikeloomError(
                f"layer '{layer.name}' needs a membrane of {membrane.min()} .. {membrane.max()} at "
                f"step {step}, but its accumulator of {bits} bits holds {low} .. {high}"
            )
        fired = membrane >= neuron.threshold
        spikes[step] = fired
        if kept is not None:
            kept[step] = membrane
        after = reset(membrane, fired, neuron.threshold, neuron.reset)
        state = saturate(after, neuron.state_bits)
    return spikes
