"""What this project's own trainings reached: the model cards that ship with the package.

A card is the file `zoo/<recipe>.json` of this package: a JSON object whose `test_accuracy` is the
share of test samples that the network in floats classifies correctly.
"""

import json
from importlib import resources


def test_accuracy(recipe: str) -> float | None:
    """Share of correct test samples on the card of a recipe; None if it has no card."""
    card = resources.files("spikeloom.models") / "zoo" / f"{recipe}.json"
    if not card.is_file():
        return None
    return float(json.loads(card.read_text(encoding="utf-8"))["test_accuracy"])
