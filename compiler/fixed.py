"""Fixed-point arithmetic: the only place that decides rounding, saturation and word widths.

The integer reference, the ONNX function, the cycle model and the RTL all follow the definitions
given here; `docs/arithmetic.md` states them in prose. Every value is a two's complement integer.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Integers = TypeVar("Integers", int, IntArray)
InPlace = Callable[[IntArray, IntArray], None]
"""A function of its first array that writes into its second."""


def signed_range(bits: int) -> tuple[int, int]:
    """Smallest and largest two's complement integer of `bits` bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def signed_bits(low: int, high: int) -> int:
    """Width of the narrowest two's complement word that holds both `low` and `high`."""
    return (
        max((~low if low < 0 else low).bit_length(), (~high if high < 0 else high).bit_length()) + 1
    )


def saturate(value: Integers, bits: int) -> Integers:
    """The integer of `bits` bits that is nearest to `value`."""
    low, high = signed_range(bits)
    if isinstance(value, np.ndarray):
        return np.clip(value, low, high)
    return min(max(value, low), high)


def shift_round(value: Integers, shift: int) -> Integers:
    """`value / 2**shift`, rounded to nearest, ties towards plus infinity.

    Computed as `(value + 2**(shift - 1)) >> shift` with an arithmetic shift; a shift of 0 leaves
    the value as it is. In hardware this is one addition.
    """
    half = (1 << shift) >> 1
    return (value + half) >> shift


class Reset(enum.Enum):
    """What a spike does to the membrane."""

    ZERO = "zero"
    SUBTRACT = "subtract"
    NONE = "none"


def reset(
    membrane: IntArray,
    spike: NDArray[np.bool_],
    threshold: IntArray,
    rule: Reset,
    out: IntArray | None = None,
) -> IntArray:
    """The membrane after the spikes, before saturation; the arrays broadcast to one shape.

    Parameters
    ----------
    out : where to write the result, unless nothing is reset and it is `membrane` itself
    """
    # Products with 0 and 1: choosing one by one takes ten times as long at irregular spikes.
    if rule is Reset.ZERO:
        return np.multiply(membrane, ~spike, out)
    if rule is Reset.SUBTRACT:
        return np.subtract(membrane, threshold * spike, out)
    return membrane


def without_repeats(values: IntArray) -> IntArray:
    """An array of no axis where all numbers of an array are the same, else the array itself."""
    return values[0, ...] if (values == values[0]).all() else values


@dataclass(frozen=True, slots=True, eq=False)
class Decay:
    """A factor in [0, 1] per neuron, as an integer product and an arithmetic shift.

    `decay(x) = shift_round(x * multiplier, shift)`. A factor of 1 is multiplier 1 and shift 0,
    one half is multiplier 1 and shift 1: neither costs a multiplier in hardware.

    Attributes
    ----------
    multiplier : int64 array, shape (neurons,), each in 0 .. 2**shift
    shift : the same for all neurons of a population
    """

    multiplier: IntArray
    shift: int

    @classmethod
    def from_float(cls, factor: NDArray[np.float64], bits: int) -> "Decay":
        """The nearest decay with at most `bits` fraction bits, in its lowest terms.

        Parameters
        ----------
        factor : float64 array, shape (neurons,), each in [0, 1]
        bits : fraction bits, 1 .. 16
        """
        multiplier = np.floor(factor * (1 << bits) + 0.5).astype(np.int64)
        common = int(np.bitwise_or.reduce(multiplier)) | (1 << bits)
        spare = (common & -common).bit_length() - 1
        return cls(multiplier >> spare, bits - spare)

    def __call__(self, value: IntArray) -> IntArray:
        """Decay an int64 array of shape (..., neurons)."""
        return shift_round(value * self.multiplier, self.shift)

    def in_place(self, kind: type[np.signedinteger]) -> InPlace:
        """The same for arrays of one integer type, as a function that writes into its second one.

        For small arrays this is several times as fast: numpy takes longer to make arrays for its
        results, and of Python's integers, than to compute.
        """
        multiplier = without_repeats(self.multiplier).astype(kind)
        half, shift = (np.array(value, kind) for value in ((1 << self.shift) >> 1, self.shift))

        # Step by step what `shift_round` does, but for products with 1.
        def decay(value: IntArray, out: IntArray) -> None:
            np.add(np.multiply(value, multiplier, out), half, out)
            np.right_shift(out, shift, out)

        def only_shift(value: IntArray, out: IntArray) -> None:
            np.right_shift(np.add(value, half, out), shift, out)

        return only_shift if (self.multiplier == 1).all() else decay

    def of_neuron(self, neuron: int, value: int) -> int:
        """Decay one membrane of neuron number `neuron`."""
        return shift_round(value * int(self.multiplier[neuron]), self.shift)

    @property
    def factors(self) -> NDArray[np.float64]:
        """The factors that the integers stand for, shape (neurons,)."""
        return self.multiplier / float(1 << self.shift)


def exact_float(largest: int) -> type[np.floating]:
    """The narrowest float type that holds all integers up to a magnitude of `largest`.

    Sums of integers in floats are exact, in any order, as long as every partial sum fits the
    significand; and matrix products of floats are much faster than those of integers.

    Raises
    ------
    OverflowError
        If not even float64 holds them.
    """
    for kind, bits in ((np.float32, 24), (np.float64, 53)):
        if largest <= 1 << bits:
            return kind
    raise OverflowError(f"integers up to {largest} do not fit a float")
