from collections import OrderedDict

import numpy as np
import onnx
import pytest
from torch import nn

from spikeloom.compiler.errors import VerificationMismatch
from spikeloom.models.check import check_export
from spikeloom.models.export import convert
from spikeloom.models.layers import SpikeCount, Spiking

SPIKES = np.zeros((4, 2, 3), np.uint8)
SPIKES[2, 1, 1] = 1

# Neuron k of the only layer spikes where input k does.
LINEAR = nn.Linear(3, 3, bias=False)
nn.init.eye_(LINEAR.weight)
MODULE = nn.Sequential(
    OrderedDict(linear=LINEAR, output=Spiking(0.0, 0.5), count=SpikeCount()),
)


@pytest.fixture(scope="module")
def exported() -> onnx.ModelProto:
    return convert(MODULE, 4, (3,))


@pytest.fixture
def model(exported: onnx.ModelProto) -> onnx.ModelProto:
    """A copy for one test to spoil."""
    copy = onnx.ModelProto()
    copy.CopyFrom(exported)
    return copy


def change(model: onnx.ModelProto, initializer: str, value: np.ndarray) -> None:
    tensor = next(item for item in model.graph.initializer if item.name == initializer)
    tensor.CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float32), initializer))


def test_planted_weight_error_is_named_by_place(model: onnx.ModelProto) -> None:
    assert check_export(MODULE, model, SPIKES) == {"output": 24}
    change(model, "linear.weight", np.diag([1, 0.5, 1]))
    with pytest.raises(
        VerificationMismatch,
        match="layer 'output', step 2, sample 1, neuron 1: torch gives 1, onnxruntime 0; "
        "1 of 24 spikes differ",
    ) as caught:
        check_export(MODULE, model, SPIKES)
    assert caught.value.exit_code == 2


def test_planted_threshold_error_is_caught(model: onnx.ModelProto) -> None:
    change(model, "output.threshold", np.array(1.0))
    with pytest.raises(VerificationMismatch, match="step 2, sample 1, neuron 1"):
        check_export(MODULE, model, SPIKES)


def test_wrong_readout_is_caught(model: onnx.ModelProto) -> None:
    count = model.graph.node[-1]
    assert count.op_type == "ReduceSum"
    count.op_type = "ReduceMax"
    spikes = np.ones((4, 2, 3), np.uint8)
    with pytest.raises(VerificationMismatch, match="count"):
        check_export(MODULE, model, spikes)


def test_other_layers_are_caught(model: onnx.ModelProto) -> None:
    model.graph.node[1].name = "hidden"
    with pytest.raises(VerificationMismatch, match=r"torch has the layers \['output'\]"):
        check_export(MODULE, model, SPIKES)
