"""The options that say how a program is folded onto lanes, for all commands that take them."""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeloom.compiler.program import Program


def parse_lanes(text: str) -> dict[str, int]:
    """Lanes per layer, from text such as `fc1=16,fc2=10`."""
    lanes: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = part.partition("=")
        if not equals or not name or not number.isdecimal():
            raise argparse.ArgumentTypeError(f"'{part}' is not of the form LAYER=LANES")
        if name in lanes:
            raise argparse.ArgumentTypeError(f"layer '{name}' is given twice")
        lanes[name] = int(number)
    return lanes


class AddLanes(argparse.Action):
    """Lanes of some layers, beside those that the option gave before."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add lanes; raise argparse.ArgumentError if a layer has some already."""
        before = getattr(namespace, self.dest, None) or {}
        for name in before.keys() & values:
            raise argparse.ArgumentError(self, f"layer '{name}' is given twice")
        setattr(namespace, self.dest, {**before, **values})


def add_folding_arguments(parser: argparse.ArgumentParser, without: str) -> None:
    """Add `--lanes` and `--fire-lanes`, None if they are not given.

    Parameters
    ----------
    without : how the layers are folded if neither is given
    """
    parser.add_argument(
        "--lanes",
        type=parse_lanes,
        action=AddLanes,
        metavar="LAYER=P,...",
        default=argparse.SUPPRESS,
        help=f"neurons of a layer that an event is added to at once (by default {without}; with "
        "this option, layers not named have all their neurons at once)",
    )
    parser.add_argument(
        "--fire-lanes",
        type=parse_lanes,
        action=AddLanes,
        metavar="LAYER=F,...",
        default=argparse.SUPPRESS,
        help="neurons of a layer that are compared with their thresholds at once, 1 .. 16 (layers "
        "not named: 8, or as many as there are lanes)",
    )


def given_lanes(args: argparse.Namespace) -> tuple[dict[str, int], dict[str, int]]:
    """What the two options say."""
    return getattr(args, "lanes", {}), getattr(args, "fire_lanes", {})


def refolded(program: "Program", args: argparse.Namespace) -> "Program":
    """The program as the options fold it; as it is where there are none."""
    if "lanes" not in args and "fire_lanes" not in args:
        return program
    lanes, fire_lanes = given_lanes(args)
    return program.with_lanes(lanes if "lanes" in args else program.lanes, fire_lanes)
