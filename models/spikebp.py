"""Spike-based backpropagation with leaky integrate-and-fire neurons.

Lee, Sarwar, Panda, Srinivasan, Roy: Enabling Spike-Based Backpropagation for Training Deep Neural
Network Architectures, Frontiers in Neuroscience 14:119, 2020 (arXiv:1903.06379), as in the authors'
code:

- hidden neurons leak by 0.99 per step, fire above 1 and reset to zero; no bias;
- pooling neurons integrate averages of 2 x 2 spikes without a leak and fire above 0.75;
- output neurons only integrate; the class is that of the highest membrane at the end;
- inputs are Bernoulli spikes with the sign of the input.

Backwards a spike passes its error to all inputs since the previous one; the leak counts only by a
factor per neuron, close to 1.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import neuron
from spikeloom.models.algorithm import Algorithm, Judged, fan_in, linear_layers
from spikeloom.models.layers import Integrator, Spiking
from spikeloom.models.neuron import Parameters, Rule, Window, WindowFunction
from spikeloom.models.readouts import FinalMembrane
from spikeloom.models.stateless import AvgPool2d, WindowDropout


def leak_factor(spikes: Tensor, beta: Tensor) -> Tensor:
    """NG, the share of a membrane's rise that a leaky neuron keeps; one number per neuron.

    NG = 1[LF > 0.001] + ln(beta) LF / sum_t s[t] with the leaky trace LF = sum_t beta^(T-1-t) s[t],
    and 1 in place of a sum of 0. Without a leak it is 1 for all neurons that spike.

    Parameters
    ----------
    spikes : `[T, N, ...]`
    beta : decay per step, 0 < beta <= 1
    """
    trace = torch.zeros_like(spikes[0])
    for now in spikes:
        trace = trace * beta + now
    total = spikes.sum(0)
    return (trace > 1e-3).to(spikes.dtype) + beta.log() * trace / total.clamp(min=1)


def current_gradient(to_spikes: Tensor, spikes: Tensor, factor: Tensor) -> Tensor:
    """dL/dI[t] = s[t] factor dL/ds[t] + (1 - s[t]) dL/dI[t+1], from the last step backwards.

    Parameters
    ----------
    to_spikes : dL/ds, `[T, N, ...]`
    factor : NG over the threshold, `[N, ...]`
    """
    gradients = torch.empty_like(to_spikes)
    carried = torch.zeros_like(to_spikes[0])
    # One step at a time: what belongs to it then stays in the processor's cache.
    for now in reversed(range(len(spikes))):
        passed = (spikes[now] * to_spikes[now]).mul_(factor)
        carried = torch.add(passed, (1 - spikes[now]).mul_(carried), out=gradients[now])
    return gradients


class _SpikeBased(torch.autograd.Function):
    """Any neuron over a window forwards, `current_gradient` backwards."""

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        beta: Tensor,
        threshold: Tensor,
        rule: Rule,
        divide: bool,
        forwards: WindowFunction,
    ) -> tuple[Tensor, Tensor]:
        window = forwards(current, Parameters(None, beta, threshold), rule)
        ctx.fire, ctx.divide = rule.fire, divide
        ctx.save_for_backward(window.spikes, beta, threshold)
        ctx.mark_non_differentiable(window.potentials if rule.fire else window.spikes)
        return window.spikes, window.potentials

    @staticmethod
    def backward(
        ctx: Any, to_spikes: Tensor, to_potentials: Tensor
    ) -> tuple[Tensor, None, None, None, None, None]:
        spikes, beta, threshold = ctx.saved_tensors
        if ctx.fire:
            factor = leak_factor(spikes, beta)
            if ctx.divide:
                factor = factor / threshold
            return current_gradient(to_spikes, spikes, factor), None, None, None, None, None
        return to_potentials.flip(0).cumsum(0).flip(0), None, None, None, None, None


@dataclass(frozen=True)
class SpikeBasedWindow:
    """A `spikeloom.models.neuron.WindowFunction` with the gradient of spike-based BP.

    A layer that does not fire passes the gradient of its membranes to all earlier currents as if
    there were no leak.

    Attributes
    ----------
    divide_by_threshold : as hidden neurons do and pooling neurons do not
    forwards : computes spikes and membranes
    """

    divide_by_threshold: bool = True
    forwards: WindowFunction = field(default=neuron.unroll, repr=False)

    def __call__(self, current: Tensor, parameters: Parameters, rule: Rule) -> Window:
        if parameters.alpha is not None:
            raise SpikeloomError("spike-based BP has no synaptic state; wanted alpha = 0")
        if rule.fire and (rule.reset != "zero" or rule.single_spike):
            raise SpikeloomError(
                f"spike-based BP has no gradient for {rule}; wanted reset 'zero', several spikes"
            )
        _, beta, threshold = parameters
        return Window(
            *_SpikeBased.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
                current, beta, threshold, rule, self.divide_by_threshold, self.forwards
            )
        )


class SpikingPool2d(nn.Module):
    """Average pooling into integrate-and-fire neurons without a leak.

    Parameters
    ----------
    size : side of the squares; they do not overlap
    threshold : on the sum of the averages
    """

    def __init__(self, size: int, threshold: float = 0.75) -> None:
        super().__init__()
        self.average = AvgPool2d(size)
        self.neurons = Spiking(1.0, threshold, window=SpikeBasedWindow(divide_by_threshold=False))

    def forward(self, spikes: Tensor) -> Tensor:
        """Spikes `[T, N, C, H / size, W / size]`."""
        pooled: Tensor = self.neurons(self.average(spikes))
        return pooled


def signed_bernoulli(
    values: Tensor, steps: int, scale: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Spikes of -1, 0 and 1, `[steps, *values.shape]`: sign(x) where |x| scale > a uniform number.

    Parameters
    ----------
    values : real numbers, negative ones included
    scale : the authors' code has 1/2 for MNIST and 1 for CIFAR-10
    """
    uniform = torch.rand(
        steps, *values.shape, generator=generator, dtype=values.dtype, device=values.device
    )
    return values.sign() * (values.abs() * scale > uniform)


def membrane_loss(membranes: Tensor, labels: Tensor, leak: float) -> Tensor:
    """Squared distance of y = leak V[T-1] / T to the one-hot labels, summed over samples.

    The authors' code leaks after the last sum too and ignores all leaks backwards, so that
    dL/dI[t] = (dL/dy) / T.

    Parameters
    ----------
    membranes : of the output neurons, `[T, N, classes]`
    """
    final = membranes[-1] / len(membranes)
    mean = final - (1 - leak) * final.detach()
    targets = nn.functional.one_hot(labels, mean.shape[1]).to(mean.dtype)
    return (mean - targets).square().sum()


@dataclass(frozen=True)
class SpikeBased(Algorithm):
    """Spike-based BP with one leak for hidden and output neurons.

    Attributes
    ----------
    leak : decay of the membrane per step, 0 < leak <= 1
    threshold : of hidden neurons
    pool_threshold : of pooling neurons
    init_gain : the initial weights have deviation sqrt(init_gain / fan in); the authors' code has
        2, and 1 in residual networks
    """

    leak: float = 0.99
    threshold: float = 1.0
    pool_threshold: float = 0.75
    init_gain: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.leak <= 1:
            raise SpikeloomError(f"spike-based BP has leak = {self.leak}; wanted 0 < leak <= 1")

    def neurons(self, gain: float = 1.0) -> Spiking:
        return Spiking(self.leak, self.threshold, gain=gain, window=SpikeBasedWindow())

    def output(self, gain: float = 1.0) -> Integrator:
        return Integrator(self.leak, gain=gain, window=SpikeBasedWindow())

    def pool(self, size: int) -> nn.Module:
        return SpikingPool2d(size, self.pool_threshold)

    def dropout(self, probability: float) -> nn.Module:
        return WindowDropout(probability)

    def readout(self) -> nn.Module:
        return FinalMembrane()

    @torch.no_grad()
    def initialise(self, network: nn.Module) -> None:
        """Normal weights without a mean."""
        for layer in linear_layers(network):
            layer.weight.normal_(0, math.sqrt(self.init_gain / fan_in(layer)))

    def judge(self, network: nn.Sequential, inputs: Tensor, labels: Tensor) -> Judged:
        membranes = network[:-1](inputs)
        return Judged(membrane_loss(membranes, labels, self.leak), network[-1](membranes.detach()))
