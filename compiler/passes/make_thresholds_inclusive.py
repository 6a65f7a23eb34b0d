"""The pass `make_thresholds_inclusive`."""

from dataclasses import replace

import numpy as np

from spikeloom.compiler.ir import Network, Neuron, Population


def make_thresholds_inclusive(network: Network) -> Network:
    """Turn `V > threshold` into `V >= threshold'`, with the next larger number as threshold'."""
    return replace(network, populations=tuple(_inclusive(item) for item in network.populations))


def _inclusive(item: Population) -> Population:
    neuron = item.neuron
    if not isinstance(neuron, Neuron) or neuron.inclusive:
        return item
    threshold = np.nextafter(neuron.threshold, np.inf)
    return replace(item, neuron=replace(neuron, threshold=threshold, inclusive=True))
