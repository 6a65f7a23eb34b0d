"""How events become scores, and what hardware has to keep for it."""

from dataclasses import dataclass

from amaranth import Shape

from spikeloom.compiler.fixed import signed_bits, signed_range
from spikeloom.compiler.ir import ReadoutKind
from spikeloom.compiler.readouts import MEMBRANE_READOUTS
from spikeloom.rtl.result import RESULT_BITS


@dataclass(frozen=True, slots=True)
class Scoring:
    """How events become scores (docs/arithmetic.md).

    Hardware keeps *entries*: the score of each class or, where a score is a sum of largest
    membranes, the largest membrane of each neuron, summed up when the score is read.

    Attributes
    ----------
    kind : of the readout
    neurons : number of neurons that send events
    steps : time steps of a whole window
    group : neurons per class
    weights : what a spike at each step counts, 0 .. 255; for weighted_spike_count alone
    value_bits : width of the membranes in the events; 0 for readouts of spikes
    early_stop : whether the first step with a spike decides; for first_spike alone
    """

    kind: ReadoutKind
    neurons: int
    steps: int
    group: int = 1
    weights: tuple[int, ...] = ()
    value_bits: int = 0
    early_stop: bool = False

    def __post_init__(self) -> None:
        assert self.neurons % self.group == 0, "classes of different sizes"
        assert (self.value_bits > 0) == (self.kind in MEMBRANE_READOUTS)
        assert len(self.weights) == (self.steps if self.kind == "weighted_spike_count" else 0)
        assert all(0 <= weight <= 255 for weight in self.weights)
        assert not self.early_stop or self.kind == "first_spike"
        assert signed_bits(*self.score_range) <= RESULT_BITS, "a score does not fit into its word"

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.neurons // self.group

    @property
    def members(self) -> int:
        """Entries whose sum is a score: 1, or all neurons of the class."""
        return self.group if self.kind == "maximum_membrane" else 1

    @property
    def entries(self) -> int:
        """Number of entries."""
        return self.classes * self.members

    @property
    def score_range(self) -> tuple[int, int]:
        """Lowest and highest score that is possible."""
        return self._range(self.group)

    @property
    def entry_range(self) -> tuple[int, int]:
        """Lowest and highest entry that is possible."""
        return self._range(self.group // self.members)

    def _range(self, neurons: int) -> tuple[int, int]:
        if self.value_bits:
            low, high = signed_range(self.value_bits)
            return low * neurons, high * neurons
        highest = sum(self.weights) if self.weights else self.steps
        # At least 1: a signal of no bits is no use to anybody.
        return 0, max(highest, 1) * neurons

    @property
    def worth_range(self) -> tuple[int, int]:
        """Lowest and highest number that an event brings."""
        if self.value_bits:
            return signed_range(self.value_bits)
        highest = {"spike_count": 1, "first_spike": self.steps}
        return 0, highest.get(self.kind, max(self.weights, default=0))

    @property
    def reads_back(self) -> bool:
        """Whether what an event makes of its entry depends on what stands there."""
        return self.group > 1 or not (self.kind == "final_membrane" or self.early_stop)

    @property
    def starts_from_zero(self) -> bool:
        """Whether entries must be 0 before a window, as not every window overwrites all of them."""
        return self.value_bits == 0 or (self.kind == "final_membrane" and self.group > 1)

    @property
    def marks_neurons(self) -> bool:
        """Whether an entry says too little about which of its neurons have fired.

        With an early stop only one step of a window counts, in which no neuron fires twice.
        """
        return self.kind == "first_spike" and self.group > 1 and not self.early_stop


def shape_of(low: int, high: int) -> Shape:
    """The narrowest shape that holds both numbers; signed if `low` is negative."""
    return Shape.cast(range(low, high + 1))
