"""Networks of every kind: the reference, a plain-Python model, fixed ONNX and program agree."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings

from one_neuron import run_plainly
from spikeloom.compiler import geometry, layer_window, reference
from spikeloom.compiler.errors import SpikeloomError, VerificationMismatch
from spikeloom.compiler.fixed_onnx import fixed_model
from spikeloom.compiler.inputs import file_values, read_events
from spikeloom.compiler.ir import Network
from spikeloom.compiler.mapping import map_network
from spikeloom.compiler.program import Program
from spikeloom.sim.oracle import compare_fixed
from wide_networks import random_events, wide_networks

wide = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@wide
@given(network=wide_networks())
def test_onnxruntime_equals_reference(network: Network) -> None:
    model = fixed_model(network)
    onnx.checker.check_model(model, full_check=True)
    compared = compare_fixed(network, model, random_events(network, 4))
    neurons = sum(layer.size for layer in network.layers)
    assert compared == 4 * (network.steps * neurons + network.classes + 1)


@wide
@given(network=wide_networks())
def test_plain_python_equals_reference(network: Network) -> None:
    events = random_events(network, 3, seed=1)
    trace = reference.run(network, events, membranes=True)
    saturated = dict.fromkeys(trace.saturated, 0)
    for sample in range(3):
        plain = run_plainly(network, events[:, sample])
        for layer in network.layers:
            got, membranes = trace.spikes[layer.name], trace.membranes[layer.name]
            assert np.array_equal(got[:, sample], plain.spikes[layer.name])
            assert np.array_equal(membranes[:, sample], plain.membranes[layer.name])
            saturated[layer.name] += plain.saturated[layer.name]
        assert trace.scores[sample].tolist() == plain.scores
    assert trace.saturated == saturated


@wide
@given(network=wide_networks())
def test_result_does_not_depend_on_what_is_computed_at_once(network: Network) -> None:
    """Whole windows or single steps, single samples, with and without looking for silent inputs."""
    events = random_events(network, 5, seed=2)
    expected = reference.run(network, events, membranes=True)
    for part, product, few in ((1, 1, 0), (1 << 20, 1, 0), (1, 1 << 18, 1000), (100, 100, 1000)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reference, "_PART", part)
            patch.setattr(layer_window, "_PRODUCT", product)
            patch.setattr(layer_window, "_FEW", few)
            patch.setattr(layer_window, "_MANY", 0)
            got = reference.run(network, events, membranes=True)
        assert np.array_equal(got.scores, expected.scores)
        assert got.saturated == expected.saturated
        for name, membranes in expected.membranes.items():
            assert np.array_equal(got.membranes[name], membranes)
            assert np.array_equal(got.spikes[name], expected.spikes[name])


@wide
@given(network=wide_networks())
def test_saved_program_computes_the_same(
    network: Network, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path: Path = tmp_path_factory.mktemp("program") / "wide.safetensors"
    saved = Program(network, {})
    saved.save(path)
    loaded = Program.load(path)
    assert loaded.describe() == saved.describe()
    assert str(loaded) == str(saved)
    events = random_events(network, 3)
    expected, got = (reference.run(item, events, True) for item in (network, loaded.network))
    assert np.array_equal(expected.scores, got.scores)
    for layer in network.layers:
        assert np.array_equal(expected.membranes[layer.name], got.membranes[layer.name])


@wide
@given(network=wide_networks())
def test_parts_of_a_batch_and_of_a_convolution_do_not_matter(network: Network) -> None:
    events = random_events(network, 7)
    whole = reference.run(network, events, membranes=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "_PART", 1)
        patch.setattr(geometry, "_PATCH_NUMBERS", 1)
        parts = reference.run(network, events, membranes=True)
        lean = reference.run(network, events, keep_spikes=False)
    assert np.array_equal(whole.scores, parts.scores)
    assert np.array_equal(whole.scores, lean.scores)
    assert set(lean.spikes) == {"input"} and not lean.membranes
    assert whole.saturated == parts.saturated == lean.saturated
    for name, spikes in whole.spikes.items():
        assert np.array_equal(spikes, parts.spikes[name])
        counted = np.count_nonzero(spikes, axis=(0, 2))
        assert np.array_equal(counted, lean.event_counts()[name])


@wide
@given(network=wide_networks())
def test_accelerator_takes_a_network_or_says_what_it_lacks(network: Network) -> None:
    refusal = Program(network, {}).refusal
    if refusal is None:
        cores = map_network(network, {}, {})
        for layer, core in zip(network.layers, cores, strict=True):
            senders = [edge.pre for edge in network.projections_to(layer.name)]
            assert senders == [source.name for source in core.sources]
    else:
        assert "accelerator" in refusal and "\n" not in refusal
        with pytest.raises(SpikeloomError, match="accelerator"):
            map_network(network, {}, {})


@wide
@given(network=wide_networks())
def test_input_file_holds_the_events_in_steps(network: Network) -> None:
    events = random_events(network, 3)
    values = file_values(network, events)
    shape = (network.steps, 3, *network.input.shape)
    for given_values in (values, values.reshape(shape), values.astype(np.float32)):
        assert np.array_equal(read_events(network, given_values), events)


def test_fault_in_a_file_is_caught() -> None:
    found = []

    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(network=wide_networks())
    def plant(network: Network) -> None:
        model = fixed_model(network)
        name = f"{network.layers[0].name}.bias"
        tensor = next(item for item in model.graph.initializer if item.name == name)
        value = onnx.numpy_helper.to_array(tensor) + 1000
        tensor.CopyFrom(onnx.numpy_helper.from_array(value, name))
        try:
            compare_fixed(network, model, random_events(network, 4))
        except VerificationMismatch:
            found.append(network)

    plant()
    # Neurons that never fire, or always, may hide such a fault from all spikes and scores.
    assert len(found) > 15
