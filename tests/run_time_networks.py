"""Networks whose weights can be loaded, and others that take their place."""

from dataclasses import replace

import numpy as np

from spikeloom.compiler.fixed import signed_range
from spikeloom.compiler.ir import FixedNeuron, Network
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.weight_storage import WeightStorage

# Bits of a state that has room for the thresholds and biases of all random networks.
WIDE_STATE = 20


def with_run_time_weights(network: Network, weights: WeightStorage) -> Network:
    """The network with states that have room for its thresholds and biases."""
    populations = [network.input]
    for layer in network.layers:
        neuron = layer.neuron
        assert isinstance(neuron, FixedNeuron)
        neuron = replace(neuron, state_bits=WIDE_STATE)
        if neuron.current_decay is not None:
            neuron = replace(neuron, current_bits=WIDE_STATE)
        populations.append(replace(layer, neuron=neuron))
    return bound_accumulators(replace(network, populations=tuple(populations), weights=weights))


def with_other_weights(network: Network, seed: int) -> Network:
    """The network with weights drawn anew, and with other thresholds and biases."""
    generator = np.random.default_rng(seed)
    projections = tuple(
        replace(
            edge,
            weight=generator.integers(
                *signed_range(edge.weight_bits), edge.weight.shape, endpoint=True
            ),
        )
        for edge in network.projections
    )
    populations = [network.input]
    for layer in network.layers:
        neuron = layer.neuron
        assert isinstance(neuron, FixedNeuron)
        neuron = replace(neuron, threshold=neuron.threshold // 2 + 1, bias=-neuron.bias)
        populations.append(replace(layer, neuron=neuron))
    return replace(network, populations=tuple(populations), projections=projections)
