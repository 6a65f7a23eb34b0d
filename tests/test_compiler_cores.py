"""Folding layers onto lanes: the geometry and the memory images of a core."""

from dataclasses import replace

import numpy as np
import pytest

from networks import LayerOptions, random_network
from spikeloom.compiler.cores import map_network
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Network, Readout


def network(sizes: tuple[int, ...] = (6, 7, 4), skip: bool = False) -> Network:
    options = LayerOptions(decay="per neuron")
    return random_network(2, list(sizes), 3, [options] * (len(sizes) - 1), skip)


@pytest.mark.parametrize("lanes", range(1, 8))
def test_every_neuron_keeps_its_parameters_in_its_lane_and_group(lanes: int) -> None:
    core = map_network(network(), {"layer1": lanes})[0]
    assert (core.lanes, core.groups) == (lanes, -(-7 // lanes))
    assert core.weight_table.shape == (6 * core.groups, lanes)
    for neuron in range(core.neurons):
        group, lane = divmod(neuron, lanes)
        column = core.weight_table[group :: core.groups, lane]
        assert np.array_equal(column, core.weight[neuron])
        assert core.thresholds[group, lane] == core.neuron.threshold[neuron]
        assert core.biases[group, lane] == core.neuron.bias[neuron]
        assert core.multipliers[group, lane] == core.neuron.decay.multiplier[neuron]


@pytest.mark.parametrize("lanes", [2, 3, 4, 5, 6])
def test_filling_neurons_can_never_fire(lanes: int) -> None:
    core = map_network(network(), {"layer1": lanes})[0]
    filling = np.arange(core.groups * lanes).reshape(core.groups, lanes) >= core.neurons
    assert filling.sum() == core.groups * lanes - 7
    assert (core.thresholds[filling] > 0).all()
    assert not core.biases[filling].any()
    by_input = core.weight_table.reshape(core.inputs, core.groups, lanes)
    assert not by_input[:, filling].any()


def test_layers_without_lanes_get_one_per_neuron() -> None:
    cores = map_network(network(), {"layer2": 2})
    assert [(core.name, core.lanes, core.groups) for core in cores] == [
        ("layer1", 7, 1),
        ("layer2", 2, 2),
    ]
    assert [core.inputs for core in cores] == [6, 7]
    assert [core.steps for core in cores] == [3, 3]


def test_weight_memory_counts_its_filling() -> None:
    core = map_network(network(), {"layer1": 3})[0]
    assert core.weight_memory_bits == 6 * 3 * 3 * 8


@pytest.mark.parametrize("lanes", [0, -1, 8, 1000])
def test_lanes_that_do_not_fit_are_refused(lanes: int) -> None:
    with pytest.raises(
        SpikeloomError, match=f"'layer1' has 7 neurons, so it takes 1 .. 7 lanes, not {lanes}$"
    ):
        map_network(network(), {"layer1": lanes})


def test_lanes_of_an_unknown_layer_are_refused() -> None:
    with pytest.raises(
        SpikeloomError, match=r"lanes are given for 'fc3', which is not a layer \(layer1, layer2\)"
    ):
        map_network(network(), {"fc3": 2})


def test_lanes_of_the_input_are_refused() -> None:
    with pytest.raises(SpikeloomError, match="lanes are given for 'input', which is not a layer"):
        map_network(network(), {"input": 2})


def test_network_that_is_no_chain_is_refused() -> None:
    with pytest.raises(
        SpikeloomError,
        match="'layer2' receives projections from 'layer1', 'input'; the accelerator takes a "
        "chain of layers, here one from 'layer1'",
    ):
        map_network(network(skip=True), {})


def test_layer_that_is_left_out_of_the_chain_is_refused() -> None:
    chain = network((6, 6, 4))
    first, second = chain.projections
    fork = replace(chain, projections=(first, replace(second, pre="input")))
    fork.verify()
    with pytest.raises(SpikeloomError, match="'layer2' receives projections from 'input'"):
        map_network(fork, {})


def test_readout_of_an_inner_layer_is_refused() -> None:
    inner = replace(network(), readout=Readout("layer1"))
    inner.verify()
    with pytest.raises(
        SpikeloomError,
        match="readout takes population 'layer1', but the accelerator reads out the last layer, "
        "'layer2'",
    ):
        map_network(inner, {})
