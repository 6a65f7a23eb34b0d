"""Settings as JSON: frozen dataclasses to plain values and back.

A dataclass becomes an object with its class name under "kind"; only known classes are made again,
so that reading a file runs no code of its choosing.
"""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any


def to_json(value: Any) -> Any:
    """Plain values for a dataclass of numbers, texts, tuples and further dataclasses."""
    if is_dataclass(value) and not isinstance(value, type):
        described = {item.name: to_json(getattr(value, item.name)) for item in fields(value)}
        return {"kind": type(value).__name__, **described}
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    return value


def from_json(value: Any, known: Iterable[type]) -> Any:
    """What `to_json` described; lists become tuples.

    Raises
    ------
    KeyError, TypeError
        If an object names no known class, or has other fields than its class.
    """
    known = tuple(known)
    if isinstance(value, list):
        return tuple(from_json(item, known) for item in value)
    if isinstance(value, dict):
        settings = {name: from_json(item, known) for name, item in value.items()}
        kinds = {kind.__name__: kind for kind in known}
        return kinds[settings.pop("kind")](**settings)
    return value


def first_difference(found: Any, wanted: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """Path and values of the first setting in which two descriptions differ; None if none does."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            path = f"{name}.{key}" if name else key
            difference = first_difference(found.get(key), wanted.get(key), path)
            if difference is not None:
                return difference
        return None
    return None if found == wanted else (name, found, wanted)
