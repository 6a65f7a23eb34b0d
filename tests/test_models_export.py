from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed_onnx import fixed_model
from spikeloom.compiler.onnx_import import import_network
from spikeloom.compiler.passes import lower
from spikeloom.models import runtime
from spikeloom.models.check import check_export
from spikeloom.models.encoders import ConstantCurrent, EvenlySpaced
from spikeloom.models.exact import make_sums_exact
from spikeloom.models.export import convert, export
from spikeloom.models.layers import Recurrent, SpikeCount, Spiking
from spikeloom.models.neuron import Compare, Reset
from spikeloom.sim.oracle import compare_fixed


class Tiny(nn.Module):
    """6-5-3 neurons, with weights that are always the same."""

    def __init__(self, hidden: Spiking | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(6, 5)
        self.hidden = hidden or Spiking(threshold=0.2)
        self.output = nn.Sequential(nn.Linear(5, 3, bias=False), Spiking(1.0, 0.25))
        self.count = SpikeCount()
        make_sums_exact(self)

    def forward(self, spikes: Tensor) -> Tensor:
        counts: Tensor = self.count(self.output(self.hidden(self.linear(spikes))))
        return counts


@pytest.fixture(scope="module")
def tiny() -> onnx.ModelProto:
    return convert(Tiny(), 4, (6,), name="tiny")


def random_spikes(steps: int, samples: int, inputs: int = 6) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, (steps, samples, inputs), np.uint8)


@pytest.mark.parametrize(
    ("reset", "compare", "fire", "single_spike"),
    [
        ("zero", ">", True, False),
        ("subtract", ">=", True, False),
        ("none", ">", True, True),
        ("subtract", ">", False, False),
    ],
)
def test_onnxruntime_gives_the_spikes_of_torch(
    reset: Reset, compare: Compare, fire: bool, single_spike: bool
) -> None:
    torch.manual_seed(3)
    hidden = Spiking(
        alpha=torch.rand(5) * 0.9,
        beta=torch.rand(5),
        threshold=torch.rand(5) * 0.5 + 0.1,
        reset=reset,
        compare=compare,
        fire=fire,
        single_spike=single_spike,
    )
    module = Tiny(hidden)
    spikes = random_spikes(7, 50)
    model = convert(module, 7, (6,))
    assert check_export(module, model, spikes) == {"hidden": 7 * 50 * 5, "output.1": 7 * 50 * 3}
    assert (runtime.run(model, spikes).spikes["hidden"].sum() > 0) == fire


def test_membranes_are_equal_to_the_last_bit() -> None:
    module = Tiny(Spiking(0.7, 0.3, 0.3, reset="subtract"))
    spikes = random_spikes(9, 20)
    model = convert(module, 9, (6,))
    hidden = next(node for node in model.graph.node if node.name == "hidden")
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name=hidden.output[1]))
    (membranes,) = runtime.run(model, spikes).outputs.values()
    with torch.no_grad():
        current = module.linear(torch.from_numpy(spikes.astype(np.float32)))
        expected = module.hidden.integrate(current)[1]
    assert np.array_equal(membranes, expected.numpy())


class Loop(nn.Module):
    """6-5-3 neurons, of which the five reach themselves."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(6, 5)
        self.hidden = Recurrent(5, 0.5, 0.25, 0.5, gain=gain)
        self.output = nn.Sequential(nn.Linear(5, 3, bias=False), Spiking(1.0, 0.25))
        self.count = SpikeCount()
        make_sums_exact(self)

    def forward(self, spikes: Tensor) -> Tensor:
        counts: Tensor = self.count(self.output(self.hidden(self.linear(spikes))))
        return counts


@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_recurrent_layer_goes_through_all_stages(gain: float) -> None:
    module = Loop(gain)
    model = convert(module, 5, (6,), name="loop")
    operators = {node.op_type for node in model.graph.node if node.domain == "spikeloom"}
    assert operators == {"Neuron", "RecurrentNeuron"}
    spikes = random_spikes(5, 40)
    assert check_export(module, model, spikes) == {"hidden": 5 * 40 * 5, "output.1": 5 * 40 * 3}
    network = lower(import_network(model, "loop"))
    assert [edge.delay for edge in network.projections] == [0, 1, 0]
    compare_fixed(network, fixed_model(network), spikes.astype(np.uint8))


def test_recurrent_layer_adds_its_own_spikes_a_step_later() -> None:
    layer = Recurrent(2, beta=0.0, threshold=1.0)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, 0.0], [2.0, 0.0]]))
    current = torch.zeros(4, 1, 2)
    current[0, 0, 0] = 2.0
    assert layer(current)[:, 0].tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]


def test_recurrent_layer_of_another_size_is_refused() -> None:
    with pytest.raises(SpikeloomError, match=r"5 neurons got a current of shape \(4, 1, 6\)"):
        Recurrent(5)(torch.zeros(4, 1, 6))
    with pytest.raises(SpikeloomError, match="has 0 neurons; wanted >= 1"):
        Recurrent(0)


def test_nodes_and_values_carry_the_names_of_the_layers(tiny: onnx.ModelProto) -> None:
    graph = tiny.graph
    assert graph.name == "tiny"
    assert [node.name for node in graph.node] == [
        "linear/MatMul",
        "linear/Add",
        "hidden",
        "output.0",
        "output.1",
        "count",
    ]
    assert [item.name for item in graph.input] == ["spikes"]
    assert [item.name for item in graph.output] == ["counts"]
    assert {item.name for item in graph.initializer} >= {"linear.weight", "hidden.beta"}
    dimensions = graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dimensions] == [4, "N", 6]


def test_samples_per_run_are_free(tiny: onnx.ModelProto) -> None:
    spikes = random_spikes(4, 30)
    together = runtime.run(tiny, spikes).outputs["counts"]
    alone = [runtime.run(tiny, spikes[:, [i]]).outputs["counts"] for i in range(3)]
    assert np.array_equal(np.concatenate(alone), together[:3])


def test_file_is_the_same_every_time_and_holds_nothing_of_this_machine(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        export(Tiny(), tmp_path / name, 4, (6,), EvenlySpaced(4))
    content = (tmp_path / "a.onnx").read_bytes()
    assert content == (tmp_path / "b.onnx").read_bytes()
    for trace in (b"pkg.", b"layers.py", b"site-packages", str(Path.home()).encode()):
        assert trace not in content
    metadata = {item.key: item.value for item in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert metadata == {
        "spikeloom.encoder": "evenly_spaced(steps=4)",
        "spikeloom.input": '{"lowest": 0, "highest": 1, "step": 1.0, "constant": false}',
        "spikeloom.steps": "4",
    }


def test_file_says_what_numbers_an_encoder_gives() -> None:
    model = convert(Tiny(), 4, (6,), ConstantCurrent(4, (0.1307,), (0.3081,)))
    metadata = {item.key: item.value for item in model.metadata_props}
    assert metadata["spikeloom.input"] == (
        '{"lowest": -14, "highest": 90, "step": 0.03125, "constant": true}'
    )


def test_encoder_of_too_large_numbers_is_refused() -> None:
    with pytest.raises(
        SpikeloomError, match=r"encoder 'constant_current\(.*: events of 0 \.\. 65536"
    ):
        convert(Tiny(), 4, (6,), ConstantCurrent(4, fraction_bits=16))


def test_export_leaves_the_module_in_training_mode_when_it_fails() -> None:
    module = nn.Sequential(nn.Linear(6, 3), Spiking())
    with pytest.raises(SpikeloomError):
        convert(module, 4, (6,))
    assert module.training
    assert module[1].training


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.neurons = Spiking()

    def forward(self, spikes: Tensor) -> Tensor:
        counts: Tensor = self.neurons(spikes).sum(0)
        return counts if spikes.sum() > 3 else -counts


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(6, 3), "module 'Linear' has no layer of neurons"),
        (
            nn.Sequential(nn.Linear(5, 3), Spiking()),
            r"fails on an input of shape \(4, 2, 6\): RuntimeError: mat1 and mat2",
        ),
        (
            nn.Sequential(nn.Linear(6, 3), Spiking()),
            r"gives \(4, 2, 3\) for an input of shape \(4, 2, 6\); wanted counts",
        ),
        (Branching(), r"cannot export module 'Branching': .*test_models_export.py, line \d+"),
    ],
)
def test_modules_that_do_not_fit_are_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(SpikeloomError, match=message) as caught:
        convert(module, 4, (6,))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("steps", "shape"), [(0, (6,)), (4, ()), (4, (0,))])
def test_empty_windows_and_samples_are_refused(steps: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(SpikeloomError, match="wanted >= 1"):
        convert(Tiny(), steps, shape)
