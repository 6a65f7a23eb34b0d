"""Networks of random weights, for what is measured and does not depend on what they have learnt."""

import itertools
from collections.abc import Sequence

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.ir import Network
from spikeloom.compiler.operator import DOMAIN, IR_VERSION, OPSET, VERSION, neuron_function

LEAK = 0.9


def random_model(sizes: Sequence[int], steps: int, seed: int) -> onnx.ModelProto:
    """A chain of dense layers of leaky neurons that count their spikes.

    Weights are normal, and so large that with a tenth of the inputs spiking about a sixth of the
    hidden neurons do.

    Parameters
    ----------
    sizes : neurons per layer, the inputs first; at least two numbers, each at least 1
    """
    random = np.random.default_rng(seed)
    nodes, tensors, given = [], [], "spikes"
    for number, (inputs, neurons) in enumerate(itertools.pairwise(sizes), 1):
        spread = 1.5 / np.sqrt(max(1.0, inputs / 10))
        weight = random.normal(0, spread, (inputs, neurons)).astype(np.float32)
        tensors.append(numpy_helper.from_array(weight, f"weight{number}"))
        nodes.append(
            f"drive{number} = MatMul ({given}, weight{number})\n"
            f'fc{number}, v{number} = {DOMAIN}.Neuron <reset = "zero", compare = ">="> '
            f"(drive{number}, alpha, beta, threshold)"
        )
        given = f"fc{number}"
    model = onnx.parser.parse_model(
        f'<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}, "{DOMAIN}" : {VERSION}]>\n'
        f"net (float[{steps},N,{sizes[0]}] spikes) => (float[N,{sizes[-1]}] counts)\n"
        f"<float alpha = {{0}}, float beta = {{{LEAK}}}, float threshold = {{1}}, "
        f"int64[1] time = {{0}}> {{\n" + "\n".join(nodes) + "\n"
        f"counts = ReduceSum <keepdims = 0> ({given}, time) }}"
    )
    model.graph.initializer.extend(tensors)
    model.functions.append(neuron_function())
    return model


def random_spikes(network: Network, samples: int, density: float, seed: int) -> Spikes:
    """Events of a share of the inputs, each as likely as any other that the network takes.

    Parameters
    ----------
    density : share of the inputs that give an event in a time step, 0 .. 1

    Returns
    -------
    Array of shape (T, samples, inputs).
    """
    events, random = network.events, np.random.default_rng(seed)
    shape = (1 if events.constant else network.steps, samples, network.input.size)
    given = random.integers(events.lowest, events.highest, shape, endpoint=True)
    if (events.lowest, events.highest) == (0, 1):
        given = np.ones(shape, np.int64)
    given[random.random(shape) >= density] = 0
    kind = np.uint8 if events.lowest >= 0 and events.highest < 256 else np.int32
    return np.broadcast_to(given.astype(kind), (network.steps, *shape[1:])).copy()
