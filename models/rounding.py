"""Quantisation-aware training, in the compiler's own arithmetic.

During a training step and during validation the network holds the weights, biases and decays that
the compiler would make of it, and its membranes are the integers of the accelerator
(`spikeloom.models.fixed_window`); backwards each algorithm has its own gradient. The optimiser
goes on with the unrounded numbers, to which it applies the gradient with respect to the rounded
ones ("straight-through"; Bengio, Leonard, Courville, arXiv:1308.3432).

Scales and roundings are the compiler's functions (`choose_scales.share_unit`,
`quantize.round_to_steps` and `ceil_to_steps`, `fixed.Decay`, `fixed.signed_range`). One thing is
decided here: the step of a layer's weights. The compiler takes the largest weight over the largest
integer; with few bits, one large weight then rounds most others to zero. Here the step is the one,
up to that size, that changes the weights least, and larger weights saturate; so the largest weight
of the result is again the largest integer, and the compiler finds the same step. Between epochs a
step stays as long as it serves.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, signed_range
from spikeloom.compiler.ir import Events, Precision
from spikeloom.compiler.passes.choose_scales import share_unit, to_resolve
from spikeloom.compiler.passes.quantize import ceil_to_steps, choose_state_bits, round_to_steps
from spikeloom.models.exact import SPIKES
from spikeloom.models.fixed_window import FixedDecay, FixedWindow
from spikeloom.models.layers import Recurrent, Spiking
from spikeloom.models.spikebp import SpikeBasedWindow
from spikeloom.models.stateless import AvgPool2d
from spikeloom.models.tssl import TsslWindow

Weighted = nn.Linear | nn.Conv2d

# Steps have so few significant bits that all sums of weights are exact in float32, and therefore
# the same in torch, onnxruntime and the compiler.
_STEP_BITS = 4

# Steps that are tried, as shares of the largest weight over the largest integer.
_SHARES = np.linspace(1.0, 0.1, 46)

# A step stays until the best one's squared error is below this share of its own: another step
# rounds all weights anew, and undoes part of an epoch's training.
_KEPT = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Layers with weights that feed one layer of neurons.

    Attributes
    ----------
    gains : per layer, the factor that its input, pooling before and a gain behind it put on its
        weights
    """

    weighted: tuple[Weighted, ...]
    gains: tuple[float, ...]
    neurons: Spiking

    @property
    def numbers(self) -> list[Tensor]:
        """Everything that rounding may change."""
        weights = [item for layer in self.weighted for item in layer.parameters(recurse=False)]
        return [*weights, self.neurons.alpha, self.neurons.beta, self.neurons.threshold]


class Rounding:
    """Rounds a network's numbers as the compiler would.

    Parameters
    ----------
    network : is run once, to see which layers feed which neurons
    example : an input for it, `[T, N, ...]`
    events : what the numbers of the input stand for

    Raises
    ------
    SpikeloomError
        If a width is out of range, if no layer with weights feeds a layer of neurons, or if a
        layer is recurrent.
    """

    def __init__(
        self,
        network: nn.Module,
        example: Tensor,
        weight_bits: int,
        events: Events = SPIKES,
    ) -> None:
        self.precision = Precision(weight_bits)
        self.groups = _find_groups(network, example, events.step)
        self.steps: list[list[float]] = [[math.inf] * len(group.gains) for group in self.groups]
        self.choose_steps()

    def choose_steps(self) -> None:
        """Choose the step of every layer's weights, where the present one no longer serves."""
        self.steps = [
            self._steps_of(group, steps)
            for group, steps in zip(self.groups, self.steps, strict=True)
        ]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network with rounded numbers and integer membranes; as it was, afterwards."""
        numbers = [(item, item.data) for group in self.groups for item in group.numbers]
        windows = [(group.neurons, group.neurons.window) for group in self.groups]
        try:
            for group, steps in zip(self.groups, self.steps, strict=True):
                self._round(group, steps)
            yield
        finally:
            for item, data in numbers:
                item.data = data
            for neurons, window in windows:
                neurons.window = window

    def _steps_of(self, group: Group, present: Sequence[float]) -> list[float]:
        largest = signed_range(self.precision.weight_bits)[1]
        best = [
            _best_step(_array(layer.weight), largest, step)
            for layer, step in zip(group.weighted, present, strict=True)
        ]
        weighed = [step * gain for step, gain in zip(best, group.gains, strict=True)]
        coarsest = max(weighed)
        return [
            coarsest * 0.5 ** math.floor(math.log2(coarsest / step)) / gain
            for step, gain in zip(weighed, group.gains, strict=True)
        ]

    @torch.no_grad()
    def _round(self, group: Group, steps: Sequence[float]) -> None:
        largest = signed_range(self.precision.weight_bits)[1]
        for layer, step in zip(group.weighted, steps, strict=True):
            units = np.clip(round_to_steps(_array(layer.weight), step), -largest, largest)
            if not units.any():
                raise SpikeloomError(
                    f"all weights of a layer {tuple(layer.weight.shape)} become zero in "
                    f"{self.precision.weight_bits} bits"
                )
            layer.weight.data = torch.from_numpy(units * step).to(layer.weight.dtype)
        self._round_neurons(group, self._unit(group, steps))

    def _unit(self, group: Group, steps: Sequence[float]) -> float:
        """What one unit of the layer's membrane is worth."""
        neurons, precision = group.neurons, self.precision
        largest = signed_range(precision.weight_bits)[1]
        tops = {
            place: largest * step * gain
            for place, (step, gain) in enumerate(zip(steps, group.gains, strict=True))
        }
        resolved = math.inf
        if neurons.rule.fire:
            decays = (self._decay(neurons.alpha), self._decay(neurons.beta))
            resolved = to_resolve(float(neurons.threshold.min()), *decays)
        return share_unit(tops, resolved, precision.weight_bits)[0]

    def _decay(self, factor: Tensor) -> Decay:
        return Decay.from_float(_array(factor).reshape(-1), self.precision.decay_bits)

    def _round_neurons(self, group: Group, scale: float) -> None:
        neurons = group.neurons
        for layer in group.weighted:
            if layer.bias is not None:
                # The gain behind a layer holds for its bias too; pooling before it does not.
                unit = scale / neurons.gain
                bias = round_to_steps(_array(layer.bias), unit) * unit
                layer.bias.data = torch.from_numpy(bias).to(layer.bias.dtype)
        has_current = bool(neurons.alpha.any())
        decays = [
            FixedDecay.of(self._decay(factor), factor) for factor in (neurons.alpha, neurons.beta)
        ]
        threshold = _array(neurons.threshold)
        if neurons.rule.compare == ">":
            threshold = np.nextafter(threshold, np.inf)
        values = [ceil_to_steps(float(value), scale) for value in threshold.reshape(-1)]
        units = torch.tensor(values, dtype=neurons.threshold.dtype).reshape(threshold.shape)
        neurons.alpha.data, neurons.beta.data = (decay.factor for decay in decays)
        if neurons.rule.compare == ">=":
            # For algorithms that compute with the numbers and do not run the neurons.
            neurons.threshold.data = units * scale
        window = FixedWindow(
            scale,
            units,
            decays[1],
            decays[0] if has_current else None,
            signed_range(choose_state_bits(self.precision, int(units.max()))),
        )
        if neurons.window is None:
            neurons.window = replace(window, spike=neurons.spike)
        elif isinstance(neurons.window, TsslWindow | SpikeBasedWindow):
            neurons.window = replace(neurons.window, forwards=window)


def _best_step(weight: NDArray[np.float64], largest: int, present: float) -> float:
    """The step that changes the weights least, among those up to max|w| / largest.

    The present one stays if it changes them little more, and the largest weight is the largest
    integer in it.
    """
    top = float(np.abs(weight).max())
    if not top:
        raise SpikeloomError(f"all weights of a layer of shape {weight.shape} are zero")
    steps = sorted({_shorten(top / largest * share) for share in _SHARES}, reverse=True)
    if largest > 16:
        return steps[0]
    errors = [_rounding_error(weight, step, largest) for step in steps]
    best = int(np.argmin(errors))
    if top / present >= largest - 0.5 and (
        errors[best] >= _KEPT * _rounding_error(weight, present, largest)
    ):
        return present
    return steps[best]


def _rounding_error(weight: NDArray[np.float64], step: float, largest: int) -> float:
    rounded = np.clip(round_to_steps(weight, step), -largest, largest) * step
    return float(np.square(rounded - weight).sum())


def _shorten(value: float) -> float:
    """The largest number of `_STEP_BITS` significant bits that is not above `value`."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(math.floor(math.ldexp(mantissa, _STEP_BITS)), exponent - _STEP_BITS)


def _array(tensor: Tensor) -> NDArray[np.float64]:
    values: NDArray[np.float64] = tensor.detach().double().numpy()
    return values


def _find_groups(network: nn.Module, example: Tensor, step: float) -> list[Group]:
    """Which layers feed which neurons: in the order of execution, all since the last neurons.

    Parameters
    ----------
    step : what an event of 1 is worth to the network's first layers
    """
    groups: list[Group] = []
    waiting: list[Weighted] = []
    gains: list[float] = []
    factor = step

    def see(layer: nn.Module, arguments: tuple[Tensor, ...], result: Tensor) -> None:
        nonlocal factor
        if isinstance(layer, AvgPool2d):
            factor /= layer.size**2
        elif isinstance(layer, nn.Linear | nn.Conv2d):
            waiting.append(layer)
            gains.append(factor)
        elif isinstance(layer, Recurrent):
            raise SpikeloomError(
                "the weights of a recurrent layer cannot be trained for few bits yet; train them "
                "in floats, and let 'compile' round them"
            )
        elif isinstance(layer, Spiking):
            if waiting:
                behind = tuple(gain * layer.gain for gain in gains)
                groups.append(Group(tuple(waiting), behind, layer))
            waiting.clear()
            gains.clear()
            factor = 1.0

    handles = [layer.register_forward_hook(see) for layer in network.modules()]
    try:
        with torch.no_grad():
            network(example)
    finally:
        for handle in handles:
            handle.remove()
    if not groups:
        raise SpikeloomError("no layer with weights feeds a layer of neurons: nothing to round")
    return groups
