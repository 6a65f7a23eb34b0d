"""TSSL-BP: temporal spike sequence learning via backpropagation.

Zhang & Li: Temporal Spike Sequence Learning via Backpropagation for Deep Spiking Neural Networks,
NeurIPS 2020 (arXiv:2002.10085). The forward pass in the unified neuron's terms, with the synaptic
filter at the neuron that receives the spikes (it is linear and the same for all synapses):

- alpha = 1 - 1/tau_s and gain = 1/tau_s filter spikes to currents, beta = 1 - 1/tau_m decays the
  membrane, V > 1 fires, a spike resets to zero; no bias;
- the post-synaptic potential (PSP) of a neuron is a[t] = alpha a[t-1] + gain s[t].

The backward pass, after the authors' code, is not the derivative of any forward pass: a spike
passes its error through its firing time (inter-neuron part) and through its reset to the next spike
of the same neuron (intra-neuron part); neurons whose PSP is still low get a sigmoid's derivative
("warm-up").
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import neuron
from spikeloom.models.algorithm import Algorithm, Judged, linear_layers
from spikeloom.models.layers import Spiking
from spikeloom.models.neuron import Parameters, Rule, Window, WindowFunction
from spikeloom.models.readouts import TimeWeightedSum
from spikeloom.models.stateless import AvgPool2d, Conv2d, WindowDropout

STEEPEST = 8.0
"""Largest magnitude of d firing time / d membrane; guards against a tiny membrane increment."""

SIGMOID_WIDTH = 0.2
"""Of the warm-up's surrogate, in units of the membrane."""

POOLING = 1.1
"""Factor of sum pooling: the authors' code has a fixed 2 x 2 kernel of this number."""

LARGEST_WEIGHT = 4.0
"""Weights are clamped to this magnitude after every update."""


def current_gradient(
    to_spikes: Tensor, spikes: Tensor, potentials: Tensor, parameters: Parameters
) -> Tensor:
    """dL/dI[t] for all steps: the recursion of the authors' `backward`.

    With u the membrane before the reset, D[t] its increment within step t, G = dL/ds and
    phi[t] = clamp(-1/D[t], -8, 0) s[t]:

        e[t] = -phi[t] G[t] + q (u[t] (beta - 1) phi[t] + beta (1 - s[t]))
        q    = e[t] s[t] + q beta (1 - s[t]),  from the last step backwards, q = 0 at first

    where the term with q is absent at the last step. Where the PSP a[t] is below 1/(4 tau_s), G[t]
    times the derivative of a logistic function of width 0.2 takes the place of e[t].

    Parameters
    ----------
    to_spikes : G, `[T, N, ...]`. The authors' dL/da filtered by the synaptic kernel backwards in
        time, which is what the filter of the next layer passes down here.
    spikes, potentials : of the forward pass, `[T, N, ...]`
    """
    alpha, beta, threshold = parameters
    gain = 1 - (alpha if alpha is not None else 0)
    warm = decaying_sum(gain * spikes, alpha) < gain / 4
    gradients = torch.empty_like(potentials)
    carried = torch.zeros_like(potentials[0])
    # One step at a time: what belongs to it then stays in the processor's cache.
    for now in reversed(range(len(spikes))):
        spike, potential = spikes[now], potentials[now]
        increment = potential
        if now > 0:
            increment = potential - potentials[now - 1] * (1 - spikes[now - 1])
        phi = (-1 / increment).clamp_(-STEEPEST, 0).mul_(spike)
        through_leak = (1 - spike).mul_(beta)
        through_reset = (potential * (beta - 1)).mul_(phi)
        exact = carried * through_reset.add_(through_leak) - phi * to_spikes[now]
        carried = (exact * spike).add_(through_leak.mul_(carried))
        rise = torch.sigmoid(((potential - threshold) / SIGMOID_WIDTH).clamp_(-8, 8))
        warm_up = (rise - rise * rise).mul_(to_spikes[now]).div_(SIGMOID_WIDTH)
        torch.where(warm[now], warm_up, exact, out=gradients[now])
    return gradients


def decaying_sum(window: Tensor, decay: Tensor | float | None, backwards: bool = False) -> Tensor:
    """y[t] = decay y[t-1] + x[t] along axis 0, or backwards in time."""
    if decay is None:
        return window
    total = torch.zeros_like(window[0])
    sums = torch.empty_like(window)
    for now in reversed(range(len(window))) if backwards else range(len(window)):
        total = total * decay + window[now]
        sums[now] = total
    return sums


class _Tssl(torch.autograd.Function):
    """Any neuron over a window forwards, `current_gradient` backwards."""

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        alpha: Tensor | None,
        beta: Tensor,
        threshold: Tensor,
        rule: Rule,
        forwards: WindowFunction,
    ) -> tuple[Tensor, Tensor]:
        window = forwards(current, Parameters(alpha, beta, threshold), rule)
        ctx.save_for_backward(*window, alpha, beta, threshold)
        ctx.mark_non_differentiable(window.potentials)
        return window.spikes, window.potentials

    @staticmethod
    def backward(
        ctx: Any, to_spikes: Tensor, _: Tensor
    ) -> tuple[Tensor, None, None, None, None, None]:
        spikes, potentials, alpha, beta, threshold = ctx.saved_tensors
        parameters = Parameters(alpha, beta, threshold)
        to_current = current_gradient(to_spikes, spikes, potentials, parameters)
        return decaying_sum(to_current, alpha, backwards=True), None, None, None, None, None


@dataclass(frozen=True)
class TsslWindow:
    """A `spikeloom.models.neuron.WindowFunction` with the gradient of TSSL-BP.

    Attributes
    ----------
    forwards : computes spikes and membranes
    """

    forwards: WindowFunction = field(default=neuron.unroll, repr=False)

    def __call__(self, current: Tensor, parameters: Parameters, rule: Rule) -> Window:
        if rule.reset != "zero" or rule.single_spike or not rule.fire:
            raise SpikeloomError(
                f"TSSL-BP has no gradient for {rule}; wanted reset 'zero' and several spikes"
            )
        return Window(*_Tssl.apply(current, *parameters, rule, self.forwards))  # type: ignore[no-untyped-call]  # torch leaves it untyped


def psp(spikes: Tensor, tau_s: float) -> Tensor:
    """Post-synaptic potentials a[t] = (1 - 1/tau_s) a[t-1] + s[t] / tau_s, shape of `spikes`."""
    steps = torch.arange(len(spikes), device=spikes.device)
    age = (steps[:, None] - steps).to(spikes.dtype)
    kernel = torch.pow(1 - 1 / tau_s, age.clamp(min=0)) / tau_s * (age >= 0)
    potentials: Tensor = torch.tensordot(kernel, spikes, 1)
    return potentials


def target_train(steps: int) -> Tensor:
    """The spikes that the kernel loss wants of the true class, `[T]`.

    The authors' code has 0 1 1 1 1 for five steps and alternating 0 1 from ten steps on; between,
    all steps but the first.
    """
    train = torch.ones(steps)
    train[:: 2 if steps >= 10 else steps] = 0
    return train


def kernel_loss(spikes: Tensor, labels: Tensor, tau_s: float) -> Tensor:
    """Half the squared distance of the PSPs to those of `target_train`; a sum, not a mean.

    Parameters
    ----------
    spikes : of the output neurons, `[T, N, classes]`
    labels : int64, shape `[N]`
    """
    truth = nn.functional.one_hot(labels, spikes.shape[2]).to(spikes.dtype)
    train = target_train(len(spikes)).to(spikes)
    wanted = psp(train[:, None, None] * truth, tau_s)
    return (psp(spikes, tau_s) - wanted).square().sum() / 2


def count_loss(
    spikes: Tensor, labels: Tensor, tau_s: float, wanted: float = 15.0, unwanted: float = 3.0
) -> Tensor:
    """Half the squared distance of the summed PSP per step to a target; satisfied classes are free.

    d = (sum_t a[t] - target) / T, 0 for a true class above its target and another below; the loss
    is 1/2 sum_t d^2, summed over samples and classes, so that dL/da[t] = d at every step.

    Parameters
    ----------
    wanted, unwanted : targets of the true class and of the others
    """
    steps = len(spikes)
    truth = nn.functional.one_hot(labels, spikes.shape[2]).bool()
    total = psp(spikes, tau_s).sum(0)
    short = (wanted - total).clamp(min=0) * truth
    excess = (total - unwanted).clamp(min=0) * ~truth
    return ((short + excess) / steps).square().sum() * steps / 2


@dataclass(frozen=True)
class Tssl(Algorithm):
    """TSSL-BP with one pair of time constants for all neurons.

    Attributes
    ----------
    tau_m, tau_s : time constants of membrane and synapse, in steps, >= 1
    count_targets : (true class, others) for the count loss, which N-MNIST takes with (15, 3); None
        for the kernel loss
    conv_scale : factor on torch's initial weights of convolutions; 5 for CIFAR-10
    """

    tau_m: float = 5.0
    tau_s: float = 3.0
    count_targets: tuple[float, float] | None = None
    conv_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("tau_m", "tau_s"):
            if not getattr(self, name) >= 1:
                raise SpikeloomError(f"TSSL-BP has {name} = {getattr(self, name)}; wanted >= 1")

    def neurons(self, gain: float = 1.0) -> Spiking:
        alpha, beta = 1 - 1 / self.tau_s, 1 - 1 / self.tau_m
        return Spiking(beta, 1.0, alpha, gain=gain / self.tau_s, window=TsslWindow())

    def pool(self, size: int) -> nn.Module:
        return AvgPool2d(size)

    def pool_gain(self, size: int) -> float:
        """Pooling is the sum times 1.1, on PSPs; all is linear up to the next neurons' filter."""
        return POOLING * size**2

    def dropout(self, probability: float) -> nn.Module:
        return WindowDropout(probability, whole_rows=True)

    def readout(self) -> nn.Module:
        return TimeWeightedSum(self.tau_s)

    @torch.no_grad()
    def initialise(self, network: nn.Module) -> None:
        """Dense weights with deviation sqrt(2 / fan in); torch's times `conv_scale` elsewhere."""
        for layer in linear_layers(network):
            if isinstance(layer, Conv2d):
                layer.reset_parameters()
                layer.weight.mul_(self.conv_scale)
            else:
                nn.init.kaiming_normal_(layer.weight)

    @torch.no_grad()
    def constrain(self, network: nn.Module) -> None:
        """Clamp weights to -4 .. 4, as the authors' code does after every update."""
        for layer in linear_layers(network):
            layer.weight.clamp_(-LARGEST_WEIGHT, LARGEST_WEIGHT)

    def judge(self, network: nn.Sequential, inputs: Tensor, labels: Tensor) -> Judged:
        spikes = network[:-1](inputs)
        if self.count_targets is None:
            loss = kernel_loss(spikes, labels, self.tau_s)
        else:
            loss = count_loss(spikes, labels, self.tau_s, *self.count_targets)
        return Judged(loss, network[-1](spikes.detach()))
