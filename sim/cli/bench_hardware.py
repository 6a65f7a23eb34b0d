"""The measurement `hardware` of `spikeloom bench`."""

import argparse
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.cli.bench_arguments import add_zoo_arguments
from spikeloom.sim.cli.console import Console

if TYPE_CHECKING:
    from spikeloom.sim.benchmarks import DensityRow
    from spikeloom.sim.hardware import Measured

SECTION = "Hardware"

HEADER = (
    *("network", "case", "bits", "T", "accuracy, %", "inputs with events, %", "lanes"),
    *("LUT4", "flip-flops", "block RAM", "multipliers", "estimated", "Fmax, MHz"),
    *(
        "cycles to class",
        "estimated",
        "in a stream",
        "of the bound",
        "us to class",
        "images/s",
        "steps used",
    ),
)

NOTES = (
    "Accuracy is that of the integer reference on all test samples, from the model card (seed 0). "
    "Lanes: lanes/fire lanes of each layer. Cycles are counted on the cycle model, which the RTL "
    "equals at every clock edge: from the first word to the class in an idle accelerator, and from "
    "class to class in a stream. The bound is (synapses of the events) / lanes + rows of the "
    "busiest core. LUT4 counts TRELLIS_COMB after place and route (nextpnr, seed 1, ports on any "
    "pins, its second router beyond 30,000 LUT4); on a board, logic cells of the whole bitstream "
    "with its serial line, whose flip-flops lie in the same cells. Estimates are those of 'compile "
    "--target', LUT4 / flip-flops / block RAM / multipliers, with the mean number of events of "
    "these samples; they are made for ECP5 and leave a board's serial line out. Energy "
    "is not measured."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this measurement's arguments."""
    kept = "keep the files of the tools here, and draw the density curve and the foldings"
    add_zoo_arguments(parser, SECTION, kept)
    parser.add_argument(
        "--case",
        action="append",
        default=argparse.SUPPRESS,
        metavar="TITLE",
        help="only cases of this title, such as 'all lanes'; may be given several times",
    )
    parser.add_argument(
        "--cycles-only", action="store_true", help="leave synthesis, place and route out"
    )


def measure(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Place and route the zoo's networks, and count their clock cycles on real test samples.

    Each network is folded in the ways that sim/hardware.py lists, and synthesised alone, without
    the shell of a board. Also counts cycles per time step against the density of random input, for
    the first of them. Takes some minutes per case; what is random has seed 0.
    """
    from spikeloom.sim import hardware
    from spikeloom.sim.benchmarks import sweep_density

    if args.samples < 1:
        raise SpikeloomError(f"--samples is {args.samples}; wanted >= 1")
    cases = _cases(args)
    keep = nullcontext(args.out) if "out" in args else TemporaryDirectory()
    measured = []
    with keep as folder, console.progress("measure hardware", len(cases) + 1) as advance:
        work = None if args.cycles_only else Path(folder)
        for case in cases:
            measured.append(
                hardware.measure_case(case, args.samples, getattr(args, "data", None), work)
            )
            advance(1)
        rows = sweep_density(measured[0].program, samples=8, seed=0)
        advance(1)
    result: dict[str, Any] = {
        "cases": [item.as_dict() for item in measured],
        "density": [
            {
                "density_percent": row.density_percent,
                "cycles_per_step": row.cycles_per_step,
                "bound_per_step": row.bound_per_step,
            }
            for row in rows
        ],
    }
    console.table("hardware", HEADER, [_row(item) for item in measured])
    console.table(LAYERS_TITLE, LAYERS_HEADER, _layer_rows(measured))
    console.say(LAYERS_NOTES)
    title = f"cycles per time step of {cases[0].network}, {cases[0].title}; {hardware.SPIKER}"
    console.table(title, DENSITY_HEADER, _density_rows(rows))
    console.say(NOTES)
    result["files"] = {}
    if "out" in args:
        result["files"] |= _draw(measured, rows, args.out)
        for path in result["files"].values():
            console.say(f"wrote {path}")
    if "write" in args:
        from spikeloom.sim.performance_page import table, write_section

        body = (
            f"{NOTES}\n\n{table(HEADER, [_row(item) for item in measured])}\n\n"
            f"{LAYERS_TITLE}:\n\n{table(LAYERS_HEADER, _layer_rows(measured))}\n\n"
            f"{LAYERS_NOTES}\n\n{title}:\n\n"
            f"{table(DENSITY_HEADER, _density_rows(rows))}\n\nVersions: {_versions(measured)}."
        )
        write_section(args.write, SECTION, _command(args), body)
        console.say(f"wrote {args.write}")
        result["files"]["page"] = str(args.write)
    return result


LAYERS_TITLE = "cycles per layer and sample"
LAYERS_HEADER = (
    *("network", "case", "layer", "lanes", "events", "cycles of events", "of fire scans"),
    *("of the bound", "at work, %", "artificial layer"),
)
LAYERS_NOTES = (
    "The bound of a layer is (synapses of its events) / lanes plus the fire scans. 'At work' is "
    "the share of the cycles from class to class. An artificial layer of the same shape, on as "
    "many lanes, computes each of its products once per image, whatever the input, and fires no "
    "scans: spikes win where this number is the larger one."
)
DENSITY_HEADER = ("inputs that spike", "input events", "cycles", "bound")


def _draw(
    measured: "list[Measured]", rows: "tuple[DensityRow, ...]", folder: Path
) -> dict[str, str]:
    """The density curve of the first case, the foldings of its network, and each case's layers."""
    from spikeloom.compiler.folding import pareto_front
    from spikeloom.sim import pictures
    from spikeloom.sim.benchmarks import fit_line
    from spikeloom.sim.boards import find_part

    item = measured[0]
    name = item.case.network
    paths = {key: folder / f"{name}-{key}.png" for key in ("density", "foldings")}
    title = f"{name}, {item.case.title}"
    pictures.density_plot(rows, fit_line(rows), paths["density"], title)
    front = pareto_front(item.program.network, find_part(item.case.part).budget)
    pictures.folding_plot(front, paths["foldings"], f"{name} within {item.case.part}")
    for other in measured:
        title = f"{other.case.network}, {other.case.title}"
        key = f"layers of {title}"
        paths[key] = folder / f"{title.replace(', ', '-').replace(' ', '-')}-layers.png"
        pictures.layer_plot(other.layers, paths[key], title)
    return {key: str(path) for key, path in paths.items()}


def _cases(args: argparse.Namespace) -> "tuple[Any, ...]":
    from spikeloom.models import cards
    from spikeloom.sim.hardware import CASES

    known = [case for case in CASES if case.network in cards.names()]
    wanted = getattr(args, "network", None)
    if wanted is not None:
        for name in wanted:
            if name not in {case.network for case in known}:
                names = ", ".join(dict.fromkeys(case.network for case in known))
                raise SpikeloomError(f"no hardware case of network '{name}'; there are {names}")
        known = [case for case in known if case.network in wanted]
    titles = getattr(args, "case", None)
    if titles is not None:
        for title in titles:
            if title not in {case.title for case in known}:
                there = ", ".join(f"'{case.title}'" for case in known)
                raise SpikeloomError(f"no hardware case '{title}'; there are {there}")
        known = [case for case in known if case.title in titles]
    return tuple(known)


def _row(item: "Measured") -> tuple[object, ...]:
    values = item.as_dict()
    cycles, latency = values["cycles"], values["latency"]
    found = item.estimate
    return (
        values["network"],
        values["case"],
        values["weight_bits"],
        values["steps"],
        "" if item.accuracy is None else f"{100 * item.accuracy:.2f}",
        f"{100 * item.density:.1f}",
        " ".join(f"{core.lanes}/{core.fire_lanes}" for core in item.program.cores),
        *_resources(item),
        f"{found.luts:,} / {found.registers:,} / {found.blocks} / {found.multipliers}",
        f"{item.fmax_mhz:.1f}" if item.fmax_mhz else "",
        f"{cycles['cycles_to_class']:,.0f}",
        f"{item.estimate.cycles:,}",
        f"{cycles['cycles_pipelined']:,.0f}",
        f"{cycles['pipelined_over_bound']:.2f}",
        f"{latency['microseconds_to_class']:.2f}" if latency else "",
        f"{latency['images_per_second']:,.0f}" if latency else "",
        f"{item.steps_used[0]:.1f}, at most {item.steps_used[1]}",
    )


def _resources(item: "Measured") -> tuple[str, str, str, str]:
    """Look-up tables, flip-flops, block RAM with SPRAM, multipliers; empty without synthesis."""
    used = {name.split(" (")[0]: f"{count:,}" for name, count in item.resources.items()}
    blocks = used.get("block RAM", "")
    if "SPRAM" in used:
        blocks += f" + {used['SPRAM']} SPRAM"
    return used.get("LUT4", ""), used.get("flip-flops", ""), blocks, used.get("multipliers", "")


def _layer_rows(measured: "list[Measured]") -> list[tuple[object, ...]]:
    return [
        (
            item.case.network,
            item.case.title,
            layer.name,
            layer.lanes,
            f"{layer.events:,.0f}",
            f"{layer.adding:,.0f}",
            layer.scanning,
            f"{layer.over_bound:.2f}",
            f"{100 * layer.cycles / float(item.cycles.pipelined.mean()):.0f}",
            f"{layer.artificial:,.0f}",
        )
        for item in measured
        for layer in item.layers
    ]


def _density_rows(rows: "tuple[DensityRow, ...]") -> list[tuple[object, ...]]:
    return [
        (
            f"{row.density_percent:g} %",
            f"{row.events_per_step:.1f}",
            f"{row.cycles_per_step:.1f}",
            f"{row.bound_per_step:.1f}",
        )
        for row in rows
    ]


def _versions(measured: "list[Measured]") -> str:
    versions = measured[0].as_dict()["versions"]
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _command(args: argparse.Namespace) -> str:
    options = " --cycles-only" if args.cycles_only else ""
    options += f" --samples {args.samples}"
    options += "".join(f" --network {name}" for name in getattr(args, "network", []))
    options += "".join(f" --case '{title}'" for title in getattr(args, "case", []))
    return f"spikeloom bench hardware{options} --write {args.write}"
