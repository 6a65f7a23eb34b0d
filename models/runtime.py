"""Running an ONNX file in stock onnxruntime, with the spikes of every layer made visible.

Needs numpy, onnx and onnxruntime only, so that it serves the float file and the fixed-point file,
and code that does not load torch.
"""

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from spikeloom.compiler.operator import DOMAIN

Array = NDArray[np.generic]


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


def run(model: onnx.ModelProto, spikes: Array) -> Run:
    """Run `model` on input spikes of shape `[T, N, inputs]`, cast to the graph's type."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        expose_spikes(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    item = model.graph.input[0]
    wanted = onnx.helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type)
    names = [output.name for output in session.get_outputs()]
    values = dict(zip(names, session.run(names, {item.name: spikes.astype(wanted)}), strict=True))
    return Run(
        {node.name: values[node.output[0]] for node in neuron_nodes(model)},
        {output.name: values[output.name] for output in model.graph.output},
    )
