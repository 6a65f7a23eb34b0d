"""What a training algorithm decides: neurons, pooling, readout, initial weights, and the loss.

All algorithms train networks of one kind of neuron (`spikeloom.models.neuron`); they differ in its
parameters, the backward pass and the loss. A network is an `nn.Sequential` whose last child is the
readout, so that `network[:-1]` gives the window that the loss judges.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from spikeloom.models.layers import Integrator, Spiking


class Activity(NamedTuple):
    """Spikes, and how many there would be if every neuron spiked at every step."""

    spikes: float
    chances: int


class Judged(NamedTuple):
    """What a batch gives.

    Attributes
    ----------
    loss : scalar with a gradient
    scores : shape `[N, classes]`, what the network's readout gives, without a gradient
    activity : of an algorithm that does not run the layers of neurons, whose spikes are counted
        where they run
    """

    loss: Tensor
    scores: Tensor
    activity: Activity | None = None


class Algorithm(ABC):
    """A training algorithm; its parts are what `spikeloom.models.networks` builds from."""

    bias: bool = False
    """Whether linear layers have a bias."""

    @abstractmethod
    def neurons(self, gain: float = 1.0) -> Spiking:
        """A hidden layer of neurons, with an additional factor on its current."""

    def output(self, gain: float = 1.0) -> Spiking | Integrator:
        """The last layer of neurons; as the hidden ones unless the algorithm says otherwise."""
        return self.neurons(gain)

    @abstractmethod
    def pool(self, size: int) -> nn.Module:
        """Pooling over squares of `size` pixels."""

    def pool_gain(self, size: int) -> float:
        """What linear pooling multiplies by, which the next layer of neurons does in its place."""
        return 1.0

    def dropout(self, probability: float) -> nn.Module:
        """Dropout behind hidden layers of neurons; a fresh mask at every step unless overridden."""
        return nn.Dropout(probability)

    @abstractmethod
    def readout(self) -> nn.Module:
        """The decision rule."""

    def initialise(self, network: nn.Module) -> None:
        """Draw the weights from torch's random state; torch's own choice unless overridden."""
        return

    def constrain(self, network: nn.Module) -> None:
        """What happens to the weights after every update; nothing unless overridden."""
        return

    @abstractmethod
    def judge(self, network: nn.Sequential, inputs: Tensor, labels: Tensor) -> Judged:
        """Run a batch and give the loss to be minimised.

        Parameters
        ----------
        inputs : shape `[T, N, ...]`, spikes or real-valued currents
        labels : int64, shape `[N]`
        """


def fan_in(layer: nn.Linear | nn.Conv2d) -> int:
    """Synapses per neuron."""
    return layer.weight[0].numel()


def linear_layers(network: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """All layers with weights, in the order in which the network holds them."""
    return [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
