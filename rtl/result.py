"""The result packet, as software reads it."""

from collections.abc import Sequence
from typing import NamedTuple


class Packet(NamedTuple):
    """What the accelerator sends per sample; `rtl/readout.py` gives the words.

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
        """The packet of these words of 32 bits."""
        first, steps, cycles, *scores = words
        signed = tuple(score - (score >> 31 << 32) for score in scores)
        return cls(first >> 16, first & 0xFFFF, steps, cycles, signed)
