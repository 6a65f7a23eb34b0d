"""Decision rules: from the last layer's window `[T, N, classes]` to scores `[N, classes]`.

The class with the highest score wins, of equal scores the lowest class. Every rule is a module of
operators that ONNX has. The fifth, the spike count, is `spikeloom.models.layers.SpikeCount`.
"""

import torch
from torch import Tensor, nn

from spikeloom.compiler.errors import SpikeloomError


class TimeWeightedSum(nn.Module):
    """TSSL-BP: the post-synaptic potential of the output neurons, summed over the window.

    A spike at step t is worth what its kernel (1 / tau_s) (1 - 1 / tau_s)^n sums to until the end:
    1 - (1 - 1 / tau_s)^(T - t) (Zhang & Li, NeurIPS 2020; the authors' code sums the potentials).
    The worth is rounded to 16 fraction bits, so that sums over up to 255 steps are exact in 32-bit
    floats, in any order.

    Parameters
    ----------
    tau_s : time constant of the synapse, in steps, >= 1
    """

    def __init__(self, tau_s: float) -> None:
        super().__init__()
        if not tau_s >= 1:
            raise SpikeloomError(f"time-weighted sum has tau_s = {tau_s:g} steps; wanted >= 1")
        self.tau_s = tau_s

    def weights(self, spikes: Tensor) -> Tensor:
        """What a spike at each step is worth, `[T]`, falling with time."""
        remaining = torch.arange(len(spikes), 0, -1, dtype=spikes.dtype, device=spikes.device)
        exact = 1 - torch.pow(1 - 1 / self.tau_s, remaining.double())
        return ((exact * 2**16).round() / 2**16).to(spikes.dtype)

    def forward(self, spikes: Tensor) -> Tensor:
        """Sum of the spikes' worths."""
        return (spikes * self.weights(spikes).view(-1, *[1] * (spikes.ndim - 1))).sum(0)

    def extra_repr(self) -> str:
        return f"tau_s={self.tau_s:g}"


class FirstSpike(nn.Module):
    """STDBP: the neuron that spikes first wins (argmin of the spike times).

    The score is how many steps are left at the first spike, that step included: T for a spike at
    step 0, 1 at the last step, 0 for a silent neuron.
    """

    def forward(self, spikes: Tensor) -> Tensor:
        """Steps left at the first spike."""
        remaining = torch.arange(len(spikes), 0, -1, dtype=spikes.dtype, device=spikes.device)
        return (spikes * remaining.view(-1, *[1] * (spikes.ndim - 1))).amax(0)


class FinalMembrane(nn.Module):
    """Spike-based BP: the membrane after the last step.

    Stands behind a `spikeloom.models.layers.Integrator`.
    """

    def forward(self, membranes: Tensor) -> Tensor:
        """Membranes of the last step."""
        return membranes[-1]


class GroupVote(nn.Module):
    """STBP on CIFAR-10: the mean over the neurons that vote for one class.

    Neurons `size * c` to `size * (c + 1) - 1` of the last axis vote for class c. Linear, so that it
    may stand before or after the sum over time (the authors' code: a fixed voting matrix of 0.1).

    Parameters
    ----------
    size : neurons per class
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, values: Tensor) -> Tensor:
        """Means, `[..., classes * size]` to `[..., classes]`."""
        if values.shape[-1] % self.size:
            raise SpikeloomError(
                f"vote of {self.size} neurons per class has {values.shape[-1]} neurons; wanted a "
                f"multiple of {self.size}"
            )
        return values.reshape(*values.shape[:-1], -1, self.size).mean(-1)

    def extra_repr(self) -> str:
        return f"{self.size}"
