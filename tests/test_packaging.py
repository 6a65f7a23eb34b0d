"""What an installation of Spikeloom contains."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(project: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    # setuptools writes build/ and *.egg-info into the folder that it builds, so it gets its own.
    source = tmp_path_factory.mktemp("source")
    folders = project["tool"]["setuptools"]["package-dir"].values()
    for name in ("pyproject.toml", "README.md", "LICENSE", *folders):
        (source / name).symlink_to(ROOT / name)
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source],
        check=True,
        capture_output=True,
    )
    (built,) = target.glob("*.whl")
    return built


def run_python(code: str, cwd: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """Run code that sees this environment's packages but spikeloom from `path` alone."""
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_pyproject_lists_every_package(project: dict[str, Any]) -> None:
    setuptools = project["tool"]["setuptools"]
    found = {
        "spikeloom." + ".".join(init.parent.relative_to(ROOT).parts)
        for folder in setuptools["package-dir"].values()
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert set(setuptools["packages"]) == found


def test_every_folder_with_modules_is_a_package(project: dict[str, Any]) -> None:
    for folder in project["tool"]["setuptools"]["package-dir"].values():
        for module in (ROOT / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").is_file(), module


def test_type_checkers_find_every_package(project: dict[str, Any]) -> None:
    for folder in project["tool"]["setuptools"]["package-dir"].values():
        assert (ROOT / ".types/spikeloom" / folder).resolve() == ROOT / folder


def test_wheel_holds_nothing_but_spikeloom(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"spikeloom"}


def test_wheel_holds_every_module(wheel: Path, project: dict[str, Any]) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in project["tool"]["setuptools"]["package-dir"].values():
        assert f"spikeloom/{folder}/py.typed" in names
        for module in (ROOT / folder).rglob("*.py"):
            assert f"spikeloom/{module.relative_to(ROOT)}" in names


def test_wheel_holds_the_zoo(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "models/zoo").glob("*"):
        assert f"spikeloom/models/zoo/{path.name}" in names


def test_installed_wheel_exposes_only_spikeloom(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(target)
    code = "import spikeloom.compiler as package; print(package.__file__)"
    assert run_python(code, tmp_path, target).stdout.startswith(str(target))
    for name in ("compiler", "models", "rtl", "sim", "tests"):
        answer = run_python(f"import {name}", tmp_path, target)
        assert "ModuleNotFoundError" in answer.stderr, name


def test_constraints_pin_torch_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["torch==2.13.0"]
