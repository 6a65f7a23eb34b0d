"""A fixed network as one would write it in torch, step by step in floats: what speed is held to."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spikeloom.compiler.fixed import Decay, IntArray, Reset
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.ir import FixedNeuron, Network, Population, Projection
from spikeloom.compiler.readouts import MEMBRANE_READOUTS, readout_scores


class TorchLoop:
    """The same weights, decays, thresholds and readout in float32.

    Membranes are neither rounded nor saturated, so that a spike may differ now and then.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.layers = [_Layer(network, layer) for layer in network.layers]

    def __call__(self, events: Tensor) -> IntArray:
        """Scores, shape (batch, classes), of events: float32, shape (T, batch, inputs)."""
        readout = self.network.readout
        kept: list[Tensor] = []
        with torch.no_grad():
            for layer in self.layers:
                layer.rest(events.shape[1])
            fired = {layer.name: torch.zeros(events.shape[1], layer.size) for layer in self.layers}
            for now in events:
                fired[self.network.input.name] = now
                for layer in self.layers:
                    fired[layer.name] = layer.step(fired)
                    if layer.name == readout.population:
                        of_membranes = readout.kind in MEMBRANE_READOUTS
                        kept.append(layer.potential if of_membranes else fired[layer.name])
            values = torch.stack(kept).numpy()
        whole: IntArray = np.rint(values).astype(np.int64)
        return readout_scores(readout, whole, whole)


def as_floats(events: Spikes) -> Tensor:
    """Events as the loop takes them."""
    return torch.from_numpy(events.astype(np.float32))


class _Layer:
    """A layer with its states, each of shape (batch, neurons)."""

    def __init__(self, network: Network, population: Population) -> None:
        neuron = population.neuron
        assert isinstance(neuron, FixedNeuron)
        self.name, self.size, self.neuron = population.name, population.size, neuron
        self.edges = [(edge.pre, _linear(edge)) for edge in network.projections_to(population.name)]
        self.beta, self.alpha = _factors(neuron.decay), _factors(neuron.current_decay)
        self.bias, self.threshold = (
            torch.from_numpy(values.astype(np.float32))
            for values in (neuron.bias, neuron.threshold)
        )

    def rest(self, batch: int) -> None:
        """Begin a window."""
        self.membrane = self.current = self.spent = torch.zeros(batch, self.size)
        self.potential = self.membrane

    def step(self, fired: dict[str, Tensor]) -> Tensor:
        """The spikes of this time step, given those of the populations before, and its last."""
        neuron = self.neuron
        added = self.bias
        for pre, linear in self.edges:
            added = added + linear(fired[pre])
        if self.alpha is not None:
            added = self.current = self.alpha * self.current + added
        assert self.beta is not None
        self.potential = self.membrane = self.beta * self.membrane + added
        if not neuron.fire:
            return torch.zeros_like(self.membrane)
        spikes = (self.potential >= self.threshold).float()
        if neuron.single_spike:
            spikes = spikes * (1 - self.spent)
            self.spent = self.spent + spikes
        if neuron.reset is Reset.ZERO:
            self.membrane = self.potential * (1 - spikes)
        elif neuron.reset is Reset.SUBTRACT:
            self.membrane = self.potential - self.threshold * spikes
        return spikes


def _factors(decay: Decay | None) -> Tensor | None:
    return None if decay is None else torch.from_numpy(decay.factors.astype(np.float32))


def _linear(edge: Projection) -> Callable[[Tensor], Tensor]:
    """The weighted sums of a projection as a function of its events."""
    scaled = np.ldexp(edge.weight.astype(np.float32), edge.weight_shift)
    weight = torch.from_numpy(scaled)
    pooling, convolution = edge.pooling, edge.convolution

    def weigh(events: Tensor) -> Tensor:
        if pooling is not None:
            maps = events.reshape(-1, *pooling.shape)
            events = functional.avg_pool2d(maps, pooling.size, divisor_override=1)
        if convolution is None:
            return functional.linear(events.flatten(1), weight)
        top, left, bottom, right = convolution.padding
        maps = functional.pad(events.reshape(-1, *convolution.shape), (left, right, top, bottom))
        sums = functional.conv2d(maps, weight, stride=convolution.stride, groups=convolution.groups)
        return sums.flatten(1)

    return weigh
