"""Intervals of integers: what events may be, and what sums of weighted events may become."""

from dataclasses import dataclass

import numpy as np

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import IntArray, signed_bits, signed_range
from spikeloom.compiler.ir import FixedNeuron, Network, Population, Projection

# Sums of whole numbers up to here are exact in float64, which they are computed in.
_EXACT = 1 << 53


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """A smallest and a largest integer per neuron, each of shape (neurons,)."""

    low: IntArray
    high: IntArray

    def __add__(self, other: "Interval") -> "Interval":
        """The interval of the sums of two numbers, one of each."""
        return Interval(self.low + other.low, self.high + other.high)

    def hull(self, other: "Interval") -> "Interval":
        """The narrowest interval that holds both."""
        return Interval(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def equals(self, other: "Interval") -> bool:
        """Whether both have the same ends."""
        return np.array_equal(self.low, other.low) and np.array_equal(self.high, other.high)

    def shifted(self, bits: int) -> "Interval":
        """The interval of numbers times `2**bits`."""
        return Interval(self.low << bits, self.high << bits)

    @property
    def bits(self) -> int:
        """Width of a word that holds every neuron's interval."""
        return signed_bits(int(self.low.min()), int(self.high.max()))

    @property
    def magnitude(self) -> int:
        """The largest magnitude in any neuron's interval."""
        return max(-int(self.low.min()), int(self.high.max()))


def weighted_events(network: Network, edge: Projection) -> Interval:
    """Every partial sum of the weights of a step's events, whatever the events and their order.

    In units of the unshifted weights. Exact: both ends are reached by some set of events. Where
    weights can be loaded, of some weights of their width.
    """
    source = network.population(edge.pre)
    lowest, highest = 0, 1
    if source is network.input:
        # A sum begins without any event, which counts as 0.
        events = network.input_events
        lowest, highest = min(events.lowest, 0), max(events.highest, 0)
    ends = np.broadcast_to(np.array([[lowest], [highest]], np.float64), (2, source.size))
    smallest, largest = np.minimum(edge.weight, 0), np.maximum(edge.weight, 0)
    if network.has_run_time_weights:
        smallest, largest = (
            np.full_like(edge.weight, end) for end in signed_range(edge.weight_bits)
        )
    negative = edge.current(ends, smallest.astype(np.float64))
    positive = edge.current(ends, largest.astype(np.float64))
    low, high = negative[1] + positive[0], negative[0] + positive[1]
    if max(-low.min(), high.max()) >= _EXACT:
        raise SpikeloomError(
            f"projection '{edge.source}' onto layer '{edge.post}' sums up to {high.max():g}; "
            f"wanted less than 2**53"
        )
    return Interval(low.astype(np.int64), high.astype(np.int64))


def synaptic_input(network: Network, layer: Population) -> Interval:
    """Every partial sum of a layer's synaptic input at a time step, in units of its membrane."""
    assert isinstance(layer.neuron, FixedNeuron)
    rest = np.zeros(layer.size, np.int64)
    total = Interval(rest, rest)
    for edge in network.projections_to(layer.name):
        total += weighted_events(network, edge).shifted(edge.weight_shift)
    return total
