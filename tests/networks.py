"""Random fixed networks and input spikes that several test files share."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikeloom.compiler.fixed import Decay, Reset, signed_range
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.ir import FixedNeuron, Network, Population, Projection, Readout
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators

# How the decays of a layer's neurons are drawn. Powers of two are wiring in hardware, all others
# need a multiplier.
DECAYS = ("zero", "one", "half", "sixteenth", "general", "per neuron")


@dataclass(frozen=True)
class LayerOptions:
    """What a random layer is drawn from; the numbers themselves come from the network's seed.

    Attributes
    ----------
    decay : one of DECAYS
    per_neuron : whether thresholds and biases differ from neuron to neuron
    """

    reset: Reset = Reset.ZERO
    decay: str = "half"
    decay_bits: int = 8
    weight_bits: int = 8
    weight_shift: int = 0
    state_bits: int = 16
    per_neuron: bool = True


def random_network(
    seed: int, sizes: list[int], steps: int, layers: list[LayerOptions], skip: bool = False
) -> Network:
    """A fixed chain of dense layers; with `skip`, the input also projects onto the last one.

    Parameters
    ----------
    sizes : number of inputs, then the neurons of each layer
    layers : options of each layer
    """
    random = np.random.default_rng(seed)
    names = ["input", *(f"layer{number}" for number in range(1, len(sizes)))]
    populations = [Population("input", (sizes[0],), None, "spikes")]
    projections = []
    for number, options in enumerate(layers, start=1):
        pre, post = names[number - 1], names[number]
        inputs, size = sizes[number - 1], sizes[number]
        populations.append(Population(post, (size,), _neuron(random, inputs, size, options), post))
        projections.append(_projection(random, (pre, inputs), (post, size), options))
    if skip and len(layers) > 1:
        ends = ("input", sizes[0]), (names[-1], sizes[-1])
        projections.append(_projection(random, *ends, layers[-1]))
    network = bound_accumulators(
        Network("random", steps, tuple(populations), tuple(projections), Readout(names[-1]))
    )
    network.verify()
    return network


def _projection(
    random: np.random.Generator, pre: tuple[str, int], post: tuple[str, int], options: LayerOptions
) -> Projection:
    low, high = signed_range(options.weight_bits)
    return Projection(
        pre=pre[0],
        post=post[0],
        weight=random.integers(low, high + 1, (post[1], pre[1])),
        source=f"{pre[0]} to {post[0]}",
        weight_bits=options.weight_bits,
        weight_shift=options.weight_shift,
    )


def _neuron(
    random: np.random.Generator, inputs: int, size: int, options: LayerOptions
) -> FixedNeuron:
    # A sum of independent weights grows with the root of their number: so some neurons of a layer
    # fire often and some hardly ever, whatever its size.
    spread = int(np.sqrt(inputs) * (1 << (options.weight_bits + options.weight_shift - 1)))
    drawn = size if options.per_neuron else 1
    threshold = random.integers(1, max(2, spread), drawn)
    bias = random.integers(-(spread // 4), spread // 2 + 1, drawn)
    return FixedNeuron(
        decay=Decay.from_float(_decays(random, size, options.decay), options.decay_bits),
        threshold=np.broadcast_to(threshold, (size,)).copy(),
        bias=np.broadcast_to(bias, (size,)).copy(),
        reset=options.reset,
        scale=1.0,
        state_bits=options.state_bits,
    )


def _decays(random: np.random.Generator, size: int, kind: str) -> NDArray[np.float64]:
    if kind == "per neuron":
        return random.choice([0.0, 0.25, 0.5, 0.9, 1.0], size)
    values = {"zero": 0.0, "one": 1.0, "half": 0.5, "sixteenth": 0.0625}
    return np.full(size, values.get(kind, random.uniform(0.55, 0.95)))


def random_spikes(network: Network, samples: int, density: float, seed: int = 0) -> Spikes:
    """Input spikes of shape (T, samples, inputs); a density of 0 or 1 is exact."""
    shape = (network.steps, samples, network.input.size)
    return (np.random.default_rng(seed).random(shape) < density).astype(np.uint8)


def layer_options() -> st.SearchStrategy[LayerOptions]:
    """Any layer."""
    return st.builds(
        LayerOptions,
        reset=st.sampled_from(Reset),
        decay=st.sampled_from(DECAYS),
        decay_bits=st.sampled_from([4, 8, 16]),
        weight_bits=st.integers(2, 8),
        weight_shift=st.integers(0, 3),
        state_bits=st.sampled_from([4, 8, 10, 16, 24]),
        per_neuron=st.booleans(),
    )


@st.composite
def fixed_networks(draw: st.DrawFn, layers: int, skips: bool = False) -> Network:
    """Chains of so many dense layers of 1 to 70 neurons, with T up to 12.

    With `skips`, the input of some networks also projects onto their last layer.
    """
    sizes = draw(st.lists(st.integers(1, 70), min_size=layers + 1, max_size=layers + 1))
    options = draw(st.lists(layer_options(), min_size=layers, max_size=layers))
    steps = draw(st.integers(1, 12))
    skip = skips and draw(st.booleans())
    return random_network(draw(st.integers(0, 2**32 - 1)), sizes, steps, options, skip)
