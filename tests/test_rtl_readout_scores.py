"""The scores of all kinds of readouts: RTL, cycle model and the compiler's definition agree."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readout_bench import KINDS, Samples, check, readout


@pytest.mark.parametrize("group", [1, 2, 3])
@pytest.mark.parametrize(("classes", "steps"), [(1, 1), (2, 5), (10, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_readout_equals_its_model_and_the_definition_of_its_scores(kind, classes, steps, group):
    dut = readout(kind, classes, steps, group)
    check(dut, Samples(dut, 4, density=0.4, seed=classes + group), seed=group)


@pytest.mark.parametrize("density", [0.0, 0.03, 0.3, 1.0])
@pytest.mark.parametrize("group", [1, 3])
def test_early_stop_answers_after_the_first_step_with_a_spike(group, density):
    dut = readout("first_spike", 5, 6, group, early_stop=True)
    samples = Samples(dut, 6, density, seed=7, cut=True)
    bench = check(dut, samples)
    assert bench.model.windows_done == 6
    assert bench.model.steps_done == sum(len(spikes) for spikes, _ in samples.arrays)


@given(
    kind=st.sampled_from(KINDS),
    classes=st.integers(1, 7),
    group=st.integers(1, 5),
    steps=st.integers(1, 5),
    value_bits=st.integers(1, 20),
    early_stop=st.booleans(),
    cut=st.booleans(),
    density=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    rates=st.tuples(*[st.sampled_from([0.1, 0.5, 0.9, 1.0])] * 2),
    ahead=st.integers(1, 5),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_any_readout_equals_its_model_and_its_definition(
    kind, classes, group, steps, value_bits, early_stop, cut, density, rates, ahead, seed
):
    dut = readout(kind, classes, steps, group, value_bits, early_stop and kind == "first_spike")
    samples = Samples(dut, 4, density, seed, cut)
    check(dut, samples, seed=seed, offer=rates[0], take=rates[1], ahead=ahead)
