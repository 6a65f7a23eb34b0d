"""Small networks of real numbers that the tests of the passes share."""

import numpy as np

from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.geometry import Convolution, Pooling
from spikeloom.compiler.ir import (
    Events,
    FixedNeuron,
    Network,
    Neuron,
    Population,
    Precision,
    Projection,
    Readout,
)


def float_network(
    weight: object = ((0.5, -0.25, 0.125), (0.75, 1.0, -1.0)),
    *,
    beta: float = 0.5,
    threshold: float = 0.8,
    bias: float = 0.1,
    reset: Reset = Reset.ZERO,
    gain: object = None,
    precision: Precision | None = None,
) -> Network:
    """A network of one layer, T = 4."""
    matrix = np.array(weight, np.float64)
    outputs, inputs = matrix.shape
    neuron = Neuron(
        np.zeros(outputs),
        np.full(outputs, beta),
        np.full(outputs, threshold),
        np.full(outputs, bias),
        reset,
    )
    factor = None if gain is None else np.array(gain, np.float64)
    return Network(
        name="small",
        steps=4,
        populations=(
            Population("input", (inputs,), None, "spikes"),
            Population("fc", (outputs,), neuron, "node_fc"),
        ),
        projections=(Projection("input", "fc", matrix, "fc", factor),),
        readout=Readout("fc"),
        precision=precision or Precision(),
    )


def float_neuron(network: Network) -> Neuron:
    neuron = network.layers[0].neuron
    assert isinstance(neuron, Neuron)
    return neuron


def fixed_neuron(network: Network) -> FixedNeuron:
    neuron = network.layers[0].neuron
    assert isinstance(neuron, FixedNeuron)
    return neuron


def graded_network() -> Network:
    """Direct coding, a convolution, pooling, synaptic currents and a weighted readout; T = 3."""
    convolution = Convolution((1, 6, 6), 2, (3, 3), padding=(1, 1, 1, 1))
    random = np.random.default_rng(5)

    def neuron(size: int) -> Neuron:
        return Neuron(
            np.full(size, 2 / 3), np.full(size, 0.8), np.ones(size), np.zeros(size), Reset.ZERO
        )

    return Network(
        name="graded",
        steps=3,
        populations=(
            Population("input", (1, 6, 6), None, "currents"),
            Population("conv", (2, 6, 6), neuron(72), "node_conv"),
            Population("fc", (4,), neuron(4), "node_fc"),
        ),
        projections=(
            Projection(
                "input",
                "conv",
                random.normal(0, 0.3, (2, 1, 3, 3)),
                "conv",
                np.repeat([0.5, 0.25], 36),
                convolution=convolution,
            ),
            Projection(
                "conv",
                "fc",
                random.normal(0, 0.3, (4, 18)),
                "fc",
                np.full(4, 1 / 3),
                pooling=Pooling((2, 6, 6), 2),
            ),
        ),
        readout=Readout("fc", "weighted_spike_count", (0.75, 0.5, 0.25), group=2),
        encoder="constant_current",
        events=Events(-14, 90, 2.0**-5, constant=True),
    )
