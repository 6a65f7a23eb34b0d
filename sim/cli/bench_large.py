"""The measurement `large` of `spikeloom bench`."""

import argparse
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.cli.console import Console
from spikeloom.sim.cli.folding import SIZES, sizes_of

if TYPE_CHECKING:
    from spikeloom.sim.large_networks import Needs, Placed
    from spikeloom.sim.slices import Slice
    from spikeloom.sim.verify import Verdict

SECTION = "Large networks"

NEEDS_HEADER = (
    *("network", "bits", "T", "neurons", "weights, Mbit", "sums and states, Mbit"),
    *("block RAM of the part, Mbit", "cycles per image", "slowest layer", "artificial layer"),
    *("inputs", "numbers equal"),
)
LAYERS_HEADER = (
    *("network", "layer", "lanes", "events", "cycles of events", "of fire scans"),
    *("of the bound", "artificial layer"),
)
SLICES_HEADER = (
    *("network", "layers", "an example of", "clock cycles", "signals", "bits per cycle"),
    *("numbers", "cycles per second"),
)
CORES_HEADER = (
    *("network", "layer", "shape", "channels kept", "lanes"),
    *(*SIZES, *(f"{size} estimated" for size in SIZES), "Fmax, MHz"),
)

NOTES = (
    "VGG9 and ResNet11 for CIFAR-10 after one step of training, 8 bits, T = 3; thresholds and "
    "inputs are such that spikes cross them, so accuracy and density mean nothing. 'Numbers equal' "
    "compares the integer reference with the fixed ONNX file in onnxruntime on so many random "
    "inputs. Neither network fits the part: the weights alone take many times its block RAM. Each "
    "kind of layer, with all its neurons, is therefore looked at by itself. In Verilator: every "
    "signal at every clock edge, without pauses, with random pauses on both sides and behind a "
    "slow receiver, on one random sample, with all weights; membranes and spikes equal the integer "
    "reference. On the part, layer by layer: all neurons and lanes, and so many channels of the "
    "input as the block RAMs hold the weights of; estimates are those of 'compile --target'. At "
    "most 64 lanes per layer. An artificial layer of the same shape, on as many lanes, computes "
    "each of its products once per image."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this measurement's arguments."""
    parser.add_argument(
        "--layer",
        action="append",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="only the slice that ends with this layer; may be given more than once",
    )
    parser.add_argument(
        "--inputs", type=int, default=20, metavar="N", help="random inputs to compare, >= 2"
    )
    parser.add_argument("--no-place", action="store_true", help="leave synthesis out")
    parser.add_argument("--no-simulation", action="store_true", help="leave Verilator out")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FOLDER",
        default=argparse.SUPPRESS,
        help="keep the files of the tools here",
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="PAGE",
        default=argparse.SUPPRESS,
        help=f"Markdown page whose section '{SECTION}' gets the figures",
    )


def measure(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Say what VGG9 and ResNet11 need, and verify and synthesise their kinds of layers one by one.

    Takes some minutes per slice, most of it in the simulator and in place and route. Stops with
    exit code 2 at the first difference.
    """
    from spikeloom.sim import large_networks
    from spikeloom.sim.slices import large_network

    if args.inputs < 2:
        raise SpikeloomError(f"--inputs is {args.inputs}; wanted >= 2")
    slices = _slices(getattr(args, "layer", None))
    networks = {name: large_network(name) for name in dict.fromkeys(s.network for s in slices)}
    needs, verdicts, placed = [], [], []
    with (
        nullcontext(args.out) if "out" in args else TemporaryDirectory() as folder,
        console.progress("measure large networks", len(networks) + 2 * len(slices)) as advance,
    ):
        for network in networks.values():
            needs.append(large_networks.needs_of(network, args.inputs))
            advance(1)
        for item in slices:
            network, place = networks[item.network], Path(folder) / item.name.replace(" ", "-")
            if not args.no_simulation:
                verdicts.append((item, large_networks.verify_slice(network, item, place)))
            advance(1)
            if not args.no_place:
                placed += [
                    (item, core) for core in large_networks.place_slice(network, item, place)
                ]
            advance(1)
    tables = [
        ("what the networks need", NEEDS_HEADER, [_needs_row(item) for item in needs]),
        ("cycles per layer and image", LAYERS_HEADER, _layer_rows(needs)),
        ("slices in Verilator", SLICES_HEADER, [_slice_row(*item) for item in verdicts]),
        ("layers on the part", CORES_HEADER, [_core_row(*item) for item in placed]),
    ]
    tables = [item for item in tables if item[2]]
    for title, header, rows in tables:
        console.table(title, header, rows)
    console.say(NOTES)
    if "write" in args:
        _write(args, tables)
        console.say(f"wrote {args.write}")
    return {
        "networks": {item.network.name: large_networks.as_dict(item) for item in needs},
        "slices": {item.name: verdict.as_dict() for item, verdict in verdicts},
        "layers": {
            f"{item.network} {core.core.name}": {
                "channels": core.channels,
                "fmax_mhz": core.fmax_mhz,
                "resources": core.resources,
                "estimate": core.estimate._asdict(),
            }
            for item, core in placed
        },
    }


def _slices(wanted: list[str] | None) -> "list[Slice]":
    from spikeloom.sim.slices import SLICES

    if wanted is None:
        return list(SLICES)
    known = {item.layers[-1]: item for item in SLICES}
    for name in wanted:
        if name not in known:
            raise SpikeloomError(f"no slice ends with layer '{name}'; there are {', '.join(known)}")
    return [known[name] for name in wanted]


def _needs_row(item: "Needs") -> tuple[object, ...]:
    network, slowest = item.network, item.slowest
    return (
        network.name,
        network.precision.weight_bits,
        network.steps,
        sum(layer.size for layer in network.layers),
        *(f"{bits / 1e6:.1f}" for bits in (item.weight_bits, item.state_bits, item.part_bits)),
        round(slowest.cycles),
        slowest.name,
        round(max(layer.artificial for layer in item.layers)),
        item.inputs,
        item.numbers,
    )


def _layer_rows(needs: "list[Needs]") -> list[tuple[object, ...]]:
    return [
        (
            item.network.name,
            layer.name,
            layer.lanes,
            round(layer.events),
            round(layer.adding),
            layer.scanning,
            f"{layer.over_bound:.2f}",
            round(layer.artificial),
        )
        for item in needs
        for layer in item.layers
    ]


def _slice_row(item: "Slice", verdict: "Verdict") -> tuple[object, ...]:
    return (
        *(item.network, ", ".join(item.layers), item.kind),
        *(verdict.cycles, verdict.signals, verdict.bits, verdict.numbers),
        round(verdict.cycles_per_second),
    )


def _core_row(item: "Slice", placed: "Placed") -> tuple[object, ...]:
    from spikeloom.sim.slices import shape_of

    core = placed.core
    return (
        *(item.network, core.name, shape_of(core), placed.channels),
        f"{core.lanes}/{core.fire_lanes}",
        *placed.resources.values(),
        *sizes_of(placed.estimate),
        f"{placed.fmax_mhz:.1f}",
    )


def _write(args: argparse.Namespace, tables: "list[tuple[str, Any, Any]]") -> None:
    from spikeloom.sim.performance_page import table, write_section

    options = "".join(f" --layer {name}" for name in getattr(args, "layer", []))
    options += " --no-place" if args.no_place else ""
    options += " --no-simulation" if args.no_simulation else ""
    body = "\n\n".join(f"{title}:\n\n{table(header, rows)}" for title, header, rows in tables)
    command = f"spikeloom bench large --inputs {args.inputs}{options} --write {args.write}"
    write_section(args.write, SECTION, command, f"{NOTES}\n\n{body}")
