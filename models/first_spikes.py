"""First-spike times of ReL-PSP neurons in closed form, with exact gradients.

Zhang, Wang, Wu et al.: Rectified Linear Postsynaptic Potential Function for Backpropagation in Deep
Spiking Neural Networks, TNNLS 33(5):1947-1958, 2022 (arXiv:2003.11837). An input spike at t_i gives
the potential w_i (t - t_i) from then on, so the membrane is piecewise linear. With the causal set C
of the inputs that come before the output, A = sum_C w_i and B = sum_C w_i t_i:

    V(t) = A t - B,    t_out = (threshold + B) / A
    dt_out/dw_i = -(t_out - t_i) / A,    dt_out/dt_i = w_i / A,    0 outside C

A neuron fires where its membrane first reaches the threshold, and only once.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

MOST_ELEMENTS = 1 << 22
"""Elements of the largest intermediate tensors; samples are taken in parts that keep to it."""


class Crossings(NamedTuple):
    """When neurons fire.

    Attributes
    ----------
    times : shape `[N, neurons]`; infinite for neurons that are silent in the window
    shortfall : shape `[N, neurons]`; what a silent neuron's membrane lacks at the window's end to
        reach the threshold, 0 for neurons that fire
    """

    times: Tensor
    shortfall: Tensor


def first_spikes(
    times: Tensor,
    weight: Tensor,
    threshold: Tensor | float,
    window: float,
    least_slope: float = 0.0,
) -> Crossings:
    """First-spike times of a dense layer.

    Samples are worked on event by event: inputs are sorted by time, simultaneous ones are one
    event, and running sums over the events give A and B. So the cost is one addition per synapse
    of a spiking input, and quantised input times need little memory.

    Parameters
    ----------
    times : input spikes, `[N, inputs]`, >= 0; infinite for inputs that never spike
    weight : `[neurons, inputs]`
    threshold : > 0
    window : neurons that have not fired by then are silent; finite
    least_slope : lower bound on A in the backward pass, which keeps gradients finite where the
        membrane barely reaches the threshold; 0 for exact gradients
    """
    assert math.isfinite(window)
    order = times.detach().sort(stable=True, dim=1).indices
    ordered = times.gather(1, order)
    level = torch.zeros_like(order)
    level[:, 1:] = (ordered[:, 1:] > ordered[:, :-1]).cumsum(1)
    events = int((level * (ordered < window)).max()) + 1 if order.numel() else 1
    rows = max(1, MOST_ELEMENTS // (events * len(weight)))
    by_input = weight.t().contiguous()
    parts = [
        _crossings(*part, by_input, threshold, window, least_slope, events)
        for part in zip(
            torch.split(ordered, rows),
            torch.split(order, rows),
            torch.split(level, rows),
            strict=True,
        )
    ]
    return Crossings(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _crossings(
    ordered: Tensor,
    order: Tensor,
    level: Tensor,
    by_input: Tensor,
    threshold: Tensor | float,
    window: float,
    least_slope: float,
    events: int,
) -> tuple[Tensor, Tensor]:
    """Crossings of some samples; `level` numbers the distinct times of a sample from 0."""
    samples = len(ordered)
    early = ordered < window
    event = (level + torch.arange(samples, device=level.device)[:, None] * events)[early]
    inputs, when = order[early], ordered[early]
    sizes = torch.bincount(event, minlength=samples * events)
    starts = sizes.cumsum(0) - sizes

    def running_sum(factors: Tensor | None) -> Tensor:
        sums = torch.nn.functional.embedding_bag(
            inputs, by_input, starts, mode="sum", per_sample_weights=factors
        )
        return sums.view(samples, events, -1).cumsum(1)

    slope, offset = running_sum(None), running_sum(when)
    with torch.no_grad():
        until = ordered.new_full((samples * events + 1,), window)
        until[event] = when
        until = until[1:].view(samples, events)
        until[:, -1] = window
        # Judged by the membrane at the end of each stretch, not by where a candidate time falls:
        # rounding then cannot let a crossing slip between two stretches.
        reached = slope * until[..., None] - offset >= threshold
        stretch = reached.to(torch.uint8).argmax(1, keepdim=True)
        fires = reached.any(1)
    one = slope.new_ones(())
    crossing = _Crossing.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.where(fires, slope.gather(1, stretch).squeeze(1), one),
        torch.where(fires, offset.gather(1, stretch).squeeze(1), one),
        threshold,
        least_slope,
    )
    missing = threshold - (slope[:, -1] * window - offset[:, -1])
    return (
        crossing.masked_fill(~fires, math.inf),
        torch.where(fires, torch.zeros_like(missing), missing),
    )


class _Crossing(torch.autograd.Function):
    """t = (threshold + B) / A; backwards A is bounded from below."""

    @staticmethod
    def forward(
        ctx: Any, slope: Tensor, offset: Tensor, threshold: Tensor | float, least_slope: float
    ) -> Tensor:
        times = (offset + threshold) / slope
        ctx.save_for_backward(times, slope)
        ctx.least_slope = least_slope
        return times

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        times, slope = ctx.saved_tensors
        to_offset = gradient / slope.clamp(min=ctx.least_slope)
        return -times * to_offset, to_offset, None, None


class _RoundUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, times: Tensor) -> Tensor:
        return times.ceil()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def round_up(times: Tensor) -> Tensor:
    """The next whole number; the gradient passes as it is."""
    rounded: Tensor = _RoundUp.apply(times)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return rounded
