"""A core that convolutions reach; a dense layer behind feature maps is one as well."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from spikeloom.compiler.addresses import Addresses, Field
from spikeloom.compiler.cores import DISTRIBUTED_DEPTH, RANK_DEPTH, Core
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import IntArray
from spikeloom.compiler.geometry import Convolution, Map
from spikeloom.compiler.sources import MapSource
from spikeloom.compiler.taps import AxisFolding, fold_axis


class LaneGrid(NamedTuple):
    """Lanes of a convolution: an event is added to so many channels, rows and columns at once."""

    channels: int
    rows: int
    columns: int


@dataclass(frozen=True, eq=False)
class ConvolutionCore(Core):
    """A layer of the network that convolutions reach, folded onto a grid of lanes.

    `lanes` are divided among the channels first, then among as many columns as an event reaches,
    then among rows. Rows and columns lie in banks: row y in bank `y % grid.rows`, column x in bank
    `x % grid.columns`, so that the neighbours that an event reaches never meet in one bank. Lane
    `(row bank * grid.columns + column bank) * grid.channels + n` adds to channel n of a group of
    `grid.channels`.

    The fire scan visits the positions of the maps row by row; of each position all groups, of each
    group all parts of `fire_lanes` channels.

    Attributes
    ----------
    shape : of the layer
    """

    sources: tuple[MapSource, ...]
    shape: Map = field(kw_only=True)

    @property
    def convolutions(self) -> tuple[Convolution, ...]:
        """Of the sources."""
        return tuple(source.convolution for source in self.sources)

    @cached_property
    def grid(self) -> LaneGrid:
        """How the lanes are divided."""
        return lane_grid(self.name, self.convolutions, self.lanes)

    @cached_property
    def addresses_out(self) -> Addresses:
        """Of the events that leave."""
        return Addresses(self.shape)

    @property
    def channels(self) -> int:
        """Neurons at one position of the feature maps."""
        return self.shape[0]

    @cached_property
    def positions(self) -> int:
        """Of the feature maps, each with the neurons of all channels."""
        return self.shape[1] * self.shape[2]

    @cached_property
    def groups(self) -> int:
        """Number of groups of channels."""
        return -(-self.shape[0] // self.grid.channels)

    @cached_property
    def lanes_per_group(self) -> int:
        """Neurons of a group that lie in one word of sums."""
        return self.grid.channels

    @cached_property
    def rows(self) -> int:
        """Number of rows that the fire scan visits, one per clock cycle."""
        return self.positions * self.groups * self.parts

    @cached_property
    def parameter_rows(self) -> int:
        """After so many rows the parameters of the neurons repeat themselves, if they do."""
        return self.groups * self.parts

    @cached_property
    def axes(self) -> tuple[tuple[AxisFolding, AxisFolding], ...]:
        """Per source rows and columns, folded onto banks."""
        return tuple(self._axes_of(source) for source in self.sources)

    def _axes_of(self, source: MapSource) -> tuple[AxisFolding, AxisFolding]:
        each = source.convolution
        _, rows, columns = source.maps
        top, left, _, _ = each.padding
        given = (
            (rows, each.kernel[0], each.stride[0], top, self.shape[1], self.grid.rows),
            (columns, each.kernel[1], each.stride[1], left, self.shape[2], self.grid.columns),
        )
        along_rows, along_columns = (
            fold_axis(positions, source.pooling, kernel, stride, padding, places, banks)
            for positions, kernel, stride, padding, places, banks in given
        )
        return along_rows, along_columns

    @cached_property
    def fields_joined(self) -> tuple[Field, Field, Field]:
        """Of an address among those of all sources: channel, column and row."""
        fields, start = [], 0
        for each in zip(*(source.addresses.fields for source in self.sources), strict=True):
            width = max(field.width for field in each)
            fields.append(Field(start, width, 1 << width))
            start += width
        channel, column, row = fields
        return channel, column, row

    @property
    def addresses_joined(self) -> int:
        """Addresses of the events of all sources together are below this number."""
        if len(self.sources) == 1:
            return self.sources[0].addresses.count
        return 1 << self.fields_joined[-1].end

    def joined(self, number: int, address: int) -> int:
        """The address of an event of source `number` among those of all sources."""
        fields = zip(self.sources[number].addresses.fields, self.fields_joined, strict=True)
        return sum(own.of(address) << common.start for own, common in fields)

    @cached_property
    def words_per_channel(self) -> tuple[int, ...]:
        """Per source the words of the weight memory that each of its channels has."""
        return tuple(
            len(along_rows.words) * len(along_columns.words) * visited
            for (along_rows, along_columns), visited in zip(
                self.axes, self.groups_visited, strict=True
            )
        )

    @cached_property
    def first_words(self) -> tuple[int, ...]:
        """Per source the first of its words in the weight memory, and how many there are."""
        sizes = [
            source.maps[0] * words
            for source, words in zip(self.sources, self.words_per_channel, strict=True)
        ]
        return tuple(sum(sizes[:number]) for number in range(len(sizes) + 1))

    @property
    def weight_words(self) -> int:
        """Words of the weight memory."""
        return self.first_words[-1]

    @property
    def weight_memories(self) -> int:
        """Memories that the weights of the lanes are divided among."""
        return 1

    @property
    def banks(self) -> int:
        """Number of banks of sums."""
        return self.grid.rows * self.grid.columns

    @property
    def bank_depth(self) -> int:
        """Words of a bank, each with the sums of a group of channels at one position."""
        return -(-self.shape[1] // self.grid.rows) * self.row_pitch

    @property
    def has_deep_banks(self) -> bool:
        """Whether banks of sums are block RAM, which answers late in a cycle."""
        return self.bank_depth > DISTRIBUTED_DEPTH

    @property
    def has_weight_ranks(self) -> bool:
        """Whether the weights lie in several ranks of block RAM, between which a word is chosen."""
        return self.weight_depth > RANK_DEPTH

    @cached_property
    def row_pitch(self) -> int:
        """Words of a bank between one row and the next."""
        return -(-self.shape[2] // self.grid.columns) * self.groups

    @property
    def row_word_bits(self) -> int:
        """Width of what an operation says of the word in each bank of rows."""
        return (self.bank_depth - 1).bit_length()

    @property
    def column_word_bits(self) -> int:
        """Width of what an operation says of the word in each bank of columns."""
        return (self.row_pitch - 1).bit_length()

    @property
    def target_bits(self) -> int:
        """Width of what an operation says of banks: of each whether it is used, and its word."""
        rows = self.grid.rows * (1 + self.row_word_bits)
        return rows + self.grid.columns * (1 + self.column_word_bits)

    @cached_property
    def channel_groups(self) -> tuple[tuple[range, ...], ...]:
        """Per source and channel the groups that it reaches; equally many for all of a source."""
        return tuple(self._groups_reached(source.convolution) for source in self.sources)

    def _groups_reached(self, each: Convolution) -> tuple[range, ...]:
        share = each.features // each.groups
        spans = []
        for channel in range(each.shape[0]):
            first = channel // (each.shape[0] // each.groups) * share
            spans.append((first // self.grid.channels, (first + share - 1) // self.grid.channels))
        longest = max(last - first + 1 for first, last in spans)
        starts = [min(first, self.groups - longest) for first, _ in spans]
        return tuple(range(start, start + longest) for start in starts)

    @cached_property
    def groups_visited(self) -> tuple[int, ...]:
        """Per source how many groups of channels an event visits."""
        return tuple(len(groups[0]) for groups in self.channel_groups)

    @cached_property
    def weight_table(self) -> IntArray:
        """Weights in the order of the memory, shape (words, lanes).

        The sources stand one behind the other. Of each, word `((channel * row words + row word) *
        column words + column word) * groups_visited + n`, where n counts the groups that the
        channel reaches.
        """
        tables = [self._weights_of(number) for number in range(len(self.sources))]
        return np.concatenate(tables)

    def _weights_of(self, number: int) -> IntArray:
        source, grid = self.sources[number], self.grid
        each = source.convolution
        share_in, share = each.shape[0] // each.groups, each.features // each.groups
        full = np.zeros((self.groups * grid.channels, each.shape[0], *each.kernel), np.int64)
        for channel in range(each.shape[0]):
            block = channel // share_in
            features = slice(block * share, (block + 1) * share)
            full[features, channel] = source.weight[features, channel % share_in]
        # A tap that no bank takes is one more, of weight 0.
        full = np.pad(full, ((0, 0), (0, 0), (0, 1), (0, 1)))
        row_taps, column_taps = (
            np.asarray([[-1 if tap is None else tap for tap in word] for word in axis.words])
            for axis in self.axes[number]
        )
        # (features, channels, row words, row banks, column words, column banks)
        taken = full[:, :, row_taps][..., column_taps]
        table = np.stack(
            [
                taken[group * grid.channels : (group + 1) * grid.channels, channel]
                for channel, groups in enumerate(self.channel_groups[number])
                for group in groups
            ]
        ).reshape(each.shape[0], self.groups_visited[number], grid.channels, *taken.shape[2:])
        # To (channels, row words, column words, groups, row banks, column banks, channels of group)
        table = table.transpose(0, 3, 5, 1, 4, 6, 2)
        return np.ascontiguousarray(table).reshape(-1, self.lanes)

    @cached_property
    def visits(self) -> IntArray:
        """Clock cycles that an event of each neuron of the sources takes, shape (inputs,)."""
        found = []
        for source, axes, visited in zip(self.sources, self.axes, self.groups_visited, strict=True):
            along_rows, along_columns = (np.asarray([*map(len, axis.visits)]) for axis in axes)
            each = along_rows[:, None] * along_columns * visited
            found.append(np.broadcast_to(each, source.maps).reshape(-1).astype(np.int64))
        return np.concatenate(found)

    @cached_property
    def synapses(self) -> IntArray:
        """Neurons that an event of each neuron of the sources reaches, shape (inputs,)."""
        found = []
        for source, (along_rows, along_columns) in zip(self.sources, self.axes, strict=True):
            share = source.convolution.features // source.convolution.groups
            each = along_rows.reached[:, None] * along_columns.reached * share
            found.append(np.broadcast_to(each, source.maps).reshape(-1))
        return np.concatenate(found)

    @cached_property
    def row_starts(self) -> tuple[int, ...]:
        """The number of each row's first neuron; the lanes behind it are other channels."""
        return tuple(
            channel * self.positions + position
            for position in range(self.positions)
            for channel in self.channel_starts
        )

    @property
    def lane_distance(self) -> int:
        """From the number of one lane's neuron to that of the next lane in a row."""
        return self.positions

    @cached_property
    def _rows_of_neurons(self) -> IntArray:
        """Of each neuron its place in an array of shape (rows, fire_lanes)."""
        channels = np.arange(self.shape[0])
        group, lane = np.divmod(channels, self.grid.channels)
        part, lane = np.divmod(lane, self.fire_lanes)
        position = np.arange(self.positions)
        row = (position * self.groups + group[:, None]) * self.parts + part[:, None]
        return (row * self.fire_lanes + lane[:, None]).reshape(-1)

    def by_row(self, values: IntArray, filling: int = 0) -> IntArray:
        """Numbers of the neurons, shape (neurons,), by row and lane: (rows, fire_lanes)."""
        full = np.full(self.rows * self.fire_lanes, filling, np.int64)
        full[self._rows_of_neurons] = values
        return full.reshape(self.rows, self.fire_lanes)

    def by_neuron(self, rows: IntArray) -> IntArray:
        """The inverse of `by_row`, without the filling."""
        return rows.reshape(-1)[self._rows_of_neurons]

    @cached_property
    def sums_of_neurons(self) -> IntArray:
        """Of each neuron the place of its sum in an array of shape (banks, depth, channels)."""
        grid = self.grid
        channel, y, x = np.unravel_index(np.arange(self.neurons), self.shape)
        group, lane = np.divmod(channel, grid.channels)
        bank = y % grid.rows * grid.columns + x % grid.columns
        place = y // grid.rows * self.row_pitch + x // grid.columns * self.groups
        word = bank * self.bank_depth + place + group
        return np.asarray(word * grid.channels + lane, np.int64)


def lane_grid(name: str, convolutions: Sequence[Convolution], lanes: int) -> LaneGrid:
    """Divide lanes among channels, then columns, then rows.

    Raises
    ------
    SpikeloomError
        If they cannot be divided so; the text names the nearest numbers that can.
    """
    legal = legal_lanes(convolutions)
    if lanes not in legal:
        near = sorted(legal, key=lambda number: abs(number - lanes))[:2]
        raise SpikeloomError(
            f"layer '{name}' is a convolution of {convolutions[0].features} channels, so lanes are "
            f"divided among channels, columns and rows; {lanes} cannot be, "
            f"{' or '.join(map(str, sorted(near)))} can"
        )
    return legal[lanes]


def legal_lanes(convolutions: Sequence[Convolution]) -> dict[int, LaneGrid]:
    """The numbers of lanes that convolutions onto one layer can have, and how they are divided."""
    features = convolutions[0].features
    _, rows, columns = convolutions[0].result
    most_rows, most_columns = (
        min(places, max(-(-each.kernel[axis] // each.stride[axis]) for each in convolutions))
        for axis, places in enumerate((rows, columns))
    )
    grids = [LaneGrid(channels, 1, 1) for channels in range(1, features + 1)]
    grids += [LaneGrid(features, 1, count) for count in range(2, most_columns + 1)]
    grids += [LaneGrid(features, count, most_columns) for count in range(2, most_rows + 1)]
    return {grid.channels * grid.rows * grid.columns: grid for grid in grids}
