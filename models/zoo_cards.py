"""Making a model card from the output folders of `spikeloom train`.

The first folder's network goes into the zoo, whichever of the seeds is best on the test samples:
these judge, and choose nothing. All folders' networks are compiled and classify every test sample
with the integer reference.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.inputs import read_events
from spikeloom.compiler.ir import Precision
from spikeloom.compiler.onnx_import import import_network
from spikeloom.compiler.passes import lower
from spikeloom.models import cards, export
from spikeloom.models.data import Dataset, Split
from spikeloom.models.recipe import Recipe
from spikeloom.models.zoo_runs import Run, command

WEIGHT_BITS = (8, 4)
"""Widths that a card has accuracies for: of networks trained for them, or of those in floats."""

CHUNK = 250
"""Samples that are classified at a time."""

FIRST = 500
"""A card also says how many of so many first test samples are right, for a quick check."""

LARGEST_FEW_BITS_FILE = 1_000_000
"""Bytes; a larger network that was trained for few bits has an entry on the card, and no file."""

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, eq=False)
class IntegerScore:
    """What the integer reference does with all test samples.

    Attributes
    ----------
    first_correct : of the first `FIRST` samples, the right ones
    spikes_per_sample : per population, the input's events included
    """

    accuracy: float
    first_correct: int
    spikes_per_sample: dict[str, float]


def classify(
    model: onnx.ModelProto,
    recipe: Recipe,
    split: Split,
    weight_bits: int,
    advance: Advance = lambda samples: None,
) -> IntegerScore:
    """Compile a model and classify all samples of a split with the integer reference."""
    precision = Precision(weight_bits=weight_bits)
    network = lower(import_network(model, recipe.name, precision))
    right: list[bool] = []
    events = {item.name: 0 for item in network.populations}
    for first in range(0, split.size, CHUNK):
        stop = min(first + CHUNK, split.size)
        spikes = read_events(network, recipe.code(split, first, stop))
        trace = reference.run(network, spikes, keep_spikes=False)
        right += (trace.classes == split.labels[first:stop]).tolist()
        for name, counts in trace.event_counts().items():
            events[name] += int(counts.sum())
        advance(stop - first)
    spikes_per_sample = {name: round(count / split.size, 2) for name, count in events.items()}
    return IntegerScore(sum(right) / split.size, sum(right[:FIRST]), spikes_per_sample)


def passes(runs: Sequence[Run], tuned: Sequence[Run]) -> int:
    """How often `make_card` goes through the test samples."""
    return len(runs) * len(_only_rounded(tuned)) + len(tuned)


def _only_rounded(tuned: Sequence[Run]) -> list[int]:
    trained = {run.recipe.training.weight_bits for run in tuned}
    return [bits for bits in WEIGHT_BITS if bits not in trained]


def make_card(
    runs: Sequence[Run],
    tuned: Sequence[Run],
    dataset: Dataset,
    target: Path,
    advance: Advance = lambda samples: None,
) -> cards.Card:
    """Judge trainings of one recipe that differ in their seeds, and write network and card.

    Parameters
    ----------
    runs : trained in floats
    tuned : trained for integer weights, from networks among `runs` or from drawn weights
    target : folder that gets the ONNX file, the card, and small files of `tuned` networks
    advance : called with the number of test samples that were classified since

    Raises
    ------
    SpikeloomError
        If the trainings do not belong together, or a network cannot be compiled.
    """
    first = runs[0]
    _check_family(runs, tuned)
    recipe, split = first.recipe, dataset.test
    onnx_file = target / f"{recipe.name}.onnx"
    integers = [
        _integer_entry(
            "floats", bits, [classify(run.model, recipe, split, bits, advance) for run in runs]
        )
        for bits in _only_rounded(tuned)
    ]
    integers += _few_bits_entries(tuned, recipe, split, target, advance)
    export.write(first.model, onnx_file)
    card = {
        "format": cards.FORMAT,
        "name": recipe.name,
        "network": recipe.full_notation,
        "dataset": recipe.dataset,
        "algorithm": type(recipe.algorithm).__name__,
        "steps": recipe.encoder.steps,
        "encoder": str(recipe.encoder),
        "parameters": sum(item.numel() for item in first.module.parameters()),
        "published": recipe.published,
        "test_samples": split.size,
        "recipe": recipe.to_json(),
        "float": _accuracies([run.test_accuracy for run in runs]) | _training_entry(runs),
        "integers": integers,
        "versions": first.versions,
        "file": cards.file_entry(onnx_file),
    }
    cards.write(card, target / f"{recipe.name}.json")
    return card


def add_tuned(
    name: str,
    tuned: Sequence[Run],
    dataset: Dataset,
    target: Path,
    advance: Advance = lambda samples: None,
) -> cards.Card:
    """Put trainings for few bits on the card that `target` has of their recipe.

    They stand in place of the card's entries for as many bits; the network in floats stays.

    Parameters
    ----------
    tuned, dataset, target, advance : as for `make_card`; those of `tuned` that were not drawn
        started from the ONNX file of the card

    Raises
    ------
    SpikeloomError
        As `make_card` does, or if there is no card, or it is of other settings.
    """
    card = cards.read_file(target / f"{name}.json")
    for run in tuned:
        if run.recipe.name != name or str(run.recipe.encoder) != card["encoder"]:
            raise SpikeloomError(
                f"'{run.folder}' holds '{run.recipe.name}' with {run.recipe.encoder}, but the card "
                f"is of '{name}' with {card['encoder']}"
            )
    _check_tuned(tuned, {card["file"]["sha256"]})
    entries = _few_bits_entries(tuned, tuned[0].recipe, dataset.test, target, advance)
    trained = {item["weight_bits"] for item in entries}
    kept = [item for item in card["integers"] if item["weight_bits"] not in trained]
    card["integers"] = sorted([*kept, *entries], key=lambda item: -item["weight_bits"])
    cards.write(card, target / f"{name}.json")
    return card


def _few_bits_entries(
    tuned: Sequence[Run], recipe: Recipe, split: Split, target: Path, advance: Advance
) -> list[dict[str, Any]]:
    """An entry for each number of bits, most first; writes the networks that are small."""
    entries = []
    for bits in sorted({run.recipe.training.weight_bits for run in tuned}, reverse=True):
        family = [run for run in tuned if run.recipe.training.weight_bits == bits]
        scores = [classify(run.model, recipe, split, bits, advance) for run in family]
        training = "drawn weights" if family[0].start is None else "fine-tuned"
        entry = _integer_entry(training, bits, scores) | _training_entry(family)
        content = family[0].model.SerializeToString(deterministic=True)
        entry["file"] = None
        if len(content) <= LARGEST_FEW_BITS_FILE:
            path = target / f"{recipe.name}.{bits}bit.onnx"
            export.write(family[0].model, path)
            entry["file"] = cards.file_entry(path)
        entries.append(entry)
    return entries


def _check_family(runs: Sequence[Run], tuned: Sequence[Run]) -> None:
    first = runs[0]
    for run in (*runs, *tuned):
        if run.recipe.name != first.recipe.name or run.recipe.encoder != first.recipe.encoder:
            raise SpikeloomError(
                f"'{run.folder}' holds '{run.recipe.name}' with {run.recipe.encoder}, but "
                f"'{first.folder}' '{first.recipe.name}' with {first.recipe.encoder}"
            )
    for run in runs:
        if run.recipe.training.weight_bits:
            raise SpikeloomError(
                f"'{run.folder}' holds a training for {run.recipe.training.weight_bits}-bit "
                "weights; wanted one in floats"
            )
    seeds = [run.recipe.training.seed for run in runs]
    if len(set(seeds)) < len(seeds):
        raise SpikeloomError(f"the trainings have the seeds {seeds}; wanted different ones")
    _check_tuned(tuned, {run.checkpoint_sha256 for run in runs})


def _check_tuned(tuned: Sequence[Run], starts: set[str]) -> None:
    """Raise unless all are for few bits and went on from files with these SHA-256."""
    for run in tuned:
        if not run.recipe.training.weight_bits:
            raise SpikeloomError(f"'{run.folder}' holds a training in floats; wanted weight bits")
        if run.start is not None and run.start.sha256 not in starts:
            raise SpikeloomError(
                f"the training in '{run.folder}' started from another '{run.start.file}' than "
                "that of the card"
            )


def _integer_entry(training: str, bits: int, scores: Sequence[IntegerScore]) -> dict[str, Any]:
    return {
        "weight_bits": bits,
        "training": training,
        **_accuracies([score.accuracy for score in scores]),
        f"correct_of_first_{FIRST}": scores[0].first_correct,
        "spikes_per_sample": scores[0].spikes_per_sample,
    }


def _accuracies(shares: Sequence[float]) -> dict[str, Any]:
    """Per seed, their mean, and their standard deviation with n - 1; null for one seed."""
    return {
        "test_accuracy": list(shares),
        "mean": round(statistics.fmean(shares), 6),
        "deviation": round(statistics.stdev(shares), 6) if len(shares) > 1 else None,
    }


def _training_entry(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "commands": [command(run) for run in runs],
        "seeds": [run.recipe.training.seed for run in runs],
        "epochs": runs[0].recipe.training.epochs,
        "best_epochs": [run.best_epoch for run in runs],
        "validation_accuracy": [run.validation_accuracy for run in runs],
        "start": [run.start._asdict() if run.start is not None else None for run in runs],
    }
