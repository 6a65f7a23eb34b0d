"""What one core of the accelerator is: the geometry and the memory images of a layer."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from spikeloom.compiler.addresses import Addresses, block_addresses
from spikeloom.compiler.fixed import Decay, IntArray, signed_bits, signed_range
from spikeloom.compiler.ir import FixedNeuron
from spikeloom.compiler.parameters import ParameterTable, Repeats
from spikeloom.compiler.run_time_weights import bias_range, threshold_range
from spikeloom.compiler.sources import Source, value_bits
from spikeloom.compiler.weight_storage import WeightStorage

Sends = Literal["spikes", "final_membrane", "maximum_membrane"]

# Up to here a memory of a convolution is made of look-up tables rather than of block RAM, most of
# which would stay empty.
DISTRIBUTED_DEPTH = 32

# Words of a block RAM at its widest, and the bits of half a word, which can be written alone. So
# few words that synthesis may make them of look-up tables.
WIDE_DEPTH, HALF_WORD, FEW_WORDS = 512, 18, 64

# Words of a rank of a deep memory: of a block RAM that is 9 bits wide, the narrowest whole byte.
RANK_DEPTH = 2048

# Where a block RAM has so many words, its width is that of these weights.
DEEP, NARROW = 2048, (2, 4)


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
    sources : where events come from, at least one; if several, their events meet in an arbiter
    neurons : number of neurons, without the filling
    constant : whether the events of a window come once and act in every time step
    steps : time steps of a window, T
    weight_bits : width of every source's weights
    weight_shift : the layer's sums count `sum << weight_shift` units of the membrane
    sum_bits : width of every partial sum of a step's weighted events
    sent_per_cycle : neighbouring neurons whose spikes leave as one event
    sends : what leaves the core: its spikes, or the membranes of the last step or of all steps
    weights : where weights, thresholds and biases come from
    """

    name: str
    sources: tuple[Source, ...]
    neurons: int
    constant: bool
    lanes: int
    fire_lanes: int
    steps: int
    weight_bits: int
    weight_shift: int
    sum_bits: int
    neuron: FixedNeuron
    sends: Sends = "spikes"
    weights: WeightStorage = "fixed"
    sent_per_cycle: int = 1

    @cached_property
    def inputs(self) -> int:
        """Number of neurons of all sources together."""
        return sum(source.inputs for source in self.sources)

    @cached_property
    def events_per_cycle(self) -> int:
        """Neighbouring neurons whose events act in one clock cycle, E."""
        return max(source.events_per_cycle for source in self.sources)

    @cached_property
    def senders(self) -> int:
        """Number of different events that the core takes, whatever their value."""
        return sum(source.senders for source in self.sources)

    @cached_property
    def first_senders(self) -> tuple[int, ...]:
        """Per source the number of its first sender, where those of all sources are counted."""
        sizes = [source.senders for source in self.sources]
        return tuple(sum(sizes[:number]) for number in range(len(sizes)))

    def of_source(self, values: IntArray, number: int) -> IntArray:
        """Of numbers per sender of all sources, shape (senders,), those of one source."""
        first = self.first_senders[number]
        return values[first : first + self.sources[number].senders]

    @property
    def lowest(self) -> int:
        """The lowest value that an event may have."""
        return min(source.lowest for source in self.sources)

    @property
    def highest(self) -> int:
        """The highest value that an event may have."""
        return max(source.highest for source in self.sources)

    @property
    def largest_shift(self) -> int:
        """By how much the weights of a source are shifted at most, before they are summed."""
        return max(source.shift for source in self.sources)

    @property
    def channels(self) -> int:
        """Neurons at one position of the feature maps; all of them where there are none."""
        return self.neurons

    @cached_property
    def groups(self) -> int:
        """Number of groups of lanes that an event visits, one per clock cycle."""
        return -(-self.neurons // self.lanes)

    @cached_property
    def lanes_per_group(self) -> int:
        """Neurons of a group that lie in one word of sums."""
        return self.lanes

    @cached_property
    def parts(self) -> int:
        """Number of rows that a group has in the fire scan."""
        return -(-self.lanes_per_group // self.fire_lanes)

    @cached_property
    def rows(self) -> int:
        """Number of rows that the fire scan visits, one per clock cycle."""
        return self.groups * self.parts

    @cached_property
    def parameter_rows(self) -> int:
        """After so many rows the parameters of the neurons repeat themselves, if they do."""
        return self.rows

    @cached_property
    def channel_starts(self) -> tuple[int, ...]:
        """The first channel of each row at one position of the feature maps, or the neuron."""
        return tuple(
            group * self.lanes_per_group + part * self.fire_lanes
            for group in range(self.groups)
            for part in range(self.parts)
        )

    @cached_property
    def row_starts(self) -> tuple[int, ...]:
        """The number of each row's first neuron."""
        return self.channel_starts

    @property
    def lane_distance(self) -> int:
        """From the number of one lane's neuron to that of the next lane in a row."""
        return 1

    @property
    def addresses_joined(self) -> int:
        """Addresses of the events of all sources together are below this number."""
        return self.senders

    def joined(self, number: int, address: int) -> int:
        """The address of an event of source `number` among those of all sources."""
        return self.first_senders[number] + address

    @cached_property
    def addresses_out(self) -> Addresses:
        """Of the neurons."""
        return Addresses((self.neurons,))

    @property
    def event_addresses_out(self) -> Addresses:
        """Of the events that leave: of neurons, or of blocks of neighbouring neurons."""
        return block_addresses(self.addresses_out, self.sent_per_cycle)

    @cached_property
    def visits(self) -> IntArray:
        """Clock cycles that an event of each sender takes, shape (senders,)."""
        return np.full(self.senders, self.groups, np.int64)

    @cached_property
    def synapses(self) -> IntArray:
        """Neurons that an event of each sender reaches, shape (senders,)."""
        return np.full(self.senders, self.neurons, np.int64)

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
        """Weights in the order of the memory, shape (weight_words, word_weights).

        A word holds those of the first neuron that an event names for all lanes, then those of the
        second.
        """
        together = self.events_per_cycle
        full = np.zeros((self.senders, together, self.groups * self.lanes), np.int64)
        for first, source in zip(self.first_senders, self.sources, strict=True):
            block, place = np.divmod(np.arange(source.inputs), source.events_per_cycle)
            full[first + block, place, : self.neurons] = source.weight.T
        by_group = full.reshape(self.senders, together, self.groups, self.lanes).swapaxes(1, 2)
        return by_group.reshape(self.weight_words, self.word_weights)

    @property
    def word_weights(self) -> int:
        """Weights in a word of the weight memory."""
        return self.lanes * self.events_per_cycle

    @property
    def weight_words(self) -> int:
        """Words of weights."""
        return self.senders * self.groups

    @property
    def has_run_time_weights(self) -> bool:
        """Whether other weights, thresholds and biases can be loaded."""
        return self.weights != "fixed"

    @property
    def weight_depth(self) -> int:
        """Words of the weight memory; where weights can be loaded, there is room for two copies.

        The second one starts at a power of two, so that its number is a bit of the address.
        """
        if not self.has_run_time_weights:
            return self.weight_words
        return (1 << (self.weight_words - 1).bit_length()) + self.weight_words

    @property
    def weight_memories(self) -> int:
        """Memories that the weights of a word are divided among.

        A block RAM that is deep enough is as narrow as a weight: then each has its own, as tools
        would make them wider and choose between more of them. Memories that start without contents
        are wider.
        """
        narrow = self.weight_bits in NARROW and self.weights != "loaded"
        return self.word_weights if self.weight_depth > DEEP and narrow else 1

    @property
    def banks(self) -> int:
        """Number of memories of sums."""
        return 1

    @property
    def bank_depth(self) -> int:
        """Words of a memory of sums."""
        return self.groups

    @property
    def has_deep_banks(self) -> bool:
        """Whether banks of sums are block RAM, which answers late in a cycle."""
        return False

    @property
    def has_weight_ranks(self) -> bool:
        """Whether the weights lie in several ranks of block RAM, between which a word is chosen."""
        return False

    def stored_bits(self, decay: Decay, biased: bool) -> int:
        """Width of what is stored of a state: decayed, and with the bias added to one of them."""
        neuron = self.neuron
        saturated = neuron.state_bits if decay is neuron.decay else neuron.current_bits
        low, high = (decay(end + 0 * decay.multiplier) for end in signed_range(saturated))
        if biased:
            lowest, highest = self.biases_taken
            low, high = low + lowest, high + highest
        return max(2, signed_bits(int(low.min()), int(high.max())))

    @cached_property
    def has_biases_beside_states(self) -> bool:
        """Whether the biases lie in the other half of the words of block RAM that states lie in."""
        neuron, table = self.neuron, self.bias_table
        if neuron.current_decay is not None or table.loaded is not None:
            return False
        widest = max(self.stored_bits(neuron.decay, True), table.bits) * self.fire_lanes
        return (
            FEW_WORDS < self.rows <= WIDE_DEPTH
            and table.repeats is Repeats.NEVER
            and widest <= HALF_WORD
        )

    @cached_property
    def thresholds(self) -> IntArray:
        """Thresholds by row and lane, shape (rows, fire_lanes)."""
        return self.by_row(self.neuron.threshold, int(self.neuron.threshold[-1]))

    @cached_property
    def biases(self) -> IntArray:
        """Biases by row and lane, shape (rows, fire_lanes)."""
        return self.by_row(self.neuron.bias, 0)

    @cached_property
    def threshold_table(self) -> ParameterTable:
        """The thresholds as the fire unit keeps them."""
        return self._parameters(self.thresholds, threshold_range(self.neuron))

    @cached_property
    def bias_table(self) -> ParameterTable:
        """The biases as the fire unit keeps them."""
        return self._parameters(self.biases, bias_range(self.neuron))

    @property
    def biases_taken(self) -> tuple[int, int]:
        """The smallest and the largest bias that its words have room for."""
        bias = self.neuron.bias
        return self.bias_table.loaded or (int(bias.min()), int(bias.max()))

    def multiplier_table(self, decay: Decay) -> ParameterTable:
        """The multipliers of a decay as the fire unit keeps them; they cannot be loaded."""
        return ParameterTable.of(self.multipliers(decay), self.parameter_rows)

    def _parameters(self, rows: IntArray, loaded: tuple[int, int]) -> ParameterTable:
        if self.has_run_time_weights and loaded != (0, 0):
            return ParameterTable.of(rows, self.parameter_rows, loaded)
        return ParameterTable.of(rows, self.parameter_rows)

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
        return self.weight_depth * self.word_weights * self.weight_bits
