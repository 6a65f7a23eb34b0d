"""The result packet of a sample."""

from collections.abc import Sequence
from typing import NamedTuple

from amaranth import unsigned
from amaranth.lib import data

RESULT_BITS = 32
CLASS_BITS = 16
SAMPLE_BITS = RESULT_BITS - CLASS_BITS
# Words of a packet before the scores.
HEADER_WORDS = 3


def result_layout() -> data.StructLayout:
    """A word of the result packet; `last` marks the last one.

    | word | holds |
    | --- | --- |
    | 0 | the class in bits 0 .. 15, the number of the sample since reset in bits 16 .. 31 |
    | 1 | the time steps that decided the class |
    | 2 | the clock cycles from the sample's `begin` to its decision, modulo 2**32 |
    | 3 .. | the score of each class from 0 on, two's complement |
    """
    return data.StructLayout({"word": unsigned(RESULT_BITS), "last": unsigned(1)})


class Packet(NamedTuple):
    """A result packet as software reads it.

    Attributes
    ----------
    sample : its number since reset, modulo 2**16
    category : the class
    steps : time steps that decided it
    cycles : clock cycles from the first word of the sample to the decision, modulo 2**32
    scores : of each class
    """

    sample: int
    category: int
    steps: int
    cycles: int
    scores: tuple[int, ...]

    @classmethod
    def of(cls, words: Sequence[int]) -> "Packet":
        """The packet of these words, each of `RESULT_BITS` bits."""
        first, steps, cycles = words[:HEADER_WORDS]
        signed = tuple(
            score - (score >> (RESULT_BITS - 1) << RESULT_BITS) for score in words[HEADER_WORDS:]
        )
        return cls(first >> CLASS_BITS, first & ((1 << CLASS_BITS) - 1), steps, cycles, signed)
