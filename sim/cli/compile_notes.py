"""What `spikeloom compile` tells about a network beside its tables: what rounding did to it."""

from typing import TYPE_CHECKING

from spikeloom.compiler.errors import SpikeloomError

if TYPE_CHECKING:
    from spikeloom.compiler.ir import Network

# The share by which rounding may change what leaks in a step before it is told.
LEAK_CHANGE = 0.05

# Neurons that a note names at most.
NAMED_NEURONS = 5

# How many times their threshold states must reach if nothing is to be told.
NARROW_REACH = 4


def silent_neurons(fixed: "Network") -> list[str]:
    """Sentences on neurons that can never fire; raise SpikeloomError where a whole layer cannot."""
    from spikeloom.compiler.ir import FixedNeuron
    from spikeloom.compiler.passes.bound_accumulators import never_fire

    notes = []
    for layer in fixed.layers:
        numbers = never_fire(fixed, layer)
        if not numbers.size:
            continue
        assert isinstance(layer.neuron, FixedNeuron)
        least = int(layer.neuron.threshold.min())
        if numbers.size == layer.size:
            raise SpikeloomError(
                f"layer '{layer.name}' can never fire: whatever the input, no membrane comes to "
                f"its threshold, the smallest of which is {least}; its states have "
                f"{layer.neuron.state_bits} bits"
            )
        shown = ", ".join(map(str, numbers[:NAMED_NEURONS].tolist()))
        more = ", ..." if numbers.size > NAMED_NEURONS else ""
        notes.append(
            f"layer '{layer.name}': {numbers.size} of {layer.size} neurons can never fire, "
            f"whatever the input: {shown}{more}"
        )
    return notes


def narrow_states(fixed: "Network") -> list[str]:
    """Sentences on layers that fire whose states hardly reach beyond their threshold."""
    from spikeloom.compiler.fixed import signed_range
    from spikeloom.compiler.ir import FixedNeuron

    bits = fixed.precision.state_bits
    notes = []
    for layer in fixed.layers:
        neuron = layer.neuron
        assert isinstance(neuron, FixedNeuron)
        # Narrower states are so because nothing in them saturates.
        if bits is None or not neuron.fire or bits not in (neuron.state_bits, neuron.current_bits):
            continue
        reach = signed_range(bits)[1] / int(neuron.threshold.max())
        if reach < NARROW_REACH:
            notes.append(
                f"layer '{layer.name}': states of {bits} bits saturate at {reach:.1f} times the "
                "threshold; a larger --state-bits reaches further"
            )
    return notes


def changed_decays(network: "Network", fixed: "Network") -> list[str]:
    """Sentences on decays whose rounding changes how much leaks by more than `LEAK_CHANGE`."""
    import numpy as np

    from spikeloom.compiler.ir import FixedNeuron, Neuron

    notes = []
    for layer, lowered in zip(network.layers, fixed.layers, strict=True):
        before, after = layer.neuron, lowered.neuron
        assert isinstance(before, Neuron) and isinstance(after, FixedNeuron)
        for what, factors, decay in (
            ("decay", before.beta, after.decay),
            ("current decay", before.alpha, after.current_decay),
        ):
            if decay is None:
                continue
            leak = 1 - factors
            change = np.abs(decay.factors - factors)
            worst = int(np.argmax(change - LEAK_CHANGE * leak))
            if change[worst] > LEAK_CHANGE * leak[worst]:
                notes.append(
                    f"layer '{layer.name}': the {what} of {factors[worst]:g} becomes "
                    f"{decay.factors[worst]:g}, so that {change[worst] / leak[worst]:.0%} more or "
                    "less leaks in a step; a larger --decay-bits is closer"
                )
    return notes
