"""The fixed network as an ONNX file: the oracle that any ONNX runtime can run.

All numbers behind the input are whole. Neurons and readouts are int64; weighted sums are floats in
which every partial sum is exact, because ONNX runtimes have no convolution of wide integers. The
file gives, bit for bit, the spikes and the readout of the integer reference and of the hardware.
"""

import json
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, exact_float, signed_range
from spikeloom.compiler.intervals import weighted_events
from spikeloom.compiler.ir import FixedNeuron, Network, Population, Projection
from spikeloom.compiler.on_chip import OnChipEncoder, random_bytes
from spikeloom.compiler.onnx_events import INPUT_KEY, write_events
from spikeloom.compiler.operator import (
    DOMAIN,
    IR_VERSION,
    OPSET,
    VERSION,
    fixed_neuron_function,
)
from spikeloom.compiler.readouts import step_weights

COUNTS = "counts"
CLASS = "class"

_FLOATS = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE}


def spikes_output(population: str) -> str:
    """The name of the graph's output that holds the spikes of a population."""
    return f"{population}.spikes"


def membranes_output(population: str) -> str:
    """The name of the tensor that holds the membranes of a population."""
    return f"{population}.membranes"


def fixed_model(network: Network) -> onnx.ModelProto:
    """The ONNX model of a fixed network; the same network gives the same bytes.

    Its input is that of the float file: float32, `[T, N, inputs ...]`. Its outputs are `counts`,
    the scores (int64, `[N, classes]`), `class` (int64, `[N]`, ties to the lowest index) and, for
    each layer, `<layer>.spikes` (int64, `[T, N, neurons]`).

    Raises
    ------
    SpikeloomError
        If the network still holds real numbers, or if the sums of a convolution are too large for
        float32.
    """
    if not network.is_fixed:
        raise SpikeloomError(f"network '{network.name}' holds real numbers; quantise it first")
    graph = _Graph()
    _add_input(graph, network)
    for layer in network.layers:
        _add_layer(graph, network, layer)
    _add_readout(graph, network)
    outputs = [
        helper.make_tensor_value_info(COUNTS, TensorProto.INT64, ["N", network.classes]),
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
        functions=_functions(graph),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)],
        ir_version=IR_VERSION,
        producer_name="spikeloom",
    )
    helper.set_model_props(model, _metadata(network))
    return model


def _functions(graph: "_Graph") -> list[onnx.FunctionProto]:
    """The definitions of the operators that the graph uses."""
    used = {node.op_type for node in graph.nodes}
    known = [fixed_neuron_function(recurrent) for recurrent in (False, True)]
    return [function for function in known if function.name in used]


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

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """An initializer; int64 unless the value is of floats."""
        kind = value.dtype if value.dtype.kind == "f" else np.int64
        tensor = numpy_helper.from_array(np.ascontiguousarray(value, kind), name)
        self.initializers.append(tensor)
        return name


def _add_input(graph: _Graph, network: Network) -> None:
    given = network.input
    whole = spikes_output(given.name)
    values = given.source
    if network.events.step != 1:
        step = graph.constant("input.step", np.asarray(network.events.step, np.float32))
        values = graph.node("Div", [values, step], f"{given.name}.units", "divide")
    # -1 is the batch; the input's features are flattened, as the populations are.
    graph.constant("input.flat", np.asarray([network.steps, -1, given.size]))
    cast = graph.node("Cast", [values], f"{given.name}.whole", "cast", to=TensorProto.INT64)
    if network.on_chip is None:
        graph.node("Reshape", [cast, "input.flat"], whole, "flatten")
        return
    pixels = graph.node("Reshape", [cast, "input.flat"], f"{given.name}.pixels", "flatten")
    _encode(graph, network.on_chip, network, pixels, whole)


def _encode(
    graph: _Graph, encoder: OnChipEncoder, network: Network, pixels: str, spikes: str
) -> None:
    """What an encoder on the chip makes of pixels, which are the same in every time step."""
    if encoder.kind == "bernoulli":
        drawn = random_bytes(encoder.seed, network.input.shape, network.steps)
        random = graph.constant("encoder.bytes", drawn[:, None])
        fires = graph.node("Less", [random, pixels], "encoder.below", "draw")
    else:
        codes = graph.constant("encoder.codes", encoder.time_codes())
        steps = graph.constant("encoder.steps", np.arange(1, network.steps + 1).reshape(-1, 1, 1))
        times = graph.node("Gather", [codes, pixels], "encoder.times", "look up", axis=0)
        fires = graph.node("Equal", [times, steps], "encoder.now", "compare times")
    graph.node("Cast", [fires], spikes, "spike", to=TensorProto.INT64)


def _add_layer(graph: _Graph, network: Network, layer: Population) -> None:
    neuron = layer.neuron
    assert isinstance(neuron, FixedNeuron)
    name = layer.name
    total = graph.constant(f"{name}.bias", neuron.bias)
    recurrent: list[str] = []
    for edge in network.projections_to(name):
        label = f"{edge.pre}.{name}"
        if edge.delay:
            # In the order [inputs, neurons], as integers: runtimes multiply such matrices.
            weight = edge.weight.T.astype(np.int64) << edge.weight_shift
            recurrent.append(graph.constant(f"{label}.weight", weight))
            continue
        sums = _add_projection(graph, network, edge, label)
        total = graph.node("Add", [sums, total], f"{label}.current", f"{label}.add")
    current_decay = neuron.current_decay or Decay(np.zeros_like(neuron.bias), 0)
    parameters = {
        **{
            f"current_{what}": value
            for what, value in _state(current_decay, neuron.current_bits).items()
        },
        **_state(neuron.decay, neuron.state_bits),
        "threshold": neuron.threshold,
    }
    inputs = [graph.constant(f"{name}.{what}", value) for what, value in parameters.items()]
    graph.nodes.append(
        helper.make_node(
            "FixedRecurrentNeuron" if recurrent else "FixedNeuron",
            [total, *recurrent, *inputs],
            [spikes_output(name), membranes_output(name)],
            name,
            domain=DOMAIN,
            reset=neuron.reset.value,
            fire=int(neuron.fire),
            single_spike=int(neuron.single_spike),
        )
    )


def _state(decay: Decay, bits: int) -> dict[str, NDArray[Any]]:
    """What FixedNeuron takes for a state of `bits` bits; 0 bits hold nothing but 0."""
    low, high = signed_range(bits) if bits else (0, 0)
    divisor = 1 << decay.shift
    return {
        "multiplier": decay.multiplier,
        "divisor": np.asarray(divisor),
        "half": np.asarray(divisor >> 1),
        "low": np.asarray(low),
        "high": np.asarray(high),
    }


def _add_projection(graph: _Graph, network: Network, edge: Projection, label: str) -> str:
    """Sums of the events' weights in units of the membrane, `[T, N, neurons]`."""
    kind = exact_float(weighted_events(network, edge).magnitude)
    if kind is not np.float32 and (edge.convolution is not None or edge.pooling is not None):
        raise SpikeloomError(
            f"projection '{edge.source}' onto layer '{edge.post}' sums up to more than 2**24, and "
            "ONNX runtimes convolve in 32-bit floats; an input of fewer levels helps"
        )
    values = graph.node(
        "Cast", [spikes_output(edge.pre)], f"{label}.events", f"{label}.cast", to=_FLOATS[kind]
    )
    if edge.pooling is not None:
        channels = edge.pooling.shape[0]
        size = edge.pooling.size
        ones = np.ones((channels, 1, size, size), kind)
        values = _reshape(graph, values, (-1, *edge.pooling.shape), f"{label}.unpooled")
        values = graph.node(
            "Conv",
            [values, graph.constant(f"{label}.pooling", ones)],
            f"{label}.pooled",
            f"{label}.pool",
            group=channels,
            strides=[size, size],
        )
    if edge.convolution is None:
        # In the order [inputs, neurons].
        weight = graph.constant(f"{label}.weight", edge.weight.T.astype(kind))
        if edge.pooling is not None:
            inputs = edge.weight.shape[1]
            values = _reshape(graph, values, (network.steps, -1, inputs), f"{label}.flat")
        sums = graph.node("MatMul", [values, weight], f"{label}.product", f"{label}.project")
    else:
        each = edge.convolution
        weight = graph.constant(f"{label}.weight", edge.weight.astype(kind))
        maps = _reshape(graph, values, (-1, *each.shape), f"{label}.maps")
        product = graph.node(
            "Conv",
            [maps, weight],
            f"{label}.product",
            f"{label}.project",
            group=each.groups,
            strides=list(each.stride),
            pads=list(each.padding),
        )
        size = int(np.prod(each.result))
        sums = _reshape(graph, product, (network.steps, -1, size), f"{label}.sums")
    whole = graph.node("Cast", [sums], f"{label}.whole", f"{label}.round", to=TensorProto.INT64)
    unit = graph.constant(f"{label}.unit", np.asarray(1 << edge.weight_shift))
    return graph.node("Mul", [whole, unit], f"{label}.shifted", f"{label}.shift")


def _reshape(graph: _Graph, values: str, shape: tuple[int, ...], label: str) -> str:
    target = graph.constant(f"{label}.shape", np.asarray(shape))
    return graph.node("Reshape", [values, target], label, f"{label}.reshape")


def _add_readout(graph: _Graph, network: Network) -> None:
    readout = network.readout
    first_axis = graph.constant("readout.axes", np.asarray([0]))
    weights = step_weights(readout, network.steps)
    if weights is None:
        values = membranes_output(readout.population)
        if readout.kind == "final_membrane":
            last = graph.constant("readout.last", np.asarray(network.steps - 1))
            scores = graph.node("Gather", [values, last], "readout.final", "readout", axis=0)
        else:
            scores = graph.node(
                "ReduceMax", [values, first_axis], "readout.largest", "readout", keepdims=0
            )
    else:
        worth = graph.constant("readout.weights", weights.reshape(-1, 1, 1))
        values = graph.node(
            "Mul", [spikes_output(readout.population), worth], "readout.worth", "weigh"
        )
        operator = "ReduceMax" if readout.kind == "first_spike" else "ReduceSum"
        scores = graph.node(
            operator, [values, first_axis], "readout.neurons", "readout", keepdims=0
        )
    if readout.early_stop:
        neurons = graph.constant("readout.all", np.asarray([1]))
        first = graph.node(
            "ReduceMax", [scores, neurons], "readout.first", "find first", keepdims=1
        )
        equal = graph.node("Equal", [scores, first], "readout.is_first", "compare first")
        factor = graph.node("Cast", [equal], "readout.factor", "cast first", to=TensorProto.INT64)
        scores = graph.node("Mul", [scores, factor], "readout.stopped", "stop early")
    grouped = _reshape(graph, scores, (-1, network.classes, readout.group), "readout.groups")
    last_axis = graph.constant("readout.members", np.asarray([2]))
    graph.node("ReduceSum", [grouped, last_axis], COUNTS, "vote", keepdims=0)
    graph.node("ArgMax", [COUNTS], CLASS, "classify", axis=1, keepdims=0, select_last_index=0)


def _metadata(network: Network) -> dict[str, str]:
    scales = {}
    for layer in network.layers:
        assert isinstance(layer.neuron, FixedNeuron)
        scales[layer.name] = layer.neuron.scale
    precision = network.precision
    return {
        "spikeloom.encoder": network.encoder,
        INPUT_KEY: write_events(network.events),
        "spikeloom.membrane_scales": json.dumps(scales),
        "spikeloom.precision": json.dumps(
            {
                "weight_bits": precision.weight_bits,
                "state_bits": precision.state_bits,
                "decay_bits": precision.decay_bits,
            }
        ),
    }
