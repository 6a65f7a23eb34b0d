"""Mapping: one core of the accelerator per layer of the network."""

import math
import operator
from functools import reduce
from typing import Any, cast

import numpy as np

from spikeloom.compiler.convolution_core import ConvolutionCore, lane_grid, legal_lanes
from spikeloom.compiler.cores import Core, Sends
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.events_per_cycle import check_events_per_cycle, check_rows
from spikeloom.compiler.geometry import Convolution, Map
from spikeloom.compiler.intervals import weighted_events
from spikeloom.compiler.ir import FixedNeuron, Network, Population, Projection
from spikeloom.compiler.readouts import MEMBRANE_READOUTS
from spikeloom.compiler.sources import MapSource, Source

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


def convolutions_of(network: Network, layer: Population) -> tuple[Convolution, ...]:
    """The convolutions that bring a layer its events; none for a dense layer behind no maps.

    A dense projection of feature maps is a convolution whose kernel is as large as these; beside
    one, that of a vector is a convolution of maps of one pixel.
    """
    edges = network.projections_to(layer.name)
    shapes = [
        edge.pooling.result if edge.pooling else network.population(edge.pre).shape
        for edge in edges
    ]
    if all(edge.convolution is None for edge in edges) and all(len(each) != 3 for each in shapes):
        return ()
    return tuple(
        edge.convolution or Convolution(_as_maps(shape), layer.size, _as_maps(shape)[1:])
        for edge, shape in zip(edges, shapes, strict=True)
    )


def _as_maps(shape: tuple[int, ...]) -> Map:
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (math.prod(shape), 1, 1)


def default_lanes(network: Network, layer: Population) -> int:
    """One per neuron; of a convolution one per channel and column that an event reaches."""
    convolutions = convolutions_of(network, layer)
    if not convolutions:
        return layer.size
    return max(count for count, grid in legal_lanes(convolutions).items() if grid.rows == 1)


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
        convolutions = convolutions_of(network, layers[name])
        if convolutions:
            lane_grid(name, convolutions, count)
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
    convolutions = convolutions_of(network, layer)
    return lane_grid(layer.name, convolutions, count).channels if convolutions else count


def map_network(
    network: Network,
    lanes: dict[str, int],
    fire_lanes: dict[str, int],
    events_per_cycle: dict[str, int] | None = None,
) -> tuple[Core, ...]:
    """One core per layer, in the order of the pipeline.

    Parameters
    ----------
    events_per_cycle : per population how many neighbouring neurons' events travel as one

    Raises
    ------
    SpikeloomError
        If the network has what the accelerator does not have, or if a number of lanes or of events
        does not fit its layer.
    """
    together = events_per_cycle or {}
    check_lanes(network, lanes, fire_lanes)
    check_events_per_cycle(network, together)
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
    _check_senders(network)
    cores = tuple(_map_layer(network, each, lanes, fire_lanes, together) for each in network.layers)
    for core in cores:
        check_rows(core)
    return cores


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


def _check_senders(network: Network) -> None:
    last = network.layers[-1]
    for layer in network.layers[:-1]:
        if not any(edge.pre == layer.name != edge.post for edge in network.projections):
            raise SpikeloomError(
                f"layer '{layer.name}' projects onto no other layer, and the accelerator reads out "
                f"the last layer, '{last.name}'; leave it out"
            )
    if network.readout.kind in MEMBRANE_READOUTS and any(
        edge.delay for edge in network.projections_to(last.name)
    ):
        raise SpikeloomError(
            f"layer '{last.name}' is read out by its membranes and projects onto itself; the "
            "accelerator sends either membranes or spikes"
        )


def _check_maps(network: Network, layer: Population, convolutions: tuple[Convolution, ...]) -> None:
    """Feature maps must come from convolutions, and all of a layer's from the same shape."""
    maps = _as_maps(layer.shape)
    edges = network.projections_to(layer.name)
    results = [each.result for each in convolutions] or [(layer.size, 1, 1)] * len(edges)
    for edge, result in zip(edges, results, strict=True):
        if result != maps:
            raise SpikeloomError(
                f"layer '{layer.name}' has feature maps of shape {layer.shape} and receives the "
                f"dense projection '{edge.source}'; the accelerator takes convolutions there"
            )


def _map_layer(
    network: Network,
    layer: Population,
    lanes: dict[str, int],
    fire_lanes: dict[str, int],
    together: dict[str, int],
) -> Core:
    edges = network.projections_to(layer.name)
    convolutions = convolutions_of(network, layer)
    _check_maps(network, layer, convolutions)
    from_input = any(edge.pre == network.input.name for edge in edges)
    constant = network.input_events.constant and from_input
    if constant and len(edges) > 1:
        raise SpikeloomError(
            f"layer '{layer.name}' receives the constant input and other events; the pass "
            "repeat_constant_input gives the accelerator the input in every time step"
        )
    assert isinstance(layer.neuron, FixedNeuron)
    read_out = layer is network.layers[-1] and network.readout.kind in MEMBRANE_READOUTS
    side_by_side = _lanes_per_group(network, layer, lanes)
    # Membranes leave one by one, so that more lanes would only wait.
    firing = 1 if read_out else fire_lanes.get(layer.name, min(side_by_side, DEFAULT_FIRE_LANES))
    shift = min(edge.weight_shift for edge in edges)
    sums = [weighted_events(network, edge).shifted(edge.weight_shift - shift) for edge in edges]
    common: dict[str, Any] = {
        "name": layer.name,
        "neurons": layer.size,
        "constant": constant,
        "lanes": lanes.get(layer.name, default_lanes(network, layer)),
        "fire_lanes": firing,
        "steps": network.steps,
        "weight_bits": max(edge.weight_bits for edge in edges),
        "weight_shift": shift,
        "sum_bits": max(2, reduce(operator.add, sums).bits),
        "neuron": layer.neuron,
        "weights": network.weights,
        "sent_per_cycle": together.get(layer.name, 1),
        "sends": cast(Sends, network.readout.kind) if read_out else "spikes",
    }
    sources = [
        _source(network, edge, shift) | {"events_per_cycle": together.get(edge.pre, 1)}
        for edge in edges
    ]
    if not convolutions:
        return Core(sources=tuple(Source(**source) for source in sources), **common)
    maps = []
    for edge, source, each in zip(edges, sources, convolutions, strict=True):
        source["weight"] = source["weight"].reshape(each.weight_shape)
        pooling = edge.pooling.size if edge.pooling else 1
        maps.append(MapSource(**source, convolution=each, pooling=pooling))
    return ConvolutionCore(sources=tuple(maps), **common, shape=convolutions[0].result)


def _source(network: Network, edge: Projection, shift: int) -> dict[str, Any]:
    """What a core knows of a population that projects onto it."""
    pre, events = network.population(edge.pre), network.input_events
    from_input = pre is network.input
    return {
        "name": edge.pre,
        "shape": pre.shape,
        "lowest": events.lowest if from_input else 0,
        "highest": events.highest if from_input else 1,
        "weight": edge.weight.astype(np.int64),
        "shift": edge.weight_shift - shift,
        "delay": edge.delay,
        "waiting": _waiting(network, edge),
    }


def _waiting(network: Network, edge: Projection) -> int:
    """Events of a projection that may wait in a memory before the core.

    Of a layer's own, all that it sends in a time step: none of them is taken before the scan that
    sends them is over. Of those that have overtaken others, as many as come while the others are
    on their way. Behind feature maps, a burst.
    """
    pre = network.population(edge.pre)
    if edge.delay:
        return pre.size + 1
    detours = _longest_way(network, edge.pre, edge.post) - 1
    if detours:
        return _places_for(pre.size * detours)
    to_maps = network.population(edge.post)
    if pre is network.input or not convolutions_of(network, to_maps):
        return 0
    return _places_for(pre.size)


def _places_for(events: int) -> int:
    """Half of them, rounded up to a power of two; a memory of fewer than two words is none."""
    return min(max(2, 1 << (events // 2).bit_length()), MOST_WAITING)


def _longest_way(network: Network, start: str, end: str) -> int:
    """Layers on the longest way from one population to another; 0 where there is none."""
    lengths = {start: 0}
    for layer in network.layers:
        befores = [
            lengths[edge.pre]
            for edge in network.projections_to(layer.name)
            if edge.pre in lengths and not edge.delay
        ]
        if befores and layer.name != start:
            lengths[layer.name] = 1 + max(befores)
    return lengths[end]
