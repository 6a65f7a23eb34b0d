"""Slices of VGG9 and ResNet11: cut out, folded, compared, and made to fit a part."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from networks import LayerOptions, random_network
from spikeloom.compiler.budget import Budget
from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.estimate import core_size
from spikeloom.compiler.fixed_onnx import fixed_model
from spikeloom.compiler.ir import Network
from spikeloom.compiler.program import Program
from spikeloom.sim.boards import find_part
from spikeloom.sim.cli import bench_large
from spikeloom.sim.cli.console import Console
from spikeloom.sim.large_networks import LANES, PART, needs_of, verify_slice
from spikeloom.sim.oracle import compare_fixed
from spikeloom.sim.random_networks import random_spikes
from spikeloom.sim.slices import (
    NETWORKS,
    SLICES,
    Slice,
    fitting,
    folded,
    large_network,
    sliced,
)


@pytest.fixture(scope="module")
def networks() -> dict[str, Network]:
    return {name: large_network(name) for name in NETWORKS}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_large_network_is_a_program_that_equals_its_onnx_file(
    name: str, networks: dict[str, Network]
) -> None:
    network = networks[name]
    assert Program(network, {}).refusal is None
    needs = needs_of(network, 2)
    assert needs.weight_bits > needs.part_bits
    assert max(layer.over_bound for layer in needs.layers) < 1.25
    # Spikes cross the whole network.
    assert all(layer.events for layer in needs.layers)


@pytest.mark.slow
@pytest.mark.parametrize("item", SLICES, ids=lambda item: str(item.name))
def test_slice_keeps_layers_and_weights(item: Slice, networks: dict[str, Network]) -> None:
    network = networks[item.network]
    alone = sliced(network, item.layers)
    for name in item.layers:
        assert alone.population(name).shape == network.population(name).shape
        pairs = zip(alone.projections_to(name), network.projections_to(name), strict=True)
        assert all(np.array_equal(ours.weight, given.weight) for ours, given in pairs)
    budget = find_part(PART).budget
    for core in folded(alone, LANES).cores[: len(item.layers)]:
        narrow, channels = fitting(core, budget)
        assert core_size(narrow, budget).blocks < budget.blocks
        assert narrow.neurons == core.neurons and narrow.lanes == core.lanes and channels >= 1


@pytest.mark.slow
def test_slice_equals_its_onnx_file_and_its_rtl(
    networks: dict[str, Network], tmp_path: Path
) -> None:
    (item,) = (item for item in SLICES if item.layers == ("pool1_neurons",))
    network = networks[item.network]
    alone = sliced(network, item.layers)
    compare_fixed(alone, fixed_model(alone), random_spikes(alone, 2, 0.1, seed=0))
    verdict = verify_slice(network, item, tmp_path)
    assert verdict.cycles > 1000 and "depthwise convolution" in verdict.features


def test_layers_of_several_inputs_are_no_slice() -> None:
    network = random_network(1, [4, 5, 6, 3], 2, [LayerOptions()] * 3)
    with pytest.raises(SpikeloomError, match="layer1, layer3 receives events of input, layer2"):
        sliced(network, ("layer1", "layer3"))


def test_core_that_no_part_holds_is_refused(networks: dict[str, Network]) -> None:
    core = folded(networks["cifar-vgg9"], LANES).cores[1]
    assert isinstance(core, ConvolutionCore)
    with pytest.raises(SpikeloomError, match=r"'hidden2' takes .* block RAMs with one channel"):
        fitting(core, Budget(1000, 10, 10, 36, 512, has_distributed=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layer", "hidden99"], "no slice ends with layer 'hidden99'; there are hidden1"),
        (["--inputs", "1"], "--inputs is 1; wanted >= 2"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], message: str) -> None:
    parser = argparse.ArgumentParser()
    bench_large.add_arguments(parser)
    with pytest.raises(SpikeloomError, match=message):
        bench_large.measure(parser.parse_args(arguments), Console(as_json=True))
