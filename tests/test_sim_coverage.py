# amaranth: UnusedElaboratable=no
"""Coverage of the state machines: what counts as seen, as legal, as missing."""

import pytest

from lockstep import send_words
from networks import LayerOptions, random_network, random_spikes
from spikeloom.compiler.program import Program
from spikeloom.rtl.top import Accelerator, AcceleratorModel
from spikeloom.sim.coverage import Transitions, coverage, transitions_seen
from spikeloom.sim.stimulus import Pauses, input_words

SAMPLES = 4


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    network = random_network(2, [6, 9, 3], 3, [LayerOptions()] * 2)
    return Accelerator(Program(network, {"layer1": 2}), probe=True)


def run(accelerator: Accelerator, density: float, pauses: Pauses) -> AcceleratorModel:
    """The cycle model alone, after some samples."""
    model: AcceleratorModel = accelerator.model()
    network = accelerator.program.network
    words = input_words(network, random_spikes(network, SAMPLES, density))
    for _ in send_words(accelerator, model, words, [], SAMPLES, pauses):
        pass
    return model


def seen(accelerator: Accelerator, density: float, pauses: Pauses) -> Transitions:
    return transitions_seen(run(accelerator, density, pauses))


def test_fresh_model_has_seen_nothing(accelerator: Accelerator) -> None:
    model = accelerator.model()
    empty = transitions_seen(model)
    assert set(empty) == {"layer1.engine", "layer2.engine", "readout"}
    covered = coverage(model, [empty])
    assert (covered.states[0], covered.transitions[0]) == (0, 0)
    assert len(covered.missing) == covered.transitions[1] > covered.states[1] > 0


def test_runs_add_up(accelerator: Accelerator) -> None:
    model = accelerator.model()
    silent = seen(accelerator, 0.0, Pauses())
    busy = seen(accelerator, 0.6, Pauses(input=0.3, output=0.9, burst=20))
    alone, other, both = (
        coverage(model, runs) for runs in ([silent], [busy], [silent, busy, silent])
    )
    assert alone.transitions[0] < both.transitions[0]
    assert max(alone.transitions[0], other.transitions[0]) <= both.transitions[0]
    assert set(both.missing) == set(alone.missing) & set(other.missing)
    assert both.transitions[0] + len(both.missing) == both.transitions[1]


def test_everything_seen_leaves_nothing_missing(accelerator: Accelerator) -> None:
    model = accelerator.model()
    everything = [
        {machine: [pair.split(" -> ")]}
        for machine, pair in (text.split(": ") for text in coverage(model, []).missing)
    ]
    covered = coverage(model, everything)
    assert covered.missing == ()
    assert covered.states[0] == covered.states[1]
    assert covered.transitions[0] == covered.transitions[1]


def test_transition_that_was_not_foreseen_is_a_bug(accelerator: Accelerator) -> None:
    with pytest.raises(AssertionError, match="not foreseen"):
        coverage(accelerator.model(), [{"readout": [["NOWHERE", "IDLE"]]}])


def test_staying_in_a_state_is_no_transition(accelerator: Accelerator) -> None:
    pairs = [pair for found in seen(accelerator, 0.5, Pauses()).values() for pair in found]
    assert pairs
    assert all(before != after for before, after in pairs)
