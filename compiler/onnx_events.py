"""The metadata entry `spikeloom.input`: what the input of a network may give, as JSON.

    {"lowest": -14, "highest": 90, "step": 0.03125, "constant": true}

The graph's input tensor holds `step` times a whole number of `lowest` .. `highest`.
"""

import json
import math

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import signed_range
from spikeloom.compiler.ir import Events

INPUT_KEY = "spikeloom.input"

EVENT_BITS = 16
"""Width of the widest event, sign included."""

_KINDS: dict[str, type | tuple[type, ...]] = {
    "lowest": int,
    "highest": int,
    "step": (int, float),
    "constant": bool,
}


def write_events(events: Events) -> str:
    """The entry's text.

    Raises
    ------
    SpikeloomError
        If no input can give such events.
    """
    _check(events)
    return json.dumps({key: getattr(events, key) for key in _KINDS})


def read_events(metadata: dict[str, str]) -> Events:
    """What a model's metadata say of its input; spikes of 0 and 1 without an entry.

    Raises
    ------
    SpikeloomError
        If the entry is damaged, or contradicts itself.
    """
    text = metadata.get(INPUT_KEY)
    if text is None:
        return Events()
    try:
        entry = json.loads(text)
    except ValueError as error:
        raise SpikeloomError(f"it is not JSON: {error}") from error
    if not isinstance(entry, dict) or entry.keys() != _KINDS.keys():
        found = ", ".join(entry) if isinstance(entry, dict) else type(entry).__name__
        raise SpikeloomError(f"it holds {found or 'nothing'}; wanted {', '.join(_KINDS)}")
    for key, kind in _KINDS.items():
        # To Python, true is a number.
        if not isinstance(entry[key], kind) or isinstance(entry[key], bool) != (kind is bool):
            wanted = {"step": "a number", "constant": "true or false"}.get(key, "a whole number")
            raise SpikeloomError(f"its {key} is {entry[key]!r}; wanted {wanted}")
    try:
        step = float(entry["step"])
    except OverflowError:
        step = math.inf
    events = Events(entry["lowest"], entry["highest"], step, entry["constant"])
    _check(events)
    return events


def _check(events: Events) -> None:
    lowest, highest, step = events.lowest, events.highest, events.step
    if not lowest <= 0 <= highest or lowest == highest:
        raise SpikeloomError(
            f"events of {lowest} .. {highest} are no range around 0, which is no event"
        )
    low, high = signed_range(EVENT_BITS)
    if lowest < low or highest > high:
        raise SpikeloomError(
            f"events of {lowest} .. {highest} do not fit {EVENT_BITS} bits ({low} .. {high})"
        )
    if not (math.isfinite(step) and step > 0 and math.frexp(step)[0] == 0.5):
        raise SpikeloomError(f"events in steps of {step:g}; wanted a power of two")
