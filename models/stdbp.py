"""STDBP: backpropagation through spike times, with ReL-PSP neurons that fire once.

Zhang, Wang, Wu et al.: Rectified Linear Postsynaptic Potential Function for Backpropagation in Deep
Spiking Neural Networks, TNNLS 33(5):1947-1958, 2022 (arXiv:2003.11837). A network has two forward
passes with the same weights:

- clocked, for deployment: the unified neuron with alpha = 1 (the current never decays), beta = 1
  (the membrane never leaks) and single spikes;
- in closed form on spike times (`spikeloom.models.first_spikes`), for training.

Times count steps. The clocked neuron adds a spike's current in the step in which it arrives, so a
spike at t_i contributes t - t_i + 1 where the paper has t - t_i: a neuron spikes at the step before
the paper's crossing, rounded up. Every layer is shifted alike, and `spike_steps` gives exactly
the steps of the clocked pass.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikeloom.models.algorithm import Activity, Algorithm, Judged, fan_in, linear_layers
from spikeloom.models.first_spikes import Crossings, first_spikes, round_up
from spikeloom.models.layers import Spiking
from spikeloom.models.readouts import FirstSpike
from spikeloom.models.stateless import AvgPool2d


class EarliestPool2d(nn.Module):
    """Pooling that passes the earliest spike of each square, and nothing after it.

    As a layer of neurons: without memory, and with a threshold below what one spike adds to the
    average.

    Parameters
    ----------
    size : side of the squares; they do not overlap
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.average = AvgPool2d(size)
        self.neurons = Spiking(0.0, 0.5 / size**2, single_spike=True)

    def forward(self, spikes: Tensor) -> Tensor:
        """Spikes `[T, N, C, H / size, W / size]`."""
        pooled: Tensor = self.neurons(self.average(spikes))
        return pooled


def pixel_steps(intensities: Tensor, levels: int, darkest: float = 0.0) -> Tensor:
    """Time to first spike of pixels: the brighter, the earlier.

    t = (levels - 1) (1 - p), rounded to a whole step; pixels of at most `darkest` never spike and
    have an infinite time.

    Parameters
    ----------
    intensities : each in 0 .. 1
    levels : number of steps that spikes spread over, >= 1
    """
    steps = ((levels - 1) * (1 - intensities)).round()
    return steps.masked_fill(intensities <= darkest, math.inf)


def spikes_at(steps: Tensor, window: int) -> Tensor:
    """Spikes `[window, *steps.shape]` at whole steps; none for steps outside of the window."""
    clock = torch.arange(window, dtype=steps.dtype, device=steps.device)
    return (steps == clock.view(-1, *[1] * steps.ndim)).to(steps.dtype)


def first_steps(spikes: Tensor) -> Tensor:
    """The step of each neuron's first spike in `[T, ...]`; infinite where there is none."""
    steps = spikes.argmax(0).to(spikes.dtype)
    return steps.masked_fill(~spikes.bool().any(0), math.inf)


def spike_steps(
    network: nn.Sequential, steps: Tensor, window: int, least_slope: float, on_grid: bool = True
) -> list[Crossings]:
    """The closed-form pass: first-spike steps of every layer of neurons.

    Parameters
    ----------
    network : as `spikeloom.models.networks` builds it with `Stdbp`
    steps : of the input spikes, `[N, ...]`, infinite for none
    window : T
    least_slope : see `first_spikes`
    on_grid : round times up to whole steps (with a gradient of 1), as the clocked pass does; else
        time is continuous
    """
    layers: list[Crossings] = []
    current: nn.Linear | nn.Conv2d | None = None
    for part in network:
        if isinstance(part, nn.Linear | nn.Conv2d):
            current = part
        elif isinstance(part, EarliestPool2d):
            steps = -nn.functional.max_pool2d(-steps, part.average.size)
        elif isinstance(part, nn.Flatten):
            steps = steps.flatten(1)
        elif isinstance(part, Spiking):
            assert current is not None and part.rule.single_spike and part.gain == 1
            crossings = _layer(current, steps, part.threshold, window, least_slope)
            times = round_up(crossings.times) if on_grid else crossings.times
            steps = times - 1
            layers.append(crossings._replace(times=steps))
        else:
            assert isinstance(part, FirstSpike)
    return layers


def _layer(
    current: nn.Linear | nn.Conv2d, steps: Tensor, threshold: Tensor, window: int, slope: float
) -> Crossings:
    if isinstance(current, nn.Linear):
        return first_spikes(steps, current.weight, threshold, window, slope)
    assert not isinstance(current.padding, str)
    (pad_y, pad_x), kernel, stride = current.padding, current.kernel_size, current.stride
    padded = nn.functional.pad(steps, (pad_x, pad_x, pad_y, pad_y), value=math.inf)
    height, width = (
        (size - side) // step + 1
        for size, side, step in zip(padded.shape[2:], kernel, stride, strict=True)
    )
    fields = nn.functional.unfold(padded, kernel, stride=stride).transpose(1, 2)
    found = first_spikes(fields.flatten(0, 1), current.weight.flatten(1), threshold, window, slope)
    return Crossings(
        *(tensor.view(len(steps), height, width, -1).permute(0, 3, 1, 2) for tensor in found)
    )


@dataclass(frozen=True)
class Stdbp(Algorithm):
    """STDBP with one threshold for all neurons.

    Attributes
    ----------
    threshold : > 0; times the steps per unit of time of a network in other units
    scale : of the softmax over minus the output times, per step
    least_slope : lower bound on the slope A in the backward pass
    revival : weight of the penalty on silent neurons
    mean_drive : mean of the initial weights times the number of synapses
    on_grid : train on whole steps, as the clocked pass has them
    """

    threshold: float = 16.0
    scale: float = 0.3
    least_slope: float = 0.1
    revival: float = 0.1
    mean_drive: float = 4.0
    on_grid: bool = True

    def neurons(self, gain: float = 1.0) -> Spiking:
        return Spiking(1.0, self.threshold, 1.0, gain=gain, compare=">=", single_spike=True)

    def pool(self, size: int) -> nn.Module:
        return EarliestPool2d(size)

    def readout(self) -> nn.Module:
        return FirstSpike()

    @torch.no_grad()
    def initialise(self, network: nn.Module) -> None:
        """Normal weights with deviation sqrt(2 / fan in) and a mean that makes neurons fire."""
        for layer in linear_layers(network):
            synapses = fan_in(layer)
            layer.weight.normal_(self.mean_drive / synapses, math.sqrt(2 / synapses))

    def judge(self, network: nn.Sequential, inputs: Tensor, labels: Tensor) -> Judged:
        window = len(inputs)
        steps = first_steps(inputs)
        layers = spike_steps(network, steps, window, self.least_slope, self.on_grid)
        outputs = layers[-1].times.clamp(max=window)
        loss = time_loss(outputs, labels, self.scale) + self.revival * revival(layers, labels)
        activity = Activity(
            sum(int(layer.times.isfinite().sum()) for layer in layers),
            sum(layer.times.numel() for layer in layers) * window,
        )
        return Judged(loss, window - outputs.detach(), activity)


def time_loss(times: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Cross-entropy on the softmax of -scale * t; with scale 1, dL/dt_k = 1[k = label] - p_k.

    Parameters
    ----------
    times : of the output neurons, `[N, classes]`, finite: a silent neuron has the window's end
    """
    return nn.functional.cross_entropy(-scale * times, labels)


def revival(layers: list[Crossings], labels: Tensor) -> Tensor:
    """What silent neurons lack to fire: the mean shortfall over the threshold's reach.

    Counted are hidden neurons that no sample of the batch makes fire, and a sample's own output
    neuron where it is silent: without this term neither has any gradient.
    """
    *hidden, output = layers
    own = output.shortfall.gather(1, labels[:, None])
    lacking = own.mean()
    for layer in hidden:
        dead = (layer.shortfall > 0).all(0)
        lacking = lacking + (layer.shortfall * dead).mean()
    return lacking
