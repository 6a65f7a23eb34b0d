"""The input of a network: from the numbers in a file to the whole numbers that it computes with."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Events, Network

Spikes = NDArray[np.integer[Any]]
"""Events per time step, sample and neuron: 0 and 1, of the input what `Network.events` allows."""


def check_spikes(network: Network, spikes: NDArray[np.generic]) -> Spikes:
    """The same events as integers; raise SpikeloomError unless they are a legal input.

    Parameters
    ----------
    spikes : whole numbers of `network.events`, shape (T, batch, inputs)
    """
    return _convert(network, spikes, 1.0)


def read_events(network: Network, values: NDArray[np.generic]) -> Spikes:
    """The events that the numbers of an input file stand for.

    Parameters
    ----------
    values : whole multiples of `network.events.step`, shape (T, batch, inputs), the inputs in one
        axis or in those of the input's shape

    Raises
    ------
    SpikeloomError
        If a number is none that the network takes: names step, sample and input.
    """
    if values.ndim > 3 and values.shape[2:] == network.input.shape:
        values = values.reshape(*values.shape[:2], -1)
    return _convert(network, values, network.events.step)


def file_values(network: Network, spikes: Spikes) -> NDArray[Any]:
    """The inverse of `read_events`: integers where an event of 1 is worth 1, else float32."""
    if network.events.step == 1:
        return spikes
    values: NDArray[np.float32] = spikes * np.float32(network.events.step)
    return values


def _convert(network: Network, values: NDArray[Any], step: float) -> Spikes:
    events = network.events
    steps, inputs = network.steps, network.input.size
    if values.ndim != 3 or (values.shape[0], values.shape[2]) != (steps, inputs):
        raise SpikeloomError(
            f"input spikes have shape {values.shape}; network '{network.name}' takes "
            f"(T={steps}, batch, {inputs})"
        )
    if values.dtype.kind not in "biuf":
        raise SpikeloomError(
            f"input spikes are of type {values.dtype}; wanted the numbers {_wanted(events, step)}"
        )
    units = values
    if values.dtype.kind == "f" or step != 1:
        units = values / np.asarray(step, np.result_type(values, np.float32))
    lowest, highest = events.lowest, events.highest
    is_float = units.dtype.kind == "f"
    if is_float or units.min(initial=0) < lowest or units.max(initial=0) > highest:
        wrong = (units < lowest) | (units > highest) | (units != np.rint(units))
        if wrong.any():
            _refuse(values, wrong, f"wanted {_wanted(events, step)}")
    if events.constant and (units[1:] != units[:1]).any():
        _refuse(values, units != units[:1], "wanted the number of step 0 at every step")
    whole: Spikes = units.astype(_narrowest(lowest, highest), copy=False)
    return whole


@lru_cache
def _narrowest(lowest: int, highest: int) -> type[np.integer[Any]]:
    return next(
        kind
        for kind in (np.uint8, np.int8, np.int16, np.int32)
        if np.iinfo(kind).min <= lowest and highest <= np.iinfo(kind).max
    )


def _wanted(events: Events, step: float) -> str:
    if (events.lowest, events.highest, step) == (0, 1, 1):
        return "0 or 1"
    lowest, highest = events.lowest * step, events.highest * step
    multiple = "a whole number" if step == 1 else f"a multiple of {step:g}"
    return f"{multiple} in {lowest:g} .. {highest:g}"


def _refuse(values: NDArray[Any], wrong: NDArray[np.bool_], wanted: str) -> None:
    step, sample, neuron = np.argwhere(wrong)[0]
    raise SpikeloomError(
        f"input spike at step {step}, sample {sample}, input {neuron} is "
        f"{values[step, sample, neuron]}; {wanted}"
    )
