"""The pass `bound_accumulators`: intervals by hand, by exhaustion, and against dense matrices."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, Reset, signed_bits, signed_range
from spikeloom.compiler.intervals import weighted_events
from spikeloom.compiler.ir import (
    Events,
    FixedNeuron,
    Network,
    Population,
    Projection,
    Readout,
)
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators, never_fire
from wide_networks import random_events, wide_networks


def fixed_neuron(network: Network) -> FixedNeuron:
    neuron = network.layers[0].neuron
    assert isinstance(neuron, FixedNeuron)
    return neuron


def one_neuron(
    weight: list[int],
    *,
    threshold: int,
    bias: int = 0,
    decay: Decay | None = None,
    reset: Reset = Reset.ZERO,
    state_bits: int = 16,
    steps: int = 3,
) -> Network:
    """A fixed network of one neuron."""
    neuron = FixedNeuron(
        decay or Decay(np.array([1]), 0),
        np.array([threshold]),
        np.array([bias]),
        reset,
        1.0,
        state_bits,
    )
    return Network(
        name="one",
        steps=steps,
        populations=(
            Population("input", (len(weight),), None, "spikes"),
            Population("n", (1,), neuron, "n"),
        ),
        projections=(Projection("input", "n", np.array([weight]), "n", None, 8, 0),),
        readout=Readout("n"),
    )


def test_bounds_are_those_of_a_calculation_by_hand() -> None:
    # Without leak or reset three steps give at most 3 * (20 + 1) and at least 3 * (-30 + 1).
    neuron = fixed_neuron(
        bound_accumulators(one_neuron([20, -30], threshold=5, bias=1, reset=Reset.NONE))
    )
    assert neuron.accumulator_bits == neuron.state_bits == 8
    # Reset to zero keeps the membrane below the threshold: 4 + 21 at most; -87 as before.
    neuron = fixed_neuron(bound_accumulators(one_neuron([20, -30], threshold=5, bias=1)))
    assert neuron.accumulator_bits == 8
    # With no negative weight the state stays in 0 .. 4 and the membrane in 0 .. 24.
    neuron = fixed_neuron(bound_accumulators(one_neuron([20, 0], threshold=5)))
    assert (neuron.state_bits, neuron.accumulator_bits) == (4, 6)
    # Subtraction leaves up to 40 - 5 after two steps, and 60 - 10 after three.
    neuron = fixed_neuron(
        bound_accumulators(one_neuron([20, 0], threshold=5, reset=Reset.SUBTRACT))
    )
    assert (neuron.state_bits, neuron.accumulator_bits) == (7, 7)


def test_state_is_never_wider_than_the_user_chose() -> None:
    network = one_neuron([100, -100], threshold=7, reset=Reset.NONE, state_bits=6, steps=9)
    neuron = fixed_neuron(bound_accumulators(network))
    assert neuron.state_bits == 6
    assert neuron.accumulator_bits == 9


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    inputs=st.integers(1, 5),
    steps=st.integers(1, 3),
    reset=st.sampled_from(list(Reset)),
    state_bits=st.integers(4, 10),
)
def test_bounds_hold_for_every_order_and_are_reached(
    seed: int, inputs: int, steps: int, reset: Reset, state_bits: int
) -> None:
    random = np.random.default_rng(seed)
    shift = int(random.integers(0, 5))
    network = bound_accumulators(
        one_neuron(
            random.integers(-127, 128, inputs).tolist(),
            threshold=int(random.integers(1, 2 ** (state_bits - 1))),
            bias=int(random.integers(-50, 51)),
            decay=Decay(np.array([random.integers(0, 2**shift + 1)]), shift),
            reset=reset,
            state_bits=state_bits,
            steps=steps,
        )
    )
    neuron = fixed_neuron(network)
    low, high = signed_range(neuron.accumulator_bits)
    weights = network.projections[0].weight[0]
    positive, negative = int(weights.clip(min=0).sum()), int(weights.clip(max=0).sum())
    # Every set of events in every step, from every state that can occur.
    sums = {0}
    for weight in weights.tolist():
        sums |= {total + weight for total in sums}
    states, reached = {0}, {int(neuron.threshold[0])}
    for _ in range(steps):
        following = set()
        for state in states:
            start = neuron.decay.of_neuron(0, state) + int(neuron.bias[0])
            reached |= {start + positive, start + negative}
            for total in sums:
                fired = start + total >= neuron.threshold[0]
                after = start + total
                if fired and reset is not Reset.NONE:
                    after = 0 if reset is Reset.ZERO else after - int(neuron.threshold[0])
                bottom, top = signed_range(neuron.state_bits)
                if neuron.state_bits < state_bits:
                    assert bottom <= after <= top
                following.add(min(max(after, bottom), top))
        states = following
    assert low <= min(reached) and max(reached) <= high
    # The analysis looks at the two ends of an interval, so that one bit may be too many.
    narrower = signed_range(max(neuron.accumulator_bits - 2, 1))
    assert min(reached) < narrower[0] or max(reached) > narrower[1]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(network=wide_networks())
def test_sums_of_every_projection_are_those_of_its_dense_matrix(network: Network) -> None:
    for edge in network.projections:
        size = network.population(edge.pre).size
        # Column by column, what one event of each input adds.
        dense = edge.current(np.eye(size, dtype=np.int64)).T
        lowest, highest = 0, 1
        if edge.pre == "input":
            lowest, highest = min(network.events.lowest, 0), max(network.events.highest, 0)
        sums = weighted_events(network, edge)
        assert np.array_equal(sums.high, np.maximum(dense * lowest, dense * highest).sum(axis=1))
        assert np.array_equal(sums.low, np.minimum(dense * lowest, dense * highest).sum(axis=1))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(network=wide_networks())
def test_states_that_were_narrowed_never_saturate(network: Network) -> None:
    layers = []
    for layer in network.layers:
        neuron = layer.neuron
        assert isinstance(neuron, FixedNeuron)
        bits = 24 if neuron.current_decay is not None else 0
        layers.append(replace(layer, neuron=replace(neuron, state_bits=24, current_bits=bits)))
    wide = bound_accumulators(replace(network, populations=(network.input, *layers)))
    trace = reference.run(wide, random_events(wide, 20, seed=2))
    for layer in wide.layers:
        neuron = layer.neuron
        assert isinstance(neuron, FixedNeuron)
        if max(neuron.state_bits, neuron.current_bits) < 24:
            assert trace.saturated[layer.name] == 0


def test_signed_and_graded_events_count_with_their_ends() -> None:
    network = one_neuron([20, -30], threshold=5, reset=Reset.NONE, steps=1)
    graded = replace(network, events=Events(-2, 3))
    assert weighted_events(graded, graded.projections[0]).high.tolist() == [3 * 20 + 2 * 30]
    assert weighted_events(graded, graded.projections[0]).low.tolist() == [-2 * 20 - 3 * 30]
    # Without a zero in the range: an event may still be on its way.
    shifted = replace(network, events=Events(2, 3))
    assert weighted_events(shifted, shifted.projections[0]).low.tolist() == [-3 * 30]


def with_current(network: Network, decay: Decay, bits: int = 16) -> Network:
    neuron = replace(fixed_neuron(network), current_decay=decay, current_bits=bits)
    return replace(network, populations=(network.input, replace(network.layers[0], neuron=neuron)))


ONE, HALF = Decay(np.array([1]), 0), Decay(np.array([1]), 1)


def test_current_and_membrane_are_bounded_together() -> None:
    # I grows by 20 a step, V by I: 20, 40, 60 and 20, 60, 120; a spike of 5 resets to 0.
    network = with_current(one_neuron([20], threshold=200, reset=Reset.NONE), ONE)
    neuron = fixed_neuron(bound_accumulators(network))
    assert (neuron.current_bits, neuron.state_bits, neuron.accumulator_bits) == (7, 8, 9)
    halved = with_current(one_neuron([20], threshold=200, reset=Reset.NONE), HALF)
    # 20, 30, 35 and 20, 50, 85.
    neuron = fixed_neuron(bound_accumulators(halved))
    assert (neuron.current_bits, neuron.state_bits, neuron.accumulator_bits) == (7, 8, 9)


def test_two_integrators_need_no_wider_accumulators_in_a_longer_window() -> None:
    widths = set()
    for steps in (1_000, 100_000):
        network = with_current(one_neuron([100, -90], threshold=300, steps=steps), ONE)
        network = replace(
            network,
            populations=(
                network.input,
                replace(
                    network.layers[0], neuron=replace(fixed_neuron(network), single_spike=True)
                ),
            ),
        )
        neuron = fixed_neuron(bound_accumulators(network))
        assert neuron.current_bits == neuron.state_bits == 16
        widths.add(neuron.accumulator_bits)
    # V of up to 16 bits and A, itself 16 bits and an event.
    assert widths == {18}


def test_neuron_that_has_spent_its_spike_goes_on_integrating() -> None:
    once = one_neuron([20], threshold=5, steps=3)
    neuron = replace(fixed_neuron(once), single_spike=True)
    once = replace(once, populations=(once.input, replace(once.layers[0], neuron=neuron)))
    # 20 and a spike, then 20 and 40; a neuron that may spike again stays below 5 between steps.
    bounded = bound_accumulators(once)
    assert fixed_neuron(bounded).state_bits == 7
    trace = reference.run(bounded, np.ones((3, 1, 1), np.uint8), membranes=True)
    assert trace.membranes["n"].ravel().tolist() == [20, 20, 40]
    assert trace.spikes["n"].ravel().tolist() == [1, 0, 0]


def test_threshold_of_neurons_that_never_fire_takes_no_bits() -> None:
    network = one_neuron([1], threshold=10_000, steps=1)
    neuron = replace(fixed_neuron(network), fire=False)
    silent = replace(
        network, populations=(network.input, replace(network.layers[0], neuron=neuron))
    )
    assert fixed_neuron(bound_accumulators(silent)).accumulator_bits == 2
    assert fixed_neuron(bound_accumulators(network)).accumulator_bits == 15


def test_accumulator_that_is_too_wide_is_told_with_its_cause() -> None:
    network = replace(one_neuron([100] * 300, threshold=5), events=Events(0, 1 << 20))
    with pytest.raises(
        SpikeloomError,
        match=r"layer 'n' needs an accumulator of 36 bits .*; at most 32 are supported; the "
        r"synaptic input of one step takes 36 of them, so a smaller --weight-bits or an input of "
        r"fewer levels helps",
    ):
        bound_accumulators(network)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(network=wide_networks())
def test_accumulator_that_is_too_narrow_for_what_occurs_is_caught(network: Network) -> None:
    events = random_events(network, 8)
    trace = reference.run(network, events, membranes=True)
    for layer in network.layers:
        neuron = layer.neuron
        assert isinstance(neuron, FixedNeuron)
        reached = trace.membranes[layer.name]
        needed = signed_bits(int(reached.min()), int(reached.max()))
        assert needed <= neuron.accumulator_bits
        if needed == 1:
            continue
        narrow = replace(neuron, accumulator_bits=needed - 1)
        populations = tuple(
            replace(item, neuron=narrow) if item is layer else item for item in network.populations
        )
        with pytest.raises(SpikeloomError, match=f"layer '{layer.name}' needs a "):
            reference.run(replace(network, populations=populations), events)


def test_neuron_that_no_input_brings_to_its_threshold_is_found() -> None:
    """3 + 5 in each of 3 steps, with and without a leak, and cut off by a narrow state."""
    for decay, state_bits, reach in ((1.0, 16, 24), (0.5, 16, 14), (1.0, 4, 15), (0.0, 16, 8)):
        for threshold in (reach, reach + 1):
            network = one_neuron(
                [3, -2, 5],
                threshold=threshold,
                decay=Decay.from_float(np.array([decay]), 8),
                state_bits=state_bits,
            )
            found = never_fire(network, network.layers[0]).tolist()
            assert found == ([] if threshold == reach else [0]), (decay, state_bits, threshold)


@settings(max_examples=60, deadline=None)
@given(network=wide_networks())
def test_neurons_that_can_never_fire_do_not(network: Network) -> None:
    trace = reference.run(network, random_events(network, 6))
    for layer in network.layers:
        assert not trace.spikes[layer.name][..., never_fire(network, layer)].any()
