"""The zoo: networks that this project trained, and the model cards that say what they reach.

`zoo/<recipe>.onnx` of this package is the network in floats and `zoo/<recipe>.json` its card, a
JSON object; `docs/training.md` describes its entries. Reading them needs no torch.
"""

import difflib
import hashlib
import json
import math
import statistics
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from spikeloom.compiler import files
from spikeloom.compiler.errors import SpikeloomError

FORMAT = "spikeloom model card 1"

Card = dict[str, Any]


def folder() -> Path:
    """Where the networks and their cards lie."""
    return Path(str(resources.files("spikeloom.models") / "zoo"))


def names() -> list[str]:
    """The networks that have a card."""
    return sorted(path.stem for path in folder().glob("*.json"))


def read(name: str) -> Card:
    """The card of a network.

    Raises
    ------
    SpikeloomError
        If there is none of that name; the text offers the nearest ones.
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, cutoff=0.4) or known
        offer = f"; did you mean {' or '.join(map(repr, near))}?" if near else ", which is empty"
        raise SpikeloomError(f"no network '{name}' in the zoo{offer}")
    return read_file(folder() / f"{name}.json")


def read_file(path: Path) -> Card:
    """The card in a file.

    Raises
    ------
    SpikeloomError
        If the file is missing or is not a model card of this format.
    """
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SpikeloomError(f"model card '{path}' does not exist") from error
    except (OSError, ValueError) as error:
        raise SpikeloomError(f"model card '{path}' cannot be read: {error}") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else None
        raise SpikeloomError(f"model card '{path}' has the format '{found}'; wanted '{FORMAT}'")
    return card


def write(card: Card, path: Path) -> None:
    """Write a card; equal cards give equal bytes."""
    files.write_text(path, json.dumps(card, indent=2, sort_keys=True) + "\n")


def test_accuracy(name: str) -> float | None:
    """Mean share of correct test samples of the networks in floats; None without a card."""
    return float(read(name)["float"]["mean"]) if name in names() else None


def integers(card: Card, weight_bits: int) -> dict[str, Any] | None:
    """The entry for integers of so many bits; of several the trained one, if there is one."""
    entries = [item for item in card["integers"] if item["weight_bits"] == weight_bits]
    return max(entries, key=lambda item: item["training"] != "floats", default=None)


def loss(card: Card, entry: dict[str, Any]) -> float:
    """What integers lose to floats: the mean over the seeds of the entry, as a share."""
    seeds = card["float"]["seeds"]
    floats = dict(zip(seeds, card["float"]["test_accuracy"], strict=True))
    pairs = zip(entry.get("seeds", seeds), entry["test_accuracy"], strict=True)
    return statistics.fmean(floats[seed] - accuracy for seed, accuracy in pairs)


def table(found: Sequence[Card], columns: Sequence[str] = ()) -> str:
    """Cards as a Markdown table, accuracies in percent.

    Parameters
    ----------
    columns : some of the keys of `COLUMNS`; all of them by default
    """
    names = columns or tuple(COLUMNS)
    rows = [names, ("---",) * len(names)]
    rows += [tuple(COLUMNS[name](card) for name in names) for card in found]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _mean_of_floats(card: Card) -> str:
    floats = card["float"]
    mean = f"{100 * floats['mean']:.2f}"
    if floats["deviation"] is None:
        return mean
    return f"{mean} +- {100 * floats['deviation']:.2f}"


def _counting_error(card: Card) -> str:
    """Standard error of a share that is counted on the test samples."""
    share = card["float"]["mean"]
    return f"{100 * math.sqrt(share * (1 - share) / card['test_samples']):.2f}"


def _integer_cell(card: Card, weight_bits: int) -> str:
    entry = integers(card, weight_bits)
    if entry is None:
        return ""
    remarks = [] if entry["training"] == "floats" else [entry["training"]]
    seeds = len(entry["test_accuracy"])
    if seeds < len(card["float"]["seeds"]):
        remarks.append(f"{seeds} seed{'s' if seeds > 1 else ''}")
    remarks.append(f"loses {100 * loss(card, entry):.2f}")
    return f"{100 * entry['mean']:.2f} ({', '.join(remarks)})"


COLUMNS: dict[str, Callable[[Card], str]] = {
    "network": lambda card: f"`{card['name']}`",
    "T": lambda card: str(card["steps"]),
    "published, %": lambda card: str(card["published"]),
    "floats, %": _mean_of_floats,
    "seeds": lambda card: str(len(card["float"]["seeds"])),
    "error, %": _counting_error,
    "8 bits, %": lambda card: _integer_cell(card, 8),
    "4 bits, %": lambda card: _integer_cell(card, 4),
}
"""What `table` says of a card."""


def file_entry(path: Path) -> dict[str, Any]:
    """Name, size and SHA-256 of a file, as a card states them."""
    content = path.read_bytes()
    return {
        "name": path.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def file_entries(card: Card) -> list[dict[str, Any]]:
    """The files that belong to a card: the network in floats, and what was trained for few bits."""
    return [card["file"], *(item["file"] for item in card["integers"] if item.get("file"))]


def copy_out(name: str, target: Path) -> list[Path]:
    """Copy a network's files and its card into a folder, which is made if it is missing.

    Raises
    ------
    SpikeloomError
        If there is no such network, or a file is not the one that the card describes.
    """
    card = read(name)
    contents = {}
    for entry in file_entries(card):
        source = folder() / entry["name"]
        if not source.is_file() or file_entry(source) != entry:
            raise SpikeloomError(
                f"'{source}' is missing or not the file that the model card of '{name}' "
                "describes; install the package anew"
            )
        contents[entry["name"]] = source.read_bytes()
    for file, content in contents.items():
        files.write_bytes(target / file, content)
    write(card, target / f"{name}.json")
    return [target / file for file in (*contents, f"{name}.json")]
