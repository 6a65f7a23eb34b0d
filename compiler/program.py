"""The program: a fixed network and its folding, as one file that says what every number means.

The file is safetensors: integer tensors behind a JSON header, no code. The header's entry
`spikeloom` holds the description below, so that two people with the file and no other word build
the same chip. `docs/program-file.md` lists the fields.
"""

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save

from spikeloom.compiler.cores import Core
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.events_per_cycle import check_events_per_cycle
from spikeloom.compiler.files import write_bytes
from spikeloom.compiler.fixed import Decay, IntArray, Reset
from spikeloom.compiler.geometry import Convolution, Pooling
from spikeloom.compiler.ir import (
    Events,
    FixedNeuron,
    Network,
    Population,
    Precision,
    Projection,
    Readout,
    ReadoutKind,
)
from spikeloom.compiler.mapping import check_lanes, default_lanes, map_network
from spikeloom.compiler.on_chip import OnChipEncoder
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.weight_storage import WeightStorage

FORMAT = "spikeloom program"
VERSION = 6

ARITHMETIC = {
    "integers": "two's complement",
    "update order": "A[t] = current_decay(I[t-1]) + sum(event * (weight << weight_shift)) + bias; "
    "V[t] = decay(Vr[t-1]) + A[t]; spike = fire and V[t] >= threshold and not (single_spike and "
    "spiked before in this window); I[t] = saturate(A[t]); Vr[t] = saturate(reset(V[t])); "
    "I[-1] = Vr[-1] = 0; without a current decay, A[t] = sum(event * (weight << weight_shift)) "
    "+ bias",
    "decay": "(x * multiplier + (1 << shift >> 1)) >> shift, arithmetic shift",
    "reset": "zero: 0 | subtract: V - threshold | none: V, where there is a spike",
    "saturation": "I to current_bits and Vr to state_bits, once per time step; A and V never wrap "
    "in accumulator_bits",
    "bias": "added in every time step of the window",
    "delay": "a spike of step t acts on other layers in step t, and on its own in step t + 1",
    "events": "of a layer 0 or 1; of the input lowest .. highest, in a file times step",
    "on_chip": "the input is pixels, the same in every step, and sends: bernoulli: 1 where the "
    "random byte of step and input (docs/arithmetic.md) is below the pixel | first_spike: 1 in "
    "step floor(t_max * (1 - pixel / 255) + 1/2) of a pixel above dark",
    "pooling": "events of a square of size x size pixels act as one input, as often as there are "
    "events; rows and columns that fill no square are dropped",
    "convolution": "cross-correlation, weight[feature, channel, row, column]; padding (top, left, "
    "bottom, right) of zeros",
    "readout": "score of class k = sum over the neurons k * group .. k * group + group - 1 of: "
    "spike_count: their spikes | weighted_spike_count: the sum of weights[t] over their spikes | "
    "first_spike: T - t of the first spike, 0 without (and with early_stop, 0 but for the neurons "
    "that spike first) | final_membrane: V[T-1] | "
    "maximum_membrane: the largest V[t]; class: the highest score, lowest index first",
}


@dataclass(frozen=True)
class Program:
    """A fixed network and the number of lanes that each of its layers is folded onto.

    Layers that `lanes` does not name get one lane per neuron; `fire_lanes` is for the fire scan,
    see `cores.Core`. Networks that the accelerator does not take are programs as well: these can be
    simulated.

    Populations that `events_per_cycle` names send the events of so many neighbouring neurons as
    one, see `compiler.events_per_cycle`.
    """

    network: Network
    lanes: dict[str, int]
    fire_lanes: dict[str, int] = field(default_factory=dict)
    events_per_cycle: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_network(self.network)
        check_lanes(self.network, self.lanes, self.fire_lanes)
        check_events_per_cycle(self.network, self.events_per_cycle)

    @cached_property
    def cores(self) -> tuple[Core, ...]:
        """One core per layer, in the order of the pipeline.

        Raises
        ------
        SpikeloomError
            If the network has what the accelerator does not have yet.
        """
        return map_network(self.network, self.lanes, self.fire_lanes, self.events_per_cycle)

    @property
    def events_per_word(self) -> int:
        """Neighbouring inputs whose events share a word of the accelerator's input."""
        if self.network.on_chip is not None:
            return 1
        return self.events_per_cycle.get(self.network.input.name, 1)

    @cached_property
    def refusal(self) -> str | None:
        """Why the accelerator does not take the network; None if it does."""
        try:
            return None if self.cores else "it has no layers"
        except SpikeloomError as error:
            return str(error)

    def save(self, path: Path) -> None:
        """Write the program file; the same program gives the same bytes."""
        tensors: dict[str, NDArray[Any]] = {}
        for edge in self.network.projections:
            # The file holds rows of memory as they lie, so that these must be in numpy's order.
            weight = np.ascontiguousarray(edge.weight, np.int8)
            tensors[f"weight/{edge.pre}/{edge.post}"] = weight
        for layer in self.network.layers:
            neuron, name = layer.neuron, layer.name
            assert isinstance(neuron, FixedNeuron)
            tensors[f"threshold/{name}"] = neuron.threshold.astype(np.int32)
            tensors[f"bias/{name}"] = neuron.bias.astype(np.int32)
            tensors[f"decay_multiplier/{name}"] = neuron.decay.multiplier.astype(np.int32)
            if neuron.current_decay is not None:
                multiplier = neuron.current_decay.multiplier.astype(np.int32)
                tensors[f"current_decay_multiplier/{name}"] = multiplier
        header = {"spikeloom": json.dumps(self.describe(), sort_keys=True)}
        write_bytes(path, save(tensors, metadata=header))

    def describe(self) -> dict[str, Any]:
        """All that gives the tensors their meaning, as JSON values."""
        network = self.network
        readout = asdict(network.readout) | {"weights": list(network.readout.weights)}
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": network.name,
            "steps": network.steps,
            "encoder": network.encoder,
            "events": asdict(network.events),
            "on_chip": None if network.on_chip is None else asdict(network.on_chip),
            "weights": network.weights,
            "readout": readout,
            "precision": asdict(network.precision),
            "arithmetic": ARITHMETIC,
            "populations": [self._describe_population(item) for item in network.populations],
            "projections": [_describe_projection(edge) for edge in network.projections],
        }

    def _describe_population(self, item: Population) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": item.name,
            "shape": list(item.shape),
            "source": item.source,
            "events_per_cycle": self.events_per_cycle.get(item.name, 1),
        }
        neuron = item.neuron
        if isinstance(neuron, FixedNeuron):
            entry |= {
                "decay_shift": neuron.decay.shift,
                "reset": neuron.reset.value,
                "fire": neuron.fire,
                "single_spike": neuron.single_spike,
                "scale": neuron.scale,
                "state_bits": neuron.state_bits,
                "accumulator_bits": neuron.accumulator_bits,
                "lanes": self.lanes.get(item.name, default_lanes(self.network, item)),
                "fire_lanes": self.fire_lanes.get(item.name),
            }
            if neuron.current_decay is not None:
                entry |= {
                    "current_decay_shift": neuron.current_decay.shift,
                    "current_bits": neuron.current_bits,
                }
        return entry

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

    def with_lanes(
        self,
        lanes: dict[str, int],
        fire_lanes: dict[str, int] | None = None,
        events_per_cycle: dict[str, int] | None = None,
    ) -> "Program":
        """The same network folded otherwise; by default with the default number of fire lanes."""
        return Program(self.network, lanes, fire_lanes or {}, events_per_cycle or {})

    def __str__(self) -> str:
        if self.refusal is not None:
            return f"{self.network}\n  no cores: {self.refusal}"
        folding = [
            f"  core {core.name}: {core.lanes} lanes x {core.groups} groups, "
            f"{core.fire_lanes} fire lanes, "
            f"weights {core.weight_words} x {core.word_weights * core.weight_bits} bits"
            + (f", {core.events_per_cycle} events per cycle" if core.events_per_cycle > 1 else "")
            for core in self.cores
        ]
        return "\n".join([str(self.network), *folding])


@lru_cache(1)
def _check_network(network: Network) -> None:
    """Raise SpikeloomError unless a program can be made of a network.

    The answer for the last network is kept: it is the same however the network is folded.
    """
    network.verify()
    if not network.is_fixed:
        raise SpikeloomError(f"network '{network.name}' holds real numbers; quantise it first")
    if not network.layers:
        raise SpikeloomError(f"network '{network.name}' has no layer of neurons")
    for layer, wanted in zip(network.layers, bound_accumulators(network).layers, strict=True):
        assert isinstance(layer.neuron, FixedNeuron) and isinstance(wanted.neuron, FixedNeuron)
        if layer.neuron.accumulator_bits < wanted.neuron.accumulator_bits:
            raise SpikeloomError(
                f"layer '{layer.name}' has an accumulator of {layer.neuron.accumulator_bits} "
                f"bits, which some events would make wrap around; it needs "
                f"{wanted.neuron.accumulator_bits}"
            )


def _describe_projection(edge: Projection) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "pre": edge.pre,
        "post": edge.post,
        "source": edge.source,
        "weight_bits": edge.weight_bits,
        "weight_shift": edge.weight_shift,
    }
    # Lists where JSON has no tuples, so that a file that was read describes itself the same way.
    for name, geometry in (("convolution", edge.convolution), ("pooling", edge.pooling)):
        if geometry is not None:
            entry[name] = {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in asdict(geometry).items()
            }
    return entry


def _program(description: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Program:
    populations = []
    lanes: dict[str, int] = {}
    fire_lanes: dict[str, int] = {}
    events_per_cycle: dict[str, int] = {}
    for entry in description["populations"]:
        name = entry["name"]
        neuron = None
        if entry["events_per_cycle"] > 1:
            events_per_cycle[name] = entry["events_per_cycle"]
        if "decay_shift" in entry:
            lanes[name] = entry["lanes"]
            if entry["fire_lanes"] is not None:
                fire_lanes[name] = entry["fire_lanes"]
            neuron = _neuron(entry, tensors)
        populations.append(Population(name, tuple(entry["shape"]), neuron, entry["source"]))
    readout = dict(description["readout"])
    readout["weights"] = tuple(readout["weights"])
    if readout["kind"] not in get_args(ReadoutKind):
        raise ValueError(f"readout of kind {readout['kind']!r}")
    on_chip = description["on_chip"]
    if description["weights"] not in get_args(WeightStorage):
        raise ValueError(f"weights that are {description['weights']!r}")
    network = Network(
        name=description["name"],
        steps=description["steps"],
        populations=tuple(populations),
        projections=tuple(_projection(entry, tensors) for entry in description["projections"]),
        readout=Readout(**readout),
        precision=Precision(**description["precision"]),
        encoder=description["encoder"],
        events=Events(**description["events"]),
        on_chip=None if on_chip is None else OnChipEncoder(**on_chip),
        weights=description["weights"],
    )
    return Program(network, lanes, fire_lanes, events_per_cycle)


def _neuron(entry: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> FixedNeuron:
    name = entry["name"]
    current_decay = None
    if "current_decay_shift" in entry:
        multiplier = _integers(tensors, f"current_decay_multiplier/{name}")
        current_decay = Decay(multiplier, entry["current_decay_shift"])
    return FixedNeuron(
        decay=Decay(_integers(tensors, f"decay_multiplier/{name}"), entry["decay_shift"]),
        threshold=_integers(tensors, f"threshold/{name}"),
        bias=_integers(tensors, f"bias/{name}"),
        reset=Reset(entry["reset"]),
        scale=entry["scale"],
        state_bits=entry["state_bits"],
        accumulator_bits=entry["accumulator_bits"],
        current_decay=current_decay,
        current_bits=entry.get("current_bits", 0),
        fire=entry["fire"],
        single_spike=entry["single_spike"],
    )


def _projection(entry: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Projection:
    convolution, pooling = entry.get("convolution"), entry.get("pooling")
    return Projection(
        pre=entry["pre"],
        post=entry["post"],
        weight=_integers(tensors, f"weight/{entry['pre']}/{entry['post']}"),
        source=entry["source"],
        weight_bits=entry["weight_bits"],
        weight_shift=entry["weight_shift"],
        convolution=None if convolution is None else Convolution(**_with_tuples(convolution)),
        pooling=None if pooling is None else Pooling(**_with_tuples(pooling)),
    )


def _with_tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def _integers(tensors: dict[str, NDArray[Any]], name: str) -> IntArray:
    tensor = tensors[name]
    if tensor.dtype.kind != "i":
        raise ValueError(f"tensor '{name}' holds {tensor.dtype}, wanted integers")
    return tensor.astype(np.int64)
