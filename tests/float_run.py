"""Networks in real numbers, run from the equations of the intermediate representation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.ir import Network, Neuron, Population

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FloatRun:
    """What a float network did: arrays of shape (T, batch, neurons), and scores per class."""

    spikes: dict[str, Array]
    membranes: dict[str, Array]
    scores: Array


def run_floats(network: Network, inputs: NDArray[np.generic]) -> FloatRun:
    """Run a float network from rest in float64 on inputs of shape (T, batch, ...)."""
    network.verify()
    spikes = {network.input.name: inputs.reshape(*inputs.shape[:2], -1).astype(np.float64)}
    membranes = {}
    for layer in network.layers:
        total = np.zeros((*inputs.shape[:2], layer.size))
        for edge in network.projections_to(layer.name):
            gain = 1.0 if edge.gain is None else edge.gain
            total += edge.current(spikes[edge.pre]) * gain
        spikes[layer.name], membranes[layer.name] = _integrate(layer, total)
    return FloatRun(spikes, membranes, _scores(network, spikes, membranes))


def _integrate(layer: Population, current: Array) -> tuple[Array, Array]:
    neuron = layer.neuron
    assert isinstance(neuron, Neuron)
    synaptic = membrane = fired_before = np.zeros(current.shape[1:])
    fired, potentials = [], []
    for now in current:
        synaptic = neuron.alpha * synaptic + now + neuron.bias
        potential = neuron.beta * membrane + synaptic
        above = potential >= neuron.threshold if neuron.inclusive else potential > neuron.threshold
        spike = (above & neuron.fire).astype(np.float64)
        if neuron.single_spike:
            spike = spike * (1 - fired_before)
        fired_before = np.maximum(fired_before, spike)
        drop = {"zero": potential, "subtract": neuron.threshold, "none": 0.0}[neuron.reset.value]
        membrane = potential - spike * drop
        fired.append(spike)
        potentials.append(potential)
    return np.stack(fired), np.stack(potentials)


def _scores(network: Network, spikes: dict[str, Array], membranes: dict[str, Array]) -> Array:
    readout = network.readout
    fired, potentials = spikes[readout.population], membranes[readout.population]
    left = np.arange(network.steps, 0, -1.0)
    match readout.kind:
        case "spike_count":
            scores = fired.sum(0)
        case "weighted_spike_count":
            scores = np.tensordot(np.array(readout.weights), fired, 1)
        case "first_spike":
            scores = (fired * left[:, None, None]).max(0)
        case "final_membrane":
            scores = potentials[-1]
        case "maximum_membrane":
            scores = potentials.max(0)
    return np.asarray(scores.reshape(len(scores), -1, readout.group).sum(-1))
