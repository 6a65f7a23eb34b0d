"""The proofs with the small parameters that they are made for."""

from typing import Any

import numpy as np

from proofs import arbiters, neurons, senders, streams
from proofs.cores import tiny_core, tiny_program
from spikeloom.compiler.fixed import Decay, Reset
from spikeloom.sim.formal import Proof


def decay(multiplier: int, shift: int) -> Decay:
    return Decay(np.array([multiplier]), shift)


def fire_lane(**options: Any) -> Proof:
    return neurons.fire_lane(tiny_core([[-4, 3, -2, 1]], steps=64, **options))


def row_of_two(**options: Any) -> Proof:
    return neurons.fire_lane(tiny_core([[-4, 3, -2, 1]] * 2, lanes=2, steps=64, **options))


def spike_encoder(lanes: int = 5, fire_lanes: int = 3) -> Proof:
    """Five neurons; two rows of three places, of which the second row's last is no neuron's."""
    return senders.spike_encoder(tiny_core([[1]] * 5, lanes=lanes, fire_lanes=fire_lanes))


def membrane_sender(readout: str) -> Proof:
    """Four rows, of which the last is no neuron's."""
    return senders.membrane_sender(tiny_core([[1]] * 3, lanes=2, readout=readout, state_bits=2))


def layer_credits() -> Proof:
    return streams.layer_credits(tiny_core([[1, -2]] * 3, lanes=3, fire_lanes=2), places=3)


def layer_pace() -> Proof:
    core = tiny_core([[1, -2]] * 3, lanes=3, fire_lanes=2)
    return streams.layer_pace(core, places=3, most=8)


def arbiter() -> Proof:
    """An input of two neurons and a layer of two that reaches itself."""
    return arbiters.arbiter(tiny_core([[1, -2], [2, 1]], recurrent=[[0, 1], [-1, 2]]))


def accelerator_output() -> Proof:
    program = tiny_program([[1], [1]], steps=1, weight_bits=2, threshold=1)
    return streams.accelerator_output(program)


# Two states that decay by a product, the case with the longest pipeline.
CURRENT = {
    "reset": Reset.SUBTRACT,
    "decay": decay(13, 4),
    "current_decay": decay(11, 4),
    "current_bits": 4,
    "weight_shift": 1,
    "threshold": 5,
    "bias": 1,
}
SINGLE = {"reset": Reset.SUBTRACT, "decay": decay(1, 0), "single_spike": True, "bias": 1}
ZERO = {"reset": Reset.ZERO, "decay": decay(1, 1), "weight_shift": 1, "threshold": 5, "bias": 1}
