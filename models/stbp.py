"""STBP: spatio-temporal backpropagation.

Wu, Deng, Li, Zhu, Shi: Spatio-Temporal Backpropagation for Training High-Performance Spiking Neural
Networks, Frontiers in Neuroscience 12:331, 2018. As in the authors' PyTorch code:

- u[t] = decay u[t-1] (1 - s[t-1]) + W x[t] + b, s[t] = u[t] > threshold (paper: equations 11 to 16
  with ">=");
- backwards, plain backpropagation through the unrolled window, the reset included, with a surrogate
  for the derivative of a spike (`spikeloom.models.surrogates`, the paper's h1 to h4);
- the loss is the mean squared error between the one-hot class and the rates (1/T) sum_t s[t];
- pooling is the average of spikes; on CIFAR-10 ten neurons vote for each class.
"""

from dataclasses import dataclass, field

from torch import Tensor, nn

from spikeloom.models.algorithm import Algorithm, Judged
from spikeloom.models.layers import SpikeCount, Spiking
from spikeloom.models.stateless import AvgPool2d
from spikeloom.models.surrogates import Rectangle, Surrogate


def rate_loss(spikes: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error between one-hot labels and the share of steps with a spike.

    The paper's loss is half the sum over the classes; the authors' code takes the mean.

    Parameters
    ----------
    spikes : shape `[T, N, classes]`, or the mean spikes of the neurons that vote for a class
    labels : int64, shape `[N]`
    """
    rates = spikes.mean(0)
    targets = nn.functional.one_hot(labels, rates.shape[1]).to(rates.dtype)
    return nn.functional.mse_loss(rates, targets)


@dataclass(frozen=True)
class Stbp(Algorithm):
    """STBP with one decay and threshold for all neurons.

    Attributes
    ----------
    decay : of the membrane per step, 0 .. 1; the authors' code has 0.2, 0.25, 0.3 and 0.5
    threshold : > 0; the authors' code has 0.5, 0.75, 0.3 and 0.3 with these
    """

    decay: float = 0.2
    threshold: float = 0.5
    surrogate: Surrogate = field(default_factory=Rectangle)
    bias: bool = True

    def neurons(self, gain: float = 1.0) -> Spiking:
        return Spiking(self.decay, self.threshold, gain=gain, spike=self.surrogate)

    def pool(self, size: int) -> nn.Module:
        return AvgPool2d(size)

    def readout(self) -> nn.Module:
        return SpikeCount()

    def judge(self, network: nn.Sequential, inputs: Tensor, labels: Tensor) -> Judged:
        spikes = network[:-1](inputs)
        return Judged(rate_loss(spikes, labels), network[-1](spikes.detach()))
