# amaranth: UnusedElaboratable=no
"""Formal proofs of the blocks; tests/test_formal_faults.py shows that they can fail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proofs import neurons, queues
from proofs.cases import (
    CURRENT,
    SINGLE,
    ZERO,
    accelerator_output,
    arbiter,
    decay,
    fire_lane,
    layer_credits,
    layer_pace,
    membrane_sender,
    row_of_two,
    spike_encoder,
)
from spikeloom.compiler.core_pipeline import scan_pause
from spikeloom.compiler.fixed import Reset
from spikeloom.sim.formal import Method, Proof, check

pytestmark = pytest.mark.formal

# The proofs, and the clock cycles that they are carried through before the step of the induction.
PROOFS: dict[str, tuple[Callable[[], Proof], int]] = {
    "event queue": (lambda: queues.event_queue(2), 3),
    "deep queue": (lambda: queues.deep_queue(3), 4),
    "vector queue": (lambda: queues.vector_queue(3), 3),
    "spike encoder": (spike_encoder, 3),
    "spike encoder of two groups": (lambda: spike_encoder(3, 2), 3),
    "sender of final membranes": (lambda: membrane_sender("final_membrane"), 3),
    "sender of all membranes": (lambda: membrane_sender("maximum_membrane"), 3),
    "credits of a layer": (layer_credits, 3),
    "arbiter": (arbiter, 3),
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
    "deep queue": 10,
    "vector queue": 6,
    "spike encoder": 8,
    "sender of final membranes": 14,
    "credits of a layer": 16,
    "arbiter": 10,
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
