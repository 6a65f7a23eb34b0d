"""Speed of the software: that both sides compute the same, and that figures are written down."""

import json
from pathlib import Path

import numpy as np
import pytest

from spikeloom.compiler import reference
from spikeloom.compiler.ir import FixedNeuron, Network, Population, Precision
from spikeloom.compiler.onnx_import import import_network
from spikeloom.compiler.passes import lower
from spikeloom.compiler.program import Program
from spikeloom.sim import software_speed
from spikeloom.sim.cli import main
from spikeloom.sim.performance_page import table, write_section
from spikeloom.sim.random_networks import random_model, random_spikes
from spikeloom.sim.torch_loop import TorchLoop, as_floats
from wide_networks import random_events, wide_network


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """One short turn per rate."""
    monkeypatch.setattr(software_speed, "SECONDS", 0.0)
    monkeypatch.setattr(software_speed, "TURNS", 1)


def random_network(sizes: tuple[int, ...] = (12, 9, 4), steps: int = 5) -> Network:
    precision = Precision(state_bits=24)
    return lower(import_network(random_model(sizes, steps, seed=1), "random", precision))


def rounds(layer: Population) -> bool:
    """Whether a decay is more than a factor of 0 or 1."""
    neuron = layer.neuron
    assert isinstance(neuron, FixedNeuron)
    return any(decay is not None and decay.shift for decay in (neuron.decay, neuron.current_decay))


def test_random_network_is_active_in_every_layer() -> None:
    network = random_network((784, 32, 10), 8)
    spikes = random_spikes(network, 4, 0.1, seed=2)
    assert spikes.mean() == pytest.approx(0.1, abs=0.01)
    trace = reference.run(network, spikes)
    assert all(0.02 < trace.spikes[layer.name].mean() < 0.6 for layer in network.layers)


def test_seed_decides_network_and_events() -> None:
    network = random_network()
    first, again, other = (random_spikes(network, 4, 0.5, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    models = [random_model((12, 4), 5, seed).SerializeToString() for seed in (1, 1, 2)]
    assert models[0] == models[1] != models[2]


def test_random_events_are_those_that_a_network_takes() -> None:
    seen = set()
    for seed in range(20):
        network = wide_network(seed)
        given = random_spikes(network, 3, 0.7, seed)
        reference.run(network, given)
        seen.add(network.events)
    assert len(seen) > 3


def test_torch_loop_gives_the_classes_of_the_reference() -> None:
    network = random_network()
    spikes = random_spikes(network, 60, 0.4, seed=3)
    scores = TorchLoop(network)(as_floats(spikes))
    expected = reference.run(network, spikes)
    assert expected.scores.any()
    assert (scores.argmax(axis=1) == expected.classes).mean() > 0.95


def test_torch_loop_equals_the_reference_where_nothing_is_rounded() -> None:
    compared = 0
    for seed in range(400):
        network = wide_network(seed)
        events = random_events(network, 4, seed)
        trace = reference.run(network, events)
        if any(trace.saturated.values()) or any(map(rounds, network.layers)):
            continue
        compared += 1
        assert np.array_equal(TorchLoop(network)(as_floats(events)), trace.scores)
    assert compared > 5


@pytest.mark.usefixtures("short")
def test_rates_are_taken_on_the_batches_asked_for() -> None:
    network = random_network()
    advanced: list[int] = []
    spikes = random_spikes(network, 5, 0.4, seed=3)
    rates = software_speed.measure_rates(network, spikes, (1, 12), advanced.append)
    assert [row.batch for row in rates.rows] == [1, 12]
    assert all(row.ratio == row.reference / row.torch_loop for row in rates.rows)
    assert (rates.samples, advanced) == (5, [1, 1])


def test_turn_takes_all_samples_over_and_over() -> None:
    spikes = np.arange(3).reshape(1, 3, 1)
    parts = software_speed._cut(spikes, 8)
    assert [part.ravel().tolist() for part in parts[:2]] == [
        [0, 1, 2, 0, 1, 2, 0, 1],
        [2, 0, 1, 2, 0, 1, 2, 0],
    ]
    assert len(parts) * 8 == software_speed.SAMPLES
    assert [part.shape[1] for part in software_speed._cut(spikes, 100)] == [100]


def test_cycle_model_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software_speed, "SECONDS", 0.01)
    network = random_network()
    spikes = random_spikes(network, 2, 0.4, seed=3)
    assert software_speed.measure_cycle_model(Program(network, {}), spikes) > 0


@pytest.mark.usefixtures("short")
def test_command_writes_the_section_of_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software_speed, "SECONDS", 0.001)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    program, page = tmp_path / "small.program.safetensors", tmp_path / "page.md"
    Program(random_network(), {}).save(program)
    words = ["bench", "software", str(program), "--batches", "1,3", "--compile", "6-4-2"]
    assert main([*words, "--density", "30", "--seed", "4", "--write", str(page), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (network,) = result["networks"]
    assert [row["batch"] for row in network["rows"]] == [1, 3]
    told = network["circumstances"]
    assert (told["network"], told["layers"], told["steps"]) == ("random", "12-9-4", 5)
    assert (told["weight_bits"], told["data"].split(",")[1]) == (8, " seed 4")
    assert set(told["versions"]) == {"spikeloom", "python", "numpy", "torch"}
    assert network["cycle_model_cycles_per_second"] > 0
    assert (result["compile"]["network"], result["compile"]["weights"]) == ("6-4-2", 32)
    text = page.read_text()
    command = "`OMP_NUM_THREADS=2 spikeloom bench software small.program.safetensors --density 30 "
    assert command in text
    assert "| random | 5 | 1 |" in text
    assert str(tmp_path) not in text


def test_section_replaces_itself_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_section(page, "One", "first", "old")
    write_section(page, "Two", "second", "kept")
    page.write_text(page.read_text() + "\nBy hand.\n")
    write_section(page, "One", "first again", "new")
    text = page.read_text()
    assert text.startswith("# Performance\n\n<!-- begin: One -->\n## One\n")
    assert "old" not in text and "new" in text and "kept" in text and "By hand." in text
    assert text.count("## One") == 1
    write_section(page, "One", "first again", "new")
    assert page.read_text() == text


def test_table_is_markdown() -> None:
    rows = [("a", 12345, 0.5), (True, 1, 1234.567)]
    assert table(("x", "y", "z"), rows) == (
        "| x | y | z |\n| --- | --- | --- |\n| a | 12,345 | 0.50 |\n| True | 1 | 1,234.57 |"
    )
