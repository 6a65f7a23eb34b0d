"""Targets: which words of which banks of sums an operation of a convolution is for."""

from collections.abc import Sequence

from amaranth import Cat


class Target:
    """How a target is written in bits: what it says of each bank of rows, and of columns.

    A bank of sums is where a bank of rows and one of columns cross. It is used if both are enabled;
    its word is the sum of what both say and the number of the group. Lowest are the enable bits,
    rows before columns, then the words in the same order.

    Parameters
    ----------
    core : ConvolutionCore
    """

    def __init__(self, core):
        self.core = core
        self.banks = core.grid.rows, core.grid.columns
        self.row_bits, self.column_bits = core.row_word_bits, core.column_word_bits
        self.row_pitch, self.column_pitch = core.row_pitch, core.groups
        self.row_width = self.banks[0] * (1 + self.row_bits)
        self.column_width = self.banks[1] * (1 + self.column_bits)
        self.width = core.target_bits

    def rows(self, places: Sequence[int | None]) -> int:
        """The part of the rows: per bank a place along the axis, None where it is not used."""
        return _axis_part(places, self.row_pitch, self.row_bits)

    def columns(self, places: Sequence[int | None]) -> int:
        """The part of the columns."""
        return _axis_part(places, self.column_pitch, self.column_bits)

    def joined(self, rows: int, columns: int) -> int:
        """The target of both parts."""
        return rows | columns << self.row_width

    def enables(self, target):
        """Whether each bank of sums is used: the bits of an Amaranth value, in order."""
        row_banks, column_banks = self.banks
        columns = target[self.row_width :]
        return [
            target[row] & columns[column]
            for row in range(row_banks)
            for column in range(column_banks)
        ]

    def words(self, target, group):
        """The word in each bank of sums, as Amaranth values."""
        row_banks, column_banks = self.banks
        row_words = _words(target[: self.row_width], row_banks, self.row_bits)
        column_words = _words(target[self.row_width :], column_banks, self.column_bits)
        return [
            (row_word + column_word + group)[: self.row_bits]
            for row_word in row_words
            for column_word in column_words
        ]

    def used(self, target: int) -> list[tuple[int, int]]:
        """The banks of sums that are used, each with its word without the group."""
        row_part = target & ((1 << self.row_width) - 1)
        column_part = target >> self.row_width
        row_banks, column_banks = self.banks
        return [
            (
                row * column_banks + column,
                _word(row_part, row, row_banks, self.row_bits)
                + _word(column_part, column, column_banks, self.column_bits),
            )
            for row in range(row_banks)
            for column in range(column_banks)
            if row_part >> row & 1 and column_part >> column & 1
        ]


def _axis_part(places: Sequence[int | None], pitch: int, bits: int) -> int:
    part = 0
    for bank, place in enumerate(places):
        if place is not None:
            part |= 1 << bank | (place * pitch) << (len(places) + bank * bits)
    return part


def _words(part, banks: int, bits: int):
    return [part[banks + bank * bits :][:bits] if bits else Cat() for bank in range(banks)]


def _word(part: int, bank: int, banks: int, bits: int) -> int:
    return part >> (banks + bank * bits) & ((1 << bits) - 1)
