"""Cycles per layer against hand counts."""

import numpy as np
import pytest

from networks import random_spikes
from small_programs import small_maps, small_program
from spikeloom.compiler import reference
from spikeloom.compiler.geometry import Convolution
from spikeloom.compiler.ir import Events
from spikeloom.sim.latency import measure
from spikeloom.sim.layer_cycles import layer_cycles, products
from wide_networks import random_events


def test_dense_layer_takes_its_groups_per_event_and_its_scan_per_step() -> None:
    program = small_program((6, 7), 3, 2, steps=3)
    spikes = np.zeros((3, 2, 6), np.uint8)
    spikes[0, 0, :4] = spikes[2, 1, :2] = 1
    (layer,) = layer_cycles(program, reference.run(program.network, spikes))
    # Three groups of two rows each; 6 events in two samples.
    assert (layer.events, layer.adding, layer.scanning) == (3, 3 * 3, 3 * 6)
    assert layer.bound == pytest.approx(3 * 7 / 3 + 18)
    assert layer.artificial == 6 * 7 / 3
    assert layer.over_bound == pytest.approx(27 / 25)


def test_convolution_on_one_column_wastes_no_cycle_at_its_borders() -> None:
    program = small_maps(Convolution((2, 5, 6), 5, (3, 3)), lanes=5, pooling=2)
    trace = reference.run(program.network, random_spikes(program.network, 3, 0.4))
    first, second = layer_cycles(program, trace)
    assert first.cycles == pytest.approx(first.bound)
    # 3 x 4 positions, of which pooling takes a row less.
    assert first.artificial == 3 * 4 * 2 * 9 * 5 / 5
    assert products(program.cores[1]) == 1 * 2 * 5 * 4
    assert second.cycles >= second.bound


def test_constant_input_comes_once() -> None:
    events = Events(-3, 7, constant=True)
    program = small_maps(Convolution((1, 5, 5), 3, (2, 2)), lanes=3, events=events)
    spikes = random_events(program.network, 3)
    first, _ = layer_cycles(program, reference.run(program.network, spikes))
    assert first.events == np.count_nonzero(spikes[0]) / 3


def test_no_sample_is_faster_than_its_slowest_layer() -> None:
    program = small_maps(Convolution((2, 5, 6), 5, (3, 3)), lanes=30)
    spikes = random_spikes(program.network, 4, 0.5)
    layers = layer_cycles(program, reference.run(program.network, spikes))
    counted = measure(program, spikes)
    assert counted.pipelined.mean() >= max(layer.cycles for layer in layers)
