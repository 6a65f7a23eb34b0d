"""Random fixed networks over all that the integer stages know, and over what the chip takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, get_args

import numpy as np
from hypothesis import strategies as st
from run_time_networks import with_run_time_weights

from spikeloom.compiler.convolution_core import legal_lanes
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, Reset, signed_range
from spikeloom.compiler.geometry import Convolution, Pooling
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.ir import (
    Events,
    FixedNeuron,
    Network,
    Population,
    Projection,
    Readout,
    ReadoutKind,
)
from spikeloom.compiler.mapping import convolutions_of, default_lanes, map_network
from spikeloom.compiler.on_chip import OnChipEncoder
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.passes.repeat_constant_input import repeat_constant_input
from spikeloom.compiler.readouts import MEMBRANE_READOUTS
from spikeloom.compiler.weight_storage import WeightStorage

Shape = tuple[int, ...]
Choice = TypeVar("Choice")

_DECAYS = (0.0, 0.2, 0.5, 2 / 3, 0.8, 0.99, 1.0)

_EVENTS = (
    Events(),
    Events(lowest=-1),
    Events(-14, 90, 2.0**-5, constant=True),
    Events(0, 255, 2.0**-8),
    Events(0, 5, 2.0),
    Events(-7, 0),
)


def wide_networks() -> st.SearchStrategy[Network]:
    """One to three layers, each dense or a convolution, some of them with a second projection.

    All but the seed comes from numpy: hypothesis alone would hardly ever leave small dense layers.
    """
    return st.integers(0, 2**32 - 1).map(wide_network)


def wide_network(seed: int) -> Network:
    """The network of a seed."""
    draw = _Draw(np.random.default_rng(seed))
    steps = draw.number(1, 8)
    shape: Shape = (draw.number(1, 20),)
    if draw.chance(0.7):
        shape = (draw.number(1, 3), draw.number(1, 7), draw.number(1, 7))
    events = replace(draw.one_of(_EVENTS), folded=True)
    populations = [Population("input", shape, None, "spikes")]
    projections: list[Projection] = []
    layers = draw.number(1, 3)
    for number in range(1, layers + 1):
        layer, edges = draw.layer(f"layer{number}", populations, number < layers, events)
        populations.append(layer)
        projections += edges
    network = bound_accumulators(
        Network(
            "wide",
            steps,
            tuple(populations),
            tuple(projections),
            draw.readout(populations[-1], steps),
            events=events,
        )
    )
    network.verify()
    return network


def dense_chain(seed: int, layers: int, branches: bool = False) -> Network:
    """A chain of dense layers with any neurons, input and readout: what the accelerator takes.

    With `branches`, projections lead past some layers and from some layers to themselves.
    """
    draw = _Draw(np.random.default_rng(seed))
    steps = draw.number(1, 7)
    events = replace(draw.one_of(_EVENTS), folded=True)
    populations = [Population("input", (draw.number(1, 24),), None, "spikes")]
    projections: list[Projection] = []
    for number in range(1, layers + 1):
        pre, name, size = populations[-1], f"layer{number}", draw.number(1, 24)
        edge = draw.edge(pre, name, (size, pre.size), None)
        spread = int(np.sqrt(pre.size) * (1 << edge.weight_bits - 1)) << edge.weight_shift
        if number == 1:
            spread *= max(1, events.highest // 2)
        neuron = draw.neuron(size, spread, number < layers or draw.chance(0.6))
        layer = Population(name, (size,), neuron, name)
        projections.append(edge)
        if branches:
            projections += draw.branches(populations, layer)
        populations.append(layer)
    recurs = projections[-1].delay == 1
    readout = draw.readout(populations[-1], steps, spikes=recurs)
    if readout.kind == "first_spike":
        readout = replace(readout, early_stop=draw.chance())
    network = bound_accumulators(
        repeat_constant_input(
            Network("chain", steps, tuple(populations), tuple(projections), readout, events=events)
        )
    )
    network.verify()
    return network


def map_chain(seed: int, layers: int, branches: bool = False) -> Network:
    """A chain of convolutions and dense layers, as the accelerator takes it; the last is dense.

    With `branches`, projections lead past some layers and from some layers to themselves.
    """
    draw = _Draw(np.random.default_rng(seed))
    steps = draw.number(1, 5)
    events = replace(draw.one_of(_EVENTS), folded=True)
    shape = draw.number(1, 3), draw.number(1, 7), draw.number(1, 7)
    populations = [Population("input", shape, None, "spikes")]
    projections: list[Projection] = []
    for number in range(1, layers + 1):
        pre, name, inner = populations[-1], f"layer{number}", number < layers
        dense = inner and (len(pre.shape) == 1 or draw.chance(0.2))
        edge = draw.projection(pre, name, draw.number(1, 12) if dense or not inner else None)
        size: Shape = (edge.weight.shape[0],)
        if edge.convolution is not None:
            size = edge.convolution.result
        spread = int(np.sqrt(edge.weight[0].size) * (1 << edge.weight_bits - 1))
        spread <<= edge.weight_shift
        if number == 1:
            spread *= max(1, events.highest // 2)
        neuron = draw.neuron(int(np.prod(size)), spread, inner or draw.chance(0.6))
        layer = Population(name, size, neuron, name)
        projections.append(edge)
        if branches:
            projections += draw.branches(populations, layer)
        populations.append(layer)
    recurs = projections[-1].delay == 1
    readout = draw.readout(populations[-1], steps, spikes=recurs)
    network = bound_accumulators(
        repeat_constant_input(
            Network("maps", steps, tuple(populations), tuple(projections), readout, events=events)
        )
    )
    network.verify()
    return network


def any_chain(seed: int, layers: int) -> Network:
    """A network that the accelerator takes, every other one with feature maps.

    Every other one of each kind has projections past layers, and from layers to themselves. Half
    of those that take spikes take pixels and make the spikes themselves. Weights of a third can be
    loaded.
    """
    chain = map_chain if seed % 2 else dense_chain
    network = chain(seed, layers, branches=seed // 2 % 2 == 1)
    draw = _Draw(np.random.default_rng(seed))
    if network.events == Events(folded=True) and draw.chance():
        network = network.with_on_chip(draw.encoder(network.steps))
    return network if draw.chance(0.67) else with_run_time_weights(network, draw.storage())


def folding(network: Network, seed: int) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Lanes, fire lanes and events per cycle: any for some layers, none given for others."""
    draw = _Draw(np.random.default_rng(seed))
    lanes: dict[str, int] = {}
    side_by_side: dict[str, int] = {}
    for item in network.layers:
        convolutions = convolutions_of(network, item)
        if draw.chance(0.8):
            lanes[item.name] = draw.number(1, item.size)
            if convolutions:
                lanes[item.name] = draw.one_of(list(legal_lanes(convolutions)))
        count = lanes.get(item.name, default_lanes(network, item))
        side_by_side[item.name] = count
        if convolutions:
            side_by_side[item.name] = legal_lanes(convolutions)[count].channels
    # Membranes that are read out leave through a single fire lane.
    firing = network.layers[:-1] if network.readout.kind in MEMBRANE_READOUTS else network.layers
    fire_lanes = {
        item.name: draw.number(1, min(16, side_by_side[item.name]))
        for item in firing
        if draw.chance(0.8)
    }
    together: dict[str, int] = {}
    for item in network.populations:
        if not draw.chance(0.4):
            continue
        for count in (draw.one_of([2, 4, 8]), 2):
            try:
                map_network(network, lanes, fire_lanes, together | {item.name: count})
            except SpikeloomError:
                continue
            together[item.name] = count
            break
    return lanes, fire_lanes, together


@dataclass(frozen=True)
class _Draw:
    """The parts of a random network."""

    random: np.random.Generator

    def one_of(self, choices: Sequence[Choice]) -> Choice:
        return choices[int(self.random.integers(len(choices)))]

    def number(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))

    def chance(self, share: float = 0.5) -> bool:
        return bool(self.random.random() < share)

    def layer(
        self, name: str, before: list[Population], inner: bool, events: Events
    ) -> tuple[Population, list[Projection]]:
        pre = before[-1]
        dense = None
        if len(pre.shape) == 1 or self.chance(0.3):
            dense = self.number(1, 12)
        edges = [self.projection(pre, name, dense)]
        convolution = edges[0].convolution
        shape: Shape = (edges[0].weight.shape[0],)
        if convolution is not None:
            shape = convolution.result
        if len(before) > 1 and self.chance():
            edges += self.second(before[-2], name, shape)
        spread = int(np.sqrt(edges[0].weight[0].size) * (1 << edges[0].weight_bits - 1))
        spread <<= edges[0].weight_shift
        if len(before) == 1:
            spread *= max(1, events.highest // 2)
        fire = inner or self.chance(0.7)
        neuron = self.neuron(int(np.prod(shape)), spread, fire)
        return Population(name, shape, neuron, name), edges

    def projection(self, pre: Population, post: str, dense: int | None) -> Projection:
        """Onto `dense` neurons, or a convolution; with or without pooling."""
        shape = pre.shape
        pooling = None
        if len(shape) == 3 and self.chance():
            channels, height, width = shape
            pooling = Pooling((channels, height, width), self.number(1, min(3, height, width)))
            shape = pooling.result
        if dense is None:
            return self.edge(pre, post, self.convolution(shape), pooling)
        return self.edge(pre, post, (dense, int(np.prod(shape))), pooling)

    def second(self, pre: Population, post: str, shape: Shape) -> list[Projection]:
        """A projection past a layer, dense or a convolution, where the shapes allow it."""
        if len(shape) == 1:
            return [self.edge(pre, post, (shape[0], pre.size), None)]
        if len(pre.shape) != 3:
            return []
        channels, height, width = pre.shape
        kernel, stride, before, behind = zip(
            *(
                self.axis(given, wanted)
                for given, wanted in zip((height, width), shape[1:], strict=True)
            ),
            strict=True,
        )
        each = Convolution((channels, height, width), shape[0], kernel, stride, (*before, *behind))
        return [self.edge(pre, post, each, None)]

    def axis(self, given: int, wanted: int) -> tuple[int, int, int, int]:
        """Kernel, stride and padding on both sides that bring so many places to so many."""
        stride = self.number(1, 2)
        reached = (wanted - 1) * stride
        padding = max(0, 1 + reached - given) + self.number(0, 1)
        before = self.number(0, padding)
        return given + padding - reached, stride, before, padding - before

    def branches(self, before: list[Population], layer: Population) -> list[Projection]:
        """Some more projections onto a layer: from before the one before it, and from itself."""
        assert layer.neuron is not None
        edges: list[Projection] = []
        if len(before) > 1 and self.chance():
            pre = self.one_of(before[:-1])
            if len(layer.shape) == 1 and len(pre.shape) == 3 and self.chance():
                edges.append(self.projection(pre, layer.name, layer.size))
            else:
                edges += self.second(pre, layer.name, layer.shape)
        if len(layer.shape) == 1 and layer.neuron.fire and self.chance():
            edges.append(self.edge(layer, layer.name, (layer.size, layer.size), None))
        return edges

    def edge(
        self, pre: Population, post: str, kind: Convolution | Shape, pooling: Pooling | None
    ) -> Projection:
        bits = self.number(2, 8)
        low, high = signed_range(bits)
        convolution = kind if isinstance(kind, Convolution) else None
        shape = kind.weight_shape if isinstance(kind, Convolution) else kind
        return Projection(
            pre=pre.name,
            post=post,
            weight=self.random.integers(low, high + 1, shape),
            source=f"{pre.name} to {post}",
            weight_bits=bits,
            weight_shift=self.number(0, 3),
            convolution=convolution,
            pooling=pooling,
        )

    def convolution(self, shape: Shape) -> Convolution:
        channels, height, width = shape
        groups = self.one_of([part for part in range(1, channels + 1) if channels % part == 0])
        top, left, bottom, right = (self.number(0, 2) for _ in range(4))
        kernel = (
            self.number(1, min(3, height + top + bottom)),
            self.number(1, min(3, width + left + right)),
        )
        return Convolution(
            (channels, height, width),
            groups * self.number(1, 2),
            kernel,
            (self.number(1, 2), self.number(1, 2)),
            (top, left, bottom, right),
            groups,
        )

    def neuron(self, size: int, spread: int, fire: bool) -> FixedNeuron:
        has_current = self.chance()
        return FixedNeuron(
            decay=self.decay(size),
            threshold=self.random.integers(1, max(2, spread), size),
            bias=self.random.integers(-(spread // 4), spread // 3 + 1, size),
            reset=self.one_of(list(Reset)),
            scale=1.0,
            state_bits=self.one_of([4, 8, 12, 16, 24]),
            current_decay=self.decay(size) if has_current else None,
            current_bits=self.one_of([4, 8, 16]) if has_current else 0,
            fire=fire,
            single_spike=self.chance(0.3),
        )

    def encoder(self, steps: int) -> OnChipEncoder:
        if self.chance():
            return OnChipEncoder("bernoulli", seed=self.number(0, 1 << 30))
        t_max = self.number(0, steps - 1)
        return OnChipEncoder("first_spike", t_max=t_max, dark=self.number(0, 60))

    def storage(self) -> WeightStorage:
        return "reloadable" if self.chance() else "loaded"

    def decay(self, size: int) -> Decay:
        """Of one factor, or of several within a layer."""
        factors = self.random.choice(_DECAYS, size if self.chance() else 1)
        return Decay.from_float(np.broadcast_to(factors, (size,)), self.number(4, 12))

    def readout(self, population: Population, steps: int, spikes: bool = False) -> Readout:
        """Any readout, or with `spikes` any one of these."""
        kinds: list[ReadoutKind] = ["final_membrane", "maximum_membrane"]
        assert population.neuron is not None
        if population.neuron.fire:
            kinds = list(get_args(ReadoutKind))
        if spikes:
            kinds = [kind for kind in kinds if kind not in MEMBRANE_READOUTS]
        kind = self.one_of(kinds)
        weights: tuple[int, ...] = ()
        if kind == "weighted_spike_count":
            weights = (255, *(self.number(0, 255) for _ in range(steps - 1)))
        size = population.size
        group = self.one_of([part for part in range(1, size + 1) if size % part == 0])
        return Readout(population.name, kind, weights, group)


def random_events(network: Network, samples: int, seed: int = 0) -> Spikes:
    """Events of shape (T, samples, inputs): sparse and dense samples, and both extremes."""
    events, random = network.events, np.random.default_rng(seed)
    shape = (1 if events.constant else network.steps, samples, network.input.size)
    given = random.integers(events.lowest, events.highest + 1, shape)
    if events.lowest <= 0 <= events.highest:
        given[random.random(shape) < random.random((1, samples, 1))] = 0
    given[:, -2], given[:, -1] = events.lowest, events.highest
    return np.broadcast_to(given, (network.steps, *shape[1:])).copy()
