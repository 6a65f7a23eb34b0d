"""The integer reference: arithmetic by hand, legal inputs, and wrap-around that is seen."""

from dataclasses import replace

import numpy as np
import pytest

from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, Reset
from spikeloom.compiler.ir import FixedNeuron, Network, Population, Projection, Readout
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators


def network(
    weight: list[list[int]],
    *,
    threshold: int = 10,
    bias: int = 0,
    decay: tuple[int, int] = (1, 0),
    reset: Reset = Reset.ZERO,
    state_bits: int = 16,
    accumulator_bits: int = 0,
    steps: int = 4,
) -> Network:
    matrix = np.array(weight)
    outputs, inputs = matrix.shape
    neuron = FixedNeuron(
        Decay(np.full(outputs, decay[0]), decay[1]),
        np.full(outputs, threshold),
        np.full(outputs, bias),
        reset,
        1.0,
        state_bits,
        accumulator_bits,
    )
    return Network(
        name="by_hand",
        steps=steps,
        populations=(
            Population("input", (inputs,), None, "spikes"),
            Population("fc", (outputs,), neuron, "fc"),
        ),
        projections=(Projection("input", "fc", matrix, "fc", None, 8, 0),),
        readout=Readout("fc"),
    )


def membranes(item: Network, events: list[int]) -> tuple[list[int], list[int]]:
    """Membrane and spikes of the first neuron for the events of one input."""
    spikes = np.array(events, np.uint8).reshape(-1, 1, 1)
    trace = reference.run(item, spikes, membranes=True)
    return trace.membranes["fc"][:, 0, 0].tolist(), trace.spikes["fc"][:, 0, 0].tolist()


@pytest.mark.parametrize(
    ("reset", "potentials", "spikes"),
    [
        (Reset.ZERO, [7, 11, 7, 4], [0, 1, 0, 0]),
        (Reset.SUBTRACT, [7, 11, 8, 4], [0, 1, 0, 0]),
        (Reset.NONE, [7, 11, 13, 7], [0, 1, 1, 0]),
    ],
)
def test_membrane_follows_the_equations(
    reset: Reset, potentials: list[int], spikes: list[int]
) -> None:
    # Halves are rounded up: the decay of 7 is 4, that of 11 is 6, that of 1 is 1, that of 13 is 7.
    item = network([[7]], decay=(1, 1), reset=reset)
    assert membranes(item, [1, 1, 1, 0]) == (potentials, spikes)


def test_negative_halves_are_rounded_up_too() -> None:
    item = network([[-7]], decay=(1, 1))
    assert membranes(item, [1, 0, 0, 0])[0] == [-7, -3, -1, 0]


def test_membrane_saturates_between_steps() -> None:
    item = network([[-7]], state_bits=4)
    assert membranes(item, [1, 1, 1, 1])[0] == [-7, -14, -15, -15]


def test_bias_acts_in_every_step() -> None:
    item = network([[7]], bias=2, threshold=100)
    assert membranes(item, [0, 1, 0, 0])[0] == [2, 11, 13, 15]


def test_accumulator_that_would_wrap_around_is_caught() -> None:
    item = network([[100, 100, 100]], threshold=1000, steps=2)
    spikes = np.ones((2, 1, 3), np.uint8)
    bounded = bound_accumulators(item)
    assert reference.run(bounded, spikes, membranes=True).membranes["fc"].max() == 600
    neuron = bounded.layers[0].neuron
    assert isinstance(neuron, FixedNeuron)
    assert neuron.accumulator_bits == 11
    narrow = replace(neuron, accumulator_bits=10)
    broken = replace(
        bounded, populations=(bounded.input, replace(bounded.layers[0], neuron=narrow))
    )
    with pytest.raises(
        SpikeloomError,
        match=r"layer 'fc' needs a membrane of 600 \.\. 600 at step 1, but its accumulator of 10 "
        r"bits holds -512 \.\. 511",
    ):
        reference.run(broken, spikes)


def test_ties_go_to_the_lowest_class() -> None:
    item = network([[3], [20], [20]], steps=2)
    trace = reference.run(item, np.ones((2, 1, 1), np.uint8))
    assert trace.scores.tolist() == [[0, 2, 2]]
    assert trace.classes.tolist() == [1]


def test_event_counts_are_per_population_and_sample() -> None:
    item = network([[20]], steps=2)
    spikes = np.array([[[1], [0]], [[1], [1]]], np.uint8)
    counts = reference.run(item, spikes).event_counts()
    assert {name: value.tolist() for name, value in counts.items()} == {
        "input": [2, 1],
        "fc": [2, 1],
    }


def test_samples_do_not_touch_each_other() -> None:
    random = np.random.default_rng(7)
    item = network(random.integers(-30, 31, (6, 5)).tolist(), decay=(3, 2))
    spikes = random.integers(0, 2, (4, 9, 5)).astype(np.uint8)
    whole = reference.run(item, spikes).spikes["fc"]
    for sample in range(9):
        alone = reference.run(item, spikes[:, sample : sample + 1]).spikes["fc"]
        assert np.array_equal(alone, whole[:, sample : sample + 1])


def test_input_of_another_shape_is_refused() -> None:
    with pytest.raises(SpikeloomError, match=r"takes \(T=4, batch, 1\)"):
        reference.run(network([[1]]), np.zeros((3, 1, 1), np.uint8))


def test_input_that_is_not_binary_is_refused() -> None:
    spikes = np.zeros((4, 2, 1), np.uint8)
    spikes[2, 1, 0] = 3
    with pytest.raises(
        SpikeloomError, match="input spike at step 2, sample 1, input 0 is 3; wanted 0 or 1"
    ):
        reference.run(network([[1]]), spikes)
