"""Tiny cores that the proofs are about: a proof visits every state that a block can be in."""

from dataclasses import replace
from typing import Any

import numpy as np

from spikeloom.compiler.cores import Core
from spikeloom.compiler.fixed import Decay, Reset
from spikeloom.compiler.ir import FixedNeuron, Network, Population, Projection, Readout
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.program import Program

HALF = Decay(np.array([1]), 1)


def tiny_program(
    weight: Any,
    *,
    lanes: int = 1,
    fire_lanes: int = 1,
    steps: int = 2,
    readout: Any = "spike_count",
    decay: Decay = HALF,
    threshold: int = 3,
    bias: int = 0,
    state_bits: int = 4,
    weight_bits: int = 3,
    weight_shift: int = 0,
    recurrent: Any = None,
    **neuron: Any,
) -> Program:
    """A program of one layer.

    Parameters
    ----------
    recurrent : weights of the layer onto itself, integers, shape (neurons, neurons)
    weight : integers, shape (neurons, inputs)
    decay : of all neurons
    neuron : other fields of FixedNeuron
    """
    edge = Projection(
        pre="input",
        post="layer",
        weight=np.array(weight),
        source="tiny",
        weight_bits=weight_bits,
        weight_shift=weight_shift,
    )
    neurons, inputs = edge.weight.shape
    fixed = FixedNeuron(
        decay=_of_all(decay, neurons),
        threshold=np.full(neurons, threshold),
        bias=np.full(neurons, bias),
        reset=neuron.pop("reset", Reset.ZERO),
        scale=1.0,
        state_bits=state_bits,
        **neuron,
    )
    if fixed.current_decay is not None:
        fixed = replace(fixed, current_decay=_of_all(fixed.current_decay, neurons))
    populations = (
        Population("input", (inputs,), None, "spikes"),
        Population("layer", (neurons,), fixed, "layer"),
    )
    edges: tuple[Projection, ...] = (edge,)
    if recurrent is not None:
        edges = (edge, replace(edge, pre="layer", weight=np.array(recurrent)))
    network = Network("tiny", steps, populations, edges, Readout("layer", readout))
    fires = {} if readout != "spike_count" else {"layer": fire_lanes}
    return Program(bound_accumulators(network), {"layer": lanes}, fires)


def tiny_core(weight: Any, **options: Any) -> Core:
    """The core of a `tiny_program`."""
    (core,) = tiny_program(weight, **options).cores
    return core


def _of_all(decay: Decay, neurons: int) -> Decay:
    return Decay(np.broadcast_to(decay.multiplier, (neurons,)).copy(), decay.shift)
