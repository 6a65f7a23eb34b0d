"""What the verification sends: words of the accelerator's input, and pauses on both sides."""

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from spikeloom.compiler.addresses import in_blocks
from spikeloom.compiler.events_per_cycle import input_addresses
from spikeloom.compiler.inputs import Spikes, check_spikes
from spikeloom.compiler.ir import Network
from spikeloom.compiler.sources import value_bits
from spikeloom.rtl.events import WordFormat

Word = tuple[int, bool]


def input_words(network: Network, spikes: Spikes, events_per_cycle: int = 1) -> list[Word]:
    """The AXI4-Stream words (tdata, tlast) that carry a batch of samples, sample by sample.

    Parameters
    ----------
    spikes : shape (T, batch, inputs). Where the input is constant, only its first step is sent
    events_per_cycle : neighbouring inputs whose events share a word
    """
    check_spikes(network, spikes)
    events = network.events
    steps = 1 if events.constant else network.steps
    addresses = input_addresses(network, events_per_cycle)
    bits = value_bits(events.lowest, events.highest)
    form = WordFormat(addresses.count, bits, events_per_cycle)
    blocks = in_blocks(spikes, events_per_cycle)
    words: list[Word] = []
    for sample in range(spikes.shape[1]):
        for step in range(steps):
            given = blocks[step, sample]
            active = np.flatnonzero(given.any(axis=1))
            values = dict(zip(addresses.of(active).tolist(), given[active].tolist(), strict=True))
            words += [(form.word(address, *values[address]), False) for address in sorted(values)]
            words.append((form.end, step == steps - 1))
    return words


def with_extremes(network: Network, spikes: Spikes) -> Spikes:
    """The samples, then those with nothing but the smallest, no, and the largest event."""
    steps, _, inputs = spikes.shape
    values = sorted({network.events.lowest, 0, network.events.highest})
    extremes = [np.full((steps, 1, inputs), value, spikes.dtype) for value in values]
    return np.concatenate([spikes, *extremes], axis=1)


@dataclass(frozen=True, slots=True)
class Pauses:
    """Random pauses of a stream's two sides.

    Attributes
    ----------
    input, output : share of clock cycles in which the side pauses, 0 .. burst / (burst + 1)
    burst : mean length of a pause in clock cycles, >= 1
    seed : of both sides' generators
    """

    input: float = 0.0
    output: float = 0.0
    burst: int = 3
    seed: int = 0

    def on_input(self) -> Iterator[bool]:
        """Whether the sender pauses, cycle by cycle."""
        return _pauses(self.input, self.burst, random.Random(f"input {self.seed}"))

    def on_output(self) -> Iterator[bool]:
        """Whether the receiver pauses, cycle by cycle."""
        return _pauses(self.output, self.burst, random.Random(f"output {self.seed}"))

    def as_dict(self) -> dict[str, float]:
        """The attributes by name."""
        return asdict(self)


def _pauses(share: float, burst: int, generator: random.Random) -> Iterator[bool]:
    # A two-state chain: leaving a pause with 1 / burst makes pauses `burst` cycles long on
    # average, and this rate of entering one makes `share` of all cycles pauses.
    enter = min(1.0, share / ((1 - share) * burst))
    pausing = False
    while True:
        pausing = generator.random() < enter if not pausing else generator.random() >= 1 / burst
        yield pausing
