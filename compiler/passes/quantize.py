"""The pass `quantize`."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, IntArray, signed_bits, signed_range
from spikeloom.compiler.ir import (
    FixedNeuron,
    FloatArray,
    Network,
    Neuron,
    Population,
    Precision,
    Projection,
)

# Integers that are exact in float64, which the integer reference computes with.
_EXACT = 1 << 52

# The largest weight of a readout: 8 bits without a sign.
READOUT_WEIGHT = 255

# Graded input makes units so fine that a threshold takes as many bits as other layers' states do.
STATE_REACH = 8
STATE_BITS = (16, 24)


def quantize(network: Network, like: Network | None = None) -> Network:
    """Turn weights, thresholds, biases and decays into integers of the chosen scales.

    Weights and biases are rounded to nearest (ties to even). A threshold is rounded up: V is an
    integer, so that V >= threshold is the same as V >= ceil(threshold). The weights of a readout
    become integers of 8 bits, unless they are such integers already.

    Parameters
    ----------
    like : a fixed network of the same structure whose states' widths are taken
    """
    scales = {}
    populations = [network.input]
    for number, layer in enumerate(network.layers):
        precision = network.precision
        if like is not None:
            wanted = like.layers[number].neuron
            assert isinstance(wanted, FixedNeuron)
            precision = replace(precision, state_bits=wanted.state_bits)
        neuron = _quantize_neuron(layer, precision)
        scales[layer.name] = neuron.scale
        populations.append(replace(layer, neuron=neuron))
    projections = tuple(
        _quantize_weights(edge, scales[edge.post], network.precision.weight_bits)
        for edge in network.projections
    )
    readout = replace(network.readout, weights=_quantize_readout(network.readout.weights))
    return replace(
        network, populations=tuple(populations), projections=projections, readout=readout
    )


def _quantize_readout(weights: tuple[float, ...]) -> tuple[int, ...]:
    top = max(weights, default=0)
    if top <= READOUT_WEIGHT and all(float(weight).is_integer() for weight in weights):
        return tuple(int(weight) for weight in weights)
    return tuple(round_to_steps(np.asarray(weights), top / READOUT_WEIGHT).tolist())


def _quantize_weights(edge: Projection, scale: float, bits: int) -> Projection:
    weight = round_to_steps(edge.weight, scale * (1 << edge.weight_shift))
    assert np.abs(weight).max() <= signed_range(bits)[1]
    if not weight.any():
        raise SpikeloomError(
            f"all weights of projection '{edge.source}' onto layer '{edge.post}' become zero in "
            f"{bits} bits"
        )
    return replace(edge, weight=weight, weight_bits=bits)


def _quantize_neuron(layer: Population, precision: Precision) -> FixedNeuron:
    neuron = layer.neuron
    assert isinstance(neuron, Neuron) and neuron.scale is not None and neuron.inclusive
    if np.abs(neuron.bias / neuron.scale).max() >= _EXACT:
        raise SpikeloomError(
            f"layer '{layer.name}' has a bias of {np.abs(neuron.bias).max():g}, too large beside "
            f"its threshold of {neuron.threshold.min():g}"
        )
    has_current = bool(neuron.alpha.any())
    bits = precision.decay_bits
    threshold = _quantize_threshold(layer, neuron, precision)
    state_bits = choose_state_bits(precision, int(threshold.max()))
    return FixedNeuron(
        decay=_quantize_decay(layer, "decay", neuron.beta, bits),
        threshold=threshold,
        bias=round_to_steps(neuron.bias, neuron.scale),
        reset=neuron.reset,
        scale=neuron.scale,
        state_bits=state_bits,
        current_decay=(
            _quantize_decay(layer, "current decay", neuron.alpha, bits) if has_current else None
        ),
        current_bits=state_bits if has_current else 0,
        fire=neuron.fire,
        single_spike=neuron.single_spike,
    )


def _quantize_threshold(layer: Population, neuron: Neuron, precision: Precision) -> IntArray:
    if not neuron.fire:
        # Never compared with a membrane.
        return np.ones(layer.size, np.int64)
    assert neuron.scale is not None
    threshold = _ceil(neuron.threshold, neuron.scale, layer)
    needed = signed_bits(0, int(threshold.max()))
    offered = choose_state_bits(precision, int(threshold.max()))
    if needed > offered:
        limit = f"a membrane has at most {STATE_BITS[1]}"
        if precision.state_bits is not None:
            limit = f"--state-bits is {precision.state_bits}"
        raise SpikeloomError(
            f"layer '{layer.name}' has a threshold of {threshold.max()} membrane units, which "
            f"needs {needed} bits; {limit}"
        )
    return threshold


def choose_state_bits(precision: Precision, threshold: int) -> int:
    """The largest width of a layer's states between steps.

    What the user asked for, or else as many bits as reach to `STATE_REACH` thresholds in both
    directions, within `STATE_BITS`.

    Parameters
    ----------
    threshold : the largest of the layer, in units of its membrane
    """
    if precision.state_bits is not None:
        return precision.state_bits
    fewest, most = STATE_BITS
    return min(max(fewest, signed_bits(0, STATE_REACH * threshold)), most)


def _ceil(threshold: FloatArray, scale: float, layer: Population) -> IntArray:
    values, where = np.unique(threshold, return_inverse=True)
    units = [ceil_to_steps(float(value), scale) for value in values]
    if units[-1] >= _EXACT:
        raise SpikeloomError(
            f"layer '{layer.name}' has a threshold of {values[-1]:g}, too large beside its "
            f"smallest threshold of {values[0]:g}"
        )
    assert units[0] >= 1
    return np.asarray(units, np.int64)[where.reshape(-1)]


def round_to_steps(values: NDArray[np.number], step: float) -> IntArray:
    """Real numbers in units of `step`, rounded to nearest, ties to even."""
    units: IntArray = np.rint(values / step).astype(np.int64)
    return units


def ceil_to_steps(value: float, step: float) -> int:
    """A real number in units of `step`, rounded up.

    The quotient is exact: a threshold that was moved up by one unit in the last place must not be
    rounded back to the integer below it.
    """
    return math.ceil(Fraction(value) / Fraction(step))


def _quantize_decay(layer: Population, what: str, factor: FloatArray, bits: int) -> Decay:
    decay = Decay.from_float(factor, bits)
    factors = decay.factors
    for limit in (0.0, 1.0):
        lost = (factors == limit) & (factor != limit)
        if lost.any():
            raise SpikeloomError(
                f"layer '{layer.name}' has a {what} of {factor[lost][0]:g}, which becomes "
                f"{limit:g} with {bits} fraction bits; raise --decay-bits"
            )
    return decay
