"""What one core of the accelerator is: the geometry and the memory images of a layer."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import numpy as np

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, IntArray, signed_bits
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

Sends = Literal["spikes", "final_membrane", "maximum_membrane"]

_MISSING = "the accelerator does not have this yet"


@dataclass(frozen=True, eq=False)
class Core:
    """One layer of the network, folded onto `lanes` lanes that add and `fire_lanes` that fire.

    Neuron n is added to in lane `n % lanes` of group `n // lanes`. The fire scan visits the rows
    one by one: row `group * parts + part` holds the `fire_lanes` neurons of the group from its
    neuron number `part * fire_lanes` on. Where lanes do not divide the neurons, or fire lanes the
    lanes, the last places are filled up with neurons that have no synapses and no bias, so that
    they never fire.

    Attributes
    ----------
    lowest, highest : range of an event's value; 0 and 1 for spikes
    constant : whether the events of a window come once and act in every time step
    steps : time steps of a window, T
    weight : int64 array, shape (neurons, inputs)
    sum_bits : width of every partial sum of a step's weighted events, in units of the weights
    sends : what leaves the core: its spikes, or the membranes of the last step or of all steps
    """

    name: str
    inputs: int
    lowest: int
    highest: int
    constant: bool
    lanes: int
    fire_lanes: int
    steps: int
    weight: IntArray
    weight_bits: int
    weight_shift: int
    sum_bits: int
    neuron: FixedNeuron
    sends: Sends = "spikes"

    @cached_property
    def neurons(self) -> int:
        """Number of neurons, without the filling."""
        return len(self.weight)

    @cached_property
    def groups(self) -> int:
        """Number of groups of lanes that an event visits, one per clock cycle."""
        return -(-self.neurons // self.lanes)

    @cached_property
    def parts(self) -> int:
        """Number of rows that a group has in the fire scan."""
        return -(-self.lanes // self.fire_lanes)

    @cached_property
    def rows(self) -> int:
        """Number of rows that the fire scan visits, one per clock cycle."""
        return self.groups * self.parts

    @cached_property
    def row_starts(self) -> tuple[int, ...]:
        """The number of each row's first neuron."""
        return tuple(
            group * self.lanes + part * self.fire_lanes
            for group in range(self.groups)
            for part in range(self.parts)
        )

    @cached_property
    def value_bits(self) -> int:
        """Width of an event's value; 0 for spikes, which have none."""
        return value_bits(self.lowest, self.highest)

    @cached_property
    def has_products(self) -> bool:
        """Whether an event's value is more than a sign, so that each lane takes a multiplier."""
        return self.lowest < -1 or self.highest > 1

    @cached_property
    def value_sent_bits(self) -> int:
        """Width of the value of an event that leaves the core; 0 for spikes."""
        return 0 if self.sends == "spikes" else self.neuron.accumulator_bits

    @cached_property
    def weight_table(self) -> IntArray:
        """Weights in the order of the memory, shape (inputs * groups, lanes)."""
        full = np.zeros((self.groups * self.lanes, self.inputs), np.int64)
        full[: self.neurons] = self.weight
        return np.ascontiguousarray(full.T).reshape(self.inputs * self.groups, self.lanes)

    @cached_property
    def thresholds(self) -> IntArray:
        """Thresholds by row and lane, shape (rows, fire_lanes)."""
        return self.by_row(self.neuron.threshold, int(self.neuron.threshold[-1]))

    @cached_property
    def biases(self) -> IntArray:
        """Biases by row and lane, shape (rows, fire_lanes)."""
        return self.by_row(self.neuron.bias, 0)

    def multipliers(self, decay: Decay) -> IntArray:
        """Multipliers of a decay by row and lane, shape (rows, fire_lanes)."""
        return self.by_row(decay.multiplier, int(decay.multiplier[-1]))

    def by_row(self, values: IntArray, filling: int = 0) -> IntArray:
        """Numbers of the neurons, shape (neurons,), by row and lane: (rows, fire_lanes)."""
        full = np.full((self.groups, self.parts * self.fire_lanes), filling, np.int64)
        of_groups = np.full(self.groups * self.lanes, filling, np.int64)
        of_groups[: self.neurons] = values
        full[:, : self.lanes] = of_groups.reshape(self.groups, self.lanes)
        return full.reshape(self.rows, self.fire_lanes)

    def by_neuron(self, rows: IntArray) -> IntArray:
        """The inverse of `by_row`, without the filling."""
        of_groups = rows.reshape(self.groups, -1)[:, : self.lanes]
        return of_groups.reshape(-1)[: self.neurons]

    @cached_property
    def decays(self) -> tuple[Decay, ...]:
        """The decay of the membrane and, where there is one, of the current."""
        current = self.neuron.current_decay
        return (self.neuron.decay,) if current is None else (self.neuron.decay, current)

    @cached_property
    def needs_multiplier(self) -> bool:
        """Whether a decay is more than a shift, so that each fire lane takes a multiplier."""
        return any(self.is_product(decay) for decay in self.decays)

    def is_product(self, decay: Decay) -> bool:
        """Whether a decay is more than a shift of all membranes, or none."""
        rows = self.multipliers(decay)
        return not ((rows == rows[0]).all() and (rows <= 1).all())

    @property
    def weight_memory_bits(self) -> int:
        """Size of the weight memory, filling included."""
        return self.weight_table.size * self.weight_bits


def value_bits(lowest: int, highest: int) -> int:
    """Width of the value of an event in a range; 0 for spikes, which have none."""
    return 0 if (lowest, highest) == (0, 1) else signed_bits(lowest, highest)


def check_lanes(network: Network, lanes: dict[str, int], fire_lanes: dict[str, int]) -> None:
    """Raise SpikeloomError if lanes are given for what is no layer, or too many or few of them."""
    sizes = {layer.name: layer.size for layer in network.layers}
    for what, counts in (("lanes", lanes), ("fire lanes", fire_lanes)):
        unknown = sorted(set(counts) - set(sizes))
        if unknown:
            raise SpikeloomError(
                f"{what} are given for '{unknown[0]}', which is not a layer ({', '.join(sizes)})"
            )
    for name, count in lanes.items():
        if not 1 <= count <= sizes[name]:
            raise SpikeloomError(
                f"layer '{name}' has {sizes[name]} neurons, so it takes 1 .. {sizes[name]} lanes, "
                f"not {count}"
            )
    read_out = network.layers[-1].name if network.readout.kind in MEMBRANE_READOUTS else None
    for name, count in fire_lanes.items():
        if name == read_out and count != 1:
            raise SpikeloomError(
                f"layer '{name}' is read out by its membranes, which leave one by one, so it takes "
                f"1 fire lane, not {count}"
            )
        most = min(lanes.get(name, sizes[name]), MAX_FIRE_LANES)
        if not 1 <= count <= most:
            raise SpikeloomError(
                f"layer '{name}' has {lanes.get(name, sizes[name])} lanes, so it takes 1 .. {most} "
                f"fire lanes, not {count}"
            )


def map_network(
    network: Network, lanes: dict[str, int], fire_lanes: dict[str, int]
) -> tuple[Core, ...]:
    """One core per layer, in the order of the pipeline.

    Raises
    ------
    SpikeloomError
        If the network has what the accelerator does not have yet: it takes chains of dense layers.
        Or if a number of lanes does not fit its layer.
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
    readout = network.readout
    last = network.populations[-1].name
    if readout.population != last:
        raise SpikeloomError(
            f"the readout takes population '{readout.population}', but the accelerator reads out "
            f"the last layer, '{last}'"
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
    for has, what in (
        (edge.convolution is not None, "is a convolution"),
        (edge.pooling is not None, "pools its events"),
    ):
        if has:
            raise SpikeloomError(f"layer '{layer.name}' {what}; {_MISSING}")
    assert isinstance(layer.neuron, FixedNeuron)
    events = network.events
    from_input = pre is network.input
    read_out = layer is network.layers[-1] and network.readout.kind in MEMBRANE_READOUTS
    width = lanes.get(layer.name, layer.size)
    # Membranes leave one by one, so that more lanes would only wait.
    firing = 1 if read_out else fire_lanes.get(layer.name, min(width, DEFAULT_FIRE_LANES))
    return Core(
        name=layer.name,
        inputs=pre.size,
        lowest=events.lowest if from_input else 0,
        highest=events.highest if from_input else 1,
        constant=from_input and events.constant,
        lanes=width,
        fire_lanes=firing,
        steps=network.steps,
        weight=edge.weight.astype(np.int64),
        weight_bits=edge.weight_bits,
        weight_shift=edge.weight_shift,
        sum_bits=max(2, weighted_events(network, edge).bits),
        neuron=layer.neuron,
        sends=cast(Sends, network.readout.kind) if read_out else "spikes",
    )
