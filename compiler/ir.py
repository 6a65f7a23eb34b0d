"""The intermediate representation: populations of neurons joined by projections.

A network is either float (as imported) or fixed (integers only, after `passes.quantize`); both are
the same classes, differing in the neuron that a population holds. Networks are immutable: a pass
builds a new one with `dataclasses.replace`.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, IntArray, Reset, signed_range

FloatArray = NDArray[np.float64]

# What a file that names no encoder takes: a spike or none, per input and time step.
DEFAULT_ENCODER = "binary events"


@dataclass(frozen=True, slots=True, eq=False)
class Neuron:
    """Leaky integrate-and-fire neurons in real numbers, as the ONNX file describes them.

    V[t] = beta Vr[t-1] + (synaptic input) + bias; a spike where V[t] > threshold (>= threshold if
    `inclusive`); Vr[t] = V[t] after the reset.

    Attributes
    ----------
    beta, threshold, bias : float64 arrays, shape (neurons,)
    scale : what one unit of the fixed-point membrane is worth, chosen by `passes.choose_scales`
    """

    beta: FloatArray
    threshold: FloatArray
    bias: FloatArray
    reset: Reset
    inclusive: bool = False
    scale: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FixedNeuron:
    """Leaky integrate-and-fire neurons in integers (docs/arithmetic.md).

    V[t] = decay(Vr[t-1]) + (synaptic input) + bias; a spike where V[t] >= threshold;
    Vr[t] = saturate(reset(V[t])).

    Attributes
    ----------
    threshold, bias : int64 arrays, shape (neurons,), in units of `scale`
    state_bits : width of Vr, to which it saturates once per time step
    accumulator_bits : width of V, wide enough for any order of any legal set of events;
        0 until `passes.bound_accumulators` has set it
    """

    decay: Decay
    threshold: IntArray
    bias: IntArray
    reset: Reset
    scale: float
    state_bits: int
    accumulator_bits: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """A named group of neurons, or the input of the network (which has no neuron).

    `source` is the name of the ONNX node or graph input that it came from.
    """

    name: str
    shape: tuple[int, ...]
    neuron: Neuron | FixedNeuron | None
    source: str

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """A dense linear map from the spikes of one population to the current of another.

    Attributes
    ----------
    weight : float64 or int64 array, shape (size of `post`, size of `pre`)
    gain : float64 array, shape (size of `post`,): a factor per neuron that `passes.fold_gains`
        multiplies into the weights
    weight_bits : width of a quantised weight; 0 while the weights are real numbers
    weight_shift : an integer weight counts `weight << weight_shift` units of the membrane
    """

    pre: str
    post: str
    weight: NDArray[np.float64] | IntArray
    source: str
    gain: FloatArray | None = None
    weight_bits: int = 0
    weight_shift: int = 0


@dataclass(frozen=True, slots=True)
class Readout:
    """How the spikes of a population become scores and a class.

    `spike_count` is the only kind so far: the score of class k is the number of spikes of neuron k
    over the window; the class is the highest score, ties going to the lowest index.
    """

    population: str
    kind: str = "spike_count"


@dataclass(frozen=True, slots=True)
class Precision:
    """Word widths that the user chooses.

    Attributes
    ----------
    weight_bits : width of a weight, sign included, 2 .. 8
    state_bits : largest width of a membrane between steps, 4 .. 24
    decay_bits : fraction bits of a decay, 1 .. 16
    """

    weight_bits: int = 8
    state_bits: int = 16
    decay_bits: int = 8

    def __post_init__(self) -> None:
        for name, low, high in (
            ("weight_bits", 2, 8),
            ("state_bits", 4, 24),
            ("decay_bits", 1, 16),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise SpikeloomError(f"{name} must be in {low} .. {high}, not {value}")


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A spiking network over a window of `steps` time steps.

    `populations` stand in the order in which a time step visits them: the input first, then each
    population after those that project to it. `encoder` says how the input events are made, as the
    ONNX file's metadata states it.
    """

    name: str
    steps: int
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    readout: Readout
    precision: Precision = field(default_factory=Precision)
    encoder: str = DEFAULT_ENCODER

    @property
    def input(self) -> Population:
        """The population whose spikes are given from outside."""
        return self.populations[0]

    @property
    def layers(self) -> tuple[Population, ...]:
        """The populations that hold neurons, in order."""
        return self.populations[1:]

    @property
    def is_fixed(self) -> bool:
        """Whether all numbers are integers."""
        return all(isinstance(layer.neuron, FixedNeuron) for layer in self.layers)

    def population(self, name: str) -> Population:
        """The population of that name."""
        return next(item for item in self.populations if item.name == name)

    def projections_to(self, name: str) -> tuple[Projection, ...]:
        """The projections onto the population of that name."""
        return tuple(item for item in self.projections if item.post == name)

    def verify(self) -> None:
        """Raise SpikeloomError where the network contradicts itself."""
        if self.steps < 1:
            raise SpikeloomError(
                f"network '{self.name}' has T = {self.steps} time steps; wanted >= 1"
            )
        if self.input.neuron is not None:
            raise SpikeloomError(f"population '{self.input.name}' is the input but holds neurons")
        seen: set[str] = set()
        for item in self.populations:
            if item.name in seen:
                raise SpikeloomError(f"two populations are called '{item.name}'")
            for projection in self.projections_to(item.name):
                if projection.pre not in seen:
                    raise SpikeloomError(
                        f"projection '{projection.source}' comes from '{projection.pre}', "
                        f"which does not stand before '{item.name}'"
                    )
                self._verify_projection(projection)
            if item is not self.input:
                _verify_layer(item)
                if not self.projections_to(item.name):
                    raise SpikeloomError(f"population '{item.name}' receives no projection")
            seen.add(item.name)
        unknown = [item.post for item in self.projections if item.post not in seen]
        if unknown or self.readout.population not in seen - {self.input.name}:
            name = (*unknown, self.readout.population)[0]
            raise SpikeloomError(f"network '{self.name}' has no population of neurons '{name}'")

    def _verify_projection(self, item: Projection) -> None:
        pre, post = self.population(item.pre), self.population(item.post)
        if item.weight.shape != (post.size, pre.size):
            raise SpikeloomError(
                f"projection '{item.source}' has weights of shape {item.weight.shape}, "
                f"but '{pre.name}' gives {pre.size} and '{post.name}' takes {post.size}"
            )
        if not np.isfinite(item.weight).all():
            bad = int(np.count_nonzero(~np.isfinite(item.weight)))
            raise SpikeloomError(
                f"projection '{item.source}' has {bad} weights that are NaN or infinite"
            )
        if item.weight_bits:
            low, high = signed_range(item.weight_bits)
            if item.weight.min() < low or item.weight.max() > high:
                raise SpikeloomError(
                    f"projection '{item.source}' has weights in {item.weight.min()} .. "
                    f"{item.weight.max()}, outside {item.weight_bits} bits ({low} .. {high})"
                )

    def __str__(self) -> str:
        lines = [
            f"network {self.name}: T={self.steps} {'fixed' if self.is_fixed else 'float'}",
            f"  encoder {self.encoder}",
        ]
        for item in self.populations:
            lines.append(f"  population {item.name} {item.shape} from {item.source}")
            if item.neuron is not None:
                lines.append(f"    {_describe_neuron(item.neuron)}")
            for edge in self.projections_to(item.name):
                lines.append(f"    {_describe_projection(edge)}")
        lines.append(f"  readout {self.readout.kind} of {self.readout.population}")
        return "\n".join(lines)


def _verify_layer(item: Population) -> None:
    neuron = item.neuron
    if neuron is None:
        raise SpikeloomError(f"population '{item.name}' is not the input but holds no neurons")
    arrays = {"threshold": neuron.threshold, "bias": neuron.bias}
    arrays["beta"] = neuron.beta if isinstance(neuron, Neuron) else neuron.decay.factors
    for name, array in arrays.items():
        if array.shape != (item.size,):
            raise SpikeloomError(
                f"population '{item.name}' has {item.size} neurons but a {name} of shape "
                f"{array.shape}"
            )
        if not np.isfinite(array).all():
            raise SpikeloomError(f"population '{item.name}' has a {name} that is NaN or infinite")
    if (neuron.threshold <= 0).any():
        raise SpikeloomError(
            f"population '{item.name}' has threshold {neuron.threshold.min():g}; wanted > 0"
        )
    if (arrays["beta"] < 0).any() or (arrays["beta"] > 1).any():
        worst = max(arrays["beta"].tolist(), key=lambda value: abs(value - 0.5))
        raise SpikeloomError(f"population '{item.name}' has decay {worst:g}; wanted 0 .. 1")


def _span(array: NDArray[np.generic]) -> str:
    low, high = array.min(), array.max()
    form = "d" if np.issubdtype(array.dtype, np.integer) else ".6g"
    return f"{low:{form}}" if low == high else f"{low:{form}}..{high:{form}}"


def _describe_neuron(neuron: Neuron | FixedNeuron) -> str:
    if isinstance(neuron, Neuron):
        sign = ">=" if neuron.inclusive else ">"
        scale = "" if neuron.scale is None else f" scale={neuron.scale:.6g}"
        return (
            f"neuron beta={_span(neuron.beta)} V{sign}{_span(neuron.threshold)} "
            f"bias={_span(neuron.bias)} reset={neuron.reset.value}{scale}"
        )
    return (
        f"neuron decay={_span(neuron.decay.multiplier)}>>{neuron.decay.shift} "
        f"V>={_span(neuron.threshold)} bias={_span(neuron.bias)} reset={neuron.reset.value} "
        f"scale={neuron.scale:.6g} state={neuron.state_bits}b "
        f"accumulator={neuron.accumulator_bits}b"
    )


def _describe_projection(edge: Projection) -> str:
    post, pre = edge.weight.shape
    bits = f" {edge.weight_bits}b<<{edge.weight_shift}" if edge.weight_bits else ""
    gain = "" if edge.gain is None else f" gain={_span(edge.gain)}"
    zeros = int(np.count_nonzero(edge.weight == 0))
    return (
        f"projection {edge.pre} -> {edge.post} dense {pre}x{post} "
        f"weights={_span(edge.weight)}{bits}{gain} zeros={zeros} from {edge.source}"
    )
