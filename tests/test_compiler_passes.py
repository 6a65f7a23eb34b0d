"""The passes: each alone, the pipeline as text, and what they refuse."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, Reset, signed_range
from spikeloom.compiler.ir import (
    FixedNeuron,
    Network,
    Neuron,
    Population,
    Precision,
    Projection,
    Readout,
)
from spikeloom.compiler.passes import PIPELINE, lower
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.passes.choose_scales import THRESHOLD_UNITS, choose_scales
from spikeloom.compiler.passes.fold_gains import fold_gains
from spikeloom.compiler.passes.make_thresholds_inclusive import make_thresholds_inclusive

Golden = Callable[[str, str], None]


def float_network(
    weight: object = ((0.5, -0.25, 0.125), (0.75, 1.0, -1.0)),
    *,
    beta: float = 0.5,
    threshold: float = 0.8,
    bias: float = 0.1,
    reset: Reset = Reset.ZERO,
    gain: object = None,
    precision: Precision | None = None,
) -> Network:
    """A network of one layer, T = 4."""
    matrix = np.array(weight, np.float64)
    outputs, inputs = matrix.shape
    neuron = Neuron(
        np.zeros(outputs),
        np.full(outputs, beta),
        np.full(outputs, threshold),
        np.full(outputs, bias),
        reset,
    )
    factor = None if gain is None else np.array(gain, np.float64)
    return Network(
        name="small",
        steps=4,
        populations=(
            Population("input", (inputs,), None, "spikes"),
            Population("fc", (outputs,), neuron, "node_fc"),
        ),
        projections=(Projection("input", "fc", matrix, "fc", factor),),
        readout=Readout("fc"),
        precision=precision or Precision(),
    )


def float_neuron(network: Network) -> Neuron:
    neuron = network.layers[0].neuron
    assert isinstance(neuron, Neuron)
    return neuron


def fixed_neuron(network: Network) -> FixedNeuron:
    neuron = network.layers[0].neuron
    assert isinstance(neuron, FixedNeuron)
    return neuron


def test_each_pass_prints_the_golden_text(golden: Golden) -> None:
    network = float_network(gain=[2.0, 0.5])
    golden("00-import", str(network))
    numbers = iter(range(1, len(PIPELINE) + 1))
    lower(network, lambda name, result: golden(f"{next(numbers):02}-{name}", str(result)))


def test_every_pass_describes_itself_in_one_line() -> None:
    for step in PIPELINE:
        first, _, rest = (step.__doc__ or "").partition("\n")
        assert first.endswith(".")
        assert not rest or rest.startswith("\n")


def test_failing_pass_is_named() -> None:
    with pytest.raises(SpikeloomError) as raised:
        lower(float_network([[0.0, 0.0]]))
    assert raised.value.__notes__ == ["in pass choose_scales"]


def test_gain_is_folded_into_the_weights() -> None:
    (edge,) = fold_gains(float_network([[1, 2], [3, 4]], gain=[2, -1])).projections
    assert edge.weight.tolist() == [[2, 4], [-3, -4]]
    assert edge.gain is None


def test_inclusive_threshold_is_the_next_number() -> None:
    network = make_thresholds_inclusive(float_network(threshold=1.0))
    neuron = float_neuron(network)
    assert neuron.inclusive
    assert (neuron.threshold == 1.0 + 2.0**-52).all()
    assert make_thresholds_inclusive(network).layers[0].neuron is neuron


def test_membrane_that_equals_the_threshold_does_not_fire() -> None:
    # One weight step is exactly 1/127 of the weight, so that the threshold falls on an integer.
    network = lower(float_network([[127.0]], threshold=127.0, beta=0.0, bias=0.0))
    assert fixed_neuron(network).threshold.tolist() == [128]
    spikes = np.ones((4, 1, 1), np.uint8)
    assert not reference.run(network, spikes).scores.any()


def test_scales_give_the_threshold_enough_units() -> None:
    for threshold in (1e-3, 0.1, 0.5, 1.0, 30.0):
        network = choose_scales(make_thresholds_inclusive(float_network(threshold=threshold)))
        neuron = float_neuron(network)
        assert neuron.scale is not None
        (edge,) = network.projections
        assert neuron.scale * 2**edge.weight_shift == pytest.approx(1.0 / 127)
        assert threshold / neuron.scale >= THRESHOLD_UNITS
        assert edge.weight_shift == 0 or threshold / neuron.scale < 2 * THRESHOLD_UNITS


def test_projections_onto_one_population_share_its_unit() -> None:
    network = float_network([[1.0, -1.0]])
    network = replace(
        network,
        populations=(
            network.populations[0],
            replace(network.populations[1], name="other"),
            network.populations[1],
        ),
        projections=(
            replace(network.projections[0], post="other"),
            network.projections[0],
            Projection("other", "fc", np.array([[0.1]]), "skip"),
        ),
    )
    fixed = lower(network)
    direct, skip = fixed.projections_to("fc")
    assert direct.weight_shift - skip.weight_shift == 3
    assert direct.weight.max() == 127
    assert skip.weight.max() * 2**skip.weight_shift == round(0.1 * 127 * 2**direct.weight_shift)


def test_quantize_keeps_signs_and_rounds_to_nearest() -> None:
    network = lower(float_network([[1.0, -1.0, 0.5, -0.004]], threshold=2.0))
    (edge,) = network.projections
    assert edge.weight.tolist() == [[127, -127, 64, -1]]
    assert edge.weight_bits == 8


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_use_their_whole_width(bits: int) -> None:
    network = lower(float_network(precision=Precision(weight_bits=bits)))
    assert np.abs(network.projections[0].weight).max() == signed_range(bits)[1]


def test_zero_weights_are_refused() -> None:
    with pytest.raises(
        SpikeloomError, match="all weights of projection 'fc' onto layer 'fc' are zero"
    ):
        lower(float_network([[0.0, 0.0]]))


@pytest.mark.parametrize(
    ("beta", "limit"), [(0.001, "0"), (0.999, "1")], ids=["becomes 0", "becomes 1"]
)
def test_decay_that_is_lost_is_refused(beta: float, limit: str) -> None:
    with pytest.raises(
        SpikeloomError,
        match=f"layer 'fc' has a decay of {beta}, which becomes {limit} with 8 fraction bits",
    ):
        lower(float_network(beta=beta))


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_decay_of_zero_or_one_is_kept(beta: float) -> None:
    decay = fixed_neuron(lower(float_network(beta=beta))).decay
    assert (decay.factors == beta).all()


def test_threshold_that_does_not_fit_the_state_is_refused() -> None:
    with pytest.raises(
        SpikeloomError,
        match="layer 'fc' has a threshold of 12701 membrane units, which needs 15 bits; "
        "--state-bits is 12",
    ):
        lower(float_network(threshold=100.0, precision=Precision(state_bits=12)))


def test_tiny_threshold_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="at most 16 are supported"):
        lower(float_network(threshold=1e-9))


def test_huge_bias_is_refused() -> None:
    with pytest.raises(SpikeloomError, match=r"needs an accumulator of 4\d bits"):
        lower(float_network(bias=1e10))


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
