"""The fixed network as an ONNX file: the oracle that any ONNX runtime can run.

All tensors behind the input are int64. The file gives, bit for bit, the spikes and the readout of
the integer reference and of the hardware.
"""

import json
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import signed_range
from spikeloom.compiler.ir import FixedNeuron, Network, Population
from spikeloom.compiler.operator import (
    DOMAIN,
    IR_VERSION,
    OPSET,
    VERSION,
    fixed_neuron_function,
)

COUNTS = "counts"
CLASS = "class"


def spikes_output(population: str) -> str:
    """The name of the graph's output that holds the spikes of a population."""
    return f"{population}.spikes"


def fixed_model(network: Network) -> onnx.ModelProto:
    """The ONNX model of a fixed network; the same network gives the same bytes.

    Its input is that of the float file: float32 spikes `[T, N, inputs ...]`. Its outputs are
    `counts` (int64, `[N, classes]`), `class` (int64, `[N]`, ties to the lowest index) and, for each
    layer, `<layer>.spikes` (int64, `[T, N, neurons]`).

    Raises
    ------
    SpikeloomError
        If the network still holds real numbers.
    """
    if not network.is_fixed:
        raise SpikeloomError(f"network '{network.name}' holds real numbers; quantise it first")
    graph = _Graph()
    _add_input(graph, network)
    for layer in network.layers:
        _add_layer(graph, network, layer)
    readout = network.population(network.readout.population)
    graph.constant("readout.axes", np.asarray([0]))
    graph.node(
        "ReduceSum", [spikes_output(readout.name), "readout.axes"], COUNTS, "readout", keepdims=0
    )
    graph.node("ArgMax", [COUNTS], CLASS, "classify", axis=1, keepdims=0, select_last_index=0)
    outputs = [
        helper.make_tensor_value_info(COUNTS, TensorProto.INT64, ["N", readout.size]),
        helper.make_tensor_value_info(CLASS, TensorProto.INT64, ["N"]),
    ] + [
        helper.make_tensor_value_info(
            spikes_output(layer.name), TensorProto.INT64, [network.steps, "N", layer.size]
        )
        for layer in network.layers
    ]
    given = network.input
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            network.name,
            [
                helper.make_tensor_value_info(
                    given.source, TensorProto.FLOAT, [network.steps, "N", *given.shape]
                )
            ],
            outputs,
            graph.initializers,
        ),
        functions=[fixed_neuron_function()],
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)],
        ir_version=IR_VERSION,
        producer_name="spikeloom",
    )
    helper.set_model_props(model, _metadata(network))
    return model


class _Graph:
    """Nodes and initializers as far as they are made."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(
        self, operator: str, inputs: list[str], output: str, name: str, **attributes: Any
    ) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name, **attributes))
        return output

    def constant(self, name: str, value: NDArray[np.int64]) -> str:
        tensor = numpy_helper.from_array(np.ascontiguousarray(value, np.int64), name)
        self.initializers.append(tensor)
        return name


def _add_input(graph: _Graph, network: Network) -> None:
    given = network.input
    whole = spikes_output(given.name)
    # -1 is the batch; the input's features are flattened, as the populations are.
    graph.constant("input.flat", np.asarray([network.steps, -1, given.size]))
    cast = graph.node("Cast", [given.source], f"{given.name}.whole", "cast", to=TensorProto.INT64)
    graph.node("Reshape", [cast, "input.flat"], whole, "flatten")


def _add_layer(graph: _Graph, network: Network, layer: Population) -> None:
    neuron = layer.neuron
    assert isinstance(neuron, FixedNeuron)
    name = layer.name
    total = graph.constant(f"{name}.bias", neuron.bias)
    for edge in network.projections_to(name):
        label = f"{edge.pre}.{name}"
        # In the order [inputs, neurons], in units of the membrane.
        weight = graph.constant(
            f"{label}.weight", edge.weight.T.astype(np.int64) << edge.weight_shift
        )
        source = spikes_output(edge.pre)
        product = graph.node("MatMul", [source, weight], f"{label}.product", f"{label}.project")
        total = graph.node("Add", [product, total], f"{label}.current", f"{label}.add")
    low, high = signed_range(neuron.state_bits)
    divisor = 1 << neuron.decay.shift
    parameters = {
        "multiplier": neuron.decay.multiplier,
        "divisor": np.asarray(divisor),
        "half": np.asarray(divisor >> 1),
        "threshold": neuron.threshold,
        "low": np.asarray(low),
        "high": np.asarray(high),
    }
    inputs = [graph.constant(f"{name}.{what}", value) for what, value in parameters.items()]
    graph.nodes.append(
        helper.make_node(
            "FixedNeuron",
            [total, *inputs],
            [spikes_output(name), f"{name}.membranes"],
            name,
            domain=DOMAIN,
            reset=neuron.reset.value,
        )
    )


def _metadata(network: Network) -> dict[str, str]:
    scales = {}
    for layer in network.layers:
        assert isinstance(layer.neuron, FixedNeuron)
        scales[layer.name] = layer.neuron.scale
    precision = network.precision
    return {
        "spikeloom.encoder": network.encoder,
        "spikeloom.membrane_scales": json.dumps(scales),
        "spikeloom.precision": json.dumps(
            {
                "weight_bits": precision.weight_bits,
                "state_bits": precision.state_bits,
                "decay_bits": precision.decay_bits,
            }
        ),
    }
