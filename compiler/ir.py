"""The intermediate representation: populations of neurons joined by projections.

A network is either float (as imported) or fixed (integers only, after `passes.quantize`); both are
the same classes, differing in the neuron that a population holds. Networks are immutable: a pass
builds a new one with `dataclasses.replace`.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay, IntArray, Reset
from spikeloom.compiler.geometry import Convolution, Pooling
from spikeloom.compiler.on_chip import HIGHEST_PIXEL, OnChipEncoder
from spikeloom.compiler.weight_storage import WeightStorage

FloatArray = NDArray[np.float64]

# What a file that names no encoder takes: a spike or none, per input and time step.
DEFAULT_ENCODER = "binary events"


@dataclass(frozen=True, slots=True)
class Events:
    """What an input may give at a time step: whole numbers, 0 being no event.

    Attributes
    ----------
    lowest, highest : the range of the numbers; 0 and 1 for spikes, -1 and 1 for signed spikes
    step : what 1 is worth in an input file, a power of two
    constant : whether an input gives the same number at every time step of a window
    folded : whether the weights apply to the whole numbers; before `passes.fold_input_step`, they
        apply to `step` times these
    """

    lowest: int = 0
    highest: int = 1
    step: float = 1.0
    constant: bool = False
    folded: bool = False


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
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """A linear map from the spikes of one population to the current of another, or to its own.

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
    def delay(self) -> int:
        """Time steps from a spike to its effect: 1 for a population onto itself, else 0."""
        return int(self.pre == self.post)

    @property
    def is_matrix(self) -> bool:
        """Whether the weighted sums are a product of events and a matrix, and nothing else."""
        return self.convolution is None and self.pooling is None

    @property
    def inputs(self) -> int:
        """How many numbers the weights are applied to."""
        if self.convolution is not None:
            return math.prod(self.convolution.shape)
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
    early_stop : of `first_spike`: the window is over with the first time step in which any of the
        neurons spikes, so that only those that do have a score. The class stays the same where
        `group` is 1
    """

    population: str
    kind: ReadoutKind = "spike_count"
    weights: tuple[float, ...] = ()
    group: int = 1
    early_stop: bool = False


@dataclass(frozen=True, slots=True)
class Precision:
    """Word widths that the user chooses.

    Attributes
    ----------
    weight_bits : width of a weight, sign included, 2 .. 8
    state_bits : largest width of a membrane or current between steps, 4 .. 24; None leaves it to
        `passes.quantize`, layer by layer
    decay_bits : fraction bits of a decay, 1 .. 16
    """

    weight_bits: int = 8
    state_bits: int | None = None
    decay_bits: int = 8

    def __post_init__(self) -> None:
        for name, low, high in (
            ("weight_bits", 2, 8),
            ("state_bits", 4, 24),
            ("decay_bits", 1, 16),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise SpikeloomError(f"{name} must be in {low} .. {high}, not {value}")


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A spiking network over a window of `steps` time steps.

    `populations` stand in the order in which a time step visits them: the input first, then each
    population after those others that project to it. `encoder` says how the input events are made,
    as the ONNX file's metadata states it, and `events` what is given from outside: with `on_chip`
    that is pixels, of which the accelerator makes the input's spikes. `weights` says where the
    accelerator has weights, thresholds and biases from.
    """

    name: str
    steps: int
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    readout: Readout
    precision: Precision = field(default_factory=Precision)
    encoder: str = DEFAULT_ENCODER
    events: Events = field(default_factory=Events)
    on_chip: OnChipEncoder | None = None
    weights: WeightStorage = "fixed"

    @property
    def has_run_time_weights(self) -> bool:
        """Whether the accelerator takes other weights, thresholds and biases while it works."""
        return self.weights != "fixed"

    @property
    def input_events(self) -> Events:
        """What the input population sends to the layers."""
        return self.events if self.on_chip is None else Events(folded=True)

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

    @property
    def classes(self) -> int:
        """Number of classes that the readout tells apart."""
        return self.population(self.readout.population).size // self.readout.group

    def with_early_stop(self) -> "Network":
        """The same network with a readout that stops early.

        Raises
        ------
        SpikeloomError
            If the readout is not of first spikes.
        """
        if self.readout.kind != "first_spike":
            raise SpikeloomError(
                f"network '{self.name}' reads out the {self.readout.kind.replace('_', ' ')} of "
                f"'{self.readout.population}'; an early stop needs a readout of first spikes"
            )
        return replace(self, readout=replace(self.readout, early_stop=True))

    def with_on_chip(self, encoder: OnChipEncoder) -> "Network":
        """The same network with an encoder in the accelerator, which takes pixels of 0 .. 255.

        Raises
        ------
        SpikeloomError
            If its input is not of spikes, or if the encoder does not fit the window.
        """
        encoder.check(self.steps)
        given = self.events
        if (given.lowest, given.highest, given.step, given.constant) != (0, 1, 1, False):
            raise SpikeloomError(
                f"network '{self.name}' takes events of {given.lowest} .. {given.highest} in steps "
                f"of {given.step:g}; an encoder on the chip makes spikes of 0 and 1"
            )
        pixels = Events(0, HIGHEST_PIXEL, constant=True, folded=given.folded)
        return replace(self, events=pixels, on_chip=encoder)

    def verify(self) -> None:
        """Raise SpikeloomError where the network contradicts itself."""
        # Imported here because it needs the classes above, as does `ir_text`.
        from spikeloom.compiler.ir_verify import verify

        verify(self)

    def __str__(self) -> str:
        from spikeloom.compiler.ir_text import describe

        return describe(self)
