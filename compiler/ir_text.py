"""The network as text, one line per population, neuron and projection."""

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.ir import Events, Network, Neuron, Projection, Readout
from spikeloom.compiler.ir import FixedNeuron as Fixed


def describe(network: Network) -> str:
    """All of a network but the single numbers of its arrays, of which it gives the range."""
    lines = [
        f"network {network.name}: T={network.steps} {'fixed' if network.is_fixed else 'float'}",
        f"  encoder {network.encoder}",
        f"  events {_describe_events(network.events)}",
        *([] if network.on_chip is None else [f"  encoder on the chip {network.on_chip}"]),
        *([f"  weights {network.weights}"] if network.has_run_time_weights else []),
    ]
    for item in network.populations:
        lines.append(f"  population {item.name} {item.shape} from {item.source}")
        if item.neuron is not None:
            neuron = item.neuron
            text = (
                _describe_float(neuron) if isinstance(neuron, Neuron) else _describe_fixed(neuron)
            )
            lines.append(f"    neuron {text}")
        lines += [f"    {_describe_projection(edge)}" for edge in network.projections_to(item.name)]
    lines.append(f"  readout {_describe_readout(network.readout)}")
    return "\n".join(lines)


def span(array: NDArray[np.generic]) -> str:
    """The smallest and the largest number of an array."""
    low, high = array.min(), array.max()
    form = "d" if np.issubdtype(array.dtype, np.integer) else ".6g"
    return f"{low:{form}}" if low == high else f"{low:{form}}..{high:{form}}"


def _describe_events(events: Events) -> str:
    folded = " (in the weights)" if events.folded else ""
    constant = ", constant over the window" if events.constant else ""
    return f"{events.lowest} .. {events.highest} steps of {events.step:g}{folded}{constant}"


def _describe_float(neuron: Neuron) -> str:
    alpha = f"alpha={span(neuron.alpha)} " if neuron.alpha.any() else ""
    sign = ">=" if neuron.inclusive else ">"
    scale = "" if neuron.scale is None else f" scale={neuron.scale:.6g}"
    return (
        f"{alpha}beta={span(neuron.beta)} V{sign}{span(neuron.threshold)} "
        f"bias={span(neuron.bias)} reset={neuron.reset.value}{_flags(neuron)}{scale}"
    )


def _describe_fixed(neuron: Fixed) -> str:
    current = ""
    if neuron.current_decay is not None:
        decay = neuron.current_decay
        current = (
            f"current_decay={span(decay.multiplier)}>>{decay.shift} current={neuron.current_bits}b "
        )
    return (
        f"{current}decay={span(neuron.decay.multiplier)}>>{neuron.decay.shift} "
        f"V>={span(neuron.threshold)} bias={span(neuron.bias)} reset={neuron.reset.value}"
        f"{_flags(neuron)} scale={neuron.scale:.6g} state={neuron.state_bits}b "
        f"accumulator={neuron.accumulator_bits}b"
    )


def _flags(neuron: Neuron | Fixed) -> str:
    return ("" if neuron.fire else " fire=no") + (" single-spike" if neuron.single_spike else "")


def _describe_projection(edge: Projection) -> str:
    if edge.convolution is None:
        post, pre = edge.weight.shape
        kind = f"dense {pre}x{post}"
    else:
        each = edge.convolution
        rows, columns = each.kernel
        kind = (
            f"convolution {each.features}C{rows}x{columns} stride={each.stride} "
            f"padding={each.padding} groups={each.groups}"
        )
    pooling = "" if edge.pooling is None else f" pooling={edge.pooling.size}"
    bits = f" {edge.weight_bits}b<<{edge.weight_shift}" if edge.weight_bits else ""
    gain = "" if edge.gain is None else f" gain={span(edge.gain)}"
    zeros = int(np.count_nonzero(edge.weight == 0))
    return (
        f"projection {edge.pre} -> {edge.post} {kind}{pooling} "
        f"weights={span(edge.weight)}{bits}{gain} zeros={zeros} from {edge.source}"
    )


def _describe_readout(readout: Readout) -> str:
    weights = f" weights={span(np.asarray(readout.weights))}" if readout.weights else ""
    group = f", groups of {readout.group}" if readout.group > 1 else ""
    return f"{readout.kind} of {readout.population}{weights}{group}"
