"""docs/arithmetic.md once more, one neuron at a time in plain Python integers."""

import itertools
from dataclasses import dataclass

import numpy as np

from spikeloom.compiler.fixed import Decay, IntArray, Reset
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.ir import FixedNeuron, Network, Projection


@dataclass(frozen=True)
class PlainRun:
    """What a network did with one sample.

    Attributes
    ----------
    spikes, membranes : per layer, arrays of shape (T, neurons)
    saturated : per layer, how many currents and membranes were saturated
    """

    spikes: dict[str, Spikes]
    membranes: dict[str, IntArray]
    saturated: dict[str, int]
    scores: list[int]


def run_plainly(network: Network, events: Spikes) -> PlainRun:
    """Run a network on the events of one sample, shape (T, inputs)."""
    fired: dict[str, Spikes] = {network.input.name: events}
    membranes: dict[str, IntArray] = {}
    saturated: dict[str, int] = {}
    for layer in network.layers:
        assert isinstance(layer.neuron, FixedNeuron)
        edges = network.projections_to(layer.name)
        neurons = [_Neuron(layer.neuron, number) for number in range(layer.size)]
        spikes = np.zeros((network.steps, layer.size), np.int64)
        values = np.zeros_like(spikes)
        fired[layer.name] = spikes
        for step in range(network.steps):
            sums = np.zeros(layer.size, object)
            for edge in edges:
                before = step - (edge.pre == edge.post)
                if before >= 0:
                    sums += _synaptic_input(edge, fired[edge.pre][before], layer.size)
            for number, neuron in enumerate(neurons):
                spikes[step, number], values[step, number] = neuron.step(int(sums[number]))
        saturated[layer.name] = sum(neuron.saturated for neuron in neurons)
        membranes[layer.name] = values
    del fired[network.input.name]
    return PlainRun(fired, membranes, saturated, _scores(network, fired, membranes))


class _Neuron:
    """Neuron `number` of a layer, from rest."""

    def __init__(self, neuron: FixedNeuron, number: int) -> None:
        self.neuron, self.number = neuron, number
        self.threshold, self.bias = int(neuron.threshold[number]), int(neuron.bias[number])
        self.current = self.state = self.saturated = 0
        self.spent = False

    def step(self, synaptic: int) -> tuple[bool, int]:
        """Whether it spikes, and its membrane, in the next time step."""
        neuron, number = self.neuron, self.number
        accumulated = synaptic + self.bias
        if neuron.current_decay is not None:
            accumulated += _decay(neuron.current_decay, number, self.current)
            self.current = _saturate(accumulated, neuron.current_bits)
            self.saturated += self.current != accumulated
        membrane = _decay(neuron.decay, number, self.state) + accumulated
        spike = neuron.fire and membrane >= self.threshold
        if neuron.single_spike and self.spent:
            spike = False
        self.spent = self.spent or spike
        state = membrane
        if spike and neuron.reset is Reset.ZERO:
            state = 0
        elif spike and neuron.reset is Reset.SUBTRACT:
            state = membrane - self.threshold
        self.state = _saturate(state, neuron.state_bits)
        self.saturated += self.state != state
        return spike, membrane


def _decay(decay: Decay, number: int, value: int) -> int:
    divisor = 1 << decay.shift
    return (value * int(decay.multiplier[number]) + divisor // 2) // divisor


def _saturate(value: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return max(-half, min(half - 1, value))


def _synaptic_input(edge: Projection, events: Spikes, size: int) -> list[int]:
    values = {index: int(value) for index, value in enumerate(events.reshape(-1)) if value}
    if edge.pooling is not None:
        _, height, width = edge.pooling.shape
        _, rows, columns = edge.pooling.result
        pooled: dict[int, int] = {}
        for index, value in values.items():
            channel, place = divmod(index, height * width)
            row, column = (part // edge.pooling.size for part in divmod(place, width))
            if row < rows and column < columns:
                address = (channel * rows + row) * columns + column
                pooled[address] = pooled.get(address, 0) + value
        values = pooled
    sums = [0] * size
    if edge.convolution is None:
        for index, value in values.items():
            for post in range(size):
                sums[post] += value * (int(edge.weight[post, index]) << edge.weight_shift)
        return sums
    each = edge.convolution
    channels, height, width = each.shape
    _, rows, columns = each.result
    share = channels // each.groups
    for post, (feature, row, column) in enumerate(
        itertools.product(range(each.features), range(rows), range(columns))
    ):
        group = feature // (each.features // each.groups)
        for channel, down, across in itertools.product(
            range(share), range(each.kernel[0]), range(each.kernel[1])
        ):
            y = row * each.stride[0] + down - each.padding[0]
            x = column * each.stride[1] + across - each.padding[1]
            if 0 <= y < height and 0 <= x < width:
                index = ((group * share + channel) * height + y) * width + x
                weight = int(edge.weight[feature, channel, down, across]) << edge.weight_shift
                sums[post] += values.get(index, 0) * weight
    return sums


def _scores(
    network: Network, fired: dict[str, Spikes], membranes: dict[str, IntArray]
) -> list[int]:
    readout, steps = network.readout, network.steps
    scores = []
    for number, values in enumerate(membranes[readout.population].T.tolist()):
        times = np.flatnonzero(fired[readout.population][:, number]).tolist()
        scores.append(
            {
                "spike_count": len(times),
                "weighted_spike_count": sum(
                    int(readout.weights[time]) for time in times if readout.weights
                ),
                "first_spike": steps - times[0] if times else 0,
                "final_membrane": values[-1],
                "maximum_membrane": max(values),
            }[readout.kind]
        )
    size = readout.group
    return [sum(scores[first : first + size]) for first in range(0, len(scores), size)]
