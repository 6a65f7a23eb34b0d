# amaranth: UnusedElaboratable=no
"""Faults in what the memories and tables hold: told with the neuron that has the wrong number."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from networks import LayerOptions
from planted_faults import first_difference
from small_programs import small_program
from spikeloom.compiler.fixed import Decay, IntArray, Reset
from spikeloom.compiler.ir import Events, FixedNeuron, Network, Readout
from spikeloom.compiler.program import Program

FOLDED = small_program(
    (8, 9, 4),
    4,
    3,
    seed=5,
    steps=4,
    current=0.7,
    options=LayerOptions(Reset.SUBTRACT, "per neuron", state_bits=12, weight_shift=1),
)
# Integrate and fire with equal weights: a membrane meets its threshold exactly.
EXACT = small_program(
    (6, 5), 3, 2, steps=6, options=LayerOptions(Reset.ZERO, "one", weight_bits=2, per_neuron=False)
)
PLAIN = small_program((8, 9), 4, 3, seed=5, options=LayerOptions(decay="general"))


def with_neuron(program: Program, layer: int, **fields: Any) -> Program:
    """The program with other fields of a layer's neurons, of the same widths."""
    populations = list(program.network.populations)
    neuron = populations[layer].neuron
    assert isinstance(neuron, FixedNeuron)
    populations[layer] = replace(populations[layer], neuron=replace(neuron, **fields))
    network = replace(program.network, populations=tuple(populations))
    return Program(network, program.lanes, program.fire_lanes)


def with_weights(network: Network, layer: int, weight: IntArray) -> Network:
    """The network with other weights onto a layer."""
    edges = list(network.projections)
    edges[layer - 1] = replace(edges[layer - 1], weight=weight)
    return replace(network, projections=tuple(edges))


def changed(values: IntArray, index: Any, by: int) -> IntArray:
    """The numbers with one that is larger by `by`."""
    other = values.astype(np.int64)
    other[index] += by
    return other


def neuron_of(program: Program, layer: int = 1) -> FixedNeuron:
    """The neurons of a layer."""
    neuron = program.network.populations[layer].neuron
    assert isinstance(neuron, FixedNeuron)
    return neuron


@pytest.mark.parametrize(
    ("layer", "neuron", "source", "bit"), [(1, 7, 3, 2), (1, 0, 7, 0), (2, 3, 3, 7)]
)
def test_flipped_weight_bit_is_told_with_its_neuron(
    layer: int, neuron: int, source: int, bit: int
) -> None:
    network = FOLDED.network
    weight = network.projections[layer - 1].weight.astype(np.int64)
    # As in the memory: the highest bit is the sign.
    flip = -(1 << bit) if bit == 7 else 1 << bit
    weight[neuron, source] ^= flip
    wrong = Program(with_weights(network, layer, weight), FOLDED.lanes, FOLDED.fire_lanes)
    difference = first_difference(FOLDED, wrong)
    assert difference is not None
    assert (difference.layer, difference.neuron) == (f"layer{layer}", neuron)
    assert difference.signal in ("lanes.write_data", "lanes.sums")
    assert abs(difference.expected - difference.got) == 1 << bit
    text = str(difference)
    words = (
        "cycle",
        "sample",
        "step",
        f"layer layer{layer}",
        f"neuron {neuron}",
        "expected",
        "got",
    )
    assert all(word in text for word in words)


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("neuron", [0, 2, 4])
def test_threshold_off_by_one_is_told_with_its_neuron(neuron: int, by: int) -> None:
    size = EXACT.network.layers[0].size
    network = with_weights(EXACT.network, 1, np.ones((size, 6), np.int64))
    exact = Program(network, EXACT.lanes, EXACT.fire_lanes)
    threshold, bias = np.full(size, 3), np.zeros(size, np.int64)
    exact = with_neuron(exact, 1, threshold=threshold, bias=bias)
    wrong = with_neuron(exact, 1, threshold=changed(threshold, neuron, by))
    difference = first_difference(exact, wrong)
    assert difference is not None
    assert (difference.layer, difference.neuron) == ("layer1", neuron)
    assert difference.signal == "fire.sent"
    assert (difference.expected, difference.got) == ((1, 0) if by == 1 else (0, 1))


@pytest.mark.parametrize(("program", "signal"), [(PLAIN, "fire.states"), (FOLDED, "fire.currents")])
def test_bias_off_by_one_is_told_with_its_neuron(program: Program, signal: str) -> None:
    bias = neuron_of(program).bias
    difference = first_difference(program, with_neuron(program, 1, bias=changed(bias, 5, 1)))
    assert difference is not None
    assert (difference.signal, difference.neuron) == (signal, 5)
    assert difference.got == difference.expected + 1


@pytest.mark.parametrize(
    ("program", "field", "signal"),
    [
        (FOLDED, "decay", "fire.states"),
        (PLAIN, "decay", "fire.states"),
        (FOLDED, "current_decay", "fire.currents"),
    ],
)
def test_wrong_decay_multiplier_is_told_with_its_neuron(
    program: Program, field: str, signal: str
) -> None:
    decay = getattr(neuron_of(program), field)
    wrong = Decay(changed(decay.multiplier, 6, 1 if decay.multiplier[6] < 2 else -1), decay.shift)
    difference = first_difference(program, with_neuron(program, 1, **{field: wrong}))
    assert difference is not None
    assert (difference.signal, difference.neuron) == (signal, 6)


def test_flipped_weight_of_a_graded_event_is_told_by_its_product() -> None:
    graded = small_program((6, 5), 2, events=Events(-6, 9))
    weight = changed(graded.network.projections[0].weight, (3, 2), 1)
    wrong = Program(with_weights(graded.network, 1, weight), graded.lanes, graded.fire_lanes)
    difference = first_difference(graded, wrong)
    assert difference is not None
    assert (difference.signal, difference.neuron) == ("lanes.write_data", 3)
    assert difference.got - difference.expected in range(-6, 10)


def test_wrong_weight_of_a_step_is_told_by_the_readout() -> None:
    def weighted(*weights: int) -> Program:
        return small_program((6, 5), 5, readout=Readout("layer1", "weighted_spike_count", weights))

    difference = first_difference(weighted(255, 90, 7), weighted(255, 91, 6))
    assert difference is not None
    assert (difference.layer, difference.step, difference.neuron) == ("readout", 1, None)
    assert difference.signal == "readout.write"
