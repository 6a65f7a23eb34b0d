"""Parameters of the neurons as the fire unit keeps them: once, as far as they repeat themselves."""

import enum
from dataclasses import dataclass

import numpy as np

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import IntArray, signed_bits


class Repeats(enum.Enum):
    """How the rows of a parameter repeat themselves."""

    NUMBER = "one number for all neurons"
    ROW = "one row for all rows"
    ROWS = "the rows of one position for all positions"
    NEVER = "a number per neuron"


@dataclass(frozen=True, eq=False)
class ParameterTable:
    """A parameter of the neurons of a core.

    Attributes
    ----------
    rows : what is kept, shape (depth, lanes), with one lane for Repeats.NUMBER
    repeats : how the rows of the fire scan are made of these
    bits : width of a number
    loaded : smallest and largest number that can be loaded; None for what cannot
    """

    rows: IntArray
    repeats: Repeats
    bits: int
    loaded: tuple[int, int] | None = None

    @staticmethod
    def of(rows: IntArray, period: int, loaded: tuple[int, int] | None = None) -> "ParameterTable":
        """The parameter with these rows, shape (rows, lanes), of which `period` may repeat."""
        repeats = Repeats.NEVER
        kept = rows
        if (rows == rows[0, 0]).all():
            repeats, kept = Repeats.NUMBER, rows[:1, :1]
        elif (rows == rows[0]).all():
            repeats, kept = Repeats.ROW, rows[:1]
        elif period < len(rows) and (rows == np.resize(rows[:period], rows.shape)).all():
            repeats, kept = Repeats.ROWS, rows[:period]
        low, high = loaded or (int(rows.min()), int(rows.max()))
        return ParameterTable(kept, repeats, signed_bits(low, high), loaded)

    def like(self, rows: IntArray, what: str) -> IntArray:
        """Other rows of the same core as they are kept here, shape (depth, lanes).

        Parameters
        ----------
        rows : shape (rows, lanes)
        what : names the parameter in an error

        Raises
        ------
        SpikeloomError
            If the rows do not repeat themselves as these do, or if a number cannot be loaded.
        """
        depth, lanes = self.rows.shape
        kept = rows[:depth, :lanes]
        if not (rows == self.spread(kept, rows.shape)).all():
            raise SpikeloomError(f"{what} differ where the accelerator has {self.repeats.value}")
        low, high = self.loaded or (0, 0)
        beyond = kept[(kept < low) | (kept > high)]
        if beyond.size:
            raise SpikeloomError(f"{what} reach {beyond[0]}; the accelerator takes {low} .. {high}")
        return kept

    @staticmethod
    def spread(kept: IntArray, shape: tuple[int, ...]) -> IntArray:
        """The rows of the fire scan, of that shape, that are made of what is kept."""
        return np.resize(np.broadcast_to(kept, (len(kept), shape[1])), shape)
