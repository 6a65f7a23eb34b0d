"""Networks that can take each other's place in an accelerator, and those that cannot."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from run_time_networks import with_other_weights, with_run_time_weights

from small_programs import small_maps, small_program
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.exchange import fingerprint, weight_image
from spikeloom.compiler.fixed import Decay
from spikeloom.compiler.geometry import Convolution
from spikeloom.compiler.ir import FixedNeuron, Network
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.program import Program
from spikeloom.compiler.weight_image import decode, to_bytes
from spikeloom.compiler.weight_storage import WeightStorage
from wide_networks import any_chain, folding


def chip(program: Program | None = None, weights: WeightStorage = "reloadable") -> Program:
    program = small_program() if program is None else program
    return replace(program, network=with_run_time_weights(program.network, weights))


def of_layer(network: Network, number: int, **changes: Any) -> Network:
    """The network with other numbers of a layer's neurons."""
    populations = list(network.populations)
    layer = populations[number]
    assert isinstance(layer.neuron, FixedNeuron)
    populations[number] = replace(layer, neuron=replace(layer.neuron, **changes))
    return replace(network, populations=tuple(populations))


@pytest.mark.parametrize("seed", range(12))
def test_an_image_holds_what_the_cores_of_the_other_network_do(seed: int) -> None:
    network = with_run_time_weights(any_chain(seed, 1 + seed % 3), "reloadable")
    program = Program(network, *folding(network, seed))
    other = replace(program, network=with_other_weights(network, seed))
    image = weight_image(program, other)
    contents = image[2:-1]
    assert image[0] == fingerprint(program) == fingerprint(other)
    assert image[1] == len(contents)
    assert zlib.crc32(to_bytes(image[:-1])) == image[-1]
    for core, loaded in zip(other.cores, decode(program.cores, contents), strict=True):
        assert np.array_equal(loaded.weights, core.weight_table)
        assert np.array_equal(loaded.biases, core.biases)
        if core.neuron.fire:
            assert np.array_equal(loaded.thresholds, core.thresholds)


def test_layout_of_an_image() -> None:
    """As docs/program-file.md has it: two lanes of 8 bits fill half a word, rows follow."""
    program = chip(small_program((3, 2), lanes=2, fire_lanes=1))
    image = weight_image(program, program)
    weights = program.cores[0].weight_table
    for row in range(3):
        low, high = (int(weight) & 0xFF for weight in weights[row])
        assert image[2 + row] == low | high << 8


def test_fixed_weights_have_no_image() -> None:
    program = small_program()
    with pytest.raises(SpikeloomError, match="are fixed; 'compile --weights reloadable'"):
        weight_image(program, program)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda net: replace(net, steps=9), "time steps: 9; the accelerator was made for 3"),
        (
            lambda net: replace(net, readout=replace(net.readout, group=7)),
            "readout group: 7; the accelerator was made for 1",
        ),
        (
            lambda net: of_layer(net, 1, decay=Decay.from_float(np.full(7, 0.25), 8)),
            "layer 1, decay: 1 / 4",
        ),
    ],
)
def test_networks_that_need_other_gates_are_named(
    change: Callable[[Network], Network], message: str
) -> None:
    program = chip()
    with pytest.raises(SpikeloomError, match=message):
        weight_image(program, Program(change(program.network), program.lanes, program.fire_lanes))


def test_other_shapes_are_named() -> None:
    program = chip(small_program((6, 7)))
    other = chip(small_program((6, 8)))
    with pytest.raises(
        SpikeloomError, match="layer 1, shape: \\[8\\]; the accelerator was made for"
    ):
        weight_image(program, other)


def without_biases(network: Network) -> Network:
    for number, layer in enumerate(network.layers, 1):
        network = of_layer(network, number, bias=np.zeros(layer.size, np.int64))
    return bound_accumulators(network)


def test_biases_need_a_place() -> None:
    program = small_program()
    network = without_biases(with_run_time_weights(program.network, "reloadable"))
    message = "layer 'layer1' of network 'random' has biases; the accelerator of 'random' has none"
    with pytest.raises(SpikeloomError, match=message):
        weight_image(replace(program, network=network), chip(program))


def test_a_network_without_biases_fits_where_there_are_some() -> None:
    program = chip()
    narrower = without_biases(program.network)
    neuron = narrower.layers[0].neuron
    assert isinstance(neuron, FixedNeuron)
    assert neuron.accumulator_bits < program.cores[0].neuron.accumulator_bits
    fitted = bound_accumulators(narrower, like=program.network)
    weight_image(program, replace(program, network=fitted))


def test_thresholds_of_a_layer_stay_one_number() -> None:
    program = chip(small_maps(Convolution((2, 4, 4), 3, (2, 2)), lanes=3))
    last = program.network.layers[-1]
    assert isinstance(last.neuron, FixedNeuron) and last.neuron.threshold.std() == 0
    other = of_layer(program.network, 2, threshold=np.arange(1, last.size + 1))
    if last.size > 1:
        with pytest.raises(SpikeloomError, match="one number for all neurons"):
            weight_image(program, Program(other, program.lanes, program.fire_lanes))
