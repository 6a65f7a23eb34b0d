"""What a network must fulfil before and after every pass."""

import math

import numpy as np

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import signed_range
from spikeloom.compiler.ir import FixedNeuron, FloatArray, Network, Neuron, Population, Projection

# Whole numbers below it are exact in the float32 that input files and ONNX files hold.
MAX_EVENT = 1 << 23


def verify(network: Network) -> None:
    """Raise SpikeloomError where the network contradicts itself."""
    if network.steps < 1:
        raise SpikeloomError(
            f"network '{network.name}' has T = {network.steps} time steps; wanted >= 1"
        )
    _verify_input(network)
    seen: set[str] = set()
    for item in network.populations:
        if item.name in seen:
            raise SpikeloomError(f"two populations are called '{item.name}'")
        for projection in network.projections_to(item.name):
            if projection.delay:
                _verify_recurrence(item, projection)
            elif projection.pre not in seen:
                raise SpikeloomError(
                    f"projection '{projection.source}' comes from '{projection.pre}', "
                    f"which does not stand before '{item.name}'"
                )
            _verify_geometry(network, projection)
            _verify_weights(projection)
        sources = [edge.pre for edge in network.projections_to(item.name)]
        for name in sources:
            if sources.count(name) > 1:
                raise SpikeloomError(f"two projections lead from '{name}' to '{item.name}'")
        if item is not network.input:
            _verify_layer(item)
            if all(edge.delay for edge in network.projections_to(item.name)):
                raise SpikeloomError(f"population '{item.name}' receives no projection")
        seen.add(item.name)
    unknown = [item.post for item in network.projections if item.post not in seen]
    if unknown or network.readout.population not in seen - {network.input.name}:
        name = (*unknown, network.readout.population)[0]
        raise SpikeloomError(f"network '{network.name}' has no population of neurons '{name}'")
    _verify_readout(network)


def _verify_input(network: Network) -> None:
    if network.input.neuron is not None:
        raise SpikeloomError(f"population '{network.input.name}' is the input but holds neurons")
    events = network.events
    if network.on_chip is not None:
        network.on_chip.check(network.steps)
        if (events.lowest, events.highest, events.step, events.constant) != (0, 255, 1, True):
            raise SpikeloomError(
                f"network '{network.name}' has an encoder on the chip, which takes constant pixels "
                f"of 0 .. 255, but events of {events.lowest} .. {events.highest}"
            )
    if not -MAX_EVENT < events.lowest <= events.highest < MAX_EVENT:
        raise SpikeloomError(
            f"the events of the input are {events.lowest} .. {events.highest}; wanted a range "
            f"within {1 - MAX_EVENT} .. {MAX_EVENT - 1}"
        )
    if network.is_fixed and events.step != 1 and not events.folded:
        raise SpikeloomError(
            f"network '{network.name}' is fixed, but its weights do not hold the {events.step:g} "
            "that an event of 1 is worth"
        )
    if not events.step > 0 or math.frexp(events.step)[0] != 0.5:
        raise SpikeloomError(
            f"an event of 1 is worth {events.step:g} to the network; wanted a power of two"
        )


def _verify_weights(item: Projection) -> None:
    if not np.isfinite(item.weight).all():
        bad = int(np.count_nonzero(~np.isfinite(item.weight)))
        raise SpikeloomError(
            f"projection '{item.source}' has {bad} weights that are NaN or infinite"
        )
    if item.weight_bits:
        low, high = signed_range(item.weight_bits)
        if item.weight.min() < low or item.weight.max() > high:
            raise SpikeloomError(
                f"projection '{item.source}' has weights in {item.weight.min()} .. "
                f"{item.weight.max()}, outside {item.weight_bits} bits ({low} .. {high})"
            )


def _verify_recurrence(item: Population, projection: Projection) -> None:
    recurrent = f"projection '{projection.source}' leads from '{item.name}' to itself"
    if item.neuron is None or not item.neuron.fire:
        raise SpikeloomError(f"{recurrent}, which never spikes")
    if not projection.is_matrix:
        raise SpikeloomError(f"{recurrent} as a convolution or through a pooling; wanted a matrix")


def _verify_geometry(network: Network, item: Projection) -> None:
    pre, post = network.population(item.pre), network.population(item.post)
    source = f"projection '{item.source}'"
    shape = pre.shape
    if item.pooling is not None:
        if item.pooling.shape != shape or item.pooling.size < 1 or min(item.pooling.result) < 1:
            raise SpikeloomError(
                f"{source} pools {item.pooling.size} x {item.pooling.size} squares of "
                f"{item.pooling.shape}, but '{pre.name}' gives {shape}"
            )
        shape = item.pooling.result
    if item.convolution is None:
        given = int(np.prod(shape))
        if item.weight.shape != (post.size, given):
            raise SpikeloomError(
                f"{source} has weights of shape {item.weight.shape}, "
                f"but '{pre.name}' gives {given} and '{post.name}' takes {post.size}"
            )
        return
    each = item.convolution
    if (
        min(*each.kernel, *each.stride, each.groups, each.features) < 1
        or min(each.padding) < 0
        or each.shape[0] % each.groups
        or each.features % each.groups
    ):
        raise SpikeloomError(
            f"{source} has a kernel {each.kernel}, strides {each.stride}, padding {each.padding} "
            f"and {each.groups} groups for {each.shape[0]} channels and {each.features} features"
        )
    if each.shape != shape or each.result != post.shape:
        raise SpikeloomError(
            f"{source} convolves {each.shape} to {each.result}, "
            f"but '{pre.name}' gives {shape} and '{post.name}' takes {post.shape}"
        )
    if item.weight.shape != each.weight_shape:
        raise SpikeloomError(
            f"{source} has weights of shape {item.weight.shape}; its convolution takes "
            f"{each.weight_shape}"
        )


def _verify_layer(item: Population) -> None:
    neuron = item.neuron
    if neuron is None:
        raise SpikeloomError(f"population '{item.name}' is not the input but holds no neurons")
    decays = _decays(neuron)
    for name, array in {"threshold": neuron.threshold, "bias": neuron.bias, **decays}.items():
        if array.shape != (item.size,):
            raise SpikeloomError(
                f"population '{item.name}' has {item.size} neurons but a {name} of shape "
                f"{array.shape}"
            )
        if not np.isfinite(array).all():
            raise SpikeloomError(f"population '{item.name}' has a {name} that is NaN or infinite")
    if (neuron.threshold <= 0).any():
        raise SpikeloomError(
            f"population '{item.name}' has threshold {neuron.threshold.min():g}; wanted > 0"
        )
    for name, decay in decays.items():
        if (decay < 0).any() or (decay > 1).any():
            worst = max(decay.tolist(), key=lambda value: abs(value - 0.5))
            raise SpikeloomError(f"population '{item.name}' has {name} {worst:g}; wanted 0 .. 1")


def _decays(neuron: Neuron | FixedNeuron) -> dict[str, FloatArray]:
    if isinstance(neuron, Neuron):
        return {"beta": neuron.beta, "alpha": neuron.alpha}
    decays = {"beta": neuron.decay.factors}
    if neuron.current_decay is not None:
        decays["alpha"] = neuron.current_decay.factors
    return decays


def _verify_readout(network: Network) -> None:
    readout = network.readout
    layer = network.population(readout.population)
    where = f"the readout of population '{layer.name}'"
    if readout.group < 1 or layer.size % readout.group:
        raise SpikeloomError(
            f"{where} has groups of {readout.group}; {layer.size} neurons are no multiple of it"
        )
    assert layer.neuron is not None
    of_membranes = readout.kind in ("final_membrane", "maximum_membrane")
    if not layer.neuron.fire and not of_membranes:
        raise SpikeloomError(f"{where} takes spikes ({readout.kind}), but its neurons never spike")
    if readout.early_stop and readout.kind != "first_spike":
        raise SpikeloomError(
            f"{where} stops early; {readout.kind} is known at the window's end only"
        )
    weighted = readout.kind == "weighted_spike_count"
    if len(readout.weights) != (network.steps if weighted else 0):
        raise SpikeloomError(
            f"{where} has {len(readout.weights)} weights; {readout.kind} over T = {network.steps} "
            f"steps takes {network.steps if weighted else 0}"
        )
    if not all(math.isfinite(weight) and weight >= 0 for weight in readout.weights):
        raise SpikeloomError(f"{where} has weights {readout.weights}; wanted finite ones >= 0")
    if weighted and not any(readout.weights):
        raise SpikeloomError(f"{where} has weights that are all zero")
