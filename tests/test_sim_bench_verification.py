"""`spikeloom bench verification`: the zoo in Verilator."""

import argparse
import json
from pathlib import Path

import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim.cli import bench
from spikeloom.sim.cli.console import Console


def run(*arguments: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    parsed = parser.parse_args(["verification", *arguments])
    result: dict[str, object] = bench.run(parsed, Console())
    return result


def test_network_of_the_zoo_is_verified_and_written_down(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    result = run("--network", "digits", "--samples", "2", "--write", str(page))
    assert json.dumps(result)
    text = page.read_text()
    assert "## Verification" in text
    assert "| digits | 8 | 8 | 2 |" in text
    assert (
        f"spikeloom bench verification --samples 2 --map-samples 3 --network digits --write {page}"
        in text
    )


def test_network_that_the_zoo_does_not_have_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="no network 'lenet' in the zoo; there are digits"):
        run("--network", "lenet")


@pytest.mark.parametrize("option", ["--samples", "--map-samples"])
def test_no_samples_are_refused(option: str) -> None:
    with pytest.raises(SpikeloomError, match=f"{option} is 0; wanted >= 1"):
        run(option, "0")
