"""Encoders that the accelerator holds: it takes pixels, once per sample, and makes spikes of them.

This is the one definition of their arithmetic; the gates and the ONNX file follow it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.addresses import Addresses
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import IntArray

HIGHEST_PIXEL = 255
MOST_LANES = 8
"""Pixels that are looked at in one clock cycle, at most."""

# A feedback shift register of 31 bits per lane, of the longest period: x^31 + x^28 + 1.
REGISTER_BITS = 31
TAPS = (30, 27)
BYTE = 8
_SEEDS = 1 << 63


OPTIONS = {"bernoulli": ("seed",), "first_spike": ("t_max", "dark")}
"""The kinds of encoders, and what can be chosen of each."""


@dataclass(frozen=True, slots=True)
class OnChipEncoder:
    """How pixels of 0 .. 255 become spikes.

    - `bernoulli`: a spike in a time step where a random byte is below the pixel, so with a
      probability of pixel / 256. The bytes differ from input to input and from step to step, and
      are the same for every sample.
    - `first_spike`: one spike, in step floor(t_max (1 - pixel / 255) + 1/2); none for pixels of at
      most `dark`.

    Attributes
    ----------
    seed : of the random bytes, 0 .. 2**63 - 1
    t_max : the step of a pixel of 0; the last step in which one spikes
    dark : 0 .. 255; a pixel of 0 never spikes
    """

    kind: Literal["bernoulli", "first_spike"]
    seed: int = 0
    t_max: int = 0
    dark: int = 0

    @classmethod
    def parse(cls, text: str) -> "OnChipEncoder":
        """The encoder that a text such as `first_spike:t_max=15,dark=5` names.

        Raises
        ------
        SpikeloomError
            If it names none; the text says what was wanted.
        """
        name, _, rest = text.partition(":")
        if name not in OPTIONS:
            raise SpikeloomError(
                f"there is no encoder '{name}' on the chip; wanted {' or '.join(OPTIONS)}"
            )
        values: dict[str, int] = {}
        for item in filter(None, rest.split(",")):
            key, _, value = item.partition("=")
            if key not in OPTIONS[name] or key in values or not value.strip().isdecimal():
                wanted = ", ".join(f"{option}=N" for option in OPTIONS[name])
                raise SpikeloomError(f"encoder '{name}' has the option '{item}'; wanted {wanted}")
            values[key] = int(value)
        kind: Literal["bernoulli", "first_spike"] = "bernoulli"
        if name == "first_spike":
            kind = "first_spike"
        return cls(kind, **values)

    def check(self, steps: int) -> None:
        """Raise SpikeloomError unless a window of so many steps can be encoded so."""
        if not 0 <= self.seed < _SEEDS:
            raise SpikeloomError(f"the encoder's seed is {self.seed}; wanted 0 .. 2**63 - 1")
        if not 0 <= self.t_max < steps:
            raise SpikeloomError(
                f"the encoder's t_max is {self.t_max}; wanted 0 .. {steps - 1}, the last of the "
                "window's steps"
            )
        if not 0 <= self.dark <= HIGHEST_PIXEL:
            raise SpikeloomError(f"the encoder's dark is {self.dark}; wanted 0 .. {HIGHEST_PIXEL}")

    def encode(self, pixels: NDArray[np.integer], shape: tuple[int, ...], steps: int) -> IntArray:
        """Spikes, 0 and 1, of shape (T, samples, inputs), of pixels (samples, inputs).

        Parameters
        ----------
        shape : of the input population
        steps : time steps of the window, T
        """
        if self.kind == "bernoulli":
            drawn = random_bytes(self.seed, shape, steps)
            return (drawn[:, None] < pixels).astype(np.int64)
        step = np.arange(1, steps + 1).reshape(-1, 1, 1)
        spikes: IntArray = (step == self.time_codes()[pixels]).astype(np.int64)
        return spikes

    def time_codes(self) -> IntArray:
        """Of each pixel value 1 plus the step in which it spikes, 0 for never; shape (256,)."""
        intensity = (np.arange(HIGHEST_PIXEL + 1) / HIGHEST_PIXEL).astype(np.float32)
        codes = np.floor((1 - intensity.astype(np.float64)) * self.t_max + 0.5).astype(np.int64) + 1
        codes[: self.dark + 1] = 0
        return codes

    @property
    def code_bits(self) -> int:
        """Width of what the accelerator keeps of a pixel: its value, or when it spikes."""
        if self.kind == "bernoulli":
            return BYTE
        return max(1, int(self.time_codes().max()).bit_length())

    def __str__(self) -> str:
        if self.kind == "bernoulli":
            return f"bernoulli(seed={self.seed})"
        return f"first_spike(t_max={self.t_max}, dark={self.dark})"


def pixel_lanes(addresses: Addresses) -> int:
    """Pixels that are looked at in one clock cycle: a power of two."""
    return min(MOST_LANES, 1 << (addresses.count - 1).bit_length())


def pixel_rows(addresses: Addresses) -> int:
    """Clock cycles that a time step takes at least: one for each row of as many pixels."""
    return -(-addresses.count // pixel_lanes(addresses))


def lane_seeds(seed: int, lanes: int) -> tuple[int, ...]:
    """What the register of each lane begins a window with; none is 0."""
    mask = (1 << 64) - 1
    found = []
    for lane in range(lanes):
        # The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), by its constants.
        mixed = (seed + 0x9E3779B97F4A7C15 * (lane + 1)) & mask
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & mask
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & mask
        found.append((mixed ^ mixed >> 31) % ((1 << REGISTER_BITS) - 1) + 1)
    return tuple(found)


def next_register(register: int) -> int:
    """A register eight shifts later: its lowest byte is the next random one."""
    high, low = TAPS
    mask = (1 << BYTE) - 1
    fresh = (register >> (high - BYTE + 1) ^ register >> (low - BYTE + 1)) & mask
    return (register << BYTE | fresh) & ((1 << REGISTER_BITS) - 1)


@lru_cache(4)
def random_bytes(seed: int, shape: tuple[int, ...], steps: int) -> IntArray:
    """The random byte of each step and input, shape (T, inputs)."""
    addresses = Addresses(shape)
    lanes = pixel_lanes(addresses)
    rows = pixel_rows(addresses)
    registers = list(lane_seeds(seed, lanes))
    drawn = np.empty((steps * rows, lanes), np.int64)
    for row in drawn:
        registers = [next_register(register) for register in registers]
        row[:] = [register & ((1 << BYTE) - 1) for register in registers]
    by_address = drawn.reshape(steps, -1)
    of_inputs: IntArray = by_address[:, addresses.of(np.arange(addresses.neurons))]
    return of_inputs
