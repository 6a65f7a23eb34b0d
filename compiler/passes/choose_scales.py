"""The pass `choose_scales`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, signed_range
from spikeloom.compiler.ir import Network, Neuron, Population, Projection

Key = TypeVar("Key")

# The smallest threshold of a layer, in units of its membrane. Thresholds are rounded up by less
# than a unit, biases and decayed membranes to the nearest: at most 1.6 % and 0.8 % of 64 units.
THRESHOLD_UNITS = 64

# The least that a membrane or a current at the threshold leaks in a step, in the same units: what
# leaks is rounded to whole units, half a unit of 4 is at most 12.5 % of it.
LEAK_UNITS = 4

# The largest shift of a weight. 8-bit weights shifted so far, summed over 256 inputs, still fit
# the widest accumulator.
MAX_WEIGHT_SHIFT = 16


def choose_scales(network: Network, like: Network | None = None) -> Network:
    """Choose what one unit of each membrane and one step of each weight is worth.

    The step of a projection's weights is `max|w| / (2**(weight_bits - 1) - 1)`; the unit of the
    membrane is this step divided by the smallest power of two that gives every threshold at least
    `THRESHOLD_UNITS` units and its leak `LEAK_UNITS`. Projections onto one population share its
    unit: their steps are the largest one divided by powers of two. Neurons that never fire have no
    threshold to resolve; of a convolution whose weights all have one magnitude, this is the step.

    Parameters
    ----------
    like : a fixed network of the same structure whose shifts are taken, so that the weights can be
        loaded into its accelerator
    """
    populations = [network.input]
    shifts: dict[tuple[str, str], int] = {}
    for number, layer in enumerate(network.layers):
        given = None
        if like is not None:
            edges = like.projections_to(like.layers[number].name)
            given = [edge.weight_shift for edge in edges]
        scale, of_layer = _scale_layer(network, layer, given)
        assert isinstance(layer.neuron, Neuron)
        populations.append(replace(layer, neuron=replace(layer.neuron, scale=scale)))
        shifts.update(of_layer)
    projections = tuple(
        replace(edge, weight_shift=shifts[edge.pre, edge.post]) for edge in network.projections
    )
    return replace(network, populations=tuple(populations), projections=projections)


def _scale_layer(
    network: Network, layer: Population, given: Sequence[int] | None
) -> tuple[float, dict[tuple[str, str], int]]:
    """The layer's unit, and the shift of each projection onto it: those that are given, if any."""
    neuron = layer.neuron
    assert isinstance(neuron, Neuron)
    precision = network.precision
    edges = network.projections_to(layer.name)
    largest = {(edge.pre, edge.post): _largest_weight(edge) for edge in edges}
    if len(edges) == 1 and edges[0].convolution is not None:
        magnitudes = np.unique(np.abs(edges[0].weight[edges[0].weight != 0]))
        if len(magnitudes) == 1:
            # As if there were a weight of the largest integer: this one then becomes 1.
            whole = float(magnitudes[0]) * signed_range(precision.weight_bits)[1]
            largest = dict.fromkeys(largest, whole)
    if given is not None:
        shifts = dict(zip(largest, given, strict=True))
        highest = signed_range(precision.weight_bits)[1]
        steps = (math.ldexp(size / highest, -shifts[key]) for key, size in largest.items())
        return max(steps), shifts
    resolved = math.inf
    if neuron.fire:
        decays = [
            Decay.from_float(factor, precision.decay_bits) for factor in (neuron.alpha, neuron.beta)
        ]
        resolved = to_resolve(float(neuron.threshold.min()), *decays)
    scale, shifts = share_unit(largest, resolved, precision.weight_bits)
    shift = max(shifts.values())
    if shift > MAX_WEIGHT_SHIFT:
        raise SpikeloomError(
            f"layer '{layer.name}' has weights from {min(largest.values()):g} (largest of a "
            f"projection) to {max(largest.values()):g} and a threshold of "
            f"{neuron.threshold.min():g}: a weight would need a shift by {shift} bits; at most "
            f"{MAX_WEIGHT_SHIFT} are supported"
        )
    return scale, shifts


def to_resolve(threshold: float, *decays: Decay) -> float:
    """The real number that must be worth at least `THRESHOLD_UNITS` units of a layer's membrane.

    The threshold, or less where a decay is so slow that what leaks at the threshold would be lost
    in the rounding.

    Parameters
    ----------
    threshold : the smallest of the layer, > 0
    decays : of the layer's currents and membranes
    """
    leaks = [1 - decay.factors[decay.factors < 1] for decay in decays]
    slowest = min((float(leak.min()) for leak in leaks if leak.size), default=1.0)
    return threshold * min(1.0, slowest * THRESHOLD_UNITS / LEAK_UNITS)


def share_unit(
    largest: Mapping[Key, float], resolved: float, weight_bits: int
) -> tuple[float, dict[Key, int]]:
    """The worth of one unit of a layer's membrane, and the shift of each projection's weights.

    Parameters
    ----------
    largest : largest magnitude among the weights of each projection onto the layer, > 0
    resolved : what is worth at least `THRESHOLD_UNITS` units, > 0 (see `to_resolve`); infinite if
        the unit may be as coarse as the weights' steps
    """
    coarsest = max(largest.values())
    # How many times the step of each projection can be halved below the coarsest one.
    halvings = {key: math.floor(math.log2(coarsest / value)) for key, value in largest.items()}
    step = coarsest / signed_range(weight_bits)[1]
    needed = 0
    if math.isfinite(resolved):
        needed = math.ceil(math.log2(THRESHOLD_UNITS * step / resolved))
    shift = max(*halvings.values(), needed)
    return math.ldexp(step, -shift), {key: shift - less for key, less in halvings.items()}


def _largest_weight(edge: Projection) -> float:
    largest = float(np.abs(edge.weight).max())
    if not largest:
        raise SpikeloomError(
            f"all weights of projection '{edge.source}' onto layer '{edge.post}' are zero"
        )
    return largest
