"""The numbers by which events name the neurons of a population."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.compiler.fixed import IntArray


@dataclass(frozen=True, slots=True)
class Field:
    """Part of an address: its lowest bit, its width, and how many values it may have."""

    start: int
    width: int
    count: int

    @property
    def end(self) -> int:
        """The bit above its highest one."""
        return self.start + self.width

    def of(self, address: int) -> int:
        """The value of this part of an address."""
        return address >> self.start & ((1 << self.width) - 1)


@dataclass(frozen=True)
class Addresses:
    """Addresses of the neurons of a population.

    In a population of shape (N,) it is the number of the neuron. In feature maps it is channel,
    column and row side by side, the channel lowest, each in as many bits as it needs: so a core
    takes it apart without a division.

    Attributes
    ----------
    shape : of the population, (N,) or (channels, rows, columns)
    """

    shape: tuple[int, ...]

    @cached_property
    def fields(self) -> tuple[Field, Field, Field]:
        """Of channel, column and row; without maps all but the channel are empty."""
        channels, rows, columns = self.shape if len(self.shape) == 3 else (self.neurons, 1, 1)
        fields, start = [], 0
        for count in (channels, columns, rows):
            width = (count - 1).bit_length()
            fields.append(Field(start, width, count))
            start += width
        channel, column, row = fields
        return channel, column, row

    @property
    def neurons(self) -> int:
        """Size of the population."""
        return int(np.prod(self.shape))

    @cached_property
    def count(self) -> int:
        """Addresses are below this number, and not all of those below it name a neuron."""
        channel, column, row = self.fields
        if column.count == row.count == 1:
            return channel.count
        return 1 << row.end

    def of(self, neurons: ArrayLike) -> IntArray:
        """Addresses of neurons that are given by their numbers, channel by channel, row by row."""
        channel, column, row = self.fields
        rest, x = np.divmod(np.asarray(neurons, np.int64), column.count)
        c, y = np.divmod(rest, row.count)
        return c << channel.start | x << column.start | y << row.start

    def is_neuron(self, address: int) -> bool:
        """Whether a neuron has the address."""
        return all(field.of(address) < field.count for field in self.fields) and (
            address < 1 << self.fields[2].end
        )


def block_addresses(addresses: Addresses, neurons: int) -> Addresses:
    """Of blocks of so many neurons with successive addresses; of the neurons themselves for 1."""
    return addresses if neurons == 1 else Addresses((-(-addresses.count // neurons),))


def in_blocks(values: NDArray[Any], neurons: int) -> NDArray[Any]:
    """Values per neuron, shape (.., neurons of all), by block: (.., blocks, neurons), 0 behind."""
    missing = -values.shape[-1] % neurons
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])
    return padded.reshape(*values.shape[:-1], -1, neurons)
