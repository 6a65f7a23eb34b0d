# amaranth: UnusedElaboratable=no
"""Faults planted in the blocks, each of which a proof must refute."""

from collections.abc import Callable
from pathlib import Path

import pytest

from planted import Mutation
from proofs import queues
from proofs.cases import (
    CURRENT,
    SINGLE,
    ZERO,
    accelerator_output,
    arbiter,
    fire_lane,
    layer_credits,
    layer_pace,
    membrane_sender,
    spike_encoder,
)
from spikeloom.rtl.arbiter import Arbiter
from spikeloom.rtl.encoder import SpikeEncoder
from spikeloom.rtl.fire import FireUnit
from spikeloom.rtl.membranes import MembraneSender
from spikeloom.rtl.queue import DeepQueue, EventQueue
from spikeloom.rtl.readout import Readout
from spikeloom.rtl.synapses import SynapseEngine
from spikeloom.rtl.vectors import VectorQueue
from spikeloom.sim.formal import Method, Proof, check

pytestmark = pytest.mark.formal

# The proof that refutes the fault, and within how many clock cycles.
FAULTS: tuple[tuple[Callable[[], Proof], int, Mutation], ...] = (
    (
        lambda: queues.event_queue(2),
        6,
        Mutation(
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
        Mutation(
            "duplicated event",
            EventQueue,
            "elaborate",
            "pop = self.o.valid & self.o.ready",
            "pop = self.o.valid & self.o.ready & (self.level != 2)",
        ),
    ),
    (
        lambda: queues.deep_queue(3),
        10,
        Mutation(
            "item on its way that finds no place",
            DeepQueue,
            "elaborate",
            "(head.level + self.moving < HEAD_PLACES)",
            "(head.level < HEAD_PLACES)",
        ),
    ),
    (
        lambda: queues.deep_queue(3),
        10,
        Mutation(
            "full memory that takes an item",
            DeepQueue,
            "elaborate",
            "self.level != self.depth",
            "self.level <= self.depth",
        ),
    ),
    (
        arbiter,
        6,
        Mutation(
            "events of two sources at once",
            Arbiter,
            "elaborate",
            "(joined.i.ready & (taken[number] | step_end))",
            "(joined.i.ready & (sends[number] | step_end))",
        ),
    ),
    (
        arbiter,
        6,
        Mutation(
            "end of a step before all sources have ended it",
            Arbiter,
            "elaborate",
            "step_end = Cat(ended).all()",
            "step_end = Cat(ended).any() & ~Cat(sends).any()",
        ),
    ),
    (
        arbiter,
        10,
        Mutation(
            "step after the last that is none",
            Arbiter,
            "elaborate",
            "self.first_step.eq(joined.i.p.last)",
            "self.first_step.eq(0)",
        ),
    ),
    (
        lambda: queues.vector_queue(3),
        8,
        Mutation(
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
        Mutation(
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
        Mutation(
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
        Mutation(
            "highest spike first",
            SpikeEncoder,
            "elaborate",
            "for number, block in reversed([*enumerate(self.blocks)]):",
            "for number, block in [*enumerate(self.blocks)]:",
        ),
    ),
    (
        lambda: spike_encoder(3, 2),
        10,
        Mutation(
            "addresses of filling counted",
            SpikeEncoder,
            "_count",
            "core.lanes_per_group - (core.parts - 1) * core.fire_lanes",
            "core.fire_lanes",
        ),
    ),
    (
        spike_encoder,
        12,
        Mutation(
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
        Mutation(
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
        Mutation(
            "membrane of no neuron",
            MembraneSender,
            "elaborate",
            "(self.address < self.core.neurons)",
            "(self.address <= self.core.neurons)",
        ),
    ),
    (
        layer_credits,
        30,
        Mutation(
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
        Mutation(
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
        Mutation(
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
        Mutation(
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
        Mutation(
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
        Mutation(
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
        Mutation(
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
        Mutation(
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
        Mutation(
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
    fault: Mutation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault.plant(monkeypatch)
    verdict = check(proof(), tmp_path, depth, Method.BOUNDED)
    assert verdict.refuted, verdict
