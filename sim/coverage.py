"""Coverage of the accelerator's state machines: which states and transitions a run has seen.

The RTL's states are compared with the model's at every clock edge, so what the model has gone
through the RTL has gone through.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from spikeloom.rtl.top import AcceleratorModel

Transitions = dict[str, list[list[str]]]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the state machines some runs have seen, self-loops left aside.

    Attributes
    ----------
    states, transitions : number seen and number there are
    missing : what has not been seen, as "machine: FROM -> TO"
    """

    states: tuple[int, int]
    transitions: tuple[int, int]
    missing: tuple[str, ...]


def transitions_seen(model: AcceleratorModel) -> Transitions:
    """The pairs of states that followed on each other, by state machine."""
    return {
        name: sorted([machine.STATES[a], machine.STATES[b]] for a, b in machine.transitions)
        for name, machine in _machines(model).items()
    }


def coverage(model: AcceleratorModel, runs: Iterable[Transitions]) -> Coverage:
    """The coverage of several runs together; `model` is any of the same accelerator."""
    seen = {(name, *pair) for run in runs for name, pairs in run.items() for pair in pairs}
    legal = {
        (name, *pair)
        for name, machine in _machines(model).items()
        for pair in machine.legal_transitions
    }
    assert seen <= legal, f"not foreseen: {sorted(seen - legal)}"
    return Coverage(
        states=(len(_states(seen)), len(_states(legal))),
        transitions=(len(seen), len(legal)),
        missing=tuple(f"{name}: {a} -> {b}" for name, a, b in sorted(legal - seen)),
    )


def _states(transitions: set[tuple[str, ...]]) -> set[tuple[str, str]]:
    return {(name, state) for name, *pair in transitions for state in pair}


def _machines(model: AcceleratorModel):  # type: ignore[no-untyped-def]  # the models share no base
    engines = {f"{layer.name}.engine": layer.engine for layer in model.layers}
    return {**engines, "readout": model.readout}
