"""Show the programs and Python packages that the stages need, and how to install what is missing.

Exit code 3 if a stage cannot run; the stages that can are named.
"""

import argparse
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from spikeloom.compiler.errors import ToolMissing
from spikeloom.sim.cli.console import Console

HELP = "show tools and packages, and how to install what is missing"

# The stages that each of the project's extras serves; packages without an extra serve all stages.
STAGES = {
    "train": ("train", "export"),
    "verify": ("verify",),
    "build": ("build",),
}
ALWAYS = ["check", "compile", "emit", "simulate", "boards"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This command takes no arguments of its own."""


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Print the table; raise ToolMissing if a stage cannot run."""
    items = [*_packages(), *_tools()]
    console.table(
        f"Spikeloom {version('spikeloom')}, Python {sys.version.partition(' ')[0]}",
        ("name", "stages", "version", "found"),
        [
            (
                item["name"],
                "all" if item["stages"] == ALWAYS else ", ".join(item["stages"]),
                item["version"],
                item["found"] or ("no (optional)" if item["optional"] else "MISSING"),
            )
            for item in items
        ],
    )
    absent = [item for item in items if not item["found"]]
    missing = [item for item in absent if not item["optional"]]
    broken = {stage for item in missing for stage in item["stages"]}
    order = [*ALWAYS, *(stage for served in STAGES.values() for stage in served)]
    working = [stage for stage in order if stage not in broken]
    console.say(f"stages that work: {', '.join(working) or 'none'}")
    result = {"items": items, "stages": working}
    if missing:
        console.result(result)
        names = ", ".join(item["name"] for item in missing)
        stages = ", ".join(stage for stage in order if stage in broken)
        error = ToolMissing(f"not installed: {names}; so these do not work: {stages}")
        for command in dict.fromkeys(item["install"] for item in absent):
            error.add_note(f"install with: {command}")
        raise error
    for item in absent:
        console.say(f"{item['name']} is optional; install it with: {item['install']}")
    return result


def _packages() -> list[dict[str, Any]]:
    """The packages that the project's metadata asks for, but for those that only bring a tool."""
    from packaging.requirements import Requirement

    from spikeloom.sim.toolchain import TOOLS

    brought = {"spikeloom", *(tool.package for tool in TOOLS.values())}
    items: dict[str, dict[str, Any]] = {}
    for text in requires("spikeloom") or ():
        requirement = Requirement(text)
        marker = requirement.marker
        extras = [
            extra for extra in ("", *STAGES) if marker is None or marker.evaluate({"extra": extra})
        ]
        if not extras or requirement.name in brought:
            continue
        item = items.setdefault(requirement.name, _package(requirement.name, text))
        stages = ALWAYS if "" in extras else [name for extra in extras for name in STAGES[extra]]
        item["stages"] = list(dict.fromkeys([*item["stages"], *stages]))
    return list(items.values())


def _package(name: str, requirement: str) -> dict[str, Any]:
    item = {
        "name": name,
        "stages": [],
        "version": "",
        "found": "",
        "optional": False,
        "install": f"pip install '{requirement.partition(';')[0].strip()}'",
    }
    with suppress(PackageNotFoundError):
        item["version"] = version(name)
        item["found"] = "Python package"
    return item


def _tools() -> list[dict[str, Any]]:
    from spikeloom.sim.toolchain import NATIVE, TOOLS, find_tool

    items = []
    for tool in TOOLS.values():
        found = find_tool(tool.name)
        where = ""
        if found is not None:
            where = str(found.path) if found.source == NATIVE else f"Python package {found.source}"
        items.append(
            {
                "name": tool.name,
                "stages": list(tool.stages),
                "version": found.version if found else "",
                "found": where,
                "optional": tool.optional,
                "install": tool.install,
            }
        )
    return items
