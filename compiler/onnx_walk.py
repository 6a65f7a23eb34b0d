"""One walk through an ONNX graph: a verdict per node, and the network if all verdicts are good."""

from dataclasses import replace

import numpy as np
import onnx

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import DEFAULT_ENCODER, Events, Network, Population, Readout
from spikeloom.compiler.onnx_events import INPUT_KEY, read_events
from spikeloom.compiler.onnx_graph import Builder, Node
from spikeloom.compiler.onnx_layout import Layout, Refusal
from spikeloom.compiler.onnx_operators import lower_node, unsupported
from spikeloom.compiler.onnx_report import Report, Verdict
from spikeloom.compiler.onnx_values import (
    READOUTS,
    Classes,
    Constant,
    NotReached,
    Scores,
    Silence,
    Spikes,
    Value,
    in_order,
)
from spikeloom.compiler.operator import DOMAIN, VERSION, neuron_function

ENCODER_KEY = "spikeloom.encoder"


class Walk:
    """One walk through a graph with the batch bound to a number."""

    def __init__(self, model: onnx.ModelProto, name: str, batch: int) -> None:
        self.model = model
        self.name = name
        self.batch = batch
        self.values: dict[str, Value] = {}
        self.verdicts: list[Verdict] = []

    def report(self) -> Report:
        """Walk through the whole graph."""
        graph = self.model.graph
        needed = _needed(graph)
        build = self._bind_input(needed)
        self._check_domains()
        try:
            for tensor in graph.initializer:
                value = onnx.numpy_helper.to_array(tensor)
                self.values[tensor.name] = Constant(value, tensor.name)
        except (ValueError, TypeError) as error:
            self._refuse(tensor.name, "initializer", f"its data cannot be read: {error}")
        for tensor in graph.sparse_initializer:
            self._refuse(tensor.values.name, "initializer", "sparse tensors are not supported")
        for number, proto in enumerate(graph.node):
            label = proto.name or next((item for item in proto.output if item), f"#{number}")
            if number in needed:
                self._visit(proto, label, build)
            else:
                self.verdicts.append(
                    Verdict(label, _operator(proto), "unused: no output of the graph needs it")
                )
        readout = self._find_readout()
        metadata = {item.key: item.value for item in self.model.metadata_props}
        events = self._read_events(metadata)
        self._tell_fates(build)
        network = None
        if readout is not None and all(item.ok for item in self.verdicts):
            network = Network(
                name=self.name,
                steps=build.steps,
                populations=tuple(build.populations),
                projections=tuple(build.projections),
                readout=readout,
                encoder=metadata.get(ENCODER_KEY, DEFAULT_ENCODER),
                events=events,
            )
        return Report(tuple(self.verdicts), network)

    def _refuse(self, node: str, operator: str, reason: str) -> None:
        self.verdicts.append(Verdict(node, operator, reason, False))

    def _read_events(self, metadata: dict[str, str]) -> Events:
        try:
            return read_events(metadata)
        except SpikeloomError as error:
            self._refuse(INPUT_KEY, "metadata", str(error))
            return Events()

    def _tell_fates(self, build: Builder) -> None:
        """Say of a pooling what became of it: known only from the layers behind it."""
        for number, item in enumerate(self.verdicts):
            fates = " and ".join(build.fates.get(item.node, ()))
            if item.ok and fates:
                self.verdicts[number] = replace(item, meaning=f"{item.meaning} {fates}")

    def _check_domains(self) -> None:
        for item in self.model.opset_import:
            if item.domain == DOMAIN and item.version != VERSION:
                self._refuse(
                    f"{DOMAIN}",
                    "opset",
                    f"version {item.version} of the operators; this Spikeloom knows {VERSION}",
                )
        for definition in (neuron_function(recurrent) for recurrent in (False, True)):
            self._check_definition(definition)

    def _check_definition(self, definition: onnx.FunctionProto) -> None:
        operator = DOMAIN, definition.name
        label = "::".join(operator)
        found = [item for item in self.model.functions if (item.domain, item.name) == operator]
        if not found and any(
            (item.domain, item.op_type) == operator for item in self.model.graph.node
        ):
            self._refuse(label, "function", "the file uses it but does not define it")
        if found and _fingerprint(found[0]) != _fingerprint(definition):
            self._refuse(
                label,
                "function",
                f"the file defines it otherwise than version {VERSION} of the operator",
            )

    def _bind_input(self, needed: set[int]) -> Builder:
        graph = self.model.graph
        initializers = {item.name for item in graph.initializer}
        inputs = [item for item in graph.input if item.name not in initializers]
        read = {name for number in needed for name in graph.node[number].input}
        read |= {item.name for item in graph.output}
        for item in inputs:
            self.values[item.name] = NotReached(item.name)
        if not inputs:
            self._refuse(graph.name, "graph", "it has no input")
            return Builder(1)
        if len(inputs) > 1:
            names = ", ".join(f"'{item.name}'" for item in inputs)
            self._refuse(inputs[1].name, "input", f"the graph has the inputs {names}; wanted one")
        item = inputs[0]
        if item.name not in read:
            self._refuse(item.name, "input", "no output of the graph depends on it")
        try:
            layout = self._input_layout(item)
        except Refusal as refusal:
            self._refuse(item.name, "input", str(refusal))
            return Builder(1)
        build = Builder(layout.shape[0])
        name = build.unique_name(item.name)
        population = Population(name, layout.shape[2:], None, item.name)
        build.populations.append(population)
        self.values[item.name] = Spikes(name, np.arange(population.size), layout)
        self.verdicts.append(
            Verdict(item.name, "input", f"input {name}, {population.size} neurons")
        )
        return build

    def _input_layout(self, item: onnx.ValueInfoProto) -> Layout:
        tensor = item.type.tensor_type
        if not item.type.HasField("tensor_type") or not tensor.HasField("shape"):
            raise Refusal("its shape is not known; wanted [T, N, features ...]")
        dims = tensor.shape.dim
        sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
        shown = (
            "["
            + ", ".join(
                str(size) if size is not None else dim.dim_param or "?"
                for size, dim in zip(sizes, dims, strict=True)
            )
            + "]"
        )
        if len(sizes) < 3:
            raise Refusal(f"its shape is {shown}; wanted [T, N, features ...]")
        steps, batch, *features = sizes
        if steps is None:
            raise Refusal(
                f"its number of time steps is open (shape {shown}); export it with a fixed T"
            )
        if steps < 1:
            raise Refusal(f"it has T = {steps} time steps; wanted at least 1")
        fixed = [size for size in features if size is not None]
        if len(fixed) < len(features) or min(fixed) < 1:
            raise Refusal(f"its features must have fixed sizes above 0, not {shown}")
        return Layout.of_axes(
            ("time", steps),
            ("batch", self.batch if batch is None else batch),
            *(("feature", size) for size in fixed),
        )

    def _visit(self, proto: onnx.NodeProto, label: str, build: Builder) -> None:
        operator = _operator(proto)
        inputs = [self.values.get(name, NotReached(name)) if name else None for name in proto.input]
        lost = next((item for item in inputs if isinstance(item, NotReached)), None)
        outputs: list[Value] = []
        if lost is not None and unsupported(proto) is None:
            self._refuse(label, operator, f"not reached: it needs {lost}")
        else:
            node = Node(proto, label, inputs, list(self.model.opset_import))
            try:
                meaning, outputs = lower_node(node, build)
                self.verdicts.append(Verdict(label, operator, meaning))
            except Refusal as refusal:
                self._refuse(label, operator, str(refusal))
        outputs += [NotReached(label)] * (len(proto.output) - len(outputs))
        self.values.update(zip(proto.output, outputs, strict=False))

    def _find_readout(self) -> Readout | None:
        found: list[Readout] = []
        outputs = self.model.graph.output
        for item in outputs:
            value = self.values.get(item.name, NotReached(item.name))
            scores = value.scores if isinstance(value, Classes) else value
            if isinstance(scores, Scores):
                if isinstance(value, Scores) and not in_order(value.order):
                    reason = f"the classes of {value} stand in another order"
                    self._refuse(item.name, "output", reason)
                    continue
                found.append(Readout(scores.population, scores.kind, scores.weights, scores.group))
                self.verdicts.append(Verdict(item.name, "output", str(value)))
            elif isinstance(value, Spikes | Silence):
                self.verdicts.append(
                    Verdict(
                        item.name, "output", f"{value}, for inspection; not a result of the chip"
                    )
                )
            elif isinstance(value, NotReached):
                self._refuse(item.name, "output", f"not reached: it needs {value}")
            elif isinstance(value, Constant):
                self._refuse(item.name, "output", "it does not depend on the input")
            else:
                self._refuse(
                    item.name,
                    "output",
                    f"{value} is not a readout; wanted the spikes summed over time (axis 0)",
                )
        if len(set(found)) > 1:
            names = ", ".join(
                f"{READOUTS[item.kind]} of '{item.population}'" for item in dict.fromkeys(found)
            )
            self._refuse(outputs[0].name, "output", f"the readouts {names}; wanted one")
        elif not found and all(item.ok for item in self.verdicts):
            self._refuse(
                outputs[0].name if outputs else "graph",
                "output",
                "there is no readout; sum the spikes of the last layer over time (axis 0)",
            )
        return found[0] if found else None


def _operator(proto: onnx.NodeProto) -> str:
    return f"{proto.domain}::{proto.op_type}" if proto.domain else proto.op_type


def _needed(graph: onnx.GraphProto) -> set[int]:
    """The numbers of the nodes that some output of the graph depends on."""
    wanted = {item.name for item in graph.output}
    needed: set[int] = set()
    for number in range(len(graph.node) - 1, -1, -1):
        node = graph.node[number]
        if wanted.intersection(node.output):
            needed.add(number)
            wanted.update(node.input)
            # Subgraphs read names of the graph around them.
            for attribute in node.attribute:
                for inner in (attribute.g, *attribute.graphs):
                    wanted.update(name for item in inner.node for name in item.input)
    return needed


def _fingerprint(function: onnx.FunctionProto) -> list[bytes]:
    """What a function computes, without names and remarks that do not matter."""
    parts = []
    for proto in function.node:
        plain = onnx.NodeProto()
        plain.CopyFrom(proto)
        for item in ("name", "doc_string", "metadata_props"):
            plain.ClearField(item)
        parts.append(plain.SerializeToString(deterministic=True))
    return parts
