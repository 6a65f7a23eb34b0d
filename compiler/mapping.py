"""Mapping: one core of the accelerator per layer of the network."""

from typing import Any, cast

import numpy as np

from spikeloom.compiler.convolution_core import ConvolutionCore, lane_grid, legal_lanes
from spikeloom.compiler.cores import Core, Sends
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.geometry import Convolution, Map
from spikeloom.compiler.intervals import weighted_events
from spikeloom.compiler.ir import FixedNeuron, Network, Population
from spikeloom.compiler.readouts import MEMBRANE_READOUTS

# Names of the accelerator's other blocks, beside which the layers stand.
RESERVED = ("input", "readout", "readout_queue", "port")

# The readout counts a window's steps, and the fire unit works on so many neurons at most: as many
# as one search for the lowest spike takes in a clock cycle.
MAX_STEPS = (1 << 16) - 1
MAX_FIRE_LANES = 16
# Enough that the scan of a layer costs little beside its events, and few enough to be small.
DEFAULT_FIRE_LANES = 8
# A scan of feature maps gives a burst of events, which the next layer works off while this one adds
# up the next step. As many wait as half of the neurons have, but no more than a block RAM holds.
MOST_WAITING = 1024


def convolution_of(network: Network, layer: Population) -> Convolution | None:
    """The convolution that brings a layer its events; None for a dense layer behind no maps.

    A dense layer behind feature maps is a convolution whose kernel is as large as these.
    """
    edge, *others = network.projections_to(layer.name)
    if others:
        return None
    if edge.convolution is not None:
        return edge.convolution
    shape = edge.pooling.result if edge.pooling else network.population(edge.pre).shape
    if len(shape) != 3:
        return None
    return Convolution(shape, layer.size, shape[1:])


def default_lanes(network: Network, layer: Population) -> int:
    """One per neuron; of a convolution one per channel and column that an event reaches."""
    convolution = convolution_of(network, layer)
    if convolution is None:
        return layer.size
    return max(count for count, grid in legal_lanes(convolution).items() if grid.rows == 1)


def check_lanes(network: Network, lanes: dict[str, int], fire_lanes: dict[str, int]) -> None:
    """Raise SpikeloomError if lanes are given for what is no layer, or too many or few of them."""
    layers = {layer.name: layer for layer in network.layers}
    for what, counts in (("lanes", lanes), ("fire lanes", fire_lanes)):
        unknown = sorted(set(counts) - set(layers))
        if unknown:
            raise SpikeloomError(
                f"{what} are given for '{unknown[0]}', which is not a layer ({', '.join(layers)})"
            )
    for name, count in lanes.items():
        convolution = convolution_of(network, layers[name])
        if convolution is not None:
            lane_grid(name, convolution, count)
        elif not 1 <= count <= layers[name].size:
            raise SpikeloomError(
                f"layer '{name}' has {layers[name].size} neurons, so it takes "
                f"1 .. {layers[name].size} lanes, not {count}"
            )
    read_out = network.layers[-1].name if network.readout.kind in MEMBRANE_READOUTS else None
    for name, count in fire_lanes.items():
        if name == read_out and count != 1:
            raise SpikeloomError(
                f"layer '{name}' is read out by its membranes, which leave one by one, so it takes "
                f"1 fire lane, not {count}"
            )
        side_by_side = _lanes_per_group(network, layers[name], lanes)
        most = min(side_by_side, MAX_FIRE_LANES)
        if not 1 <= count <= most:
            raise SpikeloomError(
                f"layer '{name}' has {side_by_side} lanes, so it takes 1 .. {most} "
                f"fire lanes, not {count}"
            )


def _lanes_per_group(network: Network, layer: Population, lanes: dict[str, int]) -> int:
    """Neurons that lie in one word of sums: all lanes, or those of a convolution's channels."""
    count = lanes.get(layer.name, default_lanes(network, layer))
    convolution = convolution_of(network, layer)
    return count if convolution is None else lane_grid(layer.name, convolution, count).channels


def map_network(
    network: Network, lanes: dict[str, int], fire_lanes: dict[str, int]
) -> tuple[Core, ...]:
    """One core per layer, in the order of the pipeline.

    Raises
    ------
    SpikeloomError
        If the network has what the accelerator does not have yet: it takes chains of layers. Or if
        a number of lanes does not fit its layer.
    """
    check_lanes(network, lanes, fire_lanes)
    for layer in network.layers:
        if layer.name in RESERVED or not layer.name.isidentifier():
            raise SpikeloomError(
                f"layer '{layer.name}' cannot be called so: the accelerator takes identifiers "
                f"other than {', '.join(RESERVED)}"
            )
    if network.steps > MAX_STEPS:
        raise SpikeloomError(
            f"network '{network.name}' has T = {network.steps}; "
            f"the readout counts up to {MAX_STEPS}"
        )
    _check_readout(network)
    return tuple(
        _map_layer(network, pre, layer, lanes, fire_lanes)
        for pre, layer in zip(network.populations, network.layers, strict=False)
    )


def _check_readout(network: Network) -> None:
    readout, last = network.readout, network.populations[-1]
    if readout.population != last.name:
        raise SpikeloomError(
            f"the readout takes population '{readout.population}', but the accelerator reads out "
            f"the last layer, '{last.name}'"
        )
    if max(last.shape[1:], default=1) > 1:
        raise SpikeloomError(
            f"the readout takes layer '{last.name}' with feature maps of shape {last.shape}, but "
            "the accelerator reads out layers of shape (N,); a dense layer behind it helps"
        )


def _map_layer(
    network: Network,
    pre: Population,
    layer: Population,
    lanes: dict[str, int],
    fire_lanes: dict[str, int],
) -> Core:
    edges = network.projections_to(layer.name)
    if len(edges) != 1 or edges[0].pre != pre.name:
        sources = ", ".join(f"'{edge.pre}'" for edge in edges)
        raise SpikeloomError(
            f"layer '{layer.name}' receives projections from {sources}; "
            f"the accelerator takes a chain of layers, here one from '{pre.name}'"
        )
    edge = edges[0]
    assert isinstance(layer.neuron, FixedNeuron)
    events = network.events
    from_input = pre is network.input
    read_out = layer is network.layers[-1] and network.readout.kind in MEMBRANE_READOUTS
    side_by_side = _lanes_per_group(network, layer, lanes)
    # Membranes leave one by one, so that more lanes would only wait.
    firing = 1 if read_out else fire_lanes.get(layer.name, min(side_by_side, DEFAULT_FIRE_LANES))
    common: dict[str, Any] = {
        "name": layer.name,
        "inputs": pre.size,
        "lowest": events.lowest if from_input else 0,
        "highest": events.highest if from_input else 1,
        "constant": from_input and events.constant,
        "lanes": lanes.get(layer.name, default_lanes(network, layer)),
        "fire_lanes": firing,
        "steps": network.steps,
        "weight": edge.weight.astype(np.int64),
        "weight_bits": edge.weight_bits,
        "weight_shift": edge.weight_shift,
        "sum_bits": max(2, weighted_events(network, edge).bits),
        "neuron": layer.neuron,
        "sends": cast(Sends, network.readout.kind) if read_out else "spikes",
    }
    convolution = convolution_of(network, layer)
    if convolution is None:
        return Core(**common)
    common["weight"] = common["weight"].reshape(convolution.weight_shape)
    return ConvolutionCore(
        **common,
        convolution=convolution,
        shape_in=cast(Map, pre.shape),
        pooling=edge.pooling.size if edge.pooling else 1,
        shape=convolution.result,
        waiting=0 if from_input else min(1 << (pre.size // 2).bit_length(), MOST_WAITING),
    )
