"""ONNX import by meaning: an ONNX file becomes a network of populations and projections.

The graph is walked once in its own order with abstract values (`onnx_values`), so that the names
and the number of the nodes do not matter. The size of the batch, which the file leaves open, is
bound to a number, so that all arithmetic on shapes is ordinary constant folding; walking a second
time with another number shows whether anything but the batch depends on it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Network, Neuron, Precision
from spikeloom.compiler.onnx_report import Report, Verdict
from spikeloom.compiler.onnx_walk import Walk
from spikeloom.compiler.operator import DOMAIN

# Two sizes of the batch that no sensible layer or constant shape depends on.
_BATCHES = (11, 13)


def load_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX file, with its external data.

    Raises
    ------
    SpikeloomError
        If the file is missing, empty, cut short, not ONNX, or breaks ONNX's own rules.
    """
    try:
        model = onnx.load(str(path))
        if not model.graph.node:
            raise SpikeloomError(f"'{path}' is not an ONNX file with a graph, or it is cut short")
        onnx.checker.check_model(model)
    except IsADirectoryError as error:
        raise SpikeloomError(f"'{path}' is a folder; wanted an ONNX file") from error
    except FileNotFoundError as error:
        if Path(path).exists():
            raise SpikeloomError(f"the external data of '{path}' is missing: {error}") from error
        raise SpikeloomError(f"ONNX file '{path}' does not exist") from error
    except OSError as error:
        raise SpikeloomError(f"'{path}' cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise SpikeloomError(f"'{path}' is not an ONNX file, or it is cut short") from error
    except (onnx.checker.ValidationError, ValueError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise SpikeloomError(
            f"'{path}' is not a valid ONNX file: {' '.join(lines)[:300]}"
        ) from error
    return model


def import_network(
    model: onnx.ModelProto, name: str, precision: Precision | None = None
) -> Network:
    """The network that a model describes, in real numbers.

    Parameters
    ----------
    name : what to call the network
    precision : word widths that the later passes use

    Raises
    ------
    SpikeloomError
        If a node cannot be lowered: names the first one, its operator and the reason.
    """
    return replace(examine(model, name).require(), precision=precision or Precision())


def examine(model: onnx.ModelProto, name: str = "network") -> Report:
    """Say of every node whether it can be lowered, and what it becomes."""
    model = _without_helpers(model)
    walks = [Walk(model, name, batch) for batch in _BATCHES]
    report, other = (walk.report() for walk in walks)
    if report.network is not None and (
        other.network is None or not _same(report.network, other.network)
    ):
        graph = Verdict(model.graph.name, "graph", "a layer depends on the batch size", False)
        return Report((*report.verdicts, graph), None)
    return report


def _without_helpers(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with all functions but the neuron's written out."""
    if all(function.domain == DOMAIN for function in model.functions):
        return model
    kept = [(item.domain, item.name) for item in model.functions if item.domain == DOMAIN]
    return onnx.inliner.inline_selected_functions(model, kept, exclude=True)


def _same(first: Network, second: Network) -> bool:
    """Whether two imports of one graph gave the same numbers."""
    facts: list[list[object]] = []
    arrays: list[list[NDArray[np.generic] | None]] = []
    for network in (first, second):
        facts.append([network.readout, *(item.shape for item in network.populations)])
        facts[-1] += [(edge.convolution, edge.pooling) for edge in network.projections]
        arrays.append([edge.weight for edge in network.projections])
        arrays[-1] += [edge.gain for edge in network.projections]
        for layer in network.layers:
            neuron = layer.neuron
            assert isinstance(neuron, Neuron)
            arrays[-1] += [neuron.alpha, neuron.beta, neuron.threshold, neuron.bias]
    return facts[0] == facts[1] and all(
        np.array_equal(one, two) if one is not None and two is not None else one is two
        for one, two in zip(*arrays, strict=True)
    )
