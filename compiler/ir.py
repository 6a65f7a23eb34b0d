"""The intermediate representation: populations of neurons joined by projections.

A network is either float (as imported) or fixed (integers only, after `passes.quantize`); both are
the same classes, differing in the neuron that a population holds. Networks are immutable: a pass
builds a new one with `dataclasses.replace`.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, IntArray, Reset, signed_range
from spikeloom.compiler.geometry import Convolution, Pooling

FloatArray = NDArray[np.float64]

# What a file that names no encoder takes: a spike or none, per input and time step.
DEFAULT_ENCODER = "binary events"


@dataclass(frozen=True, slots=True)
class Events:
    """What an input may give at a time step: whole numbers, 0 being no event.

    Attributes
    ----------
    lowest, highest : the range of the numbers; 0 and 1 for spikes, -1 and 1 for signed spikes
    step : what 1 is worth to the network, a power of two
    constant : whether an input gives the same number at every time step of a window
    """

    lowest: int = 0
    highest: int = 1
    step: float = 1.0
    constant: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Neuron:
    """Leaky integrate-and-fire neurons in real numbers, as the ONNX file describes them.

    I[t] = alpha I[t-1] + (synaptic input) + bias; V[t] = beta Vr[t-1] + I[t]; a spike where
    V[t] > threshold (>= threshold if `inclusive`); Vr[t] = V[t] after the reset.

    Attributes
    ----------
    alpha, beta, threshold, bias : float64 arrays, shape (neurons,)
    fire : False for neurons that only integrate, for a readout of membranes
    single_spike : whether a neuron spikes at most once in a window
    scale : what one unit of the fixed-point membrane is worth, chosen by `passes.choose_scales`
    """

    alpha: FloatArray
    beta: FloatArray
    threshold: FloatArray
    bias: FloatArray
    reset: Reset
    inclusive: bool = False
    fire: bool = True
    single_spike: bool = False
    scale: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FixedNeuron:
    """Leaky integrate-and-fire neurons in integers (docs/arithmetic.md).

    A[t] = current_decay(I[t-1]) + (synaptic input) + bias; V[t] = decay(Vr[t-1]) + A[t]; a spike
    where V[t] >= threshold; I[t] = saturate(A[t]); Vr[t] = saturate(reset(V[t])).

    Attributes
    ----------
    decay : of the membrane, beta
    current_decay : of the synaptic current, alpha; None for neurons without a synaptic state
    threshold, bias : int64 arrays, shape (neurons,), in units of `scale`
    fire, single_spike : as in `Neuron`
    state_bits, current_bits : widths of Vr and I, to which these saturate once per time step
    accumulator_bits : width of V and A, wide enough for any order of any legal set of events;
        0 until `passes.bound_accumulators` has set it
    """

    decay: Decay
    threshold: IntArray
    bias: IntArray
    reset: Reset
    scale: float
    state_bits: int
    accumulator_bits: int = 0
    current_decay: Decay | None = None
    current_bits: int = 0
    fire: bool = True
    single_spike: bool = False


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
    """A linear map from the spikes of one population to the current of another.

    Attributes
    ----------
    weight : float64 or int64 array. Dense: shape (size of `post`, inputs); the inputs are the
        neurons of `pre`, or what `pooling` makes of them. Convolution: `convolution.weight_shape`
    convolution : None for a dense projection
    pooling : what happens to the spikes before they are weighted
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
    convolution: Convolution | None = None
    pooling: Pooling | None = None

    @property
    def inputs(self) -> int:
        """How many numbers the weights are applied to."""
        if self.convolution is not None:
            return int(np.prod(self.convolution.shape))
        return int(self.weight.shape[1])

    def current(
        self, events: NDArray[np.number], weight: NDArray[np.number] | None = None
    ) -> NDArray[np.number]:
        """Weighted sums of events, `[..., size of pre]` to `[..., size of post]`.

        Computed in the common type of events and weights; exact for integers in floats as long as
        every partial sum fits the significand.

        Parameters
        ----------
        weight : in place of the projection's own, and of the same shape
        """
        weight = self.weight if weight is None else weight
        front, values = events.shape[:-1], events.reshape(-1, events.shape[-1])
        if self.pooling is not None:
            values = self.pooling(values.reshape(-1, *self.pooling.shape))
        if self.convolution is None:
            sums = values.reshape(len(values), -1) @ weight.T
        else:
            sums = self.convolution(weight, values.reshape(-1, *self.convolution.shape))
        result: NDArray[np.number] = sums.reshape(*front, -1)
        return result


ReadoutKind = Literal[
    "spike_count", "weighted_spike_count", "first_spike", "final_membrane", "maximum_membrane"
]


@dataclass(frozen=True, slots=True)
class Readout:
    """How the activity of a population becomes scores and a class.

    The class is the highest score, ties going to the lowest index. Each score is the sum over
    `group` neurons, one after the other, of

    - `spike_count`: the number of spikes over the window;
    - `weighted_spike_count`: the sum of `weights[t]` over its spikes;
    - `first_spike`: T - t for the first spike at step t, 0 without a spike;
    - `final_membrane`, `maximum_membrane`: V (before a reset) of the last step; its largest value.

    Attributes
    ----------
    weights : per time step, >= 0; integers in a fixed network
    group : neurons per class
    """

    population: str
    kind: ReadoutKind = "spike_count"
    weights: tuple[float, ...] = ()
    group: int = 1


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
    ONNX file's metadata states it, and `events` what they may be.
    """

    name: str
    steps: int
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    readout: Readout
    precision: Precision = field(default_factory=Precision)
    encoder: str = DEFAULT_ENCODER
    events: Events = field(default_factory=Events)

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
        self._verify_geometry(item)
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

    def _verify_geometry(self, item: Projection) -> None:
        pre, post = self.population(item.pre), self.population(item.post)
        source = f"projection '{item.source}'"
        shape = pre.shape
        if item.pooling is not None:
            if item.pooling.shape != shape or min(item.pooling.result) < 1:
                raise SpikeloomError(
                    f"{source} pools {item.pooling.size} x {item.pooling.size} squares of "
                    f"{item.pooling.shape}, but '{pre.name}' gives {shape}"
                )
            shape = item.pooling.result
        if item.convolution is None:
            given = int(np.prod(shape))
            if item.weight.shape != (post.size, given):
                raise SpikeloomError(
                    f"{source} has weights of shape {item.weight.shape}, "
                    f"but '{pre.name}' gives {given} and '{post.name}' takes {post.size}"
                )
            return
        if item.convolution.shape != shape or item.convolution.result != post.shape:
            raise SpikeloomError(
                f"{source} convolves {item.convolution.shape} to {item.convolution.result}, "
                f"but '{pre.name}' gives {shape} and '{post.name}' takes {post.shape}"
            )
        if item.weight.shape != item.convolution.weight_shape:
            raise SpikeloomError(
                f"{source} has weights of shape {item.weight.shape}; its convolution takes "
                f"{item.convolution.weight_shape}"
            )

    def __str__(self) -> str:
        lines = [
            f"network {self.name}: T={self.steps} {'fixed' if self.is_fixed else 'float'}",
            f"  encoder {self.encoder}",
            f"  events {_describe_events(self.events)}",
        ]
        for item in self.populations:
            lines.append(f"  population {item.name} {item.shape} from {item.source}")
            if item.neuron is not None:
                lines.append(f"    {_describe_neuron(item.neuron)}")
            for edge in self.projections_to(item.name):
                lines.append(f"    {_describe_projection(edge)}")
        group = f", groups of {self.readout.group}" if self.readout.group > 1 else ""
        lines.append(f"  readout {self.readout.kind} of {self.readout.population}{group}")
        return "\n".join(lines)


def _verify_layer(item: Population) -> None:
    neuron = item.neuron
    if neuron is None:
        raise SpikeloomError(f"population '{item.name}' is not the input but holds no neurons")
    arrays = {"threshold": neuron.threshold, "bias": neuron.bias}
    decays = _decays(neuron)
    arrays |= decays
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
    for name, decay in decays.items():
        if (decay < 0).any() or (decay > 1).any():
            worst = max(decay.tolist(), key=lambda value: abs(value - 0.5))
            raise SpikeloomError(f"population '{item.name}' has {name} {worst:g}; wanted 0 .. 1")


def _decays(neuron: Neuron | FixedNeuron) -> dict[str, FloatArray]:
    if isinstance(neuron, Neuron):
        return {"beta": neuron.beta, "alpha": neuron.alpha}
    decays = {"beta": neuron.decay.factors}
    if neuron.current_decay is not None:
        decays["alpha"] = neuron.current_decay.factors
    return decays


def _span(array: NDArray[np.generic]) -> str:
    low, high = array.min(), array.max()
    form = "d" if np.issubdtype(array.dtype, np.integer) else ".6g"
    return f"{low:{form}}" if low == high else f"{low:{form}}..{high:{form}}"


def _describe_events(events: Events) -> str:
    constant = ", constant over the window" if events.constant else ""
    return f"{events.lowest} .. {events.highest} steps of {events.step:g}{constant}"


def _describe_neuron(neuron: Neuron | FixedNeuron) -> str:
    flags = "" if neuron.fire else " fire=no"
    flags += " single-spike" if neuron.single_spike else ""
    if isinstance(neuron, Neuron):
        sign = ">=" if neuron.inclusive else ">"
        scale = "" if neuron.scale is None else f" scale={neuron.scale:.6g}"
        alpha = f"alpha={_span(neuron.alpha)} " if neuron.alpha.any() else ""
        return (
            f"neuron {alpha}beta={_span(neuron.beta)} V{sign}{_span(neuron.threshold)} "
            f"bias={_span(neuron.bias)} reset={neuron.reset.value}{flags}{scale}"
        )
    current = ""
    if neuron.current_decay is not None:
        decay = neuron.current_decay
        current = (
            f"current_decay={_span(decay.multiplier)}>>{decay.shift} "
            f"current={neuron.current_bits}b "
        )
    return (
        f"neuron {current}decay={_span(neuron.decay.multiplier)}>>{neuron.decay.shift} "
        f"V>={_span(neuron.threshold)} bias={_span(neuron.bias)} reset={neuron.reset.value}{flags} "
        f"scale={neuron.scale:.6g} state={neuron.state_bits}b "
        f"accumulator={neuron.accumulator_bits}b"
    )


def _describe_projection(edge: Projection) -> str:
    if edge.convolution is None:
        post, pre = edge.weight.shape
        kind = f"dense {pre}x{post}"
    else:
        each = edge.convolution
        rows, columns = each.kernel
        kind = (
            f"convolution {each.features}C{rows}x{columns} stride={each.stride} "
            f"padding={each.padding} groups={each.groups}"
        )
    pooling = "" if edge.pooling is None else f" pooling={edge.pooling.size}"
    bits = f" {edge.weight_bits}b<<{edge.weight_shift}" if edge.weight_bits else ""
    gain = "" if edge.gain is None else f" gain={_span(edge.gain)}"
    zeros = int(np.count_nonzero(edge.weight == 0))
    return (
        f"projection {edge.pre} -> {edge.post} {kind}{pooling} "
        f"weights={_span(edge.weight)}{bits}{gain} zeros={zeros} from {edge.source}"
    )
