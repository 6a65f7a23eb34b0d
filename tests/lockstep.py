"""Amaranth's simulator in lockstep with a cycle model, for one block or a whole accelerator."""

from collections.abc import Generator, Iterable, Sequence
from typing import Any

import numpy as np
from amaranth import Cat, ClockDomain, Module, Signal
from amaranth.sim import Simulator

from spikeloom.compiler.cores import Core
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.reference import Trace
from spikeloom.rtl.control_port import NO_CONTROL
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.top import CONTROL, Accelerator, AcceleratorModel
from spikeloom.sim.control_driver import ControlDriver, load_own_weights
from spikeloom.sim.stimulus import Pauses, Word, input_words

# What a cycle begins with: the inputs to drive, and what the probes must show once the
# combinational logic behind them has settled. What stands behind the `yield` happens at the edge.
Cycle = tuple[list[tuple[Any, int]], Sequence[int]]

# No test leaves an accelerator without an answer for so long.
PATIENCE = 20_000


class Bench:
    """A design in Amaranth's simulator.

    Parameters
    ----------
    design : an elaboratable
    probes : what is compared in every cycle
    observed : signals that show the probes side by side; None reads the probed signals themselves

    Attributes
    ----------
    rst : reset of the design
    """

    def __init__(
        self, design: Any, probes: Sequence[Probe], observed: Sequence[Any] | None = None
    ) -> None:
        self.probes = list(probes)
        self.module = Module()
        self.module.domains.sync = domain = ClockDomain()
        self.module.submodules.design = design
        self.rst = domain.rst
        # One wide signal is read several times faster than each probe by itself.
        self.shown = Signal(sum(probe.width for probe in self.probes))
        parts = [probe.wire() for probe in self.probes] if observed is None else observed
        self.module.d.comb += self.shown.eq(Cat(parts))

    def run(self, cycles: Iterable[Cycle]) -> int:
        """Drive and compare cycle by cycle; gives the number of cycles.

        Raises
        ------
        AssertionError
            At the first probe that shows something else, with cycle, expected and got.
        """
        count = 0

        async def compare(context: Any) -> None:
            nonlocal count
            for inputs, expected in cycles:
                for port, value in inputs:
                    context.set(port, value)
                self._compare(count, expected, context.get(self.shown))
                await context.tick()
                count += 1

        simulator = Simulator(self.module)
        simulator.add_clock(1e-6)
        simulator.add_testbench(compare)
        simulator.run()
        return count

    def _compare(self, cycle: int, expected: Sequence[int], shown: int) -> None:
        for probe, wanted in zip(self.probes, expected, strict=True):
            got = shown & ((1 << probe.width) - 1)
            shown >>= probe.width
            if got != int(wanted):
                assert not probe.lanes, (
                    f"cycle {cycle}, {probe.name}: expected lanes {probe.unpack(int(wanted))}, "
                    f"got {probe.unpack(got)}"
                )
                raise AssertionError(f"cycle {cycle}, {probe.name}: expected {wanted}, got {got}")


def compare_fired(core: Core, model: Any, trace: Trace, used: Sequence[int] | None = None) -> None:
    """Compare what the model of a core's neurons has compared with the integer reference.

    Parameters
    ----------
    model : FireUnitModel after some whole samples
    trace : of the same samples, with membranes
    used : time steps of each sample that count; None for all
    """
    steps, samples, _ = trace.membranes[core.name].shape
    counted = {
        (sample, step)
        for sample in range(samples)
        for step in range(steps if used is None else used[sample])
    }
    for fired in model.fired:
        if (fired.sample, fired.step) in counted:
            counted.remove((fired.sample, fired.step))
            place = fired.step, fired.sample
            assert np.array_equal(fired.membranes, trace.membranes[core.name][place])
            assert np.array_equal(fired.spikes, trace.spikes[core.name][place])
    assert not counted


def accelerator_bench(accelerator: Accelerator) -> Bench:
    """A bench that sees an accelerator only through its ports."""
    observed = accelerator.observed()
    ports = [getattr(accelerator, f"probe_{name}") for name in observed if name != "port"]
    return Bench(
        accelerator,
        [probe for probes in observed.values() for probe in probes],
        [*ports, *(probe.value for probe in observed["port"])],
    )


def send_words(
    accelerator: Accelerator,
    model: AcceleratorModel,
    words: Sequence[Word],
    results: list[list[int]],
    packets: int,
    pauses: Pauses,
    control: ControlDriver | None = None,
) -> Generator[Cycle, None, None]:
    """Cycles that send words, until so many result packets have come out; adds them to `results`.

    A word once offered stays until it is taken, as AXI4-Stream demands. With a driver of the
    control port, until it is done as well.
    """
    pausing_in, pausing_out = pauses.on_input(), pauses.on_output()
    position, offered = 0, False
    packet: list[int] = []
    for _ in range(PATIENCE):
        pause = next(pausing_in)
        offered = offered or (position < len(words) and not pause)
        word, last = words[position] if offered else (0, False)
        ready = not next(pausing_out)
        inputs = [
            (accelerator.s_axis_tvalid, int(offered)),
            (accelerator.s_axis_tdata, word),
            (accelerator.s_axis_tlast, int(last)),
            (accelerator.m_axis_tready, int(ready)),
        ]
        given = NO_CONTROL
        if control is not None:
            given = control.go_on()
            inputs += [
                (getattr(accelerator, f"{CONTROL}{name}"), int(value))
                for name, value in given._asdict().items()
            ]
        yield inputs, model.values()
        valid, result, result_last = model.m_axis
        taken = offered and model.s_axis_tready
        if control is not None:
            assert model.control is not None
            control.edge(model.control.port)
        model.clock(word if offered else None, last, ready, given)
        if valid and ready:
            packet.append(result)
            if result_last:
                results.append(packet)
                packet = []
        if taken:
            position, offered = position + 1, False
        loaded = control is None or control.done
        if len(results) == packets and position == len(words) and loaded:
            return
    raise AssertionError(f"{len(results)} of {packets} results after {PATIENCE} cycles")


def run_samples(
    accelerator: Accelerator, spikes: Spikes, pauses: Pauses
) -> tuple[AcceleratorModel, list[list[int]], int]:
    """Run samples in lockstep: gives the model afterwards, the result packets and the cycles."""
    model = accelerator.model()
    results: list[list[int]] = []
    words = input_words(accelerator.program.network, spikes, accelerator.program.events_per_word)
    accesses = load_own_weights(accelerator.program)
    control = ControlDriver(accesses, pauses.input, pauses.seed) if accesses else None
    cycles = send_words(accelerator, model, words, results, spikes.shape[1], pauses, control)
    return model, results, accelerator_bench(accelerator).run(cycles)
