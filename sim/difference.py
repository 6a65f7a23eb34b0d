"""The first difference between the cycle model and the RTL, told in the network's terms."""

import itertools
import operator
from dataclasses import asdict, dataclass
from typing import Any

from spikeloom.rtl.probe import Probe
from spikeloom.rtl.top import Accelerator, AcceleratorModel

# Bits of a signal that count as few beside those of all lanes.
NARROW = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """The first clock edge at which a signal is not as predicted.

    Attributes
    ----------
    cycle : clock cycles since the end of reset
    sample, step : those that the layer is working on
    layer : name of the layer, or "input" or "readout" or "port"
    neuron : its index in the layer; None for a signal that belongs to no neuron
    """

    cycle: int
    sample: int
    step: int
    layer: str
    neuron: int | None
    signal: str
    expected: int
    got: int

    def __str__(self) -> str:
        neuron = "-" if self.neuron is None else str(self.neuron)
        return (
            f"cycle {self.cycle}, sample {self.sample}, step {self.step}, layer {self.layer}, "
            f"neuron {neuron}, signal {self.signal}: expected {self.expected}, got {self.got}"
        )

    @property
    def nanoseconds(self) -> int:
        """About when the waveform shows it: a clock cycle takes 10 ns there."""
        return self.cycle * 10

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


class Observation:
    """How one wide signal shows all that can be observed of an accelerator.

    Attributes
    ----------
    signals : block and probe, in the order of `AcceleratorModel.values`
    shifts : where each starts, in bits
    width : bits in all
    """

    def __init__(self, accelerator: Accelerator) -> None:
        observed = accelerator.observed()
        self.signals = [(block, probe) for block, probes in observed.items() for probe in probes]
        ends = list(itertools.accumulate(probe.width for _, probe in self.signals))
        self.shifts = [0, *ends[:-1]]
        self.width = ends[-1]
        self.runs = self._runs()

    def _runs(self) -> list[tuple[slice, list[int], int]]:
        """Runs of narrow signals and single wide ones: indices, shifts within, shift of the run.

        Joining the narrow ones first keeps the additions of long integers few.
        """
        runs: list[tuple[slice, list[int], int]] = []
        first = 0
        for index, (_, probe) in enumerate(self.signals):
            last = index + 1 == len(self.signals)
            if last or max(probe.width, self.signals[index + 1][1].width) > NARROW:
                start = self.shifts[first]
                within = [shift - start for shift in self.shifts[first : index + 1]]
                runs.append((slice(first, index + 1), within, start))
                first = index + 1
        return runs

    def expected(self, model: AcceleratorModel) -> int:
        """What the signal must show now, by the model."""
        values = model.values()
        return sum(
            sum(map(operator.lshift, values[signals], within)) << shift
            for signals, within, shift in self.runs
        )

    def text(self, value: int) -> str:
        """A value of the signal as a simulator shows it: its bits, the highest first."""
        return format(value, f"0{self.width}b")

    def value(self, text: str, expected: int) -> int:
        """The value of the signal that a simulator shows; bits that are unknown count as wrong."""
        wanted = self.text(expected)
        known = (
            bit if bit in "01" else "10"[int(good)] for bit, good in zip(text, wanted, strict=True)
        )
        return int("".join(known), 2)

    def first_difference(
        self, model: AcceleratorModel, cycle: int, expected: int, got: int
    ) -> Difference:
        """The first signal in the order of the pipeline, and its lowest lane, that differs."""
        expected_values: dict[tuple[str, str], int] = {}
        for (block, probe), shift in zip(self.signals, self.shifts, strict=True):
            mask = (1 << probe.width) - 1
            wanted, found = expected >> shift & mask, got >> shift & mask
            expected_values[block, probe.name] = wanted
            if wanted == found:
                continue
            neuron = None
            if probe.lanes:
                lane, wanted, found = _first_lane(probe, wanted, found)
                neuron = lane if probe.of_neurons else None
                if probe.place is not None:
                    by, starts, distance = probe.place
                    neuron = starts[expected_values[block, by]] + lane * distance
            steps = model.progress(block, probe.name)
            return Difference(cycle, *steps, block, neuron, probe.name, wanted, found)
        raise AssertionError("nothing differs")


def _first_lane(probe: Probe, expected: int, got: int) -> tuple[int, int, int]:
    wanted, found = probe.unpack(expected), probe.unpack(got)
    lane = next(index for index in range(probe.lanes) if wanted[index] != found[index])
    return lane, wanted[lane], found[lane]
