# amaranth: UnusedElaboratable=no
"""The first difference: every signal is seen, and told in the network's terms."""

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from networks import LayerOptions, random_network, random_spikes
from spikeloom.compiler import reference
from spikeloom.compiler.ir import Network
from spikeloom.compiler.program import Program
from spikeloom.rtl.top import Accelerator, AcceleratorModel
from spikeloom.sim.difference import Difference, Observation
from spikeloom.sim.stimulus import input_words

SAMPLES = 3
# The first layer is folded, so that its sums lie in a memory; the second one is not.
LANES = {"layer1": 3}
FIRE_LANES = {"layer1": 2}


def small_network() -> Network:
    return random_network(1, [6, 7, 4], 3, [LayerOptions(decay="general")] * 2)


def accelerator(probe: bool = True) -> Accelerator:
    return Accelerator(Program(small_network(), LANES, FIRE_LANES), probe)


def cycles(model: AcceleratorModel, seed: int = 0) -> Iterator[int]:
    """Go through some samples, cycle by cycle."""
    network = small_network()
    words = input_words(network, random_spikes(network, SAMPLES, 0.5, seed))
    position = cycle = 0
    # The pipeline holds on to the last sample for a while.
    while position < len(words) or cycle < 400:
        yield cycle
        word, last = words[position] if position < len(words) else (None, False)
        position += word is not None and model.s_axis_tready
        model.clock(word, last, True)
        cycle += 1


def test_layout_covers_every_bit_once() -> None:
    observation = Observation(accelerator())
    position = 0
    for (_, probe), shift in zip(observation.signals, observation.shifts, strict=True):
        assert shift == position
        position += probe.width
    assert observation.width == position
    blocks = list(dict.fromkeys(block for block, _ in observation.signals))
    assert blocks == ["input", "layer1", "layer2", "readout", "port"]


def test_expected_shows_each_value_at_its_place() -> None:
    model = accelerator().model()
    observation = Observation(accelerator())
    for _ in cycles(model):
        shown = observation.expected(model)
        assert 0 <= shown < 1 << observation.width
        for value, (_, probe), shift in zip(
            model.values(), observation.signals, observation.shifts, strict=True
        ):
            assert shown >> shift & ((1 << probe.width) - 1) == value


def test_without_probes_only_the_ports_are_seen() -> None:
    observation = Observation(accelerator(probe=False))
    assert {block for block, _ in observation.signals} == {"port"}
    model = accelerator(probe=False).model()
    assert observation.expected(model).bit_length() <= observation.width == 1 + 1 + 32 + 1 + 1


def test_any_flipped_bit_is_found_in_its_signal() -> None:
    model = accelerator().model()
    observation = Observation(accelerator())
    for cycle in cycles(model):
        if cycle % 29:
            continue
        expected = observation.expected(model)
        for (block, probe), shift in zip(observation.signals, observation.shifts, strict=True):
            # The group of a layer with one group has no bits at all.
            for bit in {0, probe.width // 2, probe.width - 1} if probe.width else set():
                got = expected ^ 1 << shift + bit
                found = observation.first_difference(model, cycle, expected, got)
                assert (found.cycle, found.layer, found.signal) == (cycle, block, probe.name)
                assert found.expected != found.got
                assert (found.neuron is None) == (probe.lanes == 0)


def test_equal_values_are_no_difference() -> None:
    model = accelerator().model()
    observation = Observation(accelerator())
    expected = observation.expected(model)
    with pytest.raises(AssertionError, match="nothing differs"):
        observation.first_difference(model, 0, expected, expected)


def test_unknown_bits_count_as_wrong() -> None:
    observation = Observation(accelerator())
    expected = observation.expected(accelerator().model())
    shown = observation.text(expected)
    assert len(shown) == observation.width
    assert observation.value(shown, expected) == expected
    for place in (0, 1, observation.width - 1):
        unknown = f"{shown[:place]}X{shown[place + 1 :]}"
        assert observation.value(unknown, expected) == expected ^ 1 << observation.width - 1 - place


def test_first_signal_of_the_pipeline_and_lowest_lane_are_named() -> None:
    model = accelerator().model()
    observation = Observation(accelerator())
    expected = observation.expected(model)
    got = expected ^ (1 << observation.width) - 1
    found = observation.first_difference(model, 0, expected, got)
    assert (found.layer, found.signal) == ("input", "input.step")
    names = [probe.name for _, probe in observation.signals]
    index = names.index("lanes.sums")
    shift, bits = observation.shifts[index], observation.signals[index][1].lane_bits
    wrong = expected ^ (1 << shift + 2 * bits) ^ (1 << shift + bits)
    found = observation.first_difference(model, 0, expected, wrong)
    assert (found.layer, found.signal, found.neuron) == ("layer2", "lanes.sums", 1)


def test_lane_of_a_row_is_told_as_the_neuron_that_it_works_on() -> None:
    model = accelerator().model()
    observation = Observation(accelerator())
    core = model.layers[0].fire.core
    names = [(block, probe.name) for block, probe in observation.signals]
    index = names.index(("layer1", "fire.membranes"))
    seen = set()
    for cycle in cycles(model):
        row = model.layers[0].fire.values()[0]
        for lane in range(core.fire_lanes):
            expected = observation.expected(model)
            bit = observation.shifts[index] + lane * observation.signals[index][1].lane_bits
            found = observation.first_difference(model, cycle, expected, expected ^ 1 << bit)
            seen.add((row, lane, found.neuron))
    # Seven neurons on three lanes, of which two at a time fire: a group's second row has one.
    places = [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (3, 0), (4, 0)]
    assert seen >= {(*place, neuron) for neuron, place in enumerate(places)}


def changed(layer: int, neuron: int, source: int, bit: int) -> Network:
    """The small network with one bit of one weight flipped."""
    network = small_network()
    edges = list(network.projections)
    weight = edges[layer].weight.astype(np.int64)
    weight[neuron, source] ^= 1 << bit
    edges[layer] = replace(edges[layer], weight=weight)
    return replace(network, projections=tuple(edges))


def first_difference(wrong: Network, seed: int) -> Difference | None:
    """Between the small network and another one, both as models."""
    model = accelerator().model()
    other = Accelerator(Program(wrong, LANES, FIRE_LANES), probe=True).model()
    observation = Observation(accelerator())
    for cycle, _ in zip(cycles(model, seed), cycles(other, seed), strict=False):
        expected, got = observation.expected(model), observation.expected(other)
        if expected != got:
            return observation.first_difference(model, cycle, expected, got)
    return None


@pytest.mark.parametrize("neuron", range(7))
def test_flipped_bit_of_a_weight_in_memory_is_told_with_its_neuron_and_step(neuron: int) -> None:
    spikes = random_spikes(small_network(), SAMPLES, 0.5, neuron)
    found = first_difference(changed(0, neuron, source=4, bit=3), neuron)
    assert found is not None
    assert (found.layer, found.signal) == ("layer1", "lanes.write_data")
    assert found.neuron == neuron
    assert abs(found.expected - found.got) == 8
    # The first event of input 4 shows it.
    sample, step = np.argwhere(spikes[:, :, 4].T)[0]
    assert (found.sample, found.step) == (sample, step)


@pytest.mark.parametrize("neuron", range(4))
def test_flipped_bit_of_a_weight_in_registers_is_told_with_its_neuron(neuron: int) -> None:
    spikes = random_spikes(small_network(), SAMPLES, 0.5, 5)
    source = int(reference.run(small_network(), spikes).spikes["layer1"].any((0, 1)).argmax())
    found = first_difference(changed(1, neuron, source, bit=0), 5)
    assert found is not None
    assert (found.layer, found.signal) == ("layer2", "lanes.sums")
    assert found.neuron == neuron
    assert abs(found.expected - found.got) == 1


def test_difference_is_one_line_and_json() -> None:
    found = Difference(7, 1, 2, "layer1", 5, "fire.membranes", 1, 0)
    assert str(found) == (
        "cycle 7, sample 1, step 2, layer layer1, neuron 5, signal fire.membranes: "
        "expected 1, got 0"
    )
    assert json.loads(json.dumps(found.as_dict())) == found.as_dict()
    assert Difference(**found.as_dict()) == found
    assert ", neuron -, " in str(replace(found, neuron=None))
