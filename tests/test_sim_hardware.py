"""`spikeloom bench hardware`: what it counts, what it writes, and what it refuses."""

import argparse
import json
from pathlib import Path

import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import cards
from spikeloom.sim import hardware
from spikeloom.sim.cli import bench
from spikeloom.sim.cli.console import Console

# Its data come with scikit-learn.
DIGITS = hardware.Case("digits", "two lanes", lanes=(("hidden1", 32), ("output", 2)))


def run(*arguments: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    result: dict[str, object] = bench.run(parser.parse_args(["hardware", *arguments]), Console())
    return result


@pytest.fixture(autouse=True)
def only_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "CASES", (DIGITS,))


def test_case_has_the_accuracy_of_its_card_and_the_lanes_it_asks_for() -> None:
    measured = hardware.measure_case(DIGITS, samples=2, data=None, folder=None)
    entry = cards.integers(cards.read("digits"), 8)
    assert entry is not None
    values = measured.as_dict()
    assert values["accuracy"] == entry["test_accuracy"][0]
    assert values["lanes"] == {"hidden1": 32, "output": 2}
    assert values["most_steps_used"] == values["steps"] == 8
    assert values["cycles"]["cycles_to_class"] >= values["cycles"]["cycles_bound"]
    estimated = values["estimate"]
    assert estimated["lanes"] == values["lanes"]
    assert estimated["cycles"] == pytest.approx(values["cycles"]["cycles_to_class"], rel=0.15)
    assert values["resources"] == {} and values["latency"] is None
    assert json.dumps(values)


@pytest.mark.slow
def test_estimate_stands_beside_what_place_and_route_says(tmp_path: Path) -> None:
    measured = hardware.measure_case(DIGITS, samples=2, data=None, folder=tmp_path)
    used = {name.split(" (")[0]: count for name, count in measured.resources.items()}
    estimated = measured.estimate
    assert estimated.blocks == used["block RAM"]
    assert estimated.multipliers == used["multipliers"]
    assert estimated.luts == pytest.approx(used["LUT4"], rel=0.15)
    assert estimated.registers == pytest.approx(used["flip-flops"], rel=0.15)


def test_command_writes_its_section(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    result = run("--cycles-only", "--samples", "2", "--write", str(page))
    assert json.dumps(result)
    text = page.read_text()
    assert "## Hardware" in text
    assert "| digits | two lanes | 8 | 8 |" in text
    assert f"spikeloom bench hardware --cycles-only --samples 2 --write {page}" in text


def test_command_draws_density_foldings_and_layers(tmp_path: Path) -> None:
    result = run("--cycles-only", "--samples", "2", "--out", str(tmp_path))
    files = {key: str(tmp_path / f"digits-{key}.png") for key in ("density", "foldings")}
    files["layers of digits, two lanes"] = str(tmp_path / "digits-two-lanes-layers.png")
    assert result["files"] == files
    for path in files.values():
        assert Path(path).read_bytes()[1:4] == b"PNG"


def test_unknown_network_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="no hardware case of network 'lenet'; there are digi"):
        run("--network", "lenet")


def test_no_samples_are_refused() -> None:
    with pytest.raises(SpikeloomError, match="--samples is 0; wanted >= 1"):
        run("--samples", "0")
