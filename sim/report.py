"""What synthesis and place and route said about a design, and whether it fits a part."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.boards import Part


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of one resource of a part a design takes."""

    resource: str
    used: int
    available: int

    @property
    def percent(self) -> float:
        """Share of the resource that is used, in percent."""
        return 100 * self.used / self.available


@dataclass(frozen=True, slots=True)
class Placement:
    """A design after place and route.

    Attributes
    ----------
    utilisation : per resource of the part
    fmax_mhz : highest frequency per clock at which all paths between flip-flops meet timing
    """

    utilisation: tuple[Usage, ...]
    fmax_mhz: dict[str, float]

    @property
    def slowest_mhz(self) -> float:
        """The lowest of the clocks' highest frequencies; 0 for a design without a clock."""
        return min(self.fmax_mhz.values(), default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "utilisation": {
                item.resource: {
                    "used": item.used,
                    "available": item.available,
                    "percent": round(item.percent, 2),
                }
                for item in self.utilisation
            },
            "fmax_mhz": {name: round(value, 2) for name, value in self.fmax_mhz.items()},
        }


def read_cell_counts(path: Path, top: str) -> dict[str, int]:
    """Cells by type of a flattened netlist, from the JSON of yosys' `stat -json`."""
    text = path.read_text()
    # yosys writes its log's header into the same file.
    modules = json.loads(text[text.index("{") : text.rindex("}") + 1])["modules"]
    counts: dict[str, int] = modules[f"\\{top}"]["num_cells_by_type"]
    return counts


def estimate_usage(cells: Mapping[str, int], part: Part) -> tuple[Usage, ...]:
    """The least that a netlist takes of each resource of a part, before packing.

    Parameters
    ----------
    cells : number of cells by type
    """
    return tuple(
        Usage(
            item.name,
            sum(cells.get(cell, 0) * weight for cell, weight in item.cells.items()),
            part.capacity[item.name],
        )
        for item in part.resources
    )


def check_capacity(usage: tuple[Usage, ...], part: Part) -> None:
    """Raise SpikeloomError, which says by how much, where a design does not fit the part."""
    over = [
        f"needs {item.used:,} {item.resource}, the {part.name} has {item.available:,}: "
        f"{item.used - item.available:,} too many"
        for item in usage
        if item.used > item.available
    ]
    if over:
        error = SpikeloomError(f"the design is too large: it {over[0]}")
        for line in over[1:]:
            error.add_note(f"it {line}")
        error.add_note("fewer lanes per layer make it smaller and slower; see --lanes")
        raise error


def read_packed_usage(log: Path, part: Part) -> tuple[Usage, ...]:
    """Utilisation after packing, from nextpnr's log; empty if it did not come so far."""
    used = dict(re.findall(r"^Info:\s+(\w+):\s+(\d+)/", log.read_text(), re.MULTILINE))
    return tuple(
        Usage(item.name, int(used[item.placed]), part.capacity[item.name])
        for item in part.resources
        if item.placed in used
    )


def read_placement(path: Path, part: Part) -> Placement:
    """Utilisation and timing from the report that nextpnr writes as JSON."""
    report = json.loads(path.read_text())
    utilisation = tuple(
        Usage(item.name, report["utilization"][item.placed]["used"], part.capacity[item.name])
        for item in part.resources
    )
    fmax = {_clock_name(name): float(item["achieved"]) for name, item in report["fmax"].items()}
    return Placement(utilisation, fmax)


def _clock_name(net: str) -> str:
    """The clock's name without what nextpnr adds to nets on the global network."""
    return net.removeprefix("$glbnet$").split("$")[0].strip(".") or net
