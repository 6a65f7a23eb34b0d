"""The fixed ONNX file in stock onnxruntime equals the integer reference, bit for bit."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networks import LayerOptions, fixed_networks, random_network, random_spikes
from spikeloom.compiler.errors import SpikeloomError, VerificationMismatch
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.fixed_onnx import fixed_model
from spikeloom.compiler.ir import Network, Neuron, Population, Projection, Readout
from spikeloom.models.runtime import run_model
from spikeloom.sim.oracle import compare_fixed


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data(), density=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_onnxruntime_equals_reference(layers: int, data: st.DataObject, density: float) -> None:
    network = data.draw(fixed_networks(layers, skips=True))
    spikes = random_spikes(network, 3, density)
    compared = compare_fixed(network, fixed_model(network), spikes)
    sizes = [layer.size for layer in network.layers]
    assert compared == 3 * (network.steps * sum(sizes) + sizes[-1] + 1)


def example() -> Network:
    return random_network(1, [9, 7, 4], 5, [LayerOptions(), LayerOptions(Reset.SUBTRACT)])


def example_spikes() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(2).integers(0, 2, (5, 6, 9)).astype(np.uint8)


def test_file_is_valid_onnx_and_the_same_every_time() -> None:
    model = fixed_model(example())
    onnx.checker.check_model(model, full_check=True)
    assert model.SerializeToString() == fixed_model(example()).SerializeToString()


def test_file_has_the_interface_of_the_float_file() -> None:
    network = example()
    populations = (replace(network.input, shape=(3, 3)), *network.populations[1:])
    model = fixed_model(replace(network, populations=populations))
    (given_input,) = model.graph.input
    tensor = given_input.type.tensor_type
    assert given_input.name == "spikes"
    assert tensor.elem_type == onnx.TensorProto.FLOAT
    assert [dim.dim_value or dim.dim_param for dim in tensor.shape.dim] == [5, "N", 3, 3]
    assert [item.name for item in model.graph.output] == [
        "counts",
        "class",
        "layer1.spikes",
        "layer2.spikes",
    ]
    result = run_model(model, example_spikes().reshape(5, 6, 3, 3))
    assert result["counts"].dtype == result["class"].dtype == np.int64
    flat = run_model(fixed_model(network), example_spikes())
    assert np.array_equal(result["counts"], flat["counts"])


def test_metadata_states_scales_encoder_and_precision() -> None:
    metadata = {item.key: item.value for item in fixed_model(example()).metadata_props}
    assert metadata["spikeloom.encoder"] == "binary events"
    assert metadata["spikeloom.precision"] == (
        '{"weight_bits": 8, "state_bits": null, "decay_bits": 8}'
    )
    assert set(metadata) == {
        "spikeloom.encoder",
        "spikeloom.input",
        "spikeloom.membrane_scales",
        "spikeloom.precision",
    }


@pytest.mark.parametrize("name", ["layer1.threshold", "layer1.bias", "input.layer1.weight"])
def test_planted_fault_in_the_file_is_caught(name: str) -> None:
    network = example()
    model = fixed_model(network)
    tensor = next(item for item in model.graph.initializer if item.name == name)
    value = onnx.numpy_helper.to_array(tensor).copy()
    value[..., 0] += 300
    tensor.CopyFrom(onnx.numpy_helper.from_array(value, name))
    with pytest.raises(
        VerificationMismatch,
        match=r"layer 'layer1', step \d, sample \d, neuron 0: expected spike \d, got \d",
    ):
        compare_fixed(network, model, example_spikes())


def test_network_of_real_numbers_is_refused() -> None:
    neuron = Neuron(np.zeros(1), np.ones(1), np.ones(1), np.zeros(1), Reset.ZERO)
    network = Network(
        "real",
        1,
        (Population("input", (1,), None, "x"), Population("n", (1,), neuron, "n")),
        (Projection("input", "n", np.ones((1, 1)), "w"),),
        Readout("n"),
    )
    with pytest.raises(SpikeloomError, match="holds real numbers; quantise it first"):
        fixed_model(network)


def test_runtime_errors_are_one_line() -> None:
    model = fixed_model(example())
    with pytest.raises(SpikeloomError, match="model 'random' has no output 'votes'"):
        run_model(model, example_spikes(), ["votes"])
    with pytest.raises(SpikeloomError, match="onnxruntime cannot run model 'random'") as raised:
        run_model(model, example_spikes()[:3])
    assert "\n" not in str(raised.value)
