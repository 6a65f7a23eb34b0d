"""The populations that send events to a core of the accelerator."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.addresses import Addresses, block_addresses, in_blocks
from spikeloom.compiler.fixed import IntArray, signed_bits
from spikeloom.compiler.geometry import Convolution, Map


@dataclass(frozen=True, eq=False)
class Source:
    """A population that projects onto a layer.

    Attributes
    ----------
    name : of the population
    shape : of the population
    lowest, highest : range of an event's value; 0 and 1 for spikes
    weight : int64 array, shape (neurons of the layer, size of the population)
    shift : a weight counts `weight << shift` units of the layer's sums
    delay : time steps from an event to its effect: 1 for the layer itself, else 0
    waiting : events that may wait in a memory before the core; 0 for the two places of a queue in
        registers
    events_per_cycle : neighbouring neurons whose events travel as one, E
    """

    name: str
    shape: tuple[int, ...]
    lowest: int
    highest: int
    weight: IntArray
    shift: int = 0
    delay: int = 0
    waiting: int = 0
    events_per_cycle: int = 1

    @cached_property
    def addresses(self) -> Addresses:
        """Of the population's events: of its neurons, or of blocks of E neurons."""
        return block_addresses(Addresses(self.shape), self.events_per_cycle)

    @cached_property
    def inputs(self) -> int:
        """Number of neurons of the population."""
        return int(np.prod(self.shape))

    @cached_property
    def senders(self) -> int:
        """Number of blocks of E neurons, each of which sends an event where one of them does."""
        return -(-self.inputs // self.events_per_cycle)

    def sent(self, spikes: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Where an event is sent, shape (.., senders), of spikes of shape (.., inputs)."""
        return blocks_sent(spikes, self.events_per_cycle)

    @cached_property
    def value_bits(self) -> int:
        """Width of an event's value; 0 for spikes, which have none."""
        return value_bits(self.lowest, self.highest)


@dataclass(frozen=True, eq=False)
class MapSource(Source):
    """A population whose events a convolution weighs.

    Attributes
    ----------
    weight : int64 array, shape (features, channels / groups, kernel rows, kernel columns)
    convolution : its geometry; a dense projection is one whose kernel is as large as the maps
    pooling : side of the squares of pixels that are summed before
    """

    convolution: Convolution = field(kw_only=True)
    pooling: int = field(kw_only=True, default=1)

    @cached_property
    def maps(self) -> Map:
        """The population's shape as feature maps: a vector has one pixel."""
        if len(self.shape) == 3:
            return self.shape[0], self.shape[1], self.shape[2]
        return self.inputs, 1, 1


def blocks_sent(spikes: NDArray[np.integer[Any]], neurons: int) -> NDArray[np.bool_]:
    """In which blocks of so many neurons there is a spike, of spikes of shape (.., neurons)."""
    return np.asarray(in_blocks(spikes != 0, neurons).any(-1))


def values_bits(each: int, neurons: int) -> int:
    """Width of the values of an event of so many neurons; a spike beside others has one bit."""
    return neurons * max(each, neurons > 1)


def value_bits(lowest: int, highest: int) -> int:
    """Width of the value of an event in a range; 0 for spikes, which have none."""
    return 0 if (lowest, highest) == (0, 1) else signed_bits(lowest, highest)
