"""Layers of neurons as torch modules. Time is axis 0, batch is axis 1.

Linear layers are torch's own (`torch.nn.Linear` on `[T, N, K]`); what stands here is what torch
does not have. During an ONNX export a layer of neurons becomes one node `spikeloom::Neuron`, or
`spikeloom::RecurrentNeuron`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.operator import DOMAIN, VERSION
from spikeloom.models import neuron
from spikeloom.models.neuron import (
    Compare,
    Parameters,
    Reset,
    Rule,
    SpikeFunction,
    Window,
    WindowFunction,
)
from spikeloom.models.surrogates import Rectangle

Value = float | Tensor


class Spiking(nn.Module):
    """A layer of leaky integrate-and-fire neurons over a whole window, from rest.

    Takes currents and gives spikes, both `[T, N, ...]`.

    Parameters
    ----------
    beta, threshold, alpha : see `spikeloom.models.neuron.Parameters`; a number or a tensor that
        broadcasts to `[N, ...]` is fixed, an `nn.Parameter` is learned
    gain : factor on the current, such as 1 / tau_s of a normalised synaptic kernel
    reset, compare, fire, single_spike : see `spikeloom.models.neuron.Rule`
    spike : how gradients pass through a spike; a rectangle unless `window` is given
    window : computes the whole window with a gradient of its own, in place of `spike`

    Raises
    ------
    SpikeloomError
        If a decay lies outside [0, 1] or a threshold is not above 0; if both `spike` and `window`
        are given, or a `window`, which has no gradient for them, and an `nn.Parameter`.
    """

    alpha: Tensor
    beta: Tensor
    threshold: Tensor

    def __init__(
        self,
        beta: Value = 0.5,
        threshold: Value = 1.0,
        alpha: Value = 0.0,
        *,
        gain: float = 1.0,
        reset: Reset = "zero",
        compare: Compare = ">",
        fire: bool = True,
        single_spike: bool = False,
        spike: SpikeFunction | None = None,
        window: WindowFunction | None = None,
    ) -> None:
        super().__init__()
        if spike is not None and window is not None:
            raise SpikeloomError("a layer of neurons has both 'spike' and 'window'; wanted one")
        self.gain = gain
        self.rule = Rule(reset, compare, fire, single_spike)
        self.spike = spike or Rectangle()
        self.window = window
        for name, value in (("alpha", alpha), ("beta", beta), ("threshold", threshold)):
            _check_range(name, value)
            if isinstance(value, nn.Parameter):
                if window is not None:
                    raise SpikeloomError(
                        f"{name} of a layer of neurons is to be learned, and {window!r} has no "
                        "gradient for it; wanted a surrogate"
                    )
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, torch.as_tensor(value, dtype=torch.get_default_dtype()))

    def forward(self, current: Tensor) -> Tensor:
        """Spikes of the window, shape and type of `current`."""
        return self.integrate(current).spikes

    def integrate(self, current: Tensor) -> Window:
        """Spikes and membranes before the reset, each of the shape of `current`."""
        if self.gain != 1:
            current = current * self.gain
        if torch.onnx.is_in_onnx_export():
            return _node("Neuron", (current,), self)
        if self.window is not None:
            return self.window(current, self._decays_and_threshold, self.rule)
        return neuron.unroll(current, self._decays_and_threshold, self.rule, self.spike)

    @property
    def _decays_and_threshold(self) -> Parameters:
        alpha = self.alpha if _keeps_current(self.alpha) else None
        return Parameters(alpha, self.beta, self.threshold)

    def extra_repr(self) -> str:
        shown = (f"{name}={_describe(getattr(self, name))}" for name in Parameters._fields)
        gain = f", gain={self.gain:g}" if self.gain != 1 else ""
        return f"{', '.join(shown)}{gain}, {self.rule}"


class Integrator(Spiking):
    """Neurons that never fire: currents to membranes, both `[T, N, ...]`.

    Parameters
    ----------
    beta, alpha, gain, window : see `Spiking`
    """

    def __init__(
        self,
        beta: Value = 0.5,
        alpha: Value = 0.0,
        *,
        gain: float = 1.0,
        window: WindowFunction | None = None,
    ) -> None:
        super().__init__(beta, alpha=alpha, gain=gain, fire=False, reset="none", window=window)

    def forward(self, current: Tensor) -> Tensor:
        """Membranes of the window, shape and type of `current`."""
        return self.integrate(current).potentials


class Recurrent(Spiking):
    """A layer of neurons whose spikes reach itself a time step later.

    Takes currents and gives spikes, both `[T, N, neurons]`. In step t the current grows by
    `weight @ spikes[t - 1]`; in the first one by nothing.

    Parameters
    ----------
    neurons : how many, >= 1
    gain : factor on the current, the recurrent one included
    beta, threshold, alpha, reset, compare, single_spike, spike : see `Spiking`

    Attributes
    ----------
    weight : nn.Parameter, shape (neurons, neurons), [to, from]; drawn as that of `nn.Linear`

    Raises
    ------
    SpikeloomError
        As `Spiking` does; if there is no neuron, or if currents of another shape are given.
    """

    def __init__(
        self,
        neurons: int,
        beta: Value = 0.5,
        threshold: Value = 1.0,
        alpha: Value = 0.0,
        *,
        gain: float = 1.0,
        reset: Reset = "zero",
        compare: Compare = ">",
        single_spike: bool = False,
        spike: SpikeFunction | None = None,
    ) -> None:
        super().__init__(
            beta,
            threshold,
            alpha,
            gain=gain,
            reset=reset,
            compare=compare,
            single_spike=single_spike,
            spike=spike,
        )
        if neurons < 1:
            raise SpikeloomError(f"a recurrent layer has {neurons} neurons; wanted >= 1")
        self.neurons = neurons
        self.weight = nn.Linear(neurons, neurons, bias=False).weight

    def integrate(self, current: Tensor) -> Window:
        """Spikes and membranes before the reset, each of the shape of `current`."""
        if current.dim() != 3 or current.shape[2] != self.neurons:
            raise SpikeloomError(
                f"a recurrent layer of {self.neurons} neurons got a current of shape "
                f"{tuple(current.shape)}; wanted [T, N, {self.neurons}]"
            )
        weight = self.weight.T
        if self.gain != 1:
            current, weight = current * self.gain, weight * self.gain
        if torch.onnx.is_in_onnx_export():
            return _node("RecurrentNeuron", (current, weight), self)
        return neuron.unroll(
            current,
            self._decays_and_threshold,
            self.rule,
            self.spike,
            lambda spikes: spikes @ weight,
        )

    def extra_repr(self) -> str:
        return f"{self.neurons}, {super().extra_repr()}"


class SpikeCount(nn.Module):
    """The readout: how often each neuron spiked, `[T, N, ...]` to `[N, ...]`."""

    def forward(self, spikes: Tensor) -> Tensor:
        """Number of spikes over the window."""
        return spikes.sum(0)


class Recorded(NamedTuple):
    """A module's output and, per layer of neurons, its spikes `[T, N, ...]`."""

    output: Tensor
    spikes: dict[str, Tensor]


def record_spikes(module: nn.Module, spikes: Tensor) -> Recorded:
    """Run a module and keep the spikes of every `Spiking` layer; zeros of an `Integrator`.

    A layer is named by its path in the module; the second use of a shared layer adds `#2`, and so
    on. `spikeloom.models.export` names the nodes of the ONNX file in the same way.
    """
    kept: dict[str, Tensor] = {}

    def hook(path: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def keep(layer: nn.Module, arguments: tuple[Tensor, ...], result: Tensor) -> None:
            uses = sum(name.partition("#")[0] == path for name in kept)
            spikes = torch.zeros_like(result) if isinstance(layer, Integrator) else result.detach()
            kept[path if uses == 0 else f"{path}#{uses + 1}"] = spikes

        return keep

    handles = [
        layer.register_forward_hook(hook(path))
        for path, layer in module.named_modules()
        if isinstance(layer, Spiking)
    ]
    try:
        return Recorded(module(spikes), kept)
    finally:
        for handle in handles:
            handle.remove()


def _node(operator: str, given: tuple[Tensor, ...], layer: Spiking) -> Window:
    """A layer as one node; given are the current and what comes before the decays."""
    rule, current = layer.rule, given[0]
    spikes, membranes = torch.onnx.ops.symbolic_multi_out(
        f"{DOMAIN}::{operator}",
        (*given, layer.alpha, layer.beta, layer.threshold),
        attrs={
            "reset": rule.reset,
            "compare": rule.compare,
            "fire": int(rule.fire),
            "single_spike": int(rule.single_spike),
        },
        dtypes=(current.dtype, current.dtype),
        shapes=(current.shape, current.shape),
        version=VERSION,
    )
    return Window(spikes, membranes)


def _keeps_current(alpha: Tensor) -> bool:
    """Whether neurons need a synaptic state; on the meta device there are only shapes anyway."""
    return alpha.requires_grad or (not alpha.is_meta and bool(alpha.any()))


def _check_range(name: str, value: Value) -> None:
    tensor = value.detach() if isinstance(value, Tensor) else torch.tensor(value, device="cpu")
    if tensor.is_meta:
        return
    if name == "threshold":
        legal, wanted = tensor > 0, "> 0"
    else:
        legal, wanted = (tensor >= 0) & (tensor <= 1), "0 .. 1"
    if not bool((legal & tensor.isfinite()).all()):
        wrong = tensor[~(legal & tensor.isfinite())].flatten()[0].item()
        raise SpikeloomError(f"{name} of a layer of neurons is {wrong:g}; wanted {wanted}")


def _describe(tensor: Tensor) -> str:
    return f"{tensor.item():g}" if tensor.numel() == 1 else f"tensor{tuple(tensor.shape)}"
