"""The passes `choose_scales` and `quantize`: from real numbers to integers."""

from dataclasses import replace

import numpy as np
import pytest

from float_networks import fixed_neuron, float_network, float_neuron
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Reset, signed_range
from spikeloom.compiler.geometry import Convolution
from spikeloom.compiler.ir import Network, Neuron, Population, Precision, Projection, Readout
from spikeloom.compiler.passes import lower
from spikeloom.compiler.passes.choose_scales import LEAK_UNITS, THRESHOLD_UNITS, choose_scales
from spikeloom.compiler.passes.make_thresholds_inclusive import make_thresholds_inclusive
from spikeloom.compiler.passes.quantize import choose_state_bits


def test_scales_give_the_threshold_enough_units() -> None:
    for threshold in (1e-3, 0.1, 0.5, 1.0, 30.0):
        network = choose_scales(make_thresholds_inclusive(float_network(threshold=threshold)))
        neuron = float_neuron(network)
        assert neuron.scale is not None
        (edge,) = network.projections
        assert neuron.scale * 2**edge.weight_shift == pytest.approx(1.0 / 127)
        assert threshold / neuron.scale >= THRESHOLD_UNITS
        assert edge.weight_shift == 0 or threshold / neuron.scale < 2 * THRESHOLD_UNITS


@pytest.mark.parametrize("what", ["alpha", "beta"])
def test_scales_give_a_slow_leak_enough_units(what: str) -> None:
    network = float_network(threshold=1.0)
    slow = np.full(2, 0.99)
    neuron = replace(float_neuron(network), beta=slow)
    if what == "alpha":
        neuron = replace(float_neuron(network), alpha=slow)
    layer = replace(network.layers[0], neuron=neuron)
    network = replace(network, populations=(network.input, layer))
    fixed = fixed_neuron(lower(network))
    decay = fixed.current_decay if what == "alpha" else fixed.decay
    assert decay is not None
    threshold = fixed.threshold[:1]
    leak = int((threshold - decay(threshold))[0])
    assert LEAK_UNITS <= leak <= 2 * LEAK_UNITS
    coarse = fixed_neuron(lower(float_network(threshold=1.0)))
    assert threshold[0] > 2 * coarse.threshold[0]


def test_scale_of_neurons_that_never_fire_is_the_step_of_their_weights() -> None:
    for threshold in (1e-9, 1e9):
        network = float_network(threshold=threshold, beta=1.0)
        neuron = replace(float_neuron(network), fire=False)
        layer = replace(network.layers[0], neuron=neuron)
        network = replace(
            network,
            populations=(network.input, layer),
            readout=Readout("fc", "final_membrane"),
        )
        fixed = lower(network)
        assert fixed.projections[0].weight_shift == 0
        assert fixed_neuron(fixed).scale == 1.0 / 127
        assert fixed_neuron(fixed).threshold.tolist() == [1, 1]


def test_convolution_of_equal_weights_becomes_ones() -> None:
    # Average pooling with neurons of their own: a depthwise convolution.
    pooling = Convolution((3, 4, 4), 3, (2, 2), (2, 2), groups=3)
    neuron = Neuron(np.zeros(12), np.ones(12), np.full(12, 0.75), np.zeros(12), Reset.ZERO)
    network = Network(
        "pool",
        4,
        (
            Population("input", (3, 4, 4), None, "x"),
            Population("fc", (3, 2, 2), neuron, "pool"),
        ),
        (Projection("input", "fc", np.full((3, 1, 2, 2), 0.25), "pool", convolution=pooling),),
        Readout("fc"),
    )
    fixed = lower(network)
    (edge,) = fixed.projections
    assert (edge.weight == 1).all()
    # 0.75 is three spikes, which the strict comparison does not let pass.
    one = 1 << edge.weight_shift
    assert fixed_neuron(fixed).threshold.tolist() == [3 * one + 1] * 12
    assert one * 3 >= THRESHOLD_UNITS


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


def test_current_decay_that_is_lost_is_refused() -> None:
    network = float_network()
    neuron = replace(float_neuron(network), alpha=np.array([0.5, 0.9999]))
    layer = replace(network.layers[0], neuron=neuron)
    with pytest.raises(
        SpikeloomError,
        match=r"layer 'fc' has a current decay of 0\.9999, which becomes 1 with 8 fraction bits; "
        "raise --decay-bits",
    ):
        lower(replace(network, populations=(network.input, layer)))


def test_flags_of_neurons_are_kept_and_alpha_of_zero_takes_no_state() -> None:
    network = float_network()
    neuron = replace(float_neuron(network), single_spike=True)
    layer = replace(network.layers[0], neuron=neuron)
    network = replace(network, populations=(network.input, layer))
    fixed = fixed_neuron(lower(network))
    assert fixed.single_spike and fixed.fire
    assert fixed.current_decay is None and fixed.current_bits == 0


@pytest.mark.parametrize(
    ("weights", "integers"),
    [
        ((0.75, 0.5, 0.25, 0.0), (255, 170, 85, 0)),
        ((4.0, 3.0, 2.0, 1.0), (4, 3, 2, 1)),
        ((510.0, 3.0, 2.0, 1.0), (255, 2, 1, 0)),
    ],
)
def test_weights_of_a_readout_become_8_bit_integers(
    weights: tuple[float, ...], integers: tuple[int, ...]
) -> None:
    readout = Readout("fc", "weighted_spike_count", weights)
    fixed = lower(replace(float_network(), readout=readout))
    assert fixed.readout == replace(readout, weights=integers)
    assert all(type(weight) is int for weight in fixed.readout.weights)


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


@pytest.mark.parametrize(
    ("threshold", "asked", "bits"),
    [(1, None, 16), (4095, None, 16), (4096, None, 17), (1 << 22, None, 24), (4096, 14, 14)],
)
def test_states_reach_to_eight_thresholds_unless_told(
    threshold: int, asked: int | None, bits: int
) -> None:
    assert choose_state_bits(Precision(state_bits=asked), threshold) == bits


def test_tiny_threshold_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="at most 16 are supported"):
        lower(float_network(threshold=1e-9))


def test_huge_bias_is_refused() -> None:
    with pytest.raises(SpikeloomError, match=r"needs an accumulator of 4\d bits"):
        lower(float_network(bias=1e10))
