"""Torch module to ONNX.

The file follows the contract of design.md, section 2: one node `spikeloom::Neuron` per layer, its
meaning as a model-local function in the same file, names that a person can read, and nothing that
depends on the machine or the time of the export.
"""

import ast
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path

import onnx
import onnx_ir
import torch
from torch import Tensor, nn

from spikeloom.compiler import files, operator
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.onnx_events import INPUT_KEY, write_events
from spikeloom.models.encoders import Encoder
from spikeloom.models.layers import Spiking
from spikeloom.models.source import describe_error

INPUT, OUTPUT, BATCH = "spikes", "counts", "N"


def export(
    module: nn.Module,
    path: Path,
    steps: int,
    shape: tuple[int, ...],
    encoder: Encoder | str = "binary events",
    name: str = "network",
) -> onnx.ModelProto:
    """`convert` a module and write the result; gives what it wrote."""
    model = convert(module, steps, shape, encoder, name)
    write(model, path)
    return model


def write(model: onnx.ModelProto, path: Path) -> None:
    """Write a model; equal models give equal bytes."""
    files.write_bytes(path, model.SerializeToString(deterministic=True))


def convert(
    module: nn.Module,
    steps: int,
    shape: tuple[int, ...],
    encoder: Encoder | str = "binary events",
    name: str = "network",
) -> onnx.ModelProto:
    """The ONNX model of a module, for any ONNX runtime.

    The graph takes `spikes`, float32 of shape `[T, N, *shape]`, and gives `counts`, float32 of
    shape `[N, classes]`; N is free. The module is run in evaluation mode. Layers of neurons keep
    their paths in the module as node names. The same module always gives the same model.

    Parameters
    ----------
    steps : T, fixed in the model, >= 1
    shape : of one sample at one time step, such as `(64,)`
    encoder : how the input is made; stated in the model's metadata, together with the numbers that
        it may give. Text stands for spikes of 0 and 1
    name : of the graph

    Raises
    ------
    SpikeloomError
        If the module does not run on such an input, has no layer of neurons, does not give one
        row of counts per sample, or uses something that torch cannot export; if the encoder gives
        numbers that are too large.
    """
    if steps < 1 or not shape or min(shape) < 1:
        raise SpikeloomError(
            f"cannot export T = {steps} time steps and inputs of shape {shape}; wanted >= 1"
        )
    if not any(isinstance(layer, Spiking) for layer in module.modules()):
        raise SpikeloomError(
            f"module '{type(module).__name__}' has no layer of neurons; wanted at least one "
            "spikeloom.models.layers.Spiking"
        )
    events = _describe_events(encoder) if isinstance(encoder, Encoder) else ""
    was_training = module.training
    module.eval()
    try:
        # Two samples: torch takes an axis of length 1 for one that cannot vary.
        example = torch.zeros(steps, 2, *shape)
        _check_forward(module, example)
        intermediate = _to_onnx(module, example)
    finally:
        module.train(was_training)
    _clean(intermediate)
    intermediate.graph.name = name
    intermediate.metadata_props["spikeloom.encoder"] = str(encoder)
    if events:
        intermediate.metadata_props[INPUT_KEY] = events
    intermediate.metadata_props["spikeloom.steps"] = str(steps)
    model = onnx_ir.to_proto(intermediate)
    used = {node.op_type for node in model.graph.node}
    known = [operator.neuron_function(recurrent) for recurrent in (False, True)]
    model.functions.extend(function for function in known if function.name in used)
    onnx.checker.check_model(model, full_check=True)
    return model


def _describe_events(encoder: Encoder) -> str:
    try:
        return write_events(encoder.events)
    except SpikeloomError as error:
        raise SpikeloomError(f"encoder '{encoder}' cannot be exported: {error}") from error


def _check_forward(module: nn.Module, example: Tensor) -> None:
    shape = tuple(example.shape)
    try:
        with torch.no_grad():
            output = module(example)
    except Exception as error:
        raise SpikeloomError(
            f"module '{type(module).__name__}' fails on an input of shape {shape}: "
            f"{describe_error(error)}"
        ) from error
    given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if not isinstance(given, tuple) or len(given) != 2 or given[0] != example.shape[1]:
        raise SpikeloomError(
            f"module '{type(module).__name__}' gives {given} for an input of shape {shape}; "
            f"wanted counts of shape ({example.shape[1]}, classes), as "
            "spikeloom.models.layers.SpikeCount gives"
        )


def _to_onnx(module: nn.Module, example: Tensor) -> onnx_ir.Model:
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                verbose=False,
                opset_version=operator.OPSET,
                dynamic_shapes=({1: BATCH},),
                input_names=[INPUT],
                output_names=[OUTPUT],
            )
    except Exception as error:
        raise SpikeloomError(
            f"torch cannot export module '{type(module).__name__}': "
            f"{describe_error(error.__cause__ or error)}"
        ) from error
    assert program is not None
    return program.model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter from reporting optional packages, its attempts and its own old calls."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
            yield
    finally:
        logging.disable(disabled)


def _clean(model: onnx_ir.Model) -> None:
    """Name nodes and values after the module's layers and drop the exporter's own notes."""
    graph = model.graph
    _name_nodes(graph)
    for value in tuple(graph.initializers.values()):
        value.name = _initializer_name(value)
    for node in graph:
        for value, ending in zip(node.outputs, _output_endings(node), strict=True):
            if not value.is_graph_output():
                value.name = f"{node.name}.{ending}"
    # The exporter notes source paths, stack traces and its own names on every object.
    noted: list[onnx_ir.Model | onnx_ir.Graph | onnx_ir.Node | onnx_ir.Value] = [model, graph]
    noted += [*graph, *graph.inputs, *graph.initializers.values()]
    noted += [value for node in graph for value in node.outputs]
    for item in noted:
        item.metadata_props.clear()
        item.doc_string = None
    model.ir_version = operator.IR_VERSION
    model.opset_imports[""] = operator.OPSET
    model.opset_imports[operator.DOMAIN] = operator.VERSION


def _name_nodes(graph: onnx_ir.Graph) -> None:
    """Call a layer of neurons `path`, another node `path` if it is alone there, else `path/Op`."""
    paths = [_module_path(node) for node in graph]
    in_module = Counter(paths)
    taken: Counter[str] = Counter()
    for node, path in zip(graph, paths, strict=True):
        if not path:
            name = node.op_type
        elif node.domain == operator.DOMAIN or in_module[path] == 1:
            name = path
        else:
            name = f"{path}/{node.op_type}"
        taken[name] += 1
        node.name = name if taken[name] == 1 else f"{name}#{taken[name]}"


def _module_path(node: onnx_ir.Node) -> str:
    """Dotted path of the module whose forward made the node; empty for the outermost module."""
    scopes = ast.literal_eval(node.metadata_props.get("pkg.torch.onnx.name_scopes", "[]"))
    return str(scopes[-2]) if len(scopes) > 1 else ""


def _initializer_name(value: onnx_ir.Value) -> str:
    """A parameter keeps its path in the module, also where a transposition was folded into it."""
    notes = value.metadata_props
    if "pkg.torch.onnx.original_node_name" in notes:
        return str(value.name)
    folded = ast.literal_eval(notes.get("pkg.onnxscript.optimizer.folded_from", "[]"))
    if len(folded) == 1:
        return str(folded[0])
    node, index = next(iter(value.uses()))
    return f"{node.name}.constant{index}"


def _output_endings(node: onnx_ir.Node) -> tuple[str, ...]:
    if node.domain == operator.DOMAIN:
        return ("spikes", "membranes")
    return tuple(f"out{index or ''}" for index in range(len(node.outputs)))
