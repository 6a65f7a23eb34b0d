"""Coding: samples to what enters the network at each time step, the same on every machine.

An intensity is a number in [0, 1]; encoders turn intensities `[N, ...]` into `[T, N, ...]`, time
being axis 0. Each encoder is defined in numpy (calling it) and has a second form in torch for the
training loop (`tensor`), which gives the same numbers. The string of an encoder, such as
`bernoulli(steps=8, seed=0, gain=1.0)`, states all that it depends on; the ONNX file carries it.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Events as InputEvents
from spikeloom.models.data import Events, Intensities
from spikeloom.models.noise import LEVELS, random_levels, random_levels_tensor

Coded = NDArray[np.generic]
"""Shape `[T, N, ...]`: uint8 spikes, int8 signed spikes or float32 currents."""

Statistics = tuple[float, ...]


@dataclass(frozen=True)
class Encoder(ABC):
    """Turns samples into spikes or currents over a window of `steps` time steps."""

    name: ClassVar[str]

    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise SpikeloomError(f"encoder has T = {self.steps} time steps; wanted >= 1")

    def __call__(
        self,
        samples: Intensities | Events,
        numbers: NDArray[np.int64] | None = None,
        epoch: int = 0,
    ) -> Coded:
        """What enters the network, shape `[T, N, ...]`.

        Parameters
        ----------
        samples : N images or recordings
        numbers : of the samples, from 0 when not given. A random code depends on a sample's number
            and not on the batch that it stands in
        epoch : training draws new random codes in each epoch; 0 is for everything else

        Raises
        ------
        SpikeloomError
            If the samples are of another kind than this encoder takes, or an intensity lies
            outside [0, 1] or is NaN.
        """
        if isinstance(samples, Events):
            return self._code_events(samples)
        wrong = np.argwhere(~((samples >= 0) & (samples <= 1)))
        if len(wrong):
            place = tuple(int(index) for index in wrong[0])
            raise SpikeloomError(f"intensity at {list(place)} is {samples[place]:g}; wanted 0 .. 1")
        if numbers is None:
            numbers = np.arange(len(samples))
        return self._code(samples.astype(np.float32), numbers, epoch)

    def tensor(self, samples: Tensor | Events, numbers: NDArray[np.int64], epoch: int) -> Tensor:
        """The same as a float32 tensor; intensities are float32 and known to lie in [0, 1]."""
        if isinstance(samples, Events):
            return torch.from_numpy(self._code_events(samples).astype(np.float32))
        return self._code_tensor(samples, numbers, epoch)

    @property
    def events(self) -> InputEvents:
        """What it gives; spikes of 0 and 1 unless overridden."""
        return InputEvents()

    def __str__(self) -> str:
        parameters = ", ".join(f"{name}={value}" for name, value in asdict(self).items())
        return f"{self.name}({parameters})"

    @abstractmethod
    def _code(
        self, intensities: NDArray[np.float32], numbers: NDArray[np.int64], epoch: int
    ) -> Coded: ...

    @abstractmethod
    def _code_tensor(
        self, intensities: Tensor, numbers: NDArray[np.int64], epoch: int
    ) -> Tensor: ...

    def _code_events(self, events: Events) -> Coded:
        raise SpikeloomError(
            f"encoder '{self.name}' takes intensities, but the data set holds events; "
            f"'{EventBins.name}' takes these"
        )


@dataclass(frozen=True)
class EvenlySpaced(Encoder):
    """An intensity p gives n = floor(p T + 1/2) spikes, at steps floor((2 k + 1) T / (2 n)).

    k counts the spikes from 0 to n - 1: each stands in the middle of one of n equal shares of the
    window. Nothing is random.
    """

    name = "evenly_spaced"

    def _code(
        self, intensities: NDArray[np.float32], numbers: NDArray[np.int64], epoch: int
    ) -> Coded:
        counts = np.floor(intensities.astype(np.float64) * self.steps + 0.5).astype(np.intp)
        return np.stack([train[counts] for train in self._trains().T])

    def _code_tensor(self, intensities: Tensor, numbers: NDArray[np.int64], epoch: int) -> Tensor:
        counts = (intensities.double() * self.steps + 0.5).floor().long()
        trains = torch.from_numpy(self._trains().T.astype(np.float32))
        return torch.stack([train[counts] for train in trains])

    def _trains(self) -> NDArray[np.uint8]:
        """Row n: the train of n spikes."""
        trains = np.zeros((self.steps + 1, self.steps), np.uint8)
        for count in range(1, self.steps + 1):
            trains[count, (2 * np.arange(count) + 1) * self.steps // (2 * count)] = 1
        return trains


@dataclass(frozen=True)
class Bernoulli(Encoder):
    """Every step is a coin of its own: a spike where a random number u in [0, 1) is below gain p.

    u has 24 bits and depends on seed, epoch, the sample's number, step and input alone; see
    `spikeloom.models.noise`. Gain p is computed in float32.
    """

    name = "bernoulli"
    seed: int = 0
    gain: float = 1.0

    def _code(
        self, intensities: NDArray[np.float32], numbers: NDArray[np.int64], epoch: int
    ) -> Coded:
        shape = (self.steps, *intensities.shape[1:])
        levels = random_levels(self.seed, epoch, numbers, shape)
        return (levels < intensities * np.float32(self.gain) * LEVELS).astype(np.uint8)

    def _code_tensor(self, intensities: Tensor, numbers: NDArray[np.int64], epoch: int) -> Tensor:
        shape = (self.steps, *intensities.shape[1:])
        levels = random_levels_tensor(self.seed, epoch, numbers, shape)
        rate = intensities * torch.tensor(self.gain, dtype=torch.float32) * float(LEVELS)
        return (levels < rate).float()


@dataclass(frozen=True)
class Normalising(Encoder):
    """Codes x = (p - mean) / deviation in place of the intensity p, per channel, in float32."""

    mean: Statistics = (0.0,)
    deviation: Statistics = (1.0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        mean, deviation = self.mean, self.deviation
        if len(mean) != len(deviation) or not mean or min(deviation) <= 0:
            raise SpikeloomError(
                f"encoder has means {mean} and deviations {deviation}; wanted as many of either, "
                "the deviations > 0"
            )

    def normalise(self, intensities: Tensor) -> Tensor:
        """x, float32 of the shape of `intensities`: `[N, C, ...]`, or any with one mean."""
        mean, deviation = (
            torch.tensor(values, dtype=torch.float32).view(-1, *(1,) * max(intensities.ndim - 2, 0))
            for values in (self.mean, self.deviation)
        )
        return (intensities - mean) / deviation


@dataclass(frozen=True)
class SignedBernoulli(Normalising):
    """Spikes of -1 and +1: sign(x) where a random number u in [0, 1) is below gain |x|.

    x is the normalised intensity; u as for `Bernoulli` (Lee et al. 2020: training-algorithms 5.2).
    """

    name = "signed_bernoulli"
    seed: int = 0
    gain: float = 1.0

    @property
    def events(self) -> InputEvents:
        return InputEvents(lowest=-1)

    def _code(
        self, intensities: NDArray[np.float32], numbers: NDArray[np.int64], epoch: int
    ) -> Coded:
        x = self.normalise(torch.from_numpy(intensities)).numpy()
        levels = random_levels(self.seed, epoch, numbers, (self.steps, *x.shape[1:]))
        hit = levels < np.abs(x) * np.float32(self.gain) * LEVELS
        signed: Coded = (np.sign(x) * hit).astype(np.int8)
        return signed

    def _code_tensor(self, intensities: Tensor, numbers: NDArray[np.int64], epoch: int) -> Tensor:
        x = self.normalise(intensities)
        levels = random_levels_tensor(self.seed, epoch, numbers, (self.steps, *x.shape[1:]))
        rate = x.abs() * torch.tensor(self.gain, dtype=torch.float32) * float(LEVELS)
        return x.sign() * (levels < rate)


@dataclass(frozen=True)
class ConstantCurrent(Normalising):
    """Direct coding: the normalised intensity at every step, rounded to `fraction_bits` bits.

    The rounding, of halves to even, makes the numbers integers of the accelerator: with 5 bits
    those of normalised MNIST are -14 .. 90 in units of 1/32.
    """

    name = "constant_current"
    fraction_bits: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.fraction_bits <= 16:
            raise SpikeloomError(
                f"encoder '{self.name}' has {self.fraction_bits} fraction bits; wanted 0 .. 16"
            )

    @property
    def events(self) -> InputEvents:
        ends = torch.tensor([[0.0], [1.0]]).expand(2, len(self.mean))
        lowest, highest = (int(end) for end in self._units(ends).aminmax())
        return InputEvents(lowest, highest, 2.0**-self.fraction_bits, constant=True)

    def _code(
        self, intensities: NDArray[np.float32], numbers: NDArray[np.int64], epoch: int
    ) -> Coded:
        coded: Coded = self._code_tensor(torch.from_numpy(intensities), numbers, epoch).numpy()
        return coded

    def _code_tensor(self, intensities: Tensor, numbers: NDArray[np.int64], epoch: int) -> Tensor:
        x = self._units(intensities) / 2.0**self.fraction_bits
        return x.expand(self.steps, *x.shape)

    def _units(self, intensities: Tensor) -> Tensor:
        return (self.normalise(intensities) * 2.0**self.fraction_bits).round()


@dataclass(frozen=True)
class TimeToFirstSpike(Encoder):
    """At most one spike per input, the brighter the earlier, at step floor(t_max (1 - p) + 1/2).

    Intensities up to `dark` never spike. The last steps of a window longer than t_max + 1 are left
    to the network.
    """

    name = "time_to_first_spike"
    t_max: int = 15
    dark: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.t_max < self.steps:
            raise SpikeloomError(
                f"encoder '{self.name}' has t_max = {self.t_max}; wanted 0 .. {self.steps - 1}, "
                "the window's last step"
            )

    def times(self, intensities: Tensor) -> Tensor:
        """The step of each spike, float32 of the shape of `intensities`; infinite where none is."""
        steps = ((1 - intensities.double()) * self.t_max + 0.5).floor().float()
        dark = torch.tensor(self.dark, dtype=torch.float32)
        return torch.where(intensities > dark, steps, torch.inf)

    def _code(
        self, intensities: NDArray[np.float32], numbers: NDArray[np.int64], epoch: int
    ) -> Coded:
        times = np.floor((1 - intensities.astype(np.float64)) * self.t_max + 0.5)
        times[intensities <= np.float32(self.dark)] = np.inf
        return np.stack([(times == step).astype(np.uint8) for step in range(self.steps)])

    def _code_tensor(self, intensities: Tensor, numbers: NDArray[np.int64], epoch: int) -> Tensor:
        steps = torch.arange(self.steps).reshape(-1, *(1,) * intensities.ndim)
        return (self.times(intensities) == steps).float()


@dataclass(frozen=True)
class EventBins(Encoder):
    """Recorded events, sorted into bins: an event at time t falls into step floor(t / width).

    The first `steps` bins are used; several events of one pixel and polarity in one bin are one
    spike.
    """

    name = "event_bins"
    microseconds: int = 3000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.microseconds < 1:
            raise SpikeloomError(
                f"encoder '{self.name}' has bins of {self.microseconds} us; wanted >= 1"
            )

    def _code(
        self, intensities: NDArray[np.float32], numbers: NDArray[np.int64], epoch: int
    ) -> Coded:
        raise SpikeloomError(f"encoder '{self.name}' takes events, but the data set holds images")

    def _code_tensor(self, intensities: Tensor, numbers: NDArray[np.int64], epoch: int) -> Tensor:
        raise SpikeloomError(f"encoder '{self.name}' takes events, but the data set holds images")

    def _code_events(self, events: Events) -> Coded:
        count = len(events.start) - 1
        sample = np.repeat(np.arange(count), np.diff(events.start))
        step = events.microseconds // self.microseconds
        used = step < self.steps
        spikes = np.zeros((self.steps, count, int(np.prod(events.shape))), np.uint8)
        spikes[step[used], sample[used], events.address[used]] = 1
        coded: Coded = spikes.reshape(self.steps, count, *events.shape)
        return coded


ENCODERS: dict[str, type[Encoder]] = {
    kind.name: kind
    for kind in (
        EvenlySpaced,
        Bernoulli,
        SignedBernoulli,
        ConstantCurrent,
        TimeToFirstSpike,
        EventBins,
    )
}
