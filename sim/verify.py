# amaranth: UnusedElaboratable=no
"""Verification of a design: cycle model against RTL, and cycle model against integer reference.

These are rungs 2 and 3 of the ladder in docs/verification.md. Each run sends all samples, with its
own pauses on both sides of the accelerator; together the runs also drive the state machines into
the corners that a steady stream of events never meets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler import reference
from spikeloom.compiler.errors import VerificationMismatch
from spikeloom.compiler.files import make_folder
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.program import Program
from spikeloom.compiler.readouts import steps_used
from spikeloom.compiler.reference import Trace
from spikeloom.rtl.emit import to_verilog
from spikeloom.rtl.result import HEADER_WORDS, SAMPLE_BITS, Packet
from spikeloom.rtl.top import Accelerator
from spikeloom.rtl.weight_loader import REFUSAL_START
from spikeloom.sim.bench import PROGRESS
from spikeloom.sim.coverage import Coverage, coverage
from spikeloom.sim.difference import Difference
from spikeloom.sim.features import features_of
from spikeloom.sim.latency import lower_bound
from spikeloom.sim.simulator import build_model, run_bench
from spikeloom.sim.stimulus import Pauses

# Without pauses; with pauses on both sides; with a receiver so slow that back-pressure reaches the
# input. The last two also begin with a sample that a reset cuts short.
PAUSES = (
    Pauses(),
    Pauses(input=0.3, output=0.3, burst=3),
    Pauses(input=0.5, output=0.97, burst=400),
)
RESET_AFTER = 100
# A device that sends nothing for so many cycles is stuck: far more than any pause takes, and than
# the busiest layer works on a sample.
PATIENCE, PATIENCE_PER_CYCLE = 200_000, 10
# Stands for a number that the cycle model never computed; no accumulator holds it.
MISSING = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification that found no difference has covered.

    Attributes
    ----------
    cycles : clock cycles, over all runs, at which every signal was compared
    signals, bits : compared in each cycle
    numbers : membranes, spikes and scores that were equal in model and reference
    features : what the program asks of the accelerator, by the names in `spikeloom.sim.features`
    """

    simulator: str
    samples: int
    runs: int
    cycles: int
    cycles_per_second: float
    signals: int
    bits: int
    numbers: int
    coverage: Coverage
    features: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        names = ("simulator", "samples", "runs", "cycles", "cycles_per_second", "signals", "bits")
        values = {name: getattr(self, name) for name in (*names, "numbers", "features")}
        covered = self.coverage
        return values | {
            "states": covered.states,
            "transitions": covered.transitions,
            "not_covered": covered.missing,
        }


def verify(
    program: Program,
    spikes: Spikes,
    directory: Path,
    *,
    simulator: str = "verilator",
    verilog: Path | None = None,
    probe: bool = True,
    pauses: tuple[Pauses, ...] = PAUSES,
    waves: bool = False,
    on_sample: Callable[[], None] = lambda: None,
) -> Verdict:
    """Compare the RTL with the cycle model at every clock edge, and both with the reference.

    Parameters
    ----------
    spikes : uint8 array, shape (T, samples, inputs)
    directory : for the simulator's files; a model built there before is used again
    verilog : the design; by default it is written afresh from the program
    probe : whether the design has probe ports; without them only the ports are compared
    waves : whether the simulator writes a waveform into `directory`
    on_sample : called whenever a sample is done in a run

    Raises
    ------
    VerificationMismatch
        At the first difference: cycle, sample, step, layer, neuron, signal, expected, got.
    """
    expected = reference.run(program.network, spikes, membranes=True)
    make_folder(directory)
    if verilog is None:
        verilog = directory / "accelerator.v"
        verilog.write_text(to_verilog(program, probe))
    accelerator = Accelerator(program, probe)
    build_model(simulator, accelerator, verilog, directory, waves)
    program.save(directory / "program.safetensors")
    np.savez_compressed(directory / "spikes.npz", spikes=spikes)

    def on_line(line: str) -> None:
        if PROGRESS in line:
            on_sample()

    configuration = {
        "program": str((directory / "program.safetensors").resolve()),
        "spikes": str((directory / "spikes.npz").resolve()),
        "probe": probe,
        "patience": PATIENCE
        + PATIENCE_PER_CYCLE * int(lower_bound(program, spikes).max(initial=0)),
        "runs": [
            {"pauses": pause.as_dict(), "reset_after": RESET_AFTER if index else 0}
            for index, pause in enumerate(pauses)
        ],
    }
    outcomes = run_bench(simulator, directory, configuration, waves, on_line)
    numbers = 0
    for outcome in outcomes:
        if outcome["difference"] is not None:
            raise _mismatch(simulator, Difference(**outcome["difference"]), directory, waves)
        if outcome["stuck"]:
            # Model and RTL agree at every clock edge, so both have lost an event.
            raise VerificationMismatch(
                f"model and RTL are stuck at cycle {outcome['cycles']}: a result is missing"
            )
        _require_loaded(outcome["control"])
        numbers += _compare_with_reference(program, outcome, expected)
    cycles = sum(outcome["cycles"] for outcome in outcomes)
    return Verdict(
        simulator=simulator,
        samples=spikes.shape[1],
        runs=len(pauses),
        cycles=cycles,
        cycles_per_second=cycles / sum(outcome["seconds"] for outcome in outcomes),
        signals=outcomes[0]["signals"],
        bits=outcomes[0]["bits"],
        numbers=numbers,
        coverage=coverage(accelerator.model(), [item["transitions"] for item in outcomes]),
        features=features_of(program),
    )


def _mismatch(
    simulator: str, difference: Difference, directory: Path, waves: bool
) -> VerificationMismatch:
    error = VerificationMismatch(f"the RTL in {simulator} differs from the model at {difference}")
    if waves:
        error.add_note(f"the waveform is in {directory}, around {difference.nanoseconds} ns")
    else:
        error.add_note("--waves keeps the waveform")
    return error


def _require_loaded(answers: list[tuple[int, int | None]]) -> None:
    """Of a load of weights all writes must be taken, and the status at its end be without fault."""
    for number, (response, data) in enumerate(answers):
        refusal = 0 if data is None else data >> REFUSAL_START & 0xFF
        if response or refusal:
            raise VerificationMismatch(
                f"access {number} of {len(answers)} to the control port: response {response}, "
                f"refusal {refusal}"
            )


def _compare_with_reference(program: Program, outcome: dict[str, Any], expected: Trace) -> int:
    """Compare a run's results, spikes and membranes with the reference; gives how many numbers."""
    packets = [Packet.of(words) for words in outcome["packets"]]
    readout = program.network.readout
    used = steps_used(readout, expected.spikes[readout.population])
    sent = (
        (
            "sample",
            [packet.sample for packet in packets],
            np.arange(len(packets)) % (1 << SAMPLE_BITS),
        ),
        ("class", [packet.category for packet in packets], expected.classes),
        ("steps", [packet.steps for packet in packets], used),
        ("score", [packet.scores for packet in packets], expected.scores),
    )
    for name, values, wanted in sent:
        _require_equal("readout", name, np.array(values), wanted)
    numbers = len(packets) * HEADER_WORDS + expected.scores.size
    counted = np.arange(program.network.steps)[:, None] < used
    for core in program.cores:
        traces: dict[str, NDArray[np.integer[Any]]] = {
            "membranes": expected.membranes[core.name],
            "spikes": expected.spikes[core.name],
        }
        for signal, trace in traces.items():
            # Where a window stopped early, what came after the decision has no meaning. All else
            # must be there: the runs end with the last result, when every scan is over.
            got = np.full(trace.shape, MISSING, np.int64)
            for sample, step, *values in outcome["fired"][core.name]:
                got[step, sample] = values[signal == "spikes"]
            _require_equal(core.name, signal, got, np.where(counted[..., None], trace, got))
            numbers += int(counted.sum()) * core.neurons
    return numbers


def _require_equal(layer: str, signal: str, got: Any, expected: Any) -> None:
    differing = np.argwhere(got != expected)
    if len(differing):
        place = tuple(int(index) for index in differing[0])
        axes = ("step", "sample", "neuron") if len(place) == 3 else ("sample", "class")
        where = ", ".join(f"{axis} {index}" for axis, index in zip(axes, place, strict=False))
        raise VerificationMismatch(
            f"cycle model and integer reference differ at layer {layer}, {where}, signal {signal}: "
            f"expected {expected[place]}, got {got[place]}"
        )
