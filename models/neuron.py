"""The neuron: one time step as a pure function.

The arithmetic and its order are those of `spikeloom::Neuron` (`spikeloom.compiler.operator`), so
that torch and an ONNX runtime compute the same floats. How a spike passes a gradient back is the
business of the `spike` function that a caller hands in; nothing here depends on it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from spikeloom.compiler.errors import SpikeloomError

Reset = Literal["zero", "subtract", "none"]
Compare = Literal[">", ">="]

SpikeFunction = Callable[[Tensor, Tensor, Compare], Tensor]
"""Membrane, threshold and comparison to spikes: 0 or 1 in the membrane's type and shape."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a layer of neurons does besides integrating.

    Attributes
    ----------
    reset : what a spike does to the membrane: to zero, down by the threshold, or nothing
    compare : a membrane equal to the threshold spikes with ">=" and does not with ">"
    fire : False makes a neuron that only integrates, for a readout of membranes
    single_spike : whether a neuron spikes at most once in a window

    Raises
    ------
    SpikeloomError
        If `reset` or `compare` is none of the values above.
    """

    reset: Reset = "zero"
    compare: Compare = ">"
    fire: bool = True
    single_spike: bool = False

    def __post_init__(self) -> None:
        for name, legal in (("reset", get_args(Reset)), ("compare", get_args(Compare))):
            if getattr(self, name) not in legal:
                raise SpikeloomError(f"{name} is {getattr(self, name)!r}; wanted one of {legal}")


class Parameters(NamedTuple):
    """Tensors that broadcast to the shape `[N, ...]` of one step.

    Attributes
    ----------
    alpha : decay of the synaptic current per step, 0 .. 1; None for no synaptic state, which gives
        the same numbers as 0 and saves a product and a sum
    beta : decay of the membrane per step, 0 .. 1; 1 for integrate-and-fire
    threshold : membrane at which a neuron spikes, > 0
    """

    alpha: Tensor | None
    beta: Tensor
    threshold: Tensor


class State(NamedTuple):
    """What a neuron carries from one step to the next; each of shape `[N, ...]`.

    Attributes
    ----------
    synaptic : I, the synaptic current
    membrane : Vr, the membrane after the reset
    fired : how often a single-spike neuron has spiked in this window; 0 for other neurons
    """

    synaptic: Tensor
    membrane: Tensor
    fired: Tensor


class Step(NamedTuple):
    """What one step gives: spikes, the membrane V before the reset, and the next state."""

    spikes: Tensor
    potential: Tensor
    state: State


class Window(NamedTuple):
    """What a whole window gives: spikes and the membranes V before the reset, `[T, N, ...]`."""

    spikes: Tensor
    potentials: Tensor


WindowFunction = Callable[[Tensor, Parameters, Rule], Window]
"""Currents `[T, N, ...]` to a window, with a gradient of its own instead of one per step."""


def heaviside(potential: Tensor, threshold: Tensor, compare: Compare) -> Tensor:
    """Spikes without a gradient."""
    reached = potential >= threshold if compare == ">=" else potential > threshold
    return reached.to(potential.dtype)


def rest(current: Tensor) -> State:
    """The state before the first step, for currents like `current`, of shape `[N, ...]`."""
    zero = current.new_zeros(current.shape)
    return State(zero, zero, zero)


def step(
    current: Tensor,
    state: State,
    parameters: Parameters,
    rule: Rule,
    spike: SpikeFunction = heaviside,
) -> Step:
    """Advance neurons by one time step.

    I[t] = alpha I[t-1] + current; V[t] = beta Vr[t-1] + I[t]; a spike where V[t] reaches the
    threshold; Vr[t] = reset(V[t]) (design.md, section 4). The reset is part of the graph: gradients
    flow through it.

    Parameters
    ----------
    current : shape `[N, ...]`, the weighted sum of this step's spikes plus the bias
    spike : decides the spikes and how gradients pass through them
    """
    synaptic = current
    if parameters.alpha is not None:
        synaptic = state.synaptic * parameters.alpha + current
    potential = state.membrane * parameters.beta + synaptic
    if not rule.fire:
        return Step(
            potential.new_zeros(potential.shape), potential, State(synaptic, potential, state.fired)
        )
    spikes = spike(potential, parameters.threshold, rule.compare)
    fired = state.fired
    if rule.single_spike:
        spikes = spikes - spikes * fired
        fired = fired + spikes
    membrane = reset(potential, spikes, parameters.threshold, rule)
    return Step(spikes, potential, State(synaptic, membrane, fired))


def reset(potential: Tensor, spikes: Tensor, threshold: Tensor, rule: Rule) -> Tensor:
    """The membrane behind the spikes of a step."""
    if rule.reset == "zero":
        return potential - spikes * potential
    if rule.reset == "subtract":
        return potential - spikes * threshold
    return potential


def unroll(
    current: Tensor,
    parameters: Parameters,
    rule: Rule,
    spike: SpikeFunction = heaviside,
    feedback: Callable[[Tensor], Tensor] | None = None,
) -> Window:
    """Advance neurons from rest through a whole window, one `step` after the other.

    Parameters
    ----------
    current : shape `[T, N, ...]`
    spike : decides the spikes and how gradients pass through them
    feedback : what the spikes of a step add to the current of the next one, `[N, ...]` both
    """
    state = rest(current[0])
    spikes: list[Tensor] = []
    potentials: list[Tensor] = []
    for now in current:
        if feedback is not None and spikes:
            now = now + feedback(spikes[-1])
        result = step(now, state, parameters, rule, spike)
        state = result.state
        spikes.append(result.spikes)
        potentials.append(result.potential)
    return Window(torch.stack(spikes), torch.stack(potentials))
