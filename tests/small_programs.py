"""Small programs with chosen features: for tests of single blocks, and for planted faults."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from networks import LayerOptions, random_network
from spikeloom.compiler.convolution_core import legal_lanes
from spikeloom.compiler.fixed import Decay, IntArray, Reset
from spikeloom.compiler.geometry import Convolution, Pooling
from spikeloom.compiler.ir import Events, FixedNeuron, Network, Population, Projection, Readout
from spikeloom.compiler.mapping import convolutions_of
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.program import Program
from spikeloom.compiler.readouts import MEMBRANE_READOUTS


def small_program(
    sizes: tuple[int, ...] = (6, 7),
    lanes: int = 3,
    fire_lanes: int = 2,
    *,
    seed: int = 4,
    steps: int = 3,
    options: LayerOptions | None = None,
    events: Events | None = None,
    readout: Readout | None = None,
    current: float | None = None,
    **neuron: Any,
) -> Program:
    """A chain of dense layers, folded alike as far as they are wide enough.

    Parameters
    ----------
    options : of all layers
    current : factor of a synaptic current of at most 12 bits, for all layers
    neuron : further fields of all layers' FixedNeuron
    """
    network = random_network(
        seed, list(sizes), steps, [options or LayerOptions()] * (len(sizes) - 1)
    )
    network = replace(
        network,
        events=replace(events or Events(), folded=True),
        readout=readout or network.readout,
    )
    if current is not None:
        neuron["current_bits"] = 12
    populations = [network.input]
    for layer in network.layers:
        assert isinstance(layer.neuron, FixedNeuron)
        changed = replace(layer.neuron, **neuron)
        if current is not None:
            changed = replace(
                changed, current_decay=Decay.from_float(np.full(layer.size, current), 8)
            )
        if layer is network.layers[-1] and network.readout.kind in MEMBRANE_READOUTS:
            changed = replace(changed, fire=False)
        populations.append(replace(layer, neuron=changed))
    network = bound_accumulators(replace(network, populations=tuple(populations)))
    network.verify()
    return Program(network, *small_folding(network, lanes, fire_lanes))


def small_folding(
    network: Network, lanes: int, fire_lanes: int
) -> tuple[dict[str, int], dict[str, int]]:
    """So many lanes and fire lanes for each layer that is wide enough.

    One fire lane for a layer whose membranes are read out, as it takes no more.
    """
    widths = {layer.name: min(lanes, layer.size) for layer in network.layers}
    firing = {name: min(fire_lanes, width) for name, width in widths.items()}
    if network.readout.kind in MEMBRANE_READOUTS:
        firing[network.layers[-1].name] = 1
    return widths, firing


def small_maps(
    convolution: Convolution,
    *,
    lanes: int,
    fire_lanes: int = 2,
    pooling: int = 1,
    events: Events | None = None,
    steps: int = 3,
    seed: int = 1,
) -> Program:
    """A convolution behind the input, and a dense layer of four neurons behind its maps.

    Parameters
    ----------
    lanes, fire_lanes : of the convolution; the dense layer has one of each, so that events wait
    pooling : side of the squares that the dense layer sums
    """
    random = np.random.default_rng(seed)
    shape = convolution.result
    pooled = Pooling(shape, pooling) if pooling > 1 else None
    inputs = int(np.prod(pooled.result if pooled else shape))
    projections = (
        Projection(
            "input",
            "layer1",
            random.integers(-8, 8, convolution.weight_shape),
            "convolution",
            weight_bits=4,
            convolution=convolution,
        ),
        Projection(
            "layer1",
            "layer2",
            random.integers(-8, 8, (4, inputs)),
            "dense",
            weight_bits=4,
            pooling=pooled,
        ),
    )
    channels = np.arange(shape[0]).repeat(shape[1] * shape[2])
    layers = [
        Population(name, size, _leaky(thresholds), name)
        for name, size, thresholds in (
            ("layer1", shape, 3 + channels),
            ("layer2", (4,), np.full(4, 9)),
        )
    ]
    network = bound_accumulators(
        Network(
            "maps",
            steps,
            (Population("input", convolution.shape, None, "spikes"), *layers),
            projections,
            Readout("layer2"),
            events=replace(events or Events(), folded=True),
        )
    )
    network.verify()
    return Program(network, {"layer1": lanes, "layer2": 1}, {"layer1": fire_lanes})


def _leaky(thresholds: IntArray) -> FixedNeuron:
    """Neurons that leak by a half and have a bias of 1 where the threshold is odd."""
    return FixedNeuron(
        decay=Decay.from_float(np.full(len(thresholds), 0.5), 8),
        threshold=thresholds.astype(np.int64),
        bias=(thresholds % 2).astype(np.int64),
        reset=Reset.ZERO,
        scale=1.0,
        state_bits=10,
    )


def small_sources(events: Events | None = None, lanes: int = 2, steps: int = 4) -> Program:
    """Dense layers: the first is recurrent, and its spikes and the input reach the second.

    The projections onto the second differ in their scale, those onto the first do not.
    """
    random = np.random.default_rng(1)

    def edge(pre: str, post: str, shape: tuple[int, int], shift: int = 0) -> Projection:
        weight = random.integers(-8, 8, shape)
        return Projection(pre, post, weight, f"{pre} to {post}", None, 4, shift)

    projections = (
        edge("input", "layer1", (5, 4)),
        edge("layer1", "layer1", (5, 5)),
        edge("layer1", "layer2", (3, 5), 2),
        edge("input", "layer2", (3, 4)),
    )
    layers = {"layer1": (5,), "layer2": (3,)}
    return _branched((4,), layers, projections, "layer2", lanes, steps, events)


def small_residual(lanes: int = 9, steps: int = 3) -> Program:
    """Convolutions: the second also receives the input, by 1 x 1 kernels and with less weight.

    Behind them a recurrent dense layer.
    """
    random = np.random.default_rng(2)
    first = Convolution((2, 4, 5), 4, (3, 3), padding=(1, 1, 1, 1))
    second = Convolution((4, 4, 5), 3, (3, 3), padding=(1, 1, 1, 1))
    past = Convolution((2, 4, 5), 3, (1, 1))

    def edge(pre: str, post: str, each: Convolution, shift: int = 0) -> Projection:
        weight, source = random.integers(-8, 8, each.weight_shape), f"{pre} to {post}"
        return Projection(pre, post, weight, source, None, 4, shift, each)

    dense = random.integers(-8, 8, (4, 3 * 4 * 5))
    recurrent = random.integers(-8, 8, (4, 4))
    projections = (
        edge("input", "layer1", first),
        edge("layer1", "layer2", second, 1),
        edge("input", "layer2", past),
        Projection("layer2", "layer3", dense, "dense", weight_bits=4),
        Projection("layer3", "layer3", recurrent, "recurrent", weight_bits=4),
    )
    layers = {"layer1": first.result, "layer2": second.result, "layer3": (4,)}
    return _branched((2, 4, 5), layers, projections, "layer3", lanes, steps)


def _branched(
    shape: tuple[int, ...],
    layers: Mapping[str, tuple[int, ...]],
    projections: tuple[Projection, ...],
    readout: str,
    lanes: int,
    steps: int,
    events: Events | None = None,
) -> Program:
    populations = [Population("input", shape, None, "spikes")]
    for name, size in layers.items():
        neurons = int(np.prod(size))
        populations.append(Population(name, size, _leaky(5 + np.arange(neurons) % 5), name))
    network = bound_accumulators(
        Network(
            "branched",
            steps,
            tuple(populations),
            projections,
            Readout(readout),
            events=replace(events or Events(), folded=True),
        )
    )
    network.verify()
    widths = {}
    for layer in network.layers:
        convolutions = convolutions_of(network, layer)
        legal = legal_lanes(convolutions) if convolutions else range(1, layer.size + 1)
        widths[layer.name] = min(legal, key=lambda count: abs(count - lanes))
    return Program(network, widths, dict.fromkeys(layers, 1))
