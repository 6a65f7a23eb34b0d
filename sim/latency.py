# amaranth: UnusedElaboratable=no
"""How many clock cycles a sample takes, counted on the cycle model, and the least it could take."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeloom.compiler import reference
from spikeloom.compiler.addresses import Addresses
from spikeloom.compiler.fixed import IntArray
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.on_chip import pixel_rows
from spikeloom.compiler.program import Program
from spikeloom.compiler.readouts import steps_used
from spikeloom.rtl.top import Accelerator, AcceleratorModel
from spikeloom.sim.stimulus import Word, input_words


@dataclass(frozen=True, slots=True, eq=False)
class Cycles:
    """Clock cycles per sample, each an int64 array of shape (samples,).

    Input words are offered in every cycle and results are taken at once.

    Attributes
    ----------
    to_class : of a sample that enters an idle accelerator, from the cycle in which its first word
        is offered to the one in which its class, the first result word, leaves; both included
    to_result : the same, to the last result word
    pipelined : of a sample in a stream without gaps, from the class of the sample before to its own
    bound : what no accelerator with these cores can go below; see `lower_bound`
    """

    to_class: IntArray
    to_result: IntArray
    pipelined: IntArray
    bound: IntArray

    @property
    def latency_ratio(self) -> float:
        """Mean of `to_class` over the mean of `bound`."""
        return float(self.to_class.sum() / self.bound.sum())

    @property
    def pipelined_ratio(self) -> float:
        """Mean of `pipelined` over the mean of `bound`."""
        return float(self.pipelined.sum() / self.bound.sum())

    def as_dict(self) -> dict[str, Any]:
        """Means over the samples, and both ratios, as JSON values."""
        return {
            "samples": len(self.bound),
            "cycles_to_class": float(self.to_class.mean()),
            "cycles_to_result": float(self.to_result.mean()),
            "cycles_pipelined": float(self.pipelined.mean()),
            "cycles_bound": float(self.bound.mean()),
            "latency_over_bound": self.latency_ratio,
            "pipelined_over_bound": self.pipelined_ratio,
        }


def measure(program: Program, spikes: Spikes) -> Cycles:
    """Count the cycles of each sample, alone and in a stream.

    Parameters
    ----------
    spikes : array of 0 and 1, shape (T, samples, inputs), at least one sample

    Raises
    ------
    SpikeloomError
        If the spikes do not fit the network.
    """
    return Cycles(
        *idle_cycles(program, spikes),
        pipelined_cycles(program, spikes),
        lower_bound(program, spikes),
    )


def idle_cycles(program: Program, spikes: Spikes) -> tuple[IntArray, IntArray]:
    """`Cycles.to_class` and `Cycles.to_result` of samples that enter an idle accelerator.

    Parameters
    ----------
    spikes : array of 0 and 1, shape (T, samples, inputs), at least one sample
    """
    model = Accelerator(program).model().with_own_weights()
    alone = []
    for index in range(spikes.shape[1]):
        _wait_until_idle(model)
        sample = spikes[:, index : index + 1]
        words = input_words(program.network, sample, program.events_per_word)
        alone += _result_cycles(model, words, samples=1)
    to_class, to_result = np.asarray(alone, np.int64).T + 1
    return to_class, to_result


def pipelined_cycles(program: Program, spikes: Spikes) -> IntArray:
    """Cycles from one class to the next while samples follow on each other without a gap.

    The last sample is sent ahead of the first, so that each has one before it.

    Parameters
    ----------
    spikes : array of 0 and 1, shape (T, samples, inputs), at least one sample

    Returns
    -------
    Array of shape (samples,).
    """
    assert spikes.shape[1], "there is no cycle to count without a sample"
    stream = np.concatenate([spikes[:, -1:], spikes], axis=1)
    model = Accelerator(program).model().with_own_weights()
    _wait_until_idle(model)
    words = input_words(program.network, stream, program.events_per_word)
    results = _result_cycles(model, words, samples=stream.shape[1])
    classes = np.asarray([class_cycle for class_cycle, _ in results], np.int64)
    return classes[1:] - classes[:-1]


def lower_bound(program: Program, spikes: Spikes) -> IntArray:
    """Cycles that the busiest core needs if it never waits.

    A core spends on the events one cycle for as many synapses as it has lanes, and in each time
    step one per row on the fire scan; an encoder on the chip one per row of pixels. Cores work at
    the same time, so the sum over the window of the busiest of them bounds the whole. Behind an
    early stop nothing is counted.

    Parameters
    ----------
    spikes : array of 0 and 1, shape (T, samples, inputs)

    Returns
    -------
    Array of shape (samples,).
    """
    trace = reference.run(program.network, spikes)
    readout = program.network.readout
    steps = steps_used(readout, trace.spikes[readout.population])
    counted = np.arange(program.network.steps)[:, None] < steps
    work = []
    if program.network.on_chip is not None:
        work.append(steps * pixel_rows(Addresses(program.network.input.shape)))
    for core in program.cores:
        reached = np.zeros(counted.shape, np.int64)
        for number, source in enumerate(core.sources):
            sent = source.sent(trace.spikes[source.name]) @ core.of_source(core.synapses, number)
            # What a layer sends itself in the last step comes to nothing.
            reached[source.delay :] += sent[: len(sent) - source.delay]
        total = reached[0] if core.constant else (reached * counted).sum(axis=0)
        work.append(total / core.lanes + steps * core.rows)
    return np.asarray(np.ceil(np.max(work, axis=0)), np.int64)


def _wait_until_idle(model: AcceleratorModel) -> None:
    """Clock away what follows a reset or the sample before."""
    while model.is_busy:
        model.clock(None, False, True)


def _result_cycles(
    model: AcceleratorModel, words: list[Word], samples: int
) -> list[tuple[int, int]]:
    """Per sample the cycles in which its class and its last result word leave, counted from 0."""
    results: list[tuple[int, int]] = []
    cycle = position = 0
    class_cycle: int | None = None
    # Behind an early stop words are left, which belong to their sample all the same.
    while len(results) < samples or position < len(words):
        valid, _, last_word = model.m_axis
        if valid and class_cycle is None:
            class_cycle = cycle
        if valid and last_word and class_cycle is not None:
            results.append((class_cycle, cycle))
            class_cycle = None
        word, last = words[position] if position < len(words) else (None, False)
        position += model.s_axis_tready
        model.clock(word, last, True)
        cycle += 1
    return results
