"""Probes: the signals that the cycle model predicts at every clock edge.

A block lists its probes in `probes()` and its model gives their values, in the same order, in
`values()`. The top level joins them into one port per block, so that a simulator reads few signals.
"""

from collections.abc import Sequence

import numpy as np
from amaranth import Cat, Value
from numpy.typing import NDArray


class Probe:
    """One probed signal.

    Parameters
    ----------
    name : what a report calls it
    value : the signal, or the parts of all lanes side by side
    lanes : number of equal parts, one per lane; 0 for a signal that belongs to no lane. Parts of
        one bit are spikes; wider ones are signed
    place : where the lanes belong, for reports: the name of an earlier probe of the same block, the
        number of lane 0's neuron by that probe's value, and how far the numbers of neighbouring
        lanes' neurons are apart; None for neurons 0, 1, ..
    of_neurons : False for lanes that serve one neuron now and another one then

    Attributes
    ----------
    lane_bits : bits that a lane takes in the probe port: 1, or sign-extended to 8, 16, 32 or 64
    width : bits that the probe takes in the probe port
    """

    def __init__(
        self,
        name: str,
        value: Value,
        lanes: int = 0,
        place: tuple[str, Sequence[int], int] | None = None,
        of_neurons: bool = True,
    ):
        self.name = name
        self.value = value
        self.lanes = lanes
        self.place = place
        self.of_neurons = of_neurons
        self.width = len(value)
        if lanes:
            self.lane_bits = lane_bits(len(value) // lanes)
            self.width = lanes * self.lane_bits

    def wire(self) -> Value:
        """The value as it stands in the probe port."""
        if not self.lanes:
            return self.value
        width = len(self.value) // self.lanes
        parts = (self.value[lane * width :][:width] for lane in range(self.lanes))
        return Cat(Cat(part, part[-1].replicate(self.lane_bits - width)) for part in parts)

    def unpack(self, shown: int) -> list[int]:
        """The lanes' values when the probe port shows the integer `shown`."""
        if self.lane_bits == 1:
            return [shown >> lane & 1 for lane in range(self.lanes)]
        return [int(item) for item in unpack_lanes(shown, self.lanes, self.lane_bits)]


def lane_bits(width: int) -> int:
    """Bits that a part of so many bits takes in a probe port."""
    return next(bits for bits in (1, 8, 16, 32, 64) if bits >= width)


def pack_lanes(values: NDArray[np.int64], lane_bits: int) -> int:
    """The integer that a probe of signed lanes shows for `values`, shape (lanes,)."""
    return int.from_bytes(values.astype(f"<i{lane_bits // 8}").tobytes(), "little")


def unpack_lanes(shown: int, lanes: int, lane_bits: int) -> NDArray[np.int64]:
    """The signed values, shape (lanes,), for which a probe shows the integer `shown`."""
    raw = shown.to_bytes(lanes * lane_bits // 8, "little")
    return np.frombuffer(raw, f"<i{lane_bits // 8}").astype(np.int64)
