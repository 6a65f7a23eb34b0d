"""Folding layers onto lanes: the geometry and the memory images of a core."""

from dataclasses import replace

import numpy as np
import pytest

from networks import LayerOptions, random_network
from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.compiler.errors import SpikeloomError
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
from spikeloom.compiler.mapping import map_network
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.passes.repeat_constant_input import repeat_constant_input


def network(sizes: tuple[int, ...] = (6, 7, 4), skip: bool = False) -> Network:
    options = LayerOptions(decay="per neuron")
    return random_network(2, list(sizes), 3, [options] * (len(sizes) - 1), skip)


@pytest.mark.parametrize("lanes", range(1, 8))
def test_every_neuron_has_its_weights_in_its_lane_and_group(lanes: int) -> None:
    core = map_network(network(), {"layer1": lanes}, {})[0]
    assert (core.lanes, core.groups) == (lanes, -(-7 // lanes))
    assert core.weight_table.shape == (6 * core.groups, lanes)
    for neuron in range(core.neurons):
        group, lane = divmod(neuron, lanes)
        column = core.weight_table[group :: core.groups, lane]
        assert np.array_equal(column, core.sources[0].weight[neuron])


@pytest.mark.parametrize(("lanes", "fire_lanes"), [(7, 1), (7, 3), (7, 7), (3, 2), (4, 3), (1, 1)])
def test_every_neuron_has_its_parameters_in_its_row(lanes: int, fire_lanes: int) -> None:
    core = map_network(network(), {"layer1": lanes}, {"layer1": fire_lanes})[0]
    shape = (core.rows, fire_lanes)
    tables = core.thresholds, core.biases, core.multipliers(core.neuron.decay)
    assert [table.shape for table in tables] == [shape] * 3
    seen = []
    for row, start in enumerate(core.row_starts):
        group, place = divmod(start, lanes)
        for lane in range(min(fire_lanes, lanes - place)):
            neuron = group * lanes + place + lane
            if neuron < core.neurons:
                seen.append(neuron)
                given = core.neuron.threshold, core.neuron.bias, core.neuron.decay.multiplier
                for table, values in zip(tables, given, strict=True):
                    assert table[row, lane] == values[neuron]
    assert seen == list(range(core.neurons))
    numbers = np.arange(7)
    assert np.array_equal(core.by_neuron(core.by_row(numbers)), numbers)


@pytest.mark.parametrize(("lanes", "fire_lanes"), [(2, 1), (3, 2), (4, 4), (5, 3), (6, 4)])
def test_filling_neurons_can_never_fire(lanes: int, fire_lanes: int) -> None:
    core = map_network(network(), {"layer1": lanes}, {"layer1": fire_lanes})[0]
    filling = core.by_row(np.ones(core.neurons, np.int64)) == 0
    assert filling.sum() == core.rows * fire_lanes - 7
    assert (core.thresholds[filling] > 0).all()
    assert not core.biases[filling].any()
    by_input = core.weight_table.reshape(core.inputs, -1)
    assert not by_input[:, core.neurons :].any()


def test_layers_without_lanes_get_one_per_neuron() -> None:
    cores = map_network(network(), {"layer2": 2}, {})
    assert [(core.name, core.lanes, core.groups) for core in cores] == [
        ("layer1", 7, 1),
        ("layer2", 2, 2),
    ]
    assert [core.inputs for core in cores] == [6, 7]
    assert [core.steps for core in cores] == [3, 3]


def test_weight_memory_counts_its_filling() -> None:
    core = map_network(network(), {"layer1": 3}, {})[0]
    assert core.weight_memory_bits == 6 * 3 * 3 * 8


@pytest.mark.parametrize("lanes", [0, -1, 8, 1000])
def test_lanes_that_do_not_fit_are_refused(lanes: int) -> None:
    with pytest.raises(
        SpikeloomError, match=f"'layer1' has 7 neurons, so it takes 1 .. 7 lanes, not {lanes}$"
    ):
        map_network(network(), {"layer1": lanes}, {})


def test_lanes_of_an_unknown_layer_are_refused() -> None:
    with pytest.raises(
        SpikeloomError, match=r"lanes are given for 'fc3', which is not a layer \(layer1, layer2\)"
    ):
        map_network(network(), {"fc3": 2}, {})


def test_lanes_of_the_input_are_refused() -> None:
    with pytest.raises(SpikeloomError, match="lanes are given for 'input', which is not a layer"):
        map_network(network(), {"input": 2}, {})


def test_a_projection_past_a_layer_is_a_second_source() -> None:
    first, second = map_network(network(skip=True), {}, {})
    assert [source.name for source in first.sources] == ["input"]
    assert [source.name for source in second.sources] == ["layer1", "input"]
    assert second.inputs == 6 + 7 and second.first_senders == (0, 7)
    # What comes past a layer waits for what goes through it.
    assert [source.waiting for source in second.sources] == [0, 4]


def recurrent(readout: ReadoutKind = "spike_count", fire: bool = True) -> Network:
    chain = network((6, 4))
    neuron = chain.layers[0].neuron
    assert isinstance(neuron, FixedNeuron)
    layer = replace(chain.layers[0], neuron=replace(neuron, fire=fire))
    edge = replace(chain.projections[0], pre="layer1", weight=np.eye(4, dtype=np.int64))
    return replace(
        chain,
        populations=(chain.input, layer),
        projections=(*chain.projections, edge),
        readout=replace(chain.readout, kind=readout),
    )


def test_a_recurrent_layer_has_room_for_all_its_spikes_of_a_step() -> None:
    recurrent().verify()
    (core,) = map_network(recurrent(), {}, {})
    assert [(source.name, source.delay) for source in core.sources] == [("input", 0), ("layer1", 1)]
    assert core.sources[1].waiting == 5


def test_a_recurrent_layer_that_never_fires_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="from 'layer1' to itself, which never spikes"):
        recurrent("final_membrane", fire=False).verify()


def test_a_recurrent_layer_that_is_read_out_by_its_membranes_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="by its membranes and projects onto itself"):
        map_network(recurrent("final_membrane"), {}, {})


def test_layer_that_nothing_takes_is_refused() -> None:
    chain = network((6, 6, 4))
    first, second = chain.projections
    fork = replace(chain, projections=(first, replace(second, pre="input")))
    fork.verify()
    with pytest.raises(SpikeloomError, match="'layer1' projects onto no other layer"):
        map_network(fork, {}, {})


def test_constant_input_beside_other_events_is_repeated() -> None:
    chain = network(skip=True)
    constant = replace(chain, events=replace(chain.events, constant=True))
    with pytest.raises(SpikeloomError, match="'layer2' receives the constant input and other"):
        map_network(constant, {}, {})
    assert not repeat_constant_input(constant).events.constant
    alone = replace(network(), events=constant.events)
    assert repeat_constant_input(alone) is alone


def test_readout_of_an_inner_layer_is_refused() -> None:
    inner = replace(network(), readout=Readout("layer1"))
    inner.verify()
    with pytest.raises(
        SpikeloomError,
        match="readout takes population 'layer1', but the accelerator reads out the last layer, "
        "'layer2'",
    ):
        map_network(inner, {}, {})


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


def test_a_dense_layer_behind_maps_is_a_convolution_of_their_size() -> None:
    pooled = of_maps(None, Pooling((1, 2, 2), 2))
    pooled.verify()
    (core,) = map_network(pooled, {}, {})
    assert isinstance(core, ConvolutionCore)
    assert core.convolutions == (Convolution((1, 1, 1), 4, (1, 1)),)
    assert (core.sources[0].pooling, core.shape, core.lanes) == (2, (4, 1, 1), 4)


def test_a_readout_of_maps_is_refused() -> None:
    maps = of_maps(Convolution((1, 2, 2), 4, (1, 1)), None)
    layer = replace(maps.layers[0], shape=(4, 2, 2))
    with pytest.raises(SpikeloomError, match=r"'layer1' with feature maps of shape \(4, 2, 2\)"):
        map_network(replace(maps, populations=(maps.input, layer)), {}, {})


@pytest.mark.parametrize(("lanes", "nearest"), [(7, "3 or 4"), (0, "1 or 2")])
def test_lanes_that_cannot_be_divided_are_refused(lanes: int, nearest: str) -> None:
    maps = of_maps(Convolution((1, 2, 2), 4, (2, 2)), None)
    with pytest.raises(SpikeloomError, match=f"4 channels, .*; {lanes} cannot be, {nearest} can"):
        map_network(maps, {"layer1": lanes}, {})


@pytest.mark.parametrize(
    ("events", "bits"),
    [
        (Events(), 0),
        (Events(lowest=-1), 2),
        (Events(highest=90), 8),
        (Events(lowest=-14, highest=90, constant=True), 8),
    ],
)
def test_only_the_first_core_takes_the_values_of_the_input(events: Events, bits: int) -> None:
    first, second = map_network(bound_accumulators(replace(network(), events=events)), {}, {})
    assert (first.value_bits, first.constant) == (bits, events.constant)
    assert (second.value_bits, second.constant) == (0, False)


@pytest.mark.parametrize(
    ("kind", "sends"),
    [
        ("spike_count", "spikes"),
        ("first_spike", "spikes"),
        ("final_membrane", "final_membrane"),
        ("maximum_membrane", "maximum_membrane"),
    ],
)
def test_last_core_sends_what_the_readout_takes(kind: ReadoutKind, sends: str) -> None:
    readout = Readout("layer2", kind)
    first, last = map_network(replace(network(), readout=readout), {}, {})
    assert (first.sends, last.sends) == ("spikes", sends)
    assert last.fire_lanes == (4 if sends == "spikes" else 1)
    assert (last.value_sent_bits > 0) == (sends != "spikes")


@pytest.mark.parametrize("fire_lanes", [0, 4, 17])
def test_fire_lanes_that_do_not_fit_are_refused(fire_lanes: int) -> None:
    with pytest.raises(
        SpikeloomError,
        match=f"'layer1' has 3 lanes, so it takes 1 .. 3 fire lanes, not {fire_lanes}$",
    ):
        map_network(network(), {"layer1": 3}, {"layer1": fire_lanes})


def test_fire_lanes_of_an_unknown_layer_are_refused() -> None:
    with pytest.raises(SpikeloomError, match="fire lanes are given for 'fc3', which is not"):
        map_network(network(), {}, {"fc3": 1})
