"""Which weights, thresholds and biases an accelerator takes that can be given others at run time.

Its words are then wide enough for any of them, not only for those of the network that it was
compiled from.
"""

from typing import TYPE_CHECKING

from spikeloom.compiler.fixed import signed_range

if TYPE_CHECKING:
    from spikeloom.compiler.ir import FixedNeuron


def threshold_range(neuron: "FixedNeuron") -> tuple[int, int]:
    """The smallest and the largest threshold that can be loaded."""
    return signed_range(neuron.state_bits)


def bias_range(neuron: "FixedNeuron") -> tuple[int, int]:
    """The smallest and the largest bias that can be loaded: as far as its state reaches.

    A layer that was compiled without biases takes none.
    """
    if not neuron.bias.any():
        return 0, 0
    return signed_range(neuron.state_bits if neuron.current_decay is None else neuron.current_bits)
