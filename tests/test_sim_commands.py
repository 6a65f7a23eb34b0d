"""The commands `emit`, `simulate` and `bench`: what they print and write."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.onnx_import import examine
from spikeloom.compiler.passes import lower
from spikeloom.compiler.program import Program
from spikeloom.sim import latency
from spikeloom.sim.cli import bench, emit, simulate
from spikeloom.sim.cli.console import Console
from spikeloom.sim.spike_files import InputSpikes, write_spikes

NODES = """
    product = MatMul (spikes, weight) current = Add (product, bias)
    lif, v = spikeloom.Neuron (current, alpha, beta, threshold)
    counts = ReduceSum <keepdims = 0> (lif, time)
"""


def run(command: ModuleType, *arguments: object) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    parser.add_argument("--json", action="store_true")
    parsed = parser.parse_args([str(item) for item in arguments])
    result: dict[str, Any] = command.run(parsed, Console(parsed.json))
    assert json.dumps(result)
    return result


@pytest.fixture(scope="module")
def program(parse_model: Callable[..., onnx.ModelProto]) -> Program:
    return Program(lower(examine(parse_model(NODES), "small").require()), {})


@pytest.fixture
def program_file(program: Program, tmp_path: Path) -> Path:
    path = tmp_path / "in" / "small.program.safetensors"
    program.save(path)
    return path


@pytest.fixture
def samples(program: Program) -> InputSpikes:
    spikes = np.random.default_rng(3).integers(0, 2, (4, 30, 3)).astype(np.uint8)
    labels = reference.run(program.network, spikes).classes
    labels[:3] = 1 - labels[:3]
    return InputSpikes(spikes, labels)


@pytest.fixture
def spikes_file(samples: InputSpikes, tmp_path: Path) -> Path:
    path = tmp_path / "in" / "spikes.npz"
    write_spikes(path, samples)
    return path


def written(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_emit_writes_verilog_ports_and_images(
    program_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    result = run(emit, program_file, "-o", out)
    assert written(out) == {"accelerator.v", "ports.json", "images/lif.weights.hex"}
    assert "module accelerator(" in (out / "accelerator.v").read_text()
    names = [port["name"] for port in json.loads((out / "ports.json").read_text())]
    assert "s_axis_tdata" in names
    assert not [name for name in names if name.startswith("probe")]
    assert set(result["files"].values()) == {str(out / name) for name in written(out)}
    assert f"wrote {out / 'accelerator.v'}" in capsys.readouterr().out


def test_emit_is_told_lanes_and_probes(program_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(emit, program_file, "-o", out, "--lanes", "lif=1", "--probe")
    assert result["lanes"] == {"lif": 1}
    assert "probe_lif" in (out / "ports.json").read_text()
    # Three inputs and two groups of one lane.
    assert len((out / "images/lif.weights.hex").read_text().splitlines()) == 6


def test_emit_with_lanes_that_do_not_fit_writes_nothing(program_file: Path, tmp_path: Path) -> None:
    with pytest.raises(SpikeloomError, match=r"takes 1 \.\. 2 lanes, not 3"):
        run(emit, program_file, "-o", tmp_path / "out", "--lanes", "lif=3")
    assert not (tmp_path / "out").exists()


def test_simulate_tells_accuracy_events_and_cycles(
    program: Program,
    program_file: Path,
    samples: InputSpikes,
    spikes_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = written(tmp_path)
    result = run(simulate, program_file, spikes_file)
    assert result["accuracy"] == 0.9
    trace = reference.run(program.network, samples.spikes)
    assert result["events_per_sample"] == {
        "spikes": pytest.approx(samples.spikes.sum() / 30),
        "lif": pytest.approx(trace.spikes["lif"].sum() / 30),
    }
    cycles = latency.measure(program, samples.spikes[:, :20])
    assert result["cycles"] == cycles.as_dict()
    printed = capsys.readouterr().out
    assert "accuracy: 90.00% (27 of 30)" in printed
    assert f"{cycles.to_class.mean():.1f} from the first event to the class" in printed
    assert written(tmp_path) == before


def test_simulate_writes_trace_and_pictures(
    program: Program,
    program_file: Path,
    samples: InputSpikes,
    spikes_file: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    options = ("--membranes", "--sample", 2, "--picture", out / "raster.png")
    result = run(
        simulate, program_file, spikes_file, "-o", out / "trace", *options,
        "--membrane-picture", out / "membranes.png",
    )  # fmt: skip
    assert written(out) == {"trace", "raster.png", "membranes.png"}
    assert set(result["files"].values()) == {str(path) for path in out.iterdir()}
    trace = reference.run(program.network, samples.spikes, membranes=True)
    with np.load(out / "trace") as file:
        assert set(file) == {
            *("spikes/spikes", "spikes/lif", "membranes/lif", "scores", "classes"),
        }
        for name, array in (
            ("spikes/spikes", samples.spikes),
            ("spikes/lif", trace.spikes["lif"]),
            ("membranes/lif", trace.membranes["lif"]),
            ("scores", trace.scores),
            ("classes", trace.classes),
        ):
            assert np.array_equal(file[name], array)


def test_trace_holds_membranes_only_if_asked(
    program_file: Path, spikes_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    picture = ("--membrane-picture", out / "membranes.png")
    run(simulate, program_file, spikes_file, "-o", out / "trace.npz", *picture)
    with np.load(out / "trace.npz") as file:
        assert "membranes/lif" not in file


def test_simulate_takes_events_without_labels(
    program_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.csv"
    path.write_text("sample,step,input\n0,0,1\n1,2,0\n")
    result = run(simulate, program_file, path)
    assert (result["samples"], result["accuracy"]) == (2, None)
    assert "accuracy" not in capsys.readouterr().out


def test_file_without_a_sample_is_refused(program_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("sample,step,input\n")
    with pytest.raises(SpikeloomError, match=r"events\.csv' holds no samples"):
        run(simulate, program_file, path)


def test_sample_that_is_not_there_writes_nothing(
    program_file: Path, spikes_file: Path, tmp_path: Path
) -> None:
    options = ("-o", tmp_path / "out/trace.npz", "--picture", tmp_path / "out/raster.png")
    with pytest.raises(SpikeloomError, match="no sample 30; there are 30"):
        run(simulate, program_file, spikes_file, "--sample", 30, *options)
    assert not (tmp_path / "out").exists()


def test_bench_density_tells_a_row_per_density_and_draws(
    program_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    result = run(bench, "density", program_file, "--samples", 2, "--seed", 5, "-o", out)
    assert written(out) == {"small-density.png"}
    assert [row["density_percent"] for row in result["rows"]] == [0, 1, 5, 10, 25, 50, 100]
    assert result["circumstances"]["data"] == "random spikes, seed 5, 2 samples per density"
    printed = capsys.readouterr().out
    for text in (
        "network: small",
        "steps: 4",
        "versions: spikeloom",
        "Spiker+ 2.0.3 with 784-128-10",
    ):
        assert text in printed
    assert f"{result['line']['largest_deviation_percent']:.1f} % off" in printed


def test_bench_takes_json_on_either_side_of_the_measurement(
    program_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (("--json", "density", program_file), ("density", program_file, "--json")):
        run(bench, *arguments, "--samples", 1)
        assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [("--samples", 0, "--samples is 0; wanted >= 1"), ("--seed", -1, "--seed is -1; wanted >= 0")],
)
def test_bench_refuses_numbers_out_of_range(
    option: str, value: int, text: str, program_file: Path
) -> None:
    with pytest.raises(SpikeloomError, match=text):
        run(bench, "density", program_file, option, value)


def test_page_of_the_program_file_names_every_field(program: Program) -> None:
    def fields(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*map(fields, value.values()))
        return set[str]().union(*map(fields, value)) if isinstance(value, list) else set()

    described = program.describe()
    rules = set(described.pop("arithmetic"))
    page = (Path(__file__).parents[1] / "docs/program-file.md").read_text(encoding="utf-8")
    assert "lanes" in fields(described) - rules
    assert {name for name in fields(described) if f"`{name}`" not in page} == set()
