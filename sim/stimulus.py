"""What the verification sends: words of the accelerator's input, and pauses on both sides."""

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from spikeloom.compiler.inputs import Spikes, check_spikes
from spikeloom.compiler.ir import Network
from spikeloom.rtl.events import event_word

Word = tuple[int, bool]


def input_words(network: Network, spikes: Spikes) -> list[Word]:
    """The AXI4-Stream words (tdata, tlast) that carry a batch of samples, sample by sample.

    Parameters
    ----------
    spikes : uint8 array, shape (T, batch, inputs)
    """
    check_spikes(network, spikes)
    steps, samples, inputs = spikes.shape
    words: list[Word] = []
    for sample in range(samples):
        for step in range(steps):
            events = np.flatnonzero(spikes[step, sample])
            words += [(event_word(inputs, int(address)), False) for address in events]
            words.append((event_word(inputs, None), step == steps - 1))
    return words


def with_extremes(spikes: Spikes) -> Spikes:
    """The samples, then one without any spike and one in which every input spikes at every step."""
    steps, _, inputs = spikes.shape
    silent, busy = (np.full((steps, 1, inputs), value, np.uint8) for value in (0, 1))
    return np.concatenate([spikes, silent, busy], axis=1)


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
