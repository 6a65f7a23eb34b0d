"""Running an ONNX file in stock onnxruntime, with the spikes of every layer made visible.

Needs numpy, onnx and onnxruntime only, so that it serves the float file and the fixed-point file,
and code that does not load torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.operator import DOMAIN

Array = NDArray[Any]
Arrays = dict[str, Array]

_ERRORS_ONLY = 3

# What onnxruntime raises on a file or on an input that it does not take.
_RUNTIME_ERRORS = (
    runtime.EPFail,
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NoSuchFile,
    runtime.NotImplemented,
    runtime.RuntimeException,
    ValueError,
)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What onnxruntime computed.

    Attributes
    ----------
    spikes : per node of neurons, by its name, an array of shape `[T, N, ...]`
    outputs : the graph's own outputs by name
    """

    spikes: dict[str, Array]
    outputs: dict[str, Array]


def neuron_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of the domain `spikeloom`, in the order in which the graph computes them."""
    return [node for node in model.graph.node if node.domain == DOMAIN]


def expose_spikes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` whose graph also outputs the spikes of every node of neurons.

    The added outputs carry the names of the nodes' first outputs and stand behind the graph's own.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {item.name for item in copy.graph.output}
    for node in neuron_nodes(copy):
        if node.output[0] not in known:
            copy.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
    return copy


def run_model(
    model: onnx.ModelProto | Path,
    spikes: NDArray[Any],
    outputs: list[str] | None = None,
    threads: int = 1,
) -> Arrays:
    """Run a model with one input in onnxruntime.

    Parameters
    ----------
    spikes : array of shape (T, N, inputs ...); it is converted to float32
    outputs : names of the outputs to compute; all if None
    threads : how many threads an operator may use

    Raises
    ------
    SpikeloomError
        If onnxruntime does not take the model or the input, or has no such output.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    what = f"model '{model.graph.name}'" if isinstance(model, onnx.ModelProto) else f"'{model}'"
    try:
        session = onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        names = [item.name for item in session.get_outputs()]
        missing = [name for name in outputs or [] if name not in names]
        if missing:
            raise SpikeloomError(f"{what} has no output '{missing[0]}'; it has {', '.join(names)}")
        wanted = outputs or names
        results = session.run(wanted, {given.name: spikes.astype(np.float32)})
    except _RUNTIME_ERRORS as error:
        reason = " ".join(str(error).split())
        raise SpikeloomError(f"onnxruntime cannot run {what}: {reason[:300]}") from error
    return dict(zip(wanted, results, strict=True))


def run(model: onnx.ModelProto, spikes: Array) -> Run:
    """Run `model` on input spikes of shape `[T, N, inputs]`, with the spikes of all layers."""
    values = run_model(expose_spikes(model), spikes)
    return Run(
        {node.name: values[node.output[0]] for node in neuron_nodes(model)},
        {output.name: values[output.name] for output in model.graph.output},
    )
