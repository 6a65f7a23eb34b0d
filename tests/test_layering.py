"""Which part may import which: the arrows of docs/architecture.md."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What no module of a folder may import at all, not even inside a function.
FORBIDDEN = {
    "compiler": {"torch", "amaranth", "spikeloom.models", "spikeloom.rtl", "spikeloom.sim"},
    "models": {"amaranth", "spikeloom.rtl", "spikeloom.sim"},
    "rtl": {"torch", "spikeloom.models", "spikeloom.sim"},
}

SOURCES = sorted(path for folder in (*FORBIDDEN, "sim") for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("spikeloom", *parts)).removesuffix(".__init__")


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Modules named by the import statements among `nodes`, and the names taken from them."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_folder_imports_only_what_its_arrow_allows(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        names = imported(ast.walk(ast.parse(path.read_text())))
        for name in names:
            wrong = {bad for bad in FORBIDDEN[folder] if f"{name}.".startswith(f"{bad}.")}
            assert not wrong, f"{path.relative_to(ROOT)} imports {name}"


def test_modules_do_not_import_each_other_in_circles() -> None:
    modules = {module_name(path): path for path in SOURCES}
    graph = {
        name: imported(iter(ast.parse(path.read_text()).body)) & modules.keys() - {name}
        for name, path in modules.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (
            "from spikeloom.sim.cli import parser; parser()",
            ("numpy", "torch", "amaranth", "onnx", "rich", "cocotb"),
        ),
        (
            "import spikeloom.sim.cli.compile, spikeloom.compiler.onnx_import, "
            "spikeloom.compiler.passes, spikeloom.compiler.program, spikeloom.compiler.reference",
            ("torch", "amaranth", "sklearn", "matplotlib", "cocotb"),
        ),
    ],
    ids=["help", "compile"],
)
def test_command_does_not_load_what_it_does_not_need(code: str, absent: tuple[str, ...]) -> None:
    tell = f"; import sys; print(*[name for name in {absent!r} if name in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", code + tell], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == []


def test_sources_stay_short_enough_to_hold_one_thing() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long
