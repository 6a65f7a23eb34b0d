"""The passes: each alone, the pipeline as text, and what they refuse."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from float_networks import fixed_neuron, float_network, float_neuron, graded_network
from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.passes import PIPELINE, lower
from spikeloom.compiler.passes.fold_gains import fold_gains
from spikeloom.compiler.passes.fold_input_step import fold_input_step
from spikeloom.compiler.passes.make_thresholds_inclusive import make_thresholds_inclusive

Golden = Callable[[str, str], None]


def test_each_pass_prints_the_golden_text(golden: Golden) -> None:
    network = float_network(gain=[2.0, 0.5])
    golden("00-import", str(network))
    numbers = iter(range(1, len(PIPELINE) + 1))
    lower(network, lambda name, result: golden(f"{next(numbers):02}-{name}", str(result)))


def test_each_pass_prints_the_golden_text_of_a_graded_network(golden: Golden) -> None:
    network = graded_network()
    golden("graded-00-import", str(network))
    numbers = iter(range(1, len(PIPELINE) + 1))
    lower(network, lambda name, result: golden(f"graded-{next(numbers):02}-{name}", str(result)))


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


def test_gain_of_a_convolution_is_folded_by_channel() -> None:
    network = graded_network()
    folded = fold_gains(network)
    assert folded.projections[0].gain is None
    given, got = network.projections[0].weight, folded.projections[0].weight
    assert np.array_equal(got, given * np.array([0.5, 0.25]).reshape(2, 1, 1, 1))


def test_gain_that_differs_within_a_channel_is_refused() -> None:
    network = graded_network()
    gain = np.repeat([0.5, 0.25], 36)
    gain[40] = 0.3
    edge = replace(network.projections[0], gain=gain)
    with pytest.raises(
        SpikeloomError,
        match=r"projection 'conv' onto layer 'conv' is a convolution with gains of 0\.25 \.\. 0\.3 "
        r"within channel 1; wanted one gain per channel",
    ):
        fold_gains(replace(network, projections=(edge, network.projections[1])))


def test_input_step_is_folded_once_into_the_weights_behind_the_input() -> None:
    network = graded_network()
    folded = fold_input_step(network)
    assert folded.events == replace(network.events, folded=True)
    assert np.array_equal(folded.projections[0].weight, network.projections[0].weight / 32)
    assert folded.projections[1] is network.projections[1]
    assert fold_input_step(folded) is folded


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
