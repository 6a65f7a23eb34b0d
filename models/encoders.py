"""Rate coding: intensities to spike trains, the same ones on every machine.

An intensity is a number in [0, 1] and stands for the share of time steps with a spike. Spike trains
are uint8 arrays of 0 and 1 with time as axis 0: `[T, N, ...]` for intensities `[N, ...]`.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError

Spikes = NDArray[np.uint8]


@dataclass(frozen=True)
class Encoder(ABC):
    """Turns intensities into spikes over a window of `steps` time steps.

    `str(encoder)` names the encoder and its parameters on one line, as in
    `evenly_spaced(steps=8)`; the ONNX file states its encoder so.
    """

    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise SpikeloomError(f"encoder has T = {self.steps} time steps; wanted >= 1")

    @property
    @abstractmethod
    def name(self) -> str:
        """What the encoder is called in files and on the command line."""

    @abstractmethod
    def _spikes(self, intensities: NDArray[np.floating]) -> Spikes: ...

    def __call__(self, intensities: NDArray[np.floating]) -> Spikes:
        """Spikes of shape `[T, *intensities.shape]`.

        Raises
        ------
        SpikeloomError
            If an intensity lies outside [0, 1] or is NaN.
        """
        wrong = np.argwhere(~((intensities >= 0) & (intensities <= 1)))
        if len(wrong):
            place = tuple(int(index) for index in wrong[0])
            raise SpikeloomError(
                f"intensity at {list(place)} is {intensities[place]:g}; wanted 0 .. 1"
            )
        return self._spikes(intensities)

    def __str__(self) -> str:
        parameters = ", ".join(f"{name}={value}" for name, value in asdict(self).items())
        return f"{self.name}({parameters})"


@dataclass(frozen=True)
class EvenlySpaced(Encoder):
    """An intensity p gives n = floor(p T + 1/2) spikes, at steps floor((2 k + 1) T / (2 n)).

    k counts the spikes from 0 to n - 1: each stands in the middle of one of n equal shares of the
    window. Nothing is random.
    """

    name = "evenly_spaced"

    def _spikes(self, intensities: NDArray[np.floating]) -> Spikes:
        trains = np.zeros((self.steps + 1, self.steps), np.uint8)
        for count in range(1, self.steps + 1):
            trains[count, (2 * np.arange(count) + 1) * self.steps // (2 * count)] = 1
        counts = np.floor(intensities.astype(np.float64) * self.steps + 0.5).astype(np.intp)
        return np.ascontiguousarray(np.moveaxis(trains[counts], -1, 0))


@dataclass(frozen=True)
class Bernoulli(Encoder):
    """Every step is a coin of its own: a spike where a uniform number in [0, 1) is below p.

    The numbers are drawn step by step from numpy's PCG64 seeded with `seed`, so that an array of
    intensities always gives the same spikes.
    """

    name = "bernoulli"
    seed: int = 0

    def _spikes(self, intensities: NDArray[np.floating]) -> Spikes:
        uniform = np.random.default_rng(self.seed).random((self.steps, *intensities.shape))
        return (uniform < intensities).astype(np.uint8)


ENCODERS: dict[str, type[Encoder]] = {"evenly_spaced": EvenlySpaced, "bernoulli": Bernoulli}
