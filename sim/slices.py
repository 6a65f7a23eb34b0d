# amaranth: UnusedElaboratable=no
"""Networks too large for any part here: verified and synthesised layer by layer, in slices.

A slice is a layer, or a residual block, as it stands in the network: with all its neurons, features
and weights. For a simulator a small dense layer reads it out. For a part, whose block RAMs do not
hold the weights, a core keeps all its neurons and lanes, and so many channels of its input as fit.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.autograd import backward

from spikeloom.compiler.budget import Budget
from spikeloom.compiler.convolution_core import ConvolutionCore, legal_lanes
from spikeloom.compiler.cores import Core
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.estimate import core_size
from spikeloom.compiler.fixed import Decay, Reset
from spikeloom.compiler.ir import (
    Events,
    FixedNeuron,
    Network,
    Population,
    Projection,
    Readout,
)
from spikeloom.compiler.mapping import convolutions_of
from spikeloom.compiler.onnx_import import import_network
from spikeloom.compiler.passes import lower
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.program import Program
from spikeloom.compiler.sources import MapSource, Source

STEPS = 3
# Block RAMs that a core may take of a part: what stands beside it needs some as well.
SHARE_OF_BLOCKS = 0.85


@dataclass(frozen=True, slots=True)
class Slice:
    """Layers of a large network that are looked at by themselves.

    Attributes
    ----------
    network : name of its architecture
    layers : one, or the two of a residual block
    kind : what they are an example of
    """

    network: str
    layers: tuple[str, ...]
    kind: str

    @property
    def name(self) -> str:
        """For reports and folders."""
        return f"{self.network} {self.layers[-1]}"


SLICES = (
    Slice("cifar-vgg9", ("hidden1",), "3 x 3 convolution of signed events, 32 x 32 pixels"),
    Slice("cifar-vgg9", ("hidden2",), "3 x 3 convolution, 32 x 32 pixels"),
    Slice("cifar-vgg9", ("pool1_neurons",), "pooling neurons"),
    Slice("cifar-vgg9", ("hidden7",), "3 x 3 convolution of 256 channels, 8 x 8 pixels"),
    Slice("cifar-vgg9", ("hidden8",), "dense layer behind feature maps"),
    Slice("cifar-vgg9", ("output",), "dense layer that is read out by its membranes"),
    Slice("cifar-resnet11", ("block1_first", "block1_second"), "residual block, 1 x 1 convolution"),
    Slice(
        "cifar-resnet11",
        ("block2_first", "block2_second"),
        "residual block with stride 2, 1 x 1 convolution",
    ),
    Slice(
        "cifar-resnet11", ("block4_first", "block4_second"), "residual block with stride 2, pixels"
    ),
)

NETWORKS = tuple(dict.fromkeys(item.network for item in SLICES))


def large_network(name: str, steps: int = STEPS) -> Network:
    """VGG9 or ResNet11 for CIFAR-10 after one step of training, as a fixed network.

    Thresholds are such that spikes cross it within a few steps: the published ones take longer.

    Parameters
    ----------
    name : one of `NETWORKS`
    """
    from spikeloom.models.export import convert
    from spikeloom.models.recipes import find
    from spikeloom.models.spikebp import SpikeBased

    recipe = find(f"spikebp-{name}")
    encoder = recipe.with_steps(steps).encoder
    algorithm = SpikeBased(threshold=0.2, pool_threshold=0.1, init_gain=1)
    torch.manual_seed(0)
    module = recipe.network.build(algorithm)
    optimiser = torch.optim.SGD(module.parameters(), 1e-3)
    judged = algorithm.judge(module, torch.randn(steps, 1, 3, 32, 32), torch.tensor([3]))
    backward(judged.loss)
    optimiser.step()
    algorithm.constrain(module)
    model = convert(module, steps, (3, 32, 32), encoder, name)
    return lower(import_network(model, name))


def sliced(network: Network, layers: tuple[str, ...]) -> Network:
    """Layers of a network behind an input of their own, with a dense layer of ten to read them out.

    A layer that the network itself reads out needs no other.

    Raises
    ------
    SpikeloomError
        If they receive events of several populations that are not among them.
    """
    edges = [edge for edge in network.projections if edge.post in layers]
    given = list(dict.fromkeys(edge.pre for edge in edges if edge.pre not in layers))
    if len(given) != 1:
        raise SpikeloomError(
            f"a slice of the layers {', '.join(layers)} receives events of {', '.join(given)}; "
            "wanted those of one population"
        )
    pre = network.population(given[0])
    kept = tuple(item for item in network.layers if item.name in layers)
    entry = Population("input", pre.shape, None, pre.source)
    edges = [replace(edge, pre="input") if edge.pre == pre.name else edge for edge in edges]
    readout = network.readout
    if kept[-1].name != readout.population:
        judge, edge = _judge(kept[-1])
        kept, readout = (*kept, judge), Readout(judge.name)
        edges.append(edge)
    alone = replace(
        network,
        name=f"{network.name}-{layers[-1]}",
        populations=(entry, *kept),
        projections=tuple(edges),
        readout=readout,
        events=network.events if pre is network.input else Events(folded=True),
    )
    alone = bound_accumulators(alone)
    alone.verify()
    return alone


def _judge(layer: Population) -> tuple[Population, Projection]:
    """Ten neurons with small random weights, behind a layer."""
    random = np.random.default_rng(0)
    weight = random.integers(-2, 2, (10, layer.size))
    neuron = FixedNeuron(
        decay=Decay(np.ones(10, np.int64), 0),
        threshold=np.full(10, 8),
        bias=np.zeros(10, np.int64),
        reset=Reset.SUBTRACT,
        scale=1.0,
        state_bits=16,
    )
    edge = Projection(layer.name, "judge", weight, "judge", weight_bits=2)
    return Population("judge", (10,), neuron, "judge"), edge


def folded(network: Network, most_lanes: int) -> Program:
    """A program whose layers have as many lanes as they can, up to a number.

    Pooling neurons have one: an event reaches one channel, so that others would have nothing to do.
    """
    lanes = {}
    for layer in network.layers:
        convolutions = convolutions_of(network, layer)
        legal = legal_lanes(convolutions) if convolutions else range(1, layer.size + 1)
        is_depthwise = convolutions and all(
            each.groups == each.features == each.shape[0] for each in convolutions
        )
        most = 1 if is_depthwise else most_lanes
        lanes[layer.name] = max(count for count in legal if count <= most)
    return Program(network, lanes)


def fitting(core: Core, budget: Budget) -> tuple[Core, int]:
    """A core with as many channels of its sources as a part's block RAMs hold the weights of.

    Returns
    -------
    The core, and the channels (of a vector: neurons) that its largest source has kept.

    Raises
    ------
    SpikeloomError
        If not even one channel fits.
    """
    most = max(_channels(source) for source in core.sources)
    allowed = budget.blocks * SHARE_OF_BLOCKS
    for channels in (most, *(1 << power for power in reversed(range(most.bit_length())))):
        narrow = _narrowed(core, channels)
        if core_size(narrow, budget).blocks <= allowed:
            return narrow, min(channels, most)
    raise SpikeloomError(
        f"layer '{core.name}' takes {core_size(narrow, budget).blocks:,.0f} block RAMs with one "
        f"channel of its input; {allowed:,.0f} are there for it"
    )


def _channels(source: Source) -> int:
    return source.maps[0] if isinstance(source, MapSource) else source.inputs


def _narrowed(core: Core, channels: int) -> Core:
    return replace(core, sources=tuple(_first_channels(item, channels) for item in core.sources))


def _first_channels(source: Source, channels: int) -> Source:
    if not isinstance(source, MapSource):
        return replace(
            source, shape=(min(channels, source.inputs),), weight=source.weight[:, :channels]
        )
    each = source.convolution
    if each.groups > 1 or _channels(source) <= channels:
        # Of a depthwise convolution the channels are those of the layer itself.
        return source
    changed: dict[str, Any] = {"shape": (channels, *source.maps[1:])}
    return replace(
        source,
        **changed,
        weight=source.weight[:, :channels],
        convolution=replace(each, shape=(channels, *each.shape[1:])),
    )


def state_bits(core: Core) -> int:
    """Size of the memories of sums and states."""
    neuron = core.neuron
    width = core.sum_bits + neuron.state_bits + neuron.current_bits
    return core.neurons * width


def shape_of(core: Core) -> str:
    """What a core computes, in words of the network."""
    if not isinstance(core, ConvolutionCore):
        return f"{core.inputs} to {core.neurons}"
    given = " + ".join("x".join(map(str, source.maps)) for source in core.sources)
    return f"{given} to {'x'.join(map(str, core.shape))}"
