"""The fixed ONNX file in stock onnxruntime equals the integer reference, bit for bit."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.compiler.errors import SpikeloomError, VerificationMismatch
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.fixed_onnx import fixed_model
from spikeloom.compiler.ir import Network, Neuron, Population, Precision, Projection, Readout
from spikeloom.compiler.passes import lower
from spikeloom.sim.oracle import compare_fixed, run_model


def random_network(
    seed: int,
    sizes: list[int],
    steps: int,
    resets: list[Reset],
    precision: Precision,
    skip: bool = False,
) -> Network:
    """A lowered chain of dense layers; with `skip`, the input also projects onto the last one."""
    random = np.random.default_rng(seed)
    names = ["input", *(f"layer{number}" for number in range(1, len(sizes)))]
    populations = [Population("input", (sizes[0],), None, "spikes")]
    projections = []
    for number, reset in enumerate(resets, start=1):
        size, inputs = sizes[number], sizes[number - 1]
        neuron = Neuron(
            beta=random.choice([0.0, 0.25, 0.5, 0.9, 1.0], size),
            threshold=random.uniform(0.5, 1.0, size),
            bias=random.normal(0, 0.2, size),
            reset=reset,
            inclusive=bool(random.integers(2)),
        )
        populations.append(Population(names[number], (size,), neuron, names[number]))
        weight = random.normal(0.1, 1.0, (size, inputs))
        # Never so small that a threshold needs more than 10 bits.
        weight *= random.uniform(0.3, 1.5) / np.abs(weight).max()
        pre, post = names[number - 1], names[number]
        projections.append(Projection(pre, post, weight, f"w{number}"))
    if skip and len(sizes) > 2:
        weight = random.normal(0, 0.1, (sizes[-1], sizes[0]))
        projections.append(Projection("input", names[-1], weight, "skip"))
    network = Network(
        name="random",
        steps=steps,
        populations=tuple(populations),
        projections=tuple(projections),
        readout=Readout(names[-1]),
        precision=precision,
    )
    return lower(network)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(1, 70), min_size=2, max_size=5),
    steps=st.integers(1, 12),
    resets=st.lists(st.sampled_from(list(Reset)), min_size=4, max_size=4),
    precision=st.builds(
        Precision, st.integers(2, 8), st.sampled_from([10, 12, 16, 24]), st.sampled_from([4, 8, 16])
    ),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    skip=st.booleans(),
)
def test_onnxruntime_equals_reference(
    seed: int,
    sizes: list[int],
    steps: int,
    resets: list[Reset],
    precision: Precision,
    density: float,
    skip: bool,
) -> None:
    resets = resets[: len(sizes) - 1]
    network = random_network(seed, sizes, steps, resets, precision, skip)
    random = np.random.default_rng(seed + 1)
    spikes = (random.random((steps, 3, sizes[0])) < density).astype(np.uint8)
    compared = compare_fixed(network, fixed_model(network), spikes)
    assert compared == 3 * (steps * sum(sizes[1:]) + sizes[-1] + 1)


def example() -> Network:
    return random_network(1, [9, 7, 4], 5, [Reset.ZERO, Reset.SUBTRACT], Precision())


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
        '{"weight_bits": 8, "state_bits": 16, "decay_bits": 8}'
    )
    assert set(metadata) == {
        "spikeloom.encoder",
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
    neuron = Neuron(np.ones(1), np.ones(1), np.zeros(1), Reset.ZERO)
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
