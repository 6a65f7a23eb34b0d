"""Files of input spikes: arrays in an NPZ file, or a list of events in a CSV file.

NPZ: `spikes`, shape (T, samples, inputs), the inputs in one axis or in those of a sample, and where
the classes are known `labels`, integers, shape (samples,). Spikes are 0 and 1; a network that takes
signed or graded events takes whole multiples of its step, such as 1/32, in integers or floats. An
input that is the same in all steps may be given as `pixels`, shape (samples, inputs), instead.

CSV: the header `sample,step,input`, then one line per event, sorted by sample, then by step; the
inputs of a step stand in any order, each at most once. The highest sample number says how many
samples there are, so silent samples at the end need an NPZ file. CSV files hold spikes of 1 only.
"""

import csv
import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.files import replacing
from spikeloom.compiler.fixed import IntArray
from spikeloom.compiler.inputs import Spikes, file_values, read_events
from spikeloom.compiler.ir import Network

COLUMNS = ("sample", "step", "input")

# A CSV file with one wrong digit must not ask for more memory than a machine has.
_LARGEST = 1 << 28


@dataclass(frozen=True, slots=True, eq=False)
class InputSpikes:
    """Samples that a network can take.

    Attributes
    ----------
    spikes : integers, 0 and 1 or what `Network.events` allows, shape (T, samples, inputs)
    labels : int64 array, shape (samples,), each 0 .. classes - 1; None if they are not known
    """

    spikes: Spikes
    labels: IntArray | None = None


def read_spikes(path: Path, network: Network) -> InputSpikes:
    """Read the samples in an NPZ or a CSV file, told apart by the file's ending.

    Raises
    ------
    SpikeloomError
        If the file cannot be read, holds no samples, or if what it holds does not fit the network;
        of a CSV file the line is named.
    """
    if path.suffix not in (".npz", ".csv"):
        raise SpikeloomError(f"'{path}' ends in '{path.suffix}'; spikes come as .npz or .csv")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpikeloomError(f"cannot read spikes from '{path}': {error.strerror}") from error
    if path.suffix == ".csv":
        arrays: dict[str, NDArray[Any]] = {"spikes": _read_csv(path, content, network)}
    else:
        arrays = _read_npz(path, content)
    try:
        spikes = read_events(network, _over_time(arrays, network))
    except SpikeloomError as error:
        raise SpikeloomError(f"'{path}': {error}") from error
    if not spikes.shape[1]:
        raise SpikeloomError(f"'{path}' holds no samples")
    labels = arrays.get("labels")
    if labels is not None:
        _check_labels(path, labels, spikes.shape[1], network)
        labels = labels.astype(np.int64)
    return InputSpikes(spikes, labels)


def _over_time(arrays: dict[str, NDArray[Any]], network: Network) -> NDArray[Any]:
    """The array of spikes, or pixels in every time step."""
    if "spikes" in arrays:
        return arrays["spikes"]
    if not network.events.constant:
        raise SpikeloomError("it holds 'pixels'; the network takes 'spikes' of each time step")
    pixels = arrays["pixels"]
    return np.broadcast_to(pixels, (network.steps, *pixels.shape))


def write_spikes(path: Path, samples: InputSpikes, network: Network | None = None) -> None:
    """Write an NPZ file that `read_spikes` reads.

    Parameters
    ----------
    network : whose input it is; needed where an event of 1 is worth something else
    """
    spikes = samples.spikes if network is None else file_values(network, samples.spikes)
    arrays: dict[str, NDArray[Any]] = {"spikes": spikes}
    if samples.labels is not None:
        arrays["labels"] = samples.labels
    write_arrays(path, arrays)


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write a compressed NPZ file, whatever its name ends in."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _read_npz(path: Path, content: bytes) -> dict[str, NDArray[Any]]:
    try:
        # From bytes: numpy leaves a file open that is not an NPZ file.
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            found = set(file) if isinstance(file, np.lib.npyio.NpzFile) else set()
            if not found & {"spikes", "pixels"}:
                raise SpikeloomError(f"'{path}' has no array 'spikes'")
            return {name: file[name] for name in ("spikes", "pixels", "labels") if name in found}
    except (
        *(ValueError, EOFError, AttributeError, TypeError, NotImplementedError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise SpikeloomError(f"'{path}' is not an NPZ file with an array 'spikes'") from error


def _check_labels(path: Path, labels: NDArray[Any], samples: int, network: Network) -> None:
    if labels.shape != (samples,) or not np.issubdtype(labels.dtype, np.integer):
        raise SpikeloomError(
            f"'{path}' holds labels of shape {labels.shape} and type {labels.dtype}; wanted one "
            f"integer for each of {samples} samples"
        )
    classes = network.classes
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise SpikeloomError(
            f"'{path}' gives sample {wrong[0]} the label {labels[wrong[0]]}; network "
            f"'{network.name}' has the classes 0 .. {classes - 1}"
        )


def _read_csv(path: Path, content: bytes, network: Network) -> Spikes:
    shape = (network.steps, network.input.size)
    events_taken = network.events
    if (events_taken.lowest, events_taken.highest, events_taken.step) != (0, 1, 1):
        raise SpikeloomError(
            f"'{path}' lists spikes, but network '{network.name}' takes events of "
            f"{events_taken.lowest} .. {events_taken.highest} steps of {events_taken.step:g}; "
            "wanted an .npz file"
        )
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        header = tuple(field.strip() for field in next(lines, ()))
        if header != COLUMNS:
            raise SpikeloomError(
                f"'{path}', line 1: the header is '{','.join(header)}'; wanted "
                f"'{','.join(COLUMNS)}'"
            )
        limits = (_LARGEST // (shape[0] * shape[1]), *shape)
        events: list[tuple[int, ...]] = []
        of_step: set[int] = set()
        for fields in lines:
            if not fields:
                continue
            where = f"'{path}', line {lines.line_num}"
            event = _parse_event(where, fields, limits)
            if not events or event[:2] != events[-1][:2]:
                _check_order(where, event, events[-1] if events else None)
                of_step.clear()
            elif event[2] in of_step:
                raise SpikeloomError(
                    f"{where}: sample {event[0]} has an event of input {event[2]} at step "
                    f"{event[1]} already; an input spikes at most once per step"
                )
            of_step.add(event[2])
            events.append(event)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SpikeloomError(f"'{path}' is not a CSV file: {error}") from error
    samples, steps, inputs = np.asarray(events, np.int64).reshape(-1, len(COLUMNS)).T
    spikes = np.zeros((shape[0], int(samples.max(initial=-1)) + 1, shape[1]), np.uint8)
    spikes[steps, samples, inputs] = 1
    return spikes


def _parse_event(where: str, fields: list[str], limits: tuple[int, ...]) -> tuple[int, ...]:
    if len(fields) != len(COLUMNS):
        raise SpikeloomError(f"{where}: {len(fields)} fields; wanted {len(COLUMNS)}")
    event = []
    for name, field, limit in zip(COLUMNS, fields, limits, strict=True):
        text = field.strip()
        # `int` takes underscores and other scripts' digits as well.
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise SpikeloomError(f"{where}: {name} is '{text}'; wanted an integer")
        value = int(text)
        if not 0 <= value < limit:
            raise SpikeloomError(f"{where}: {name} is {value}; wanted 0 .. {limit - 1}")
        event.append(value)
    return tuple(event)


def _check_order(where: str, event: tuple[int, ...], before: tuple[int, ...] | None) -> None:
    if before is not None and event[:2] < before[:2]:
        raise SpikeloomError(
            f"{where}: sample {event[0]}, step {event[1]} stands behind sample {before[0]}, step "
            f"{before[1]}; events are sorted by sample, then by step"
        )
