"""The input of a network: from the numbers in a file to whole numbers, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from networks import LayerOptions, random_network
from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.inputs import check_spikes, file_values, read_events
from spikeloom.compiler.ir import Events, Network

DIRECT = Events(-14, 90, 2.0**-5, constant=True, folded=True)


def network(events: Events | None = None) -> Network:
    """Six inputs, T = 4."""
    chain = random_network(1, [6, 3], 4, [LayerOptions()])
    return replace(chain, events=events or Events())


def test_spikes_of_any_type_are_taken() -> None:
    spikes = np.random.default_rng(1).integers(0, 2, (4, 3, 6))
    for kind in (bool, np.uint8, np.int64, np.float32, np.float64):
        got = check_spikes(network(), spikes.astype(kind))
        assert got.dtype == np.uint8
        assert np.array_equal(got, spikes)


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        (Events(-1, 1), np.int8),
        (Events(0, 255), np.uint8),
        (Events(-1, 128), np.int16),
        (Events(0, 1 << 20), np.int32),
    ],
)
def test_events_take_no_more_memory_than_needed(events: Events, kind: type[np.integer]) -> None:
    assert check_spikes(network(events), np.zeros((4, 1, 6))).dtype == kind


def test_file_holds_multiples_of_the_step() -> None:
    item = network(replace(DIRECT, constant=False))
    events = np.random.default_rng(1).integers(-14, 91, (4, 3, 6)).astype(np.int8)
    values = file_values(item, events)
    assert values.dtype == np.float32
    assert np.array_equal(values, events / 32)
    assert np.array_equal(read_events(item, values), events)
    assert np.array_equal(read_events(item, values.astype(np.float64)), events)


def test_inputs_may_stand_in_the_axes_of_their_shape() -> None:
    item = network()
    item = replace(item, populations=(replace(item.input, shape=(1, 2, 3)), *item.layers))
    spikes = np.random.default_rng(1).integers(0, 2, (4, 3, 1, 2, 3))
    assert np.array_equal(read_events(item, spikes), spikes.reshape(4, 3, 6))
    with pytest.raises(SpikeloomError, match=r"input spikes have shape \(4, 3, 3, 2, 1\)"):
        read_events(item, spikes.reshape(4, 3, 3, 2, 1))


def test_input_of_another_shape_is_refused() -> None:
    with pytest.raises(SpikeloomError, match=r"takes \(T=4, batch, 6\)"):
        reference.run(network(), np.zeros((3, 1, 6), np.uint8))


def test_input_that_is_not_binary_is_refused() -> None:
    spikes = np.zeros((4, 2, 6), np.uint8)
    spikes[2, 1, 0] = 3
    with pytest.raises(
        SpikeloomError, match="input spike at step 2, sample 1, input 0 is 3; wanted 0 or 1"
    ):
        reference.run(network(), spikes)


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0, np.nan, np.inf])
def test_number_that_is_no_spike_is_refused(value: float) -> None:
    spikes = np.zeros((4, 2, 6), np.float32)
    spikes[3, 0, 5] = value
    with pytest.raises(SpikeloomError, match=r"at step 3, sample 0, input 5 is .*; wanted 0 or 1"):
        check_spikes(network(), spikes)


@pytest.mark.parametrize("value", [0.01, 91 / 32, -15 / 32, np.nan])
def test_number_between_the_steps_or_out_of_range_is_refused(value: float) -> None:
    values = np.zeros((4, 2, 6), np.float32)
    values[:, 1, 2] = value
    with pytest.raises(
        SpikeloomError,
        match=r"at step 0, sample 1, input 2 is .*; wanted a multiple of 0\.03125 in -0\.4375 \.\. "
        r"2\.8125",
    ):
        read_events(network(DIRECT), values)


def test_constant_input_that_changes_is_refused() -> None:
    values = np.zeros((4, 2, 6), np.float32)
    values[2, 1, 4] = 0.5
    with pytest.raises(
        SpikeloomError,
        match=r"at step 2, sample 1, input 4 is 0\.5; wanted the number of step 0 at every step",
    ):
        read_events(network(DIRECT), values)


def test_text_is_no_input() -> None:
    with pytest.raises(SpikeloomError, match="input spikes are of type <U1; wanted the numbers"):
        check_spikes(network(), np.full((4, 1, 6), "1"))
