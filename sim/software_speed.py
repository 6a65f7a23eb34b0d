# amaranth: UnusedElaboratable=no
"""How fast the software is: the integer reference beside a torch loop, and the cycle model."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from spikeloom.compiler import reference
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.ir import Network
from spikeloom.compiler.program import Program
from spikeloom.rtl.top import Accelerator
from spikeloom.sim.stimulus import input_words

# Each rate is the best of at least so many turns, which go on for at least so many seconds; a turn
# takes so many samples, one batch at least.
TURNS, SECONDS, SAMPLES = 5, 1.0, 32


@dataclass(frozen=True, slots=True)
class RateRow:
    """Samples per second at one batch size."""

    batch: int
    reference: float
    torch_loop: float

    @property
    def ratio(self) -> float:
        """How many times as fast as the torch loop the integer reference is."""
        return self.reference / self.torch_loop


@dataclass(frozen=True, slots=True)
class Rates:
    """The integer reference beside a torch loop.

    Attributes
    ----------
    equal : of how many samples both give the same class
    """

    rows: tuple[RateRow, ...]
    samples: int
    equal: int


def measure_rates(
    network: Network,
    spikes: Spikes,
    batches: Sequence[int],
    advance: Callable[[int], None] = lambda steps: None,
) -> Rates:
    """Time the integer reference and a torch loop of the same network in turns.

    Each takes the events in the type that it computes with best: the reference integers, the loop
    float32.

    Parameters
    ----------
    spikes : events of the network, shape (T, samples, inputs), at least one sample; used over and
        over where a batch takes more than there are
    advance : is called after each batch size
    """
    # Only this measurement needs torch.
    from spikeloom.sim.torch_loop import TorchLoop, as_floats

    loop = TorchLoop(network)
    rows = []
    for batch in batches:
        chosen = _cut(spikes, batch)
        floats = [as_floats(part) for part in chosen]
        best = _best_seconds(
            [partial(reference.run, network, part) for part in chosen],
            [partial(loop, part) for part in floats],
        )
        samples = batch * len(chosen)
        rows.append(RateRow(batch, samples / best[0], samples / best[1]))
        advance(1)
    same = loop(as_floats(spikes)).argmax(axis=1) == reference.run(network, spikes).classes
    return Rates(tuple(rows), len(same), int(same.sum()))


def _cut(spikes: Spikes, batch: int) -> list[Spikes]:
    """Batches for one turn, from the first samples on."""
    samples = np.arange(max(1, SAMPLES // batch) * batch) % spikes.shape[1]
    return [
        np.ascontiguousarray(spikes[:, samples[first : first + batch]])
        for first in range(0, len(samples), batch)
    ]


def _best_seconds(*turns: Sequence[Callable[[], object]]) -> list[float]:
    """How long each turn, a sequence of calls, takes at best; they follow each other."""
    best = [np.inf] * len(turns)
    rounds, begin = 0, time.perf_counter()
    while rounds < TURNS or time.perf_counter() - begin < SECONDS:
        rounds += 1
        for index, calls in enumerate(turns):
            start = time.perf_counter()
            for call in calls:
                call()
            best[index] = min(best[index], time.perf_counter() - start)
    return best


def measure_cycle_model(program: Program, spikes: Spikes) -> float:
    """Clock cycles per second of the cycle model, taking no note of what it does.

    Parameters
    ----------
    spikes : array of 0 and 1, shape (T, samples, inputs), at least one sample
    """
    words = input_words(program.network, spikes, program.events_per_word)
    model = Accelerator(program).model().with_own_weights()
    cycles = position = 0
    start = time.perf_counter()
    while (seconds := time.perf_counter() - start) < SECONDS:
        word, last = words[position % len(words)]
        position += model.s_axis_tready
        model.clock(word, last, True)
        cycles += 1
    return cycles / seconds
