"""The accelerator's neurons in torch: integer membranes, with gradients for training."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikeloom.compiler.fixed import Decay
from spikeloom.models import neuron
from spikeloom.models.neuron import Parameters, Rule, SpikeFunction, Window


@dataclass(frozen=True, slots=True, eq=False)
class FixedDecay:
    """`spikeloom.compiler.fixed.Decay` on tensors of integers, whose gradient is the factor's.

    Attributes
    ----------
    factor : broadcasts to the neurons; a multiple of a power of two, so that products are exact
    """

    factor: Tensor

    @classmethod
    def of(cls, decay: Decay, like: Tensor) -> "FixedDecay":
        """In the shape and type of `like`."""
        return cls(torch.from_numpy(decay.factors.reshape(tuple(like.shape))).to(like.dtype))

    def __call__(self, value: Tensor) -> Tensor:
        return round_straight_through(value * self.factor)


@dataclass(frozen=True, slots=True, eq=False)
class FixedWindow:
    """A `spikeloom.models.neuron.WindowFunction`: neurons of integers, in units of `scale`.

    A[t] = current_decay(I[t-1]) + current, V[t] = decay(Vr[t-1]) + A[t], a spike where V[t] >=
    threshold, I[t] = saturate(A[t]), Vr[t] = saturate(reset(V[t])) (`spikeloom.compiler.fixed`).
    Floats hold all these integers exactly. Gradients pass the roundings unchanged; surrogates see
    membranes in real numbers.

    Attributes
    ----------
    threshold : integers, broadcast to the neurons
    current_decay : None for neurons without a synaptic state
    limits : of states, from the lowest to the highest
    """

    scale: float
    threshold: Tensor
    decay: FixedDecay
    current_decay: FixedDecay | None
    limits: tuple[int, int]
    spike: SpikeFunction = neuron.heaviside

    def __call__(self, current: Tensor, parameters: Parameters, rule: Rule) -> Window:
        threshold = self.threshold * self.scale
        synaptic = membrane = fired = torch.zeros_like(current[0])
        spikes, potentials = [], []
        for now in round_straight_through(current / self.scale):
            if self.current_decay is not None:
                now = self.current_decay(synaptic) + now
                synaptic = now.clamp(*self.limits)
            membrane = self.decay(membrane) + now
            potentials.append(membrane * self.scale)
            spike = torch.zeros_like(fired)
            if rule.fire:
                spike = self.spike(potentials[-1], threshold, ">=")
                if rule.single_spike:
                    spike = spike - spike * fired
                    fired = fired + spike
                membrane = neuron.reset(membrane, spike, self.threshold, rule)
            spikes.append(spike)
            membrane = membrane.clamp(*self.limits)
        return Window(torch.stack(spikes), torch.stack(potentials))


class _RoundStraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return (value + 0.5).floor()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def round_straight_through(value: Tensor) -> Tensor:
    """Round to nearest, ties upwards, as `fixed.shift_round`; the identity backwards."""
    rounded: Tensor = _RoundStraightThrough.apply(value)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return rounded
