"""The program: a fixed network and its folding, as one file that says what every number means.

The file is safetensors: integer tensors behind a JSON header, no code. The header's entry
`spikeloom` holds the description below, so that two people with the file and no other word build
the same chip. `docs/program-file.md` lists the fields.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save

from spikeloom.compiler.cores import Core, map_network
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.files import write_bytes
from spikeloom.compiler.fixed import Decay, IntArray, Reset
from spikeloom.compiler.ir import (
    FixedNeuron,
    Network,
    Population,
    Precision,
    Projection,
    Readout,
)
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators

FORMAT = "spikeloom program"
VERSION = 1

ARITHMETIC = {
    "integers": "two's complement",
    "update order": "V[t] = decay(Vr[t-1]) + sum(weight << weight_shift) + bias; "
    "spike = V[t] >= threshold; Vr[t] = saturate(reset(V[t])); Vr[-1] = 0",
    "decay": "(x * multiplier + (1 << shift >> 1)) >> shift, arithmetic shift",
    "reset": "zero: 0 | subtract: V - threshold | none: V, where there is a spike",
    "saturation": "Vr to state_bits, once per time step; V never wraps in accumulator_bits",
    "bias": "added in every time step of the window",
    "delay": "none: a spike of step t acts on the next layer in step t",
    "readout": "spike_count: spikes per neuron over the window; class: most, lowest index first",
}


@dataclass(frozen=True)
class Program:
    """A fixed network and the number of lanes that each of its layers is folded onto.

    Layers that `lanes` does not name get one lane per neuron.
    """

    network: Network
    lanes: dict[str, int]

    def __post_init__(self) -> None:
        network = self.network
        network.verify()
        if not network.is_fixed:
            raise SpikeloomError(f"network '{network.name}' holds real numbers; quantise it first")
        if not self.cores:
            raise SpikeloomError(f"network '{network.name}' has no layer of neurons")
        for layer, wanted in zip(network.layers, bound_accumulators(network).layers, strict=True):
            assert isinstance(layer.neuron, FixedNeuron) and isinstance(wanted.neuron, FixedNeuron)
            if layer.neuron.accumulator_bits < wanted.neuron.accumulator_bits:
                raise SpikeloomError(
                    f"layer '{layer.name}' has an accumulator of {layer.neuron.accumulator_bits} "
                    f"bits, which some events would make wrap around; it needs "
                    f"{wanted.neuron.accumulator_bits}"
                )

    @cached_property
    def cores(self) -> tuple[Core, ...]:
        """One core per layer, in the order of the pipeline."""
        return map_network(self.network, self.lanes)

    def save(self, path: Path) -> None:
        """Write the program file; the same program gives the same bytes."""
        tensors: dict[str, NDArray[Any]] = {}
        for edge in self.network.projections:
            tensors[f"weight/{edge.pre}/{edge.post}"] = edge.weight.astype(np.int8)
        for layer in self.network.layers:
            neuron = layer.neuron
            assert isinstance(neuron, FixedNeuron)
            tensors[f"threshold/{layer.name}"] = neuron.threshold.astype(np.int32)
            tensors[f"bias/{layer.name}"] = neuron.bias.astype(np.int32)
            tensors[f"decay_multiplier/{layer.name}"] = neuron.decay.multiplier.astype(np.int32)
        header = {"spikeloom": json.dumps(self.describe(), sort_keys=True)}
        write_bytes(path, save(tensors, metadata=header))

    def describe(self) -> dict[str, Any]:
        """All that gives the tensors their meaning, as JSON values."""
        network = self.network
        populations = []
        for item in network.populations:
            entry: dict[str, Any] = {"name": item.name, "shape": item.shape, "source": item.source}
            if isinstance(item.neuron, FixedNeuron):
                entry |= {
                    "decay_shift": item.neuron.decay.shift,
                    "reset": item.neuron.reset.value,
                    "scale": item.neuron.scale,
                    "state_bits": item.neuron.state_bits,
                    "accumulator_bits": item.neuron.accumulator_bits,
                    "lanes": next(core.lanes for core in self.cores if core.name == item.name),
                }
            populations.append(entry)
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": network.name,
            "steps": network.steps,
            "encoder": network.encoder,
            "readout": asdict(network.readout),
            "precision": asdict(network.precision),
            "arithmetic": ARITHMETIC,
            "populations": populations,
            "projections": [
                {
                    "pre": edge.pre,
                    "post": edge.post,
                    "source": edge.source,
                    "weight_bits": edge.weight_bits,
                    "weight_shift": edge.weight_shift,
                }
                for edge in network.projections
            ],
        }

    @staticmethod
    def load(path: Path) -> "Program":
        """Read a program file.

        Raises
        ------
        SpikeloomError
            If the file is missing, damaged, not a program, or of another version.
        """
        try:
            with safetensors.safe_open(path, "numpy") as file:
                header = (file.metadata() or {}).get("spikeloom")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError as error:
            raise SpikeloomError(f"program file '{path}' does not exist") from error
        except (OSError, safetensors.SafetensorError) as error:
            raise SpikeloomError(f"'{path}' is not a readable program file: {error}") from error
        try:
            description = json.loads(header or "{}")
            if description.get("format") != FORMAT:
                raise SpikeloomError(f"'{path}' is a safetensors file but not a Spikeloom program")
            if description["version"] != VERSION:
                raise SpikeloomError(
                    f"'{path}' is a program of version {description['version']}; "
                    f"this Spikeloom reads version {VERSION}"
                )
            return _program(description, tensors)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise SpikeloomError(f"program file '{path}' is damaged: {error!r}") from error

    def with_lanes(self, lanes: dict[str, int]) -> "Program":
        """The same network folded otherwise."""
        return Program(self.network, lanes)

    def __str__(self) -> str:
        folding = [
            f"  core {core.name}: {core.lanes} lanes x {core.groups} groups, "
            f"weights {core.inputs * core.groups} x {core.lanes * core.weight_bits} bits"
            for core in self.cores
        ]
        return "\n".join([str(self.network), *folding])


def _program(description: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Program:
    populations = []
    lanes = {}
    for entry in description["populations"]:
        name = entry["name"]
        neuron = None
        if "decay_shift" in entry:
            lanes[name] = entry["lanes"]
            multiplier = _integers(tensors, f"decay_multiplier/{name}")
            neuron = FixedNeuron(
                decay=Decay(multiplier, entry["decay_shift"]),
                threshold=_integers(tensors, f"threshold/{name}"),
                bias=_integers(tensors, f"bias/{name}"),
                reset=Reset(entry["reset"]),
                scale=entry["scale"],
                state_bits=entry["state_bits"],
                accumulator_bits=entry["accumulator_bits"],
            )
        populations.append(Population(name, tuple(entry["shape"]), neuron, entry["source"]))
    projections = [
        Projection(
            pre=entry["pre"],
            post=entry["post"],
            weight=_integers(tensors, f"weight/{entry['pre']}/{entry['post']}"),
            source=entry["source"],
            weight_bits=entry["weight_bits"],
            weight_shift=entry["weight_shift"],
        )
        for entry in description["projections"]
    ]
    network = Network(
        name=description["name"],
        steps=description["steps"],
        populations=tuple(populations),
        projections=tuple(projections),
        readout=Readout(**description["readout"]),
        precision=Precision(**description["precision"]),
        encoder=description["encoder"],
    )
    return Program(network, lanes)


def _integers(tensors: dict[str, NDArray[Any]], name: str) -> IntArray:
    tensor = tensors[name]
    if tensor.dtype.kind != "i":
        raise ValueError(f"tensor '{name}' holds {tensor.dtype}, wanted integers")
    return tensor.astype(np.int64)
