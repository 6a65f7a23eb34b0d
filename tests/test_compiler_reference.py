"""The integer reference: arithmetic by hand, legal inputs, and wrap-around that is seen."""

from dataclasses import replace

import numpy as np
import pytest

from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, Reset
from spikeloom.compiler.ir import (
    Events,
    FixedNeuron,
    Network,
    Population,
    Projection,
    Readout,
    ReadoutKind,
)
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
    current_decay: tuple[int, int] | None = None,
    current_bits: int = 16,
    fire: bool = True,
    single_spike: bool = False,
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
        None
        if current_decay is None
        else Decay(np.full(outputs, current_decay[0]), current_decay[1]),
        0 if current_decay is None else current_bits,
        fire,
        single_spike,
    )
    return Network(
        name="by_hand",
        steps=steps,
        populations=(
            Population("input", (inputs,), None, "spikes"),
            Population("fc", (outputs,), neuron, "fc"),
        ),
        projections=(Projection("input", "fc", matrix, "fc", None, 8, 0),),
        readout=Readout("fc") if fire else Readout("fc", "final_membrane"),
    )


def neuron_of(item: Network) -> FixedNeuron:
    neuron = item.layers[0].neuron
    assert isinstance(neuron, FixedNeuron)
    return neuron


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


def test_current_decays_and_flows_into_the_membrane() -> None:
    # A: 8, 4, 2, 9; V = half of the membrane before plus A: 8, 8, 6, and 12 with a spike.
    item = network([[8]], decay=(1, 1), current_decay=(1, 1))
    assert membranes(item, [1, 0, 0, 1]) == ([8, 8, 6, 12], [0, 0, 0, 1])


def test_current_saturates_when_it_is_written_back_and_not_before() -> None:
    # A: 7, 14, 14, 7, of which 7 is kept each time.
    item = network([[7]], decay=(0, 0), current_decay=(1, 0), current_bits=4, threshold=100)
    assert membranes(item, [1, 1, 1, 0])[0] == [7, 14, 14, 7]


def test_bias_flows_into_the_current() -> None:
    item = network([[7]], bias=2, decay=(0, 0), current_decay=(1, 0), threshold=100)
    assert membranes(item, [0, 1, 0, 0])[0] == [2, 11, 13, 15]


def test_neuron_spikes_once_and_goes_on_integrating() -> None:
    item = network([[7]], single_spike=True)
    assert membranes(item, [1, 1, 1, 1]) == ([7, 14, 7, 14], [0, 1, 0, 0])


def test_neuron_that_never_fires_only_integrates() -> None:
    item = network([[7]], fire=False, state_bits=5)
    assert membranes(item, [1, 1, 1, 1]) == ([7, 14, 21, 22], [0, 0, 0, 0])


@pytest.mark.parametrize(
    ("kind", "weights", "scores"),
    [
        ("spike_count", (), [2, 1, 0]),
        ("weighted_spike_count", (8, 4, 2, 1), [5, 8, 0]),
        ("first_spike", (), [3, 4, 0]),
        # V: 7, 14, 7, 14; 12, 0, 0, 0; 2, 4, 6, 8.
        ("final_membrane", (), [14, 0, 8]),
        ("maximum_membrane", (), [14, 12, 8]),
    ],
)
def test_readouts(kind: ReadoutKind, weights: tuple[float, ...], scores: list[int]) -> None:
    item = network([[7, 0], [0, 12], [2, 0]], threshold=10)
    item = replace(item, readout=Readout("fc", kind, weights))
    spikes = np.array([[1, 1], [1, 0], [1, 0], [1, 0]], np.uint8).reshape(4, 1, 2)
    trace = reference.run(item, spikes)
    assert trace.scores.tolist() == [scores]


def test_groups_of_neurons_vote_together() -> None:
    item = network([[20], [0], [20], [20]], steps=2)
    item = replace(item, readout=Readout("fc", group=2))
    trace = reference.run(item, np.ones((2, 1, 1), np.uint8))
    assert trace.scores.tolist() == [[2, 4]]
    assert trace.classes.tolist() == [1]


def test_signed_and_graded_events_are_weighed_by_their_number() -> None:
    item = replace(network([[3]], threshold=100), events=Events(-2, 5))
    events = np.array([5, -2, 0, 1]).reshape(4, 1, 1)
    trace = reference.run(item, events, membranes=True)
    assert trace.membranes["fc"].ravel().tolist() == [15, 9, 9, 12]
    assert trace.event_counts()["input"].tolist() == [3]


def test_saturated_states_are_counted() -> None:
    item = network([[-7]], state_bits=4)
    assert reference.run(item, np.ones((4, 1, 1), np.uint8)).saturated == {"fc": 3}
    assert reference.run(item, np.zeros((4, 1, 1), np.uint8)).saturated == {"fc": 0}


def test_slow_leak_of_a_small_membrane_is_rounded_away() -> None:
    # docs/arithmetic.md, "Slow decays": 253 / 256 leaves all from -42 to 42 as they are.
    item = network([[1]], decay=(253, 8), threshold=1000, steps=2)
    for start, left in ((42, 42), (43, 42), (-42, -42), (-43, -42)):
        weighted = replace(
            item, projections=(replace(item.projections[0], weight=np.array([[start]])),)
        )
        trace = reference.run(weighted, np.array([1, 0], np.uint8).reshape(2, 1, 1), True)
        assert trace.membranes["fc"].ravel().tolist() == [start, left]


def test_bias_acts_in_every_step() -> None:
    item = network([[7]], bias=2, threshold=100)
    assert membranes(item, [0, 1, 0, 0])[0] == [2, 11, 13, 15]


def test_accumulator_that_would_wrap_around_is_caught() -> None:
    item = network([[100, 100, 100]], threshold=1000, steps=2)
    spikes = np.ones((2, 1, 3), np.uint8)
    bounded = bound_accumulators(item)
    assert reference.run(bounded, spikes, membranes=True).membranes["fc"].max() == 600
    neuron = neuron_of(bounded)
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


def test_current_that_its_accumulator_does_not_hold_is_named_before_the_membrane() -> None:
    item = network([[100]], threshold=1000, accumulator_bits=8, current_decay=(1, 0), steps=3)
    message = r"needs a current of 200 \.\. 200 at step 1, .* of 8 bits holds -128 \.\. 127"
    with pytest.raises(SpikeloomError, match=message):
        reference.run(item, np.ones((3, 1, 1), np.uint8))


def test_numbers_that_do_not_fit_32_bits_are_exact() -> None:
    # A state of 24 bits times a multiplier of 12.
    item = network([[127]], threshold=8000000, decay=(4095, 12), state_bits=24, steps=2)
    shifted = replace(item, projections=(replace(item.projections[0], weight_shift=16),))
    spikes = np.ones((2, 1, 1), np.uint8)
    first = 127 << 16
    expected = [first, ((first - 8000000) * 4095 + 2048 >> 12) + first]
    subtracting = replace(
        shifted,
        populations=(
            shifted.input,
            replace(shifted.layers[0], neuron=replace(neuron_of(shifted), reset=Reset.SUBTRACT)),
        ),
    )
    trace = reference.run(subtracting, spikes, membranes=True)
    assert trace.membranes["fc"].ravel().tolist() == expected


def test_window_that_saturates_leaves_no_trace_in_the_next() -> None:
    item = network([[-7]], state_bits=4)
    for events, saturated in ((1, 3), (0, 0), (1, 3)):
        trace = reference.run(item, np.full((4, 2, 1), events, np.uint8))
        assert trace.saturated == {"fc": 2 * saturated}


def test_ties_go_to_the_lowest_class() -> None:
    item = network([[3], [20], [20]], steps=2)
    trace = reference.run(item, np.ones((2, 1, 1), np.uint8))
    assert trace.scores.tolist() == [[0, 2, 2]]
    assert trace.classes.tolist() == [1]


def test_event_counts_are_per_population_and_sample() -> None:
    item = network([[20]], steps=2)
    spikes = np.array([[[1], [0]], [[1], [1]]], np.uint8)
    for keep in (False, True):
        counts = reference.run(item, spikes, keep_spikes=keep).event_counts()
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


def test_decay_in_place_is_the_decay() -> None:
    random = np.random.default_rng(3)
    values = random.integers(-(1 << 15), 1 << 15, (50, 6))
    for factors in (random.random(6), np.full(6, 0.3), np.ones(6), np.zeros(6)):
        decay = Decay.from_float(factors, 8)
        for kind in (np.int32, np.int64):
            out = np.empty(values.shape, kind)
            decay.in_place(kind)(values.astype(kind), out)
            assert np.array_equal(out, decay(values))
