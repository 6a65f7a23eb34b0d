"""From the activity of the last layer to scores."""

import numpy as np

from spikeloom.compiler.fixed import IntArray
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.ir import Readout

MEMBRANE_READOUTS = ("final_membrane", "maximum_membrane")


def step_weights(readout: Readout, steps: int) -> IntArray | None:
    """What a spike at each step counts, shape (T,); None if the scores are of membranes.

    The first spike has the largest of these weights among a neuron's spikes.
    """
    if readout.kind in MEMBRANE_READOUTS:
        return None
    if readout.kind == "weighted_spike_count":
        return np.asarray(readout.weights, np.int64)
    if readout.kind == "first_spike":
        return np.arange(steps, 0, -1, dtype=np.int64)
    return np.ones(steps, np.int64)


def steps_used(readout: Readout, spikes: Spikes) -> IntArray:
    """How many time steps of the window decide the scores, int64 of shape (samples,).

    Parameters
    ----------
    spikes : of the readout's population, shape (T, samples, neurons)
    """
    steps, samples, _ = spikes.shape
    if not readout.early_stop:
        return np.full(samples, steps, np.int64)
    any_spike = spikes.any(axis=2)
    used: IntArray = np.where(any_spike.any(axis=0), any_spike.argmax(axis=0) + 1, steps)
    return used


def readout_scores(readout: Readout, spikes: Spikes, membranes: IntArray | None) -> IntArray:
    """Scores, int64 of shape (samples, classes).

    Parameters
    ----------
    spikes, membranes : of the readout's population, shape (T, samples, neurons); the membranes
        are needed by the readouts of membranes alone
    """
    weights = step_weights(readout, len(spikes))
    if weights is None:
        assert membranes is not None
        of_neurons: IntArray = (
            membranes[-1] if readout.kind == "final_membrane" else membranes.max(axis=0)
        )
    elif readout.kind == "spike_count":
        of_neurons = np.add.reduce(spikes, axis=0, dtype=np.int64)
    else:
        worth = spikes * weights[:, None, None]
        of_neurons = worth.max(axis=0) if readout.kind == "first_spike" else worth.sum(axis=0)
    if readout.early_stop:
        # At the end of the window no more is known than whose spike came first.
        first = of_neurons.max(axis=1, keepdims=True)
        of_neurons = np.where(of_neurons == first, of_neurons, 0)
    if readout.group == 1:
        return of_neurons
    scores: IntArray = of_neurons.reshape(len(of_neurons), -1, readout.group).sum(axis=2)
    return scores
