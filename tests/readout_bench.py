# amaranth: UnusedElaboratable=no
"""A readout in lockstep with its model: random and hand-made samples, and what they should give."""

import random
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from amaranth import Cat, ClockDomain, Module, Signal
from amaranth.sim import Simulator
from numpy.typing import NDArray

from spikeloom.compiler.fixed import signed_range
from spikeloom.compiler.ir import Readout as ReadoutOfNetwork
from spikeloom.compiler.ir import ReadoutKind
from spikeloom.compiler.readouts import MEMBRANE_READOUTS, readout_scores
from spikeloom.rtl.events import event_layout
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.readout import Readout

# Inputs of a cycle, and what the probes must show in it.
Cycle = tuple[list[tuple[Any, int]], Sequence[int]]
Cycles = Generator[Cycle, None, None]

SPIKE_READOUTS: tuple[ReadoutKind, ...] = ("spike_count", "weighted_spike_count", "first_spike")
KINDS = (*SPIKE_READOUTS, *MEMBRANE_READOUTS)
WEIGHTS = (255, 0, 7, 130, 7)
PATIENCE = 5_000


def readout(
    kind: ReadoutKind,
    classes: int,
    steps: int,
    group: int = 1,
    value_bits: int = 6,
    early_stop: bool = False,
) -> Readout:
    """A readout with weights, if it needs any."""
    return Readout(
        kind,
        classes * group,
        steps,
        group=group,
        weights=(WEIGHTS * steps)[:steps] if kind == "weighted_spike_count" else (),
        value_bits=value_bits if kind in MEMBRANE_READOUTS else 0,
        early_stop=early_stop,
    )


class Samples:
    """Random activity, as events for a readout and as what it should answer.

    A sample is a pair of arrays, spikes and membranes, of shape (its steps, neurons). Every other
    sample is cut short if `cut` is set.
    """

    def __init__(
        self, dut: Readout, count: int, density: float, seed: int, cut: bool = False
    ) -> None:
        self.scoring = scoring = dut.scoring
        generator = np.random.default_rng(seed)
        low, high = signed_range(scoring.value_bits or 8)
        self.arrays: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        for index in range(count):
            steps = int(generator.integers(1, scoring.steps + 1)) if cut and index % 2 else None
            shape = (steps or scoring.steps, scoring.neurons)
            spikes = (generator.random(shape) < density).astype(np.int64)
            self.arrays.append((spikes, generator.integers(low, high, shape, endpoint=True)))

    def events(
        self, shuffle: Callable[[list[int]], None]
    ) -> Iterator[tuple[list[int], int | None]]:
        """The events of each sample, and which of them decides."""
        scoring = self.scoring
        layout = event_layout(scoring.neurons, scoring.value_bits)
        end, last = 1 << (layout.size - 2), 1 << (layout.size - 1)
        value_mask, shift = (1 << scoring.value_bits) - 1, layout["address"].width
        for spikes, membranes in self.arrays:
            sample: list[int] = []
            decides: int | None = None
            for step, fired in enumerate(spikes):
                final = step == len(spikes) - 1
                if scoring.kind in SPIKE_READOUTS:
                    events = np.flatnonzero(fired).tolist()
                elif scoring.kind == "final_membrane" and not final:
                    events = []
                else:
                    values = (membranes[step] & value_mask).tolist()
                    events = [value << shift | index for index, value in enumerate(values)]
                shuffle(events)
                sample += [*events, end | last if final else end]
                if decides is None and (final or (scoring.early_stop and fired.any())):
                    decides = len(sample) - 1
            yield sample, decides

    def answers(self) -> Iterator[tuple[int, int, list[int]]]:
        """Class, steps used and scores of each sample, by the compiler's definition."""
        scoring = self.scoring
        defined = ReadoutOfNetwork("out", scoring.kind, scoring.weights, scoring.group)
        for spikes, membranes in self.arrays:
            used = len(spikes)
            if scoring.early_stop and spikes.any():
                used = int(np.flatnonzero(spikes.any(axis=1))[0]) + 1
            whole = np.zeros((scoring.steps, 1, scoring.neurons), np.int64)
            whole[:used, 0] = spikes[:used]
            scores = readout_scores(defined, whole, membranes[:, None])[0]
            yield int(scores.argmax()), used, scores.tolist()


class Bench:
    """A readout and its model in lockstep; collects packets and checks their cycle counts."""

    def __init__(
        self, dut: Readout, seed: int = 0, offer: float = 0.8, take: float = 0.7, ahead: int = 3
    ) -> None:
        self.dut = dut
        self.model = dut.model()
        self.random = random.Random(seed)
        self.offer, self.take, self.ahead = offer, take, ahead
        self.packets: list[tuple[list[int], bool]] = []
        self.cycle = 0
        self.begins: list[int] = []
        self.decisions: list[int] = []
        self.rst = Signal()

    def run(self, cycles: Iterable[Cycle]) -> None:
        """Drive the inputs that each item gives, and compare with the values it foresees."""
        dut, module = self.dut, Module()
        module.domains.sync = domain = ClockDomain()
        module.submodules.dut = dut
        ports = [
            Probe("ready", dut.i.ready),
            Probe("begin_ready", dut.begin_ready),
            Probe("stop", dut.stop),
            Probe("last", dut.o.p.last),
        ]
        probes = [*dut.probes(), *ports]
        shown = Signal(sum(probe.width for probe in probes))
        module.d.comb += [shown.eq(Cat(probe.wire() for probe in probes)), domain.rst.eq(self.rst)]

        async def compare(context: Any) -> None:
            for inputs, expected in cycles:
                for port, value in inputs:
                    context.set(port, value)
                bits = context.get(shown)
                for probe, wanted in zip(probes, expected, strict=True):
                    got = bits & ((1 << probe.width) - 1)
                    assert got == wanted, f"cycle {self.cycle}, {probe.name}: {got}, not {wanted}"
                    bits >>= probe.width
                await context.tick()
                self.cycle += 1

        simulator = Simulator(module)
        simulator.add_clock(1e-6)
        simulator.add_testbench(compare)
        simulator.run()

    def step(
        self, event: int | None, taken: bool, begin: bool = False
    ) -> Generator[Cycle, None, bool]:
        """One cycle in which `event` is offered (None for none); gives whether it was taken."""
        dut, model = self.dut, self.model
        shown_event = 0 if event is None else event
        ready = model.ready(shown_event)
        inputs = [
            (dut.i.valid, event is not None),
            (dut.i.payload.as_value(), shown_event),
            (dut.o.ready, taken),
            (dut.begin, begin),
            (self.rst, 0),
        ]
        ports = (ready, model.begin_ready, model.stop, model.last)
        yield inputs, (*model.values(), *ports)
        if model.valid and taken:
            if not self.packets or self.packets[-1][1]:
                self.packets.append(([], False))
            words = [*self.packets[-1][0], model.word]
            self.packets[-1] = words, model.last
        model.clock(event if ready else None, taken, begin)
        return event is not None and ready

    def send(self, samples: Samples, packets: int) -> Cycles:
        """Cycles that send events until so many packets have come out."""
        todo = list(samples.events(self.random.shuffle))
        first_begin, sample, position = len(self.begins), 0, 0
        held = False
        for _ in range(PATIENCE):
            begun = len(self.begins) - first_begin
            begin = (
                self.model.begin_ready
                and begun < min(len(todo), sample + self.ahead)
                and self.random.random() < self.offer
            )
            may_offer = sample < begun and self.begins[first_begin + sample] <= self.cycle - 2
            held = held or (may_offer and self.random.random() < self.offer)
            event = todo[sample][0][position] if held else None
            if begin:
                self.begins.append(self.cycle)
            cycle = self.cycle
            if (yield from self.step(event, self.random.random() < self.take, begin)):
                held = False
                if position == todo[sample][1]:
                    self.decisions.append(cycle)
                position += 1
                if position == len(todo[sample][0]):
                    sample, position = sample + 1, 0
            if sample == len(todo) and sum(over for _, over in self.packets) == packets:
                return
        raise AssertionError(f"{len(self.packets)} packets after {PATIENCE} cycles")

    def reset(self) -> Cycles:
        """One cycle of reset; forgets what has been seen."""
        yield (
            [(self.dut.i.valid, 0), (self.dut.begin, 0), (self.rst, 1)],
            (*self.model.values(), self.model.ready(0), *self._ports()),
        )
        self.model = self.dut.model()
        self.packets, self.begins, self.decisions = [], [], []

    def _ports(self) -> tuple[bool, bool, bool]:
        return self.model.begin_ready, self.model.stop, self.model.last


def check(dut: Readout, samples: Samples, **rates: Any) -> Bench:
    """Send all samples in lockstep, and compare the packets with the answers."""
    bench = Bench(dut, **rates)
    bench.run(bench.send(samples, len(samples.arrays)))
    compare(bench, samples)
    return bench


def compare(bench: Bench, samples: Samples) -> None:
    """Compare all packets with what the samples should give."""
    times = zip(bench.begins, bench.decisions, strict=True)
    wanted = [
        [number << 16 | chosen, used, decision - begin, *(score % 2**32 for score in scores)]
        for number, ((chosen, used, scores), (begin, decision)) in enumerate(
            zip(samples.answers(), times, strict=True)
        )
    ]
    assert [words for words, _ in bench.packets] == wanted


def window(dut: Readout, *steps: Iterable[int]) -> list[int]:
    """Events of one window by hand, from the addresses of each step."""
    end = 1 << (event_layout(dut.scoring.neurons, dut.scoring.value_bits).size - 2)
    events = [event for step in steps for event in [*step, end]]
    return [*events[:-1], events[-1] | end << 1]


def play(
    bench: Bench, windows: Iterable[list[int]], ready: bool = True, patience: int = 200
) -> Generator[Cycle, None, list[list[int]]]:
    """Cycles that send windows by hand; gives the cycle in which each event was taken."""
    taken: list[list[int]] = []
    for events in windows:
        taken.append([])
        bench.begins.append(bench.cycle)
        yield from bench.step(None, ready, begin=True)
        yield from bench.step(None, ready)
        for event in events:
            for _ in range(patience):
                cycle = bench.cycle
                if (yield from bench.step(event, ready)):
                    taken[-1].append(cycle)
                    break
            else:
                return taken
    return taken


def run(
    bench: Bench, windows: Iterable[list[int]], wait: int = 60, ready: bool = True
) -> list[list[int]]:
    """Send windows by hand, then wait; gives the cycles in which events were taken."""
    taken: list[list[int]] = []

    def cycles() -> Cycles:
        for _ in range(bench.dut.scoring.entries):
            yield from bench.step(None, False)
        taken.extend((yield from play(bench, windows, ready)))
        for _ in range(wait):
            yield from bench.step(None, ready)

    bench.run(cycles())
    return taken
