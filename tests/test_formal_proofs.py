# amaranth: UnusedElaboratable=no
"""Formal proofs of the blocks, each of which must also be able to fail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planted import Fault
from proofs import neurons, queues, senders, streams
from proofs.cores import tiny_core, tiny_program
from spikeloom.compiler.fixed import Decay, Reset
from spikeloom.rtl.encoder import SpikeEncoder
from spikeloom.rtl.fire import FireUnit, scan_pause
from spikeloom.rtl.membranes import MembraneSender
from spikeloom.rtl.queue import EventQueue
from spikeloom.rtl.readout import Readout
from spikeloom.rtl.synapses import SynapseEngine
from spikeloom.rtl.vectors import VectorQueue
from spikeloom.sim.formal import Method, Proof, check

pytestmark = pytest.mark.formal


def decay(multiplier: int, shift: int) -> Decay:
    return Decay(np.array([multiplier]), shift)


def fire_lane(**options: Any) -> Proof:
    return neurons.fire_lane(tiny_core([[-4, 3, -2, 1]], steps=64, **options))


def row_of_two(**options: Any) -> Proof:
    return neurons.fire_lane(tiny_core([[-4, 3, -2, 1]] * 2, lanes=2, steps=64, **options))


def spike_encoder(lanes: int = 5, fire_lanes: int = 3) -> Proof:
    """Five neurons; two rows of three places, of which the second row's last is no neuron's."""
    return senders.spike_encoder(tiny_core([[1]] * 5, lanes=lanes, fire_lanes=fire_lanes))


def membrane_sender(readout: str) -> Proof:
    """Four rows, of which the last is no neuron's."""
    return senders.membrane_sender(tiny_core([[1]] * 3, lanes=2, readout=readout, state_bits=2))


def layer_credits() -> Proof:
    return streams.layer_credits(tiny_core([[1, -2]] * 3, lanes=3, fire_lanes=2))


def layer_pace() -> Proof:
    return streams.layer_pace(tiny_core([[1, -2]] * 3, lanes=3, fire_lanes=2), most=8)


def accelerator_output() -> Proof:
    program = tiny_program([[1], [1]], steps=1, weight_bits=2, threshold=1)
    return streams.accelerator_output(program)


# Two states that decay by a product, the case with the longest pipeline.
CURRENT = {
    "reset": Reset.SUBTRACT,
    "decay": decay(13, 4),
    "current_decay": decay(11, 4),
    "current_bits": 4,
    "weight_shift": 1,
    "threshold": 5,
    "bias": 1,
}
SINGLE = {"reset": Reset.SUBTRACT, "decay": decay(1, 0), "single_spike": True, "bias": 1}
ZERO = {"reset": Reset.ZERO, "decay": decay(1, 1), "weight_shift": 1, "threshold": 5, "bias": 1}

# The proofs, and the clock cycles that they are carried through before the step of the induction.
PROOFS: dict[str, tuple[Callable[[], Proof], int]] = {
    "event queue": (lambda: queues.event_queue(2), 3),
    "vector queue": (lambda: queues.vector_queue(3), 3),
    "spike encoder": (spike_encoder, 3),
    "spike encoder of two groups": (lambda: spike_encoder(3, 2), 3),
    "sender of final membranes": (lambda: membrane_sender("final_membrane"), 3),
    "sender of all membranes": (lambda: membrane_sender("maximum_membrane"), 3),
    "credits of a layer": (layer_credits, 3),
    "output of an accelerator": (accelerator_output, 3),
    "neuron, reset to zero": (lambda: fire_lane(**ZERO), 10),
    "neuron, reset by subtraction": (
        lambda: fire_lane(reset=Reset.SUBTRACT, decay=decay(13, 4), threshold=4, bias=-1),
        10,
    ),
    "neuron, no reset": (lambda: fire_lane(reset=Reset.NONE, decay=decay(5, 3), bias=2), 10),
    "neuron with a current": (lambda: fire_lane(**CURRENT), 10),
    "neuron with a single spike": (lambda: fire_lane(**SINGLE), 10),
    "neuron that only integrates": (
        lambda: fire_lane(fire=False, decay=decay(3, 2), bias=1, readout="maximum_membrane"),
        10,
    ),
}

# In how many clock cycles the situations that a proof is about come up.
REACHED = {
    "event queue": 6,
    "vector queue": 6,
    "spike encoder": 8,
    "sender of final membranes": 14,
    "credits of a layer": 16,
    "output of an accelerator": 23,
    "neuron with a current": 14,
}


@pytest.mark.parametrize("name", PROOFS)
def test_claims_hold_for_all_inputs_and_all_time(name: str, tmp_path: Path) -> None:
    proof, depth = PROOFS[name]
    verdict = check(proof(), tmp_path, depth)
    assert verdict.proven, verdict


@pytest.mark.parametrize("name", REACHED)
def test_claims_are_about_something_that_happens(name: str, tmp_path: Path) -> None:
    verdict = check(PROOFS[name][0](), tmp_path, REACHED[name], Method.REACH)
    assert verdict.proven, verdict


def test_layer_takes_an_event_within_a_bounded_time(tmp_path: Path) -> None:
    verdict = check(layer_pace(), tmp_path, 20, Method.BOUNDED)
    assert verdict.proven, verdict


@pytest.mark.parametrize("options", [ZERO, CURRENT], ids=["shift", "product"])
def test_row_finds_the_states_that_were_written_of_it(
    options: dict[str, Any], tmp_path: Path
) -> None:
    verdict = check(row_of_two(**options), tmp_path, 15, Method.BOUNDED)
    assert verdict.proven, verdict


@pytest.mark.parametrize("options", [ZERO, CURRENT], ids=["shift", "product"])
def test_pause_between_scans_that_is_too_short_is_refuted(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neurons, "scan_pause", lambda core: scan_pause(core) - 1)
    assert check(row_of_two(**options), tmp_path, 15, Method.BOUNDED).refuted


# The proof that refutes the fault, and within how many clock cycles.
FAULTS: tuple[tuple[Callable[[], Proof], int, Fault], ...] = (
    (
        lambda: queues.event_queue(2),
        6,
        Fault(
            "lost event",
            EventQueue,
            "elaborate",
            "push = self.i.valid & self.i.ready",
            "push = self.i.valid & self.i.ready & (self.level != 1)",
        ),
    ),
    (
        lambda: queues.event_queue(2),
        6,
        Fault(
            "duplicated event",
            EventQueue,
            "elaborate",
            "pop = self.o.valid & self.o.ready",
            "pop = self.o.valid & self.o.ready & (self.level != 2)",
        ),
    ),
    (
        lambda: queues.vector_queue(3),
        8,
        Fault(
            "place that is no place",
            VectorQueue,
            "elaborate",
            "Mux(pointer == self.places - 1, 0, pointer + 1)",
            "pointer + 1",
        ),
    ),
    (
        spike_encoder,
        8,
        Fault(
            "back-pressure ignored by the encoder",
            SpikeEncoder,
            "elaborate",
            "with m.Elif(self.o.ready):",
            "with m.Elif(self.o.valid):",
        ),
    ),
    (
        spike_encoder,
        8,
        Fault(
            "end overwritten by the next row",
            SpikeEncoder,
            "elaborate",
            "~many_spikes & ~self.word_end",
            "~many_spikes",
        ),
    ),
    (
        spike_encoder,
        8,
        Fault(
            "highest spike first",
            SpikeEncoder,
            "elaborate",
            "for lane in reversed(range(core.fire_lanes)):",
            "for lane in range(core.fire_lanes):",
        ),
    ),
    (
        lambda: spike_encoder(3, 2),
        10,
        Fault(
            "addresses of filling counted",
            SpikeEncoder,
            "elaborate",
            "core.lanes - (core.parts - 1) * core.fire_lanes",
            "core.fire_lanes",
        ),
    ),
    (
        spike_encoder,
        12,
        Fault(
            "idle cycle between two rows",
            SpikeEncoder,
            "elaborate",
            "(~self.o.valid | (self.o.ready & only_event))",
            "~self.o.valid",
        ),
    ),
    (
        lambda: membrane_sender("maximum_membrane"),
        8,
        Fault(
            "back-pressure ignored by the sender of membranes",
            MembraneSender,
            "elaborate",
            "(self.o.ready | ~sends)",
            "1",
        ),
    ),
    (
        lambda: membrane_sender("maximum_membrane"),
        10,
        Fault(
            "membrane of no neuron",
            MembraneSender,
            "elaborate",
            "(self.address < self.core.neurons)",
            "(self.address <= self.core.neurons)",
        ),
    ),
    (
        layer_credits,
        16,
        Fault(
            "credits ignored",
            SynapseEngine,
            "_issue",
            "with m.Elif(self.credits == 0):",
            "with m.Elif(0):",
        ),
    ),
    (
        layer_credits,
        16,
        Fault(
            "credit that comes back twice",
            SynapseEngine,
            "_advance",
            "self.credits + self.release - firing",
            "self.credits + self.release - (firing & ~self.release)",
        ),
    ),
    (
        layer_pace,
        20,
        Fault(
            "credit that never comes back",
            SynapseEngine,
            "_advance",
            "self.credits + self.release - firing",
            "self.credits - firing",
        ),
    ),
    (
        accelerator_output,
        20,
        Fault(
            "back-pressure ignored by the readout",
            Readout,
            "_send",
            "with m.If(valid & self.o.ready):",
            "with m.If(valid):",
        ),
    ),
    (
        lambda: fire_lane(**ZERO),
        10,
        Fault(
            "threshold off by one",
            FireUnit,
            "_decide",
            "(difference >= 0)",
            "(difference > 0)",
        ),
    ),
    (
        lambda: fire_lane(**ZERO),
        10,
        Fault(
            "window that does not start from rest",
            FireUnit,
            "_rest",
            "rest.eq(Mux(resting, 0, value))",
            "rest.eq(value)",
        ),
    ),
    (
        lambda: fire_lane(**ZERO),
        10,
        Fault(
            "decay rounded down",
            FireUnit,
            "_shifted",
            "shift_round(value + bias, decay.shift)",
            "(value + bias) >> decay.shift",
        ),
    ),
    (
        lambda: fire_lane(**CURRENT),
        14,
        Fault(
            "no saturation",
            FireUnit,
            "_decayed",
            "saturated.eq(_clip(value, bits))",
            "saturated.eq(value)",
        ),
    ),
    (
        lambda: fire_lane(**SINGLE),
        16,
        Fault(
            "spent spike forgotten",
            FireUnit,
            "_decide",
            "spent_before | Cat(spikes)",
            "Cat(spikes)",
        ),
    ),
)


@pytest.mark.parametrize(
    ("proof", "depth", "fault"), FAULTS, ids=[fault.name for _, _, fault in FAULTS]
)
def test_planted_fault_is_refuted(
    proof: Callable[[], Proof],
    depth: int,
    fault: Fault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault.plant(monkeypatch)
    verdict = check(proof(), tmp_path, depth, Method.BOUNDED)
    assert verdict.refuted, verdict
