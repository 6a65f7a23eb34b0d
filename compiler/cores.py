"""What one core of the accelerator is: the geometry and the memory images of a layer."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import IntArray
from spikeloom.compiler.ir import FixedNeuron, Network, Population, Projection

# Names of the accelerator's other blocks, beside which the layers stand.
RESERVED = ("input", "readout", "readout_queue", "port")

# Scores are sent as words of 16 bits.
MAX_STEPS = (1 << 16) - 1

_MISSING = "the accelerator does not have this yet"


@dataclass(frozen=True, eq=False)
class Core:
    """One layer of the network, folded onto `lanes` lanes.

    Neuron n is processed in lane `n % lanes` of group `n // lanes`. Where the lanes do not divide
    the neurons, the last group is filled up with neurons that have no synapses and no bias, so
    that they never fire.

    Attributes
    ----------
    weight : int64 array, shape (neurons, inputs)
    """

    name: str
    inputs: int
    lanes: int
    steps: int
    weight: IntArray
    weight_bits: int
    weight_shift: int
    neuron: FixedNeuron

    @property
    def neurons(self) -> int:
        """Number of neurons, without the filling of the last group."""
        return len(self.weight)

    @property
    def groups(self) -> int:
        """Number of groups of lanes that an event visits, one per clock cycle."""
        return -(-self.neurons // self.lanes)

    @cached_property
    def weight_table(self) -> IntArray:
        """Weights in the order of the memory, shape (inputs * groups, lanes)."""
        full = np.zeros((self.groups * self.lanes, self.inputs), np.int64)
        full[: self.neurons] = self.weight
        return np.ascontiguousarray(full.T).reshape(self.inputs * self.groups, self.lanes)

    @cached_property
    def thresholds(self) -> IntArray:
        """Thresholds by group and lane, shape (groups, lanes)."""
        return self._by_group(self.neuron.threshold, int(self.neuron.threshold[-1]))

    @cached_property
    def biases(self) -> IntArray:
        """Biases by group and lane, shape (groups, lanes)."""
        return self._by_group(self.neuron.bias, 0)

    @cached_property
    def multipliers(self) -> IntArray:
        """Multipliers of the decay by group and lane, shape (groups, lanes)."""
        multiplier = self.neuron.decay.multiplier
        return self._by_group(multiplier, int(multiplier[-1]))

    def _by_group(self, values: IntArray, filling: int) -> IntArray:
        full = np.full(self.groups * self.lanes, filling, np.int64)
        full[: self.neurons] = values
        return full.reshape(self.groups, self.lanes)

    @cached_property
    def needs_multiplier(self) -> bool:
        """Whether a decay is more than a shift, so that each lane takes a multiplier."""
        alike = (self.multipliers == self.multipliers[0]).all()
        return not (alike and (self.multipliers <= 1).all())

    @property
    def weight_memory_bits(self) -> int:
        """Size of the weight memory, filling included."""
        return self.weight_table.size * self.weight_bits


def check_lanes(network: Network, lanes: dict[str, int]) -> None:
    """Raise SpikeloomError if lanes are given for what is no layer, or too many or few of them."""
    sizes = {layer.name: layer.size for layer in network.layers}
    unknown = sorted(set(lanes) - set(sizes))
    if unknown:
        raise SpikeloomError(
            f"lanes are given for '{unknown[0]}', which is not a layer ({', '.join(sizes)})"
        )
    for name, count in lanes.items():
        if not 1 <= count <= sizes[name]:
            raise SpikeloomError(
                f"layer '{name}' has {sizes[name]} neurons, so it takes 1 .. {sizes[name]} lanes, "
                f"not {count}"
            )


def map_network(network: Network, lanes: dict[str, int]) -> tuple[Core, ...]:
    """One core per layer, in the order of the pipeline.

    Raises
    ------
    SpikeloomError
        If the network has what the accelerator does not have yet: it takes chains of dense layers
        that spike, without synaptic currents, and counts spikes. Or if a number of lanes does not
        fit its layer.
    """
    check_lanes(network, lanes)
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
    events = network.events
    if events.lowest < 0 or events.highest > 1:
        raise SpikeloomError(
            f"the input gives events of {events.lowest} .. {events.highest}; {_MISSING}, only "
            "spikes of 0 and 1"
        )
    cores = tuple(
        _map_layer(network, pre, layer, lanes.get(layer.name, layer.size))
        for pre, layer in zip(network.populations, network.layers, strict=False)
    )
    _check_readout(network)
    return cores


def _check_readout(network: Network) -> None:
    readout = network.readout
    last = network.populations[-1].name
    if readout.population != last:
        raise SpikeloomError(
            f"the readout takes population '{readout.population}', but the accelerator reads out "
            f"the last layer, '{last}'"
        )
    if readout.kind != "spike_count" or readout.group != 1:
        what = "groups of neurons" if readout.kind == "spike_count" else f"the {readout.kind}"
        raise SpikeloomError(
            f"the readout of layer '{last}' takes {what.replace('_', ' ')}; {_MISSING}, only the "
            "spike count of single neurons"
        )


def _check_neuron(layer: Population, edge: Projection) -> None:
    neuron = layer.neuron
    assert isinstance(neuron, FixedNeuron)
    for has, what in (
        (edge.convolution is not None, "is a convolution"),
        (edge.pooling is not None, "pools its events"),
        (neuron.current_decay is not None, "has synaptic currents that last"),
        (neuron.single_spike, "has neurons that spike at most once"),
        (not neuron.fire, "has neurons that never spike"),
    ):
        if has:
            raise SpikeloomError(f"layer '{layer.name}' {what}; {_MISSING}")


def _map_layer(network: Network, pre: Population, layer: Population, lanes: int) -> Core:
    edges = network.projections_to(layer.name)
    if len(edges) != 1 or edges[0].pre != pre.name:
        sources = ", ".join(f"'{edge.pre}'" for edge in edges)
        raise SpikeloomError(
            f"layer '{layer.name}' receives projections from {sources}; "
            f"the accelerator takes a chain of layers, here one from '{pre.name}'"
        )
    edge = edges[0]
    _check_neuron(layer, edge)
    assert isinstance(layer.neuron, FixedNeuron)
    return Core(
        name=layer.name,
        inputs=pre.size,
        lanes=lanes,
        steps=network.steps,
        weight=edge.weight.astype(np.int64),
        weight_bits=edge.weight_bits,
        weight_shift=edge.weight_shift,
        neuron=layer.neuron,
    )
