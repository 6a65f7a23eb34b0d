"""List this project's trained networks, or copy one out with its model card.

Without a name, shows the networks and their accuracies on the test samples: in floats, and in
integers with 8-bit and 4-bit weights, as the integer reference classifies them. With a name, copies
NAME.onnx (floats), NAME.json (the card: how it was trained and judged) and, where there is one, a
network trained for few bits into a folder.

For maintainers: --add takes the output folders of trainings in floats of one recipe, which differ
in their seeds, compiles their networks, classifies all test samples and writes the first one's
network and the card; --tuned takes those trained with --weight-bits. --tuned alone puts these on
the card that is in the folder already; they started from its ONNX file.
"""

import argparse
from pathlib import Path
from typing import Any

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.cli.console import Console

HELP = "list trained networks, copy one out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", default=argparse.SUPPRESS, help="name of a network"
    )
    parser.add_argument(
        "--markdown", action="store_true", help="list as a table for docs/training.md"
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("out"), metavar="DIR", help="where to write"
    )
    for flag, text in (
        ("--add", "make a card from these outputs of 'spikeloom train' in floats"),
        ("--tuned", "outputs of 'spikeloom train --weight-bits' that belong on the same card"),
    ):
        parser.add_argument(
            flag, nargs="+", type=Path, metavar="FOLDER", default=argparse.SUPPRESS, help=text
        )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="with --add or --tuned: folder with the data sets (see 'spikeloom train')",
    )


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """List, copy out or add."""
    given = vars(args)
    if "add" in given or "tuned" in given:
        if "name" in given:
            option = "add" if "add" in given else "tuned"
            raise SpikeloomError(
                f"--{option} takes folders of trainings, and no name '{args.name}'"
            )
        folders = (given.get("add", []), given.get("tuned", []))
        return _add(*folders, args.out, given.get("data"), console)
    if "data" in given:
        raise SpikeloomError("--data goes with --add or --tuned")
    if "name" in given:
        return _copy_out(args.name, args.out, console)
    return _list(console, args.markdown)


def _list(console: Console, markdown: bool) -> dict[str, Any]:
    from spikeloom.models import cards

    found = [cards.read(name) for name in cards.names()]
    if markdown:
        console.say(cards.table(found).rstrip())
        return {"networks": found}
    console.table(
        "networks",
        (
            *("name", "network", "data", "algorithm", "T"),
            *("floats, %", "8 bits, %", "4 bits, %", "events per sample"),
        ),
        [_row(card) for card in found],
    )
    console.say("means over the seeds; 'spikeloom zoo NAME -o DIR' copies a network out")
    return {"networks": found}


def _row(card: dict[str, Any]) -> tuple[object, ...]:
    from spikeloom.models import cards

    entries = [cards.integers(card, bits) for bits in (8, 4)]
    accuracies = (card["float"], *entries)
    events = sum(entries[0]["spikes_per_sample"].values()) if entries[0] else 0
    return (
        *(card[key] for key in ("name", "network", "dataset", "algorithm", "steps")),
        *("" if entry is None else f"{100 * entry['mean']:.2f}" for entry in accuracies),
        f"{events:,.0f}",
    )


def _copy_out(name: str, folder: Path, console: Console) -> dict[str, Any]:
    from spikeloom.models import cards

    written = cards.copy_out(name, folder)
    for path in written:
        console.say(f"wrote {path}")
    console.say(f"next: spikeloom compile {written[0]} -o {folder}")
    return {"card": cards.read(name), "files": [str(path) for path in written]}


def _add(
    folders: list[Path], tuned: list[Path], out: Path, data: Path | None, console: Console
) -> dict[str, Any]:
    from spikeloom.models import checkpoint, zoo_cards
    from spikeloom.models.zoo_runs import find_checkpoint, read_run

    recipe = checkpoint.load(find_checkpoint([*folders, *tuned][0])).recipe
    dataset = recipe.load_data(data)
    runs, few_bits = ([read_run(folder, dataset) for folder in group] for group in (folders, tuned))
    samples = zoo_cards.passes(runs, few_bits) * dataset.test.size
    with console.progress(f"classify with {recipe.name}", samples) as advance:
        if runs:
            card = zoo_cards.make_card(runs, few_bits, dataset, out, advance)
        else:
            card = zoo_cards.add_tuned(recipe.name, few_bits, dataset, out, advance)
    rows = [("floats", "floats", card["float"])]
    rows += [(f"{item['weight_bits']} bits", item["training"], item) for item in card["integers"]]
    console.table(
        f"{recipe.name}: accuracy on {card['test_samples']:,} test samples, %",
        ("weights", "training", "mean", "deviation", "per seed"),
        [
            (
                weights,
                training,
                f"{100 * entry['mean']:.2f}",
                "" if entry["deviation"] is None else f"{100 * entry['deviation']:.2f}",
                ", ".join(f"{100 * share:.2f}" for share in entry["test_accuracy"]),
            )
            for weights, training, entry in rows
        ],
    )
    console.say(f"wrote {out / recipe.name}.json and {out / card['file']['name']}")
    return card
