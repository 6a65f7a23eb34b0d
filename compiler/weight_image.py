"""The weight image: what is loaded into an accelerator whose weights can be replaced.

An image is a sequence of 32-bit words (docs/program-file.md): the fingerprint of the accelerator
that it is for, the number of words of contents, the contents, and a CRC-32 of all words before it.
The contents are those of the accelerator's memories, one behind the other.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.cores import Core
from spikeloom.compiler.fixed import IntArray
from spikeloom.compiler.parameters import ParameterTable

Words = NDArray[np.uint32]

WORD_BITS = 32
# Words of an image before the contents.
HEADER_WORDS = 2


@dataclass(frozen=True, eq=False)
class LoadedMemory:
    """A memory of a core that can be loaded, and what it holds.

    A row is loaded in columns, the lowest lanes first: as many whole lanes as a word of the image
    has room for, the first one in its lowest bits.

    Attributes
    ----------
    core : number of its core
    what : "weights", "thresholds" or "biases"
    rows : shape (depth, lanes)
    bits : width of a number
    """

    core: int
    what: str
    rows: IntArray
    bits: int

    @property
    def depth(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def lanes_per_column(self) -> int:
        """Numbers in a word of the image."""
        return lanes_per_column(self.bits)

    @property
    def columns(self) -> int:
        """Words of the image per row."""
        lanes: int = self.rows.shape[1]
        return -(-lanes // self.lanes_per_column)

    @property
    def words(self) -> int:
        """Words of the image."""
        return self.depth * self.columns

    def encode(self) -> Words:
        """The contents, shape (words,)."""
        full = np.zeros((self.depth, self.columns * self.lanes_per_column), np.int64)
        full[:, : self.rows.shape[1]] = self.rows & ((1 << self.bits) - 1)
        parts = full.reshape(self.depth, self.columns, self.lanes_per_column)
        shifts = self.bits * np.arange(self.lanes_per_column)
        words: Words = (parts << shifts).sum(axis=2).reshape(-1).astype(np.uint32)
        return words

    def decode(self, words: Words) -> IntArray:
        """The rows, shape (depth, lanes), from contents of shape (words,)."""
        shifts = self.bits * np.arange(self.lanes_per_column)
        parts = words.astype(np.int64)[:, None] >> shifts & ((1 << self.bits) - 1)
        sign = 1 << (self.bits - 1)
        rows = ((parts ^ sign) - sign).reshape(self.depth, -1)
        return np.ascontiguousarray(rows[:, : self.rows.shape[1]])


def lanes_per_column(bits: int) -> int:
    """How many numbers of so many bits a word of an image holds."""
    return WORD_BITS // bits


class Loaded(NamedTuple):
    """What is loaded into a core: weights (words, lanes), thresholds and biases (rows, lanes)."""

    weights: IntArray
    thresholds: IntArray
    biases: IntArray


def to_bytes(image: Words) -> bytes:
    """An image as its file holds it: each word with its lowest byte first."""
    return image.astype("<u4").tobytes()


def image_of(contents: Words, fingerprint: int) -> Words:
    """The image with these contents for the accelerator with this fingerprint."""
    head = np.array([fingerprint, len(contents)], np.uint32)
    checksum = zlib.crc32(to_bytes(np.concatenate([head, contents])))
    return np.concatenate([head, contents, np.array([checksum], np.uint32)])


def loaded_memories(cores: Sequence[Core]) -> list[LoadedMemory]:
    """The memories that can be loaded, in the order of the image."""
    return [memory for number, core in enumerate(cores) for memory in _memories_of(number, core)]


def _memories_of(number: int, core: Core) -> Iterator[LoadedMemory]:
    yield LoadedMemory(number, "weights", core.weight_table, core.weight_bits)
    for what, table in _tables(core).items():
        yield LoadedMemory(number, what, table.rows, table.bits)


def _tables(core: Core) -> dict[str, ParameterTable]:
    """The parameters of a core that can be loaded, by what they are."""
    tables = {"biases": core.bias_table}
    if core.neuron.fire:
        tables = {"thresholds": core.threshold_table} | tables
    return {what: table for what, table in tables.items() if table.loaded is not None}


def contents_of(cores: Sequence[Core]) -> list[Loaded]:
    """What the cores hold as they were compiled; nothing but zeros where weights are loaded."""
    held = [Loaded(core.weight_table, core.thresholds, core.biases) for core in cores]
    if cores[0].weights != "loaded":
        return held
    return [
        Loaded(
            np.zeros_like(item.weights),
            np.zeros_like(item.thresholds),
            np.zeros_like(item.biases) if core.bias_table.loaded else item.biases,
        )
        for core, item in zip(cores, held, strict=True)
    ]


def encode(cores: Sequence[Core], given: Sequence[Core]) -> Words:
    """The contents that put what other cores were compiled with into these.

    Raises
    ------
    SpikeloomError
        If a parameter of the others is none that these take.
    """
    parts = []
    for memory in loaded_memories(cores):
        core, other = cores[memory.core], given[memory.core]
        rows = other.weight_table
        if memory.what != "weights":
            named = f"the {memory.what} of layer '{other.name}'"
            rows = _tables(core)[memory.what].like(getattr(other, memory.what), named)
        parts.append(replace(memory, rows=rows).encode())
    return np.concatenate(parts)


def decode(cores: Sequence[Core], contents: Words) -> list[Loaded]:
    """What the contents of an image, without its first and last words, put into the cores."""
    found = [Loaded(core.weight_table, core.thresholds, core.biases) for core in cores]
    start = 0
    for memory in loaded_memories(cores):
        rows = memory.decode(contents[start : start + memory.words])
        start += memory.words
        core = cores[memory.core]
        if memory.what != "weights":
            rows = ParameterTable.spread(rows, (core.rows, core.fire_lanes))
        found[memory.core] = found[memory.core]._replace(**{memory.what: rows})
    return found
