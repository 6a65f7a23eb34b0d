"""Folding layers onto lanes: the geometry and the memory images of a core."""

from dataclasses import replace

import numpy as np
import pytest

from networks import LayerOptions, random_network
from spikeloom.compiler.cores import map_network
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay
from spikeloom.compiler.geometry import Convolution, Pooling
from spikeloom.compiler.ir import (
    Events,
    FixedNeuron,
    Network,
    Population,
    Projection,
    Readout,
    ReadoutKind,
)


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


def changed_neuron(chain: Network, **changes: object) -> Network:
    """The chain with another second layer."""
    layer = chain.layers[1]
    assert isinstance(layer.neuron, FixedNeuron)
    last = replace(layer, neuron=replace(layer.neuron, **changes))  # type: ignore[arg-type]  # by name
    return replace(chain, populations=(*chain.populations[:2], last))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (
            {"current_decay": Decay(np.ones(4, np.int64), 1), "current_bits": 8},
            "has synaptic currents that last",
        ),
        ({"single_spike": True}, "has neurons that spike at most once"),
        ({"fire": False}, "has neurons that never spike"),
    ],
)
def test_neuron_that_the_accelerator_does_not_have_is_refused(
    changes: dict[str, object], what: str
) -> None:
    with pytest.raises(
        SpikeloomError, match=f"layer 'layer2' {what}; the accelerator does not have this yet$"
    ):
        map_network(changed_neuron(network(), **changes), {})


def of_maps(convolution: Convolution | None, pooling: Pooling | None) -> Network:
    """A layer behind an input of 2 x 2 pixels."""
    chain = network((4, 4))
    kernels = None if convolution is None else np.ones((4, 1, 2, 2), np.int64)
    weight = np.ones((4, 1), np.int64) if kernels is None else kernels
    shape = (4,) if convolution is None else (4, 1, 1)
    edge = Projection(
        "input", "layer1", weight, "e", None, 8, 0, convolution=convolution, pooling=pooling
    )
    layer = replace(chain.layers[0], shape=shape)
    return replace(
        chain,
        populations=(Population("input", (1, 2, 2), None, "x"), layer),
        projections=(edge,),
    )


def test_maps_are_refused() -> None:
    convolution = of_maps(Convolution((1, 2, 2), 4, (2, 2)), None)
    convolution.verify()
    with pytest.raises(SpikeloomError, match="layer 'layer1' is a convolution; the accelerator"):
        map_network(convolution, {})
    pooled = of_maps(None, Pooling((1, 2, 2), 2))
    pooled.verify()
    with pytest.raises(SpikeloomError, match="layer 'layer1' pools its events; the accelerator"):
        map_network(pooled, {})


@pytest.mark.parametrize("events", [Events(lowest=-1), Events(highest=90)])
def test_input_of_other_events_than_spikes_is_refused(events: Events) -> None:
    with pytest.raises(
        SpikeloomError,
        match=rf"the input gives events of {events.lowest} \.\. {events.highest}; the accelerator "
        "does not have this yet, only spikes of 0 and 1",
    ):
        map_network(replace(network(), events=events), {})


@pytest.mark.parametrize(
    ("kind", "group", "what"),
    [
        ("first_spike", 1, "the first spike"),
        ("final_membrane", 1, "the final membrane"),
        ("spike_count", 2, "groups of neurons"),
    ],
)
def test_other_readouts_are_refused(kind: ReadoutKind, group: int, what: str) -> None:
    readout = Readout("layer2", kind, group=group)
    with pytest.raises(
        SpikeloomError,
        match=f"the readout of layer 'layer2' takes {what}; the accelerator does not have this yet",
    ):
        map_network(replace(network(), readout=readout), {})
