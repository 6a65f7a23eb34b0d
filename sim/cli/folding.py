"""The options that say how a program is folded onto lanes, for all commands that take them."""

import argparse
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.cli.console import Console

if TYPE_CHECKING:
    from spikeloom.compiler.folding import Folding
    from spikeloom.compiler.inputs import Spikes
    from spikeloom.compiler.ir import Network
    from spikeloom.compiler.program import Program

RESOURCES = ("luts", "blocks", "multipliers")

SHOWN_GAIN = 0.75
"""A folding is shown if it takes this share of the cycles of the one shown before it, or less."""

COUNTED_CYCLES = 1_000_000
"""So many cycles of the chosen folding are counted at most, of whole samples: about 20 s."""


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
    """Add `--lanes`, `--fire-lanes` and `--events-per-cycle`, None if they are not given.

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
    parser.add_argument(
        "--events-per-cycle",
        type=parse_lanes,
        action=AddLanes,
        metavar="POPULATION=E,...",
        default=argparse.SUPPRESS,
        help="neighbouring neurons of the input or of a layer whose spikes travel as one event and "
        "are added in one clock cycle: 1, 2, 4 or 8 (populations not named: 1)",
    )


def given_folding(
    args: argparse.Namespace,
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """What the three options say."""
    return (
        getattr(args, "lanes", {}),
        getattr(args, "fire_lanes", {}),
        getattr(args, "events_per_cycle", {}),
    )


def refolded(program: "Program", args: argparse.Namespace) -> "Program":
    """The program as the options fold it; as it is where there are none."""
    if not any(option in args for option in ("lanes", "fire_lanes", "events_per_cycle")):
        return program
    lanes, fire_lanes, together = given_folding(args)
    return program.with_lanes(
        lanes if "lanes" in args else program.lanes,
        fire_lanes,
        together if "events_per_cycle" in args else program.events_per_cycle,
    )


def parse_budget(text: str) -> dict[str, int]:
    """Limits per resource, from text such as `luts=5000,blocks=28`."""
    limits: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name not in RESOURCES or not number.isdecimal():
            raise argparse.ArgumentTypeError(
                f"'{part}' is not of the form RESOURCE=N with one of {', '.join(RESOURCES)}"
            )
        if name in limits:
            raise argparse.ArgumentTypeError(f"'{name}' is given twice")
        limits[name] = int(number)
    return limits


def add_target_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--target` and `--budget`."""
    parser.add_argument(
        "--target",
        metavar="NAME",
        help="choose the lanes for this board or part ('spikeloom boards' lists them)",
    )
    parser.add_argument(
        "--budget",
        type=parse_budget,
        metavar="RESOURCE=N,...",
        help="with --target: most look-up tables (luts), block RAMs (blocks) and multipliers; what "
        "is not named is the part's",
    )


@dataclass(frozen=True, eq=False)
class Choice:
    """A folding that was chosen, and those that it was chosen from.

    Attributes
    ----------
    front : smallest first; the last one is the chosen one
    counted : clock cycles of the chosen one, counted on the cycle model, of each of the first
        samples; empty without spikes
    """

    target: str
    front: "list[Folding]"
    counted: tuple[int, ...]

    @property
    def mean_counted(self) -> float | None:
        """Counted clock cycles per sample; None without spikes."""
        return sum(self.counted) / len(self.counted) if self.counted else None

    @property
    def folding(self) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """Lanes, fire lanes and events per cycle of the chosen one, as a program takes them."""
        chosen = self.front[-1]
        return chosen.lanes, chosen.fire_lanes, chosen.events_per_cycle

    def show(self, console: Console) -> None:
        """Print the foldings that differ much, and the chosen one."""
        shown = [self.front[0]]
        for item in self.front[1:-1]:
            if item.cycles <= SHOWN_GAIN * shown[-1].cycles:
                shown.append(item)
        if len(self.front) > 1:
            shown.append(self.front[-1])
        console.table(
            f"foldings within {self.target}, estimated; the last one is taken",
            (
                *(
                    "lanes/fire lanes",
                    "events per cycle",
                    "LUT4",
                    "flip-flops",
                    "block RAM",
                    "multipliers",
                ),
                "cycles per sample",
            ),
            [
                (
                    " ".join(f"{n}={p}/{item.fire_lanes[n]}" for n, p in item.lanes.items()),
                    " ".join(f"{n}={count}" for n, count in item.events_per_cycle.items()) or "1",
                    f"{item.luts:,}",
                    f"{item.registers:,}",
                    f"{item.blocks:,}" + (f" + {large} SPRAM" if large else ""),
                    f"{item.multipliers:,}",
                    f"{item.cycles:,}",
                )
                for item in shown
                for large in [item.large_blocks]
            ],
        )
        if self.mean_counted is not None:
            console.say(
                f"the one taken: {self.mean_counted:,.1f} cycles per sample, counted on the cycle "
                f"model, {len(self.counted):,} samples"
            )

    def draw(self, path: Path) -> None:
        """Draw look-up tables against cycles of all foldings."""
        from spikeloom.sim.pictures import folding_plot

        folding_plot(self.front, path, f"Foldings within {self.target}")

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "target": self.target,
            "front": [asdict(item) for item in self.front],
            "chosen": asdict(self.front[-1]),
            "cycles_counted": self.mean_counted,
            "samples_counted": len(self.counted),
        }


def choose_folding(
    network: "Network", args: argparse.Namespace, spikes: "Spikes | None"
) -> Choice | None:
    """The folding that `--target` and `--budget` ask for; None without them.

    Parameters
    ----------
    spikes : shape (T, samples, inputs); say how many events each layer gets

    Raises
    ------
    SpikeloomError
        If the target is unknown, the budget cannot be met, or lanes are given as well.
    """
    if args.target is None:
        if args.budget is not None:
            raise SpikeloomError("--budget goes with --target")
        return None
    for option in ("lanes", "fire_lanes"):
        if option in args:
            raise SpikeloomError(f"--target chooses what --{option.replace('_', '-')} says")
    from spikeloom.compiler import reference
    from spikeloom.compiler.events_per_cycle import choices
    from spikeloom.compiler.folding import mean_events, pareto_front
    from spikeloom.compiler.program import Program
    from spikeloom.sim.boards import find_target

    part = find_target(args.target)
    budget = replace(part.budget, **(args.budget or {}))
    events = None
    if spikes is not None:
        events = mean_events(reference.run(network, spikes, keep_spikes=False))
    given = getattr(args, "events_per_cycle", None)
    front = pareto_front(network, budget, events, choices(network) if given is None else [given])
    counted: tuple[int, ...] = ()
    if spikes is not None:
        from spikeloom.sim.latency import idle_cycles

        chosen = front[-1]
        program = Program(network, chosen.lanes, chosen.fire_lanes, chosen.events_per_cycle)
        samples = max(1, COUNTED_CYCLES // max(1, front[-1].cycles))
        to_class, _ = idle_cycles(program, spikes[:, :samples])
        counted = tuple(to_class.tolist())
    return Choice(args.target, front, counted)
