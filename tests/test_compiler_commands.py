"""The commands `check` and `compile`: what they print, write, and leave unwritten."""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

from spikeloom.compiler import passes, reference
from spikeloom.compiler.errors import SpikeloomError, VerificationMismatch
from spikeloom.compiler.ir import FixedNeuron, Network
from spikeloom.compiler.on_chip import OnChipEncoder
from spikeloom.compiler.program import Program
from spikeloom.models.runtime import run_model
from spikeloom.sim.cli import check as check_command
from spikeloom.sim.cli import compile as compile_command
from spikeloom.sim.cli import emit as emit_command
from spikeloom.sim.cli import folding
from spikeloom.sim.cli import simulate as simulate_command
from spikeloom.sim.cli.console import Console
from spikeloom.sim.latency import measure
from spikeloom.sim.spike_files import read_spikes

Parse = Callable[..., onnx.ModelProto]

NODES = """
    product = MatMul (spikes, weight) current = Add (product, bias)
    lif, v = spikeloom.Neuron (current, alpha, beta, threshold)
"""
COUNT = "counts = ReduceSum <keepdims = 0> (lif, time)"


def run(command: ModuleType, *arguments: object, as_json: bool = False) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    parsed = parser.parse_args([str(item) for item in arguments])
    result: dict[str, Any] = command.run(parsed, Console(as_json))
    return result


@pytest.fixture
def model_file(parse_model: Parse, tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    path.write_bytes(parse_model(NODES + COUNT).SerializeToString())
    return path


@pytest.fixture
def bad_file(parse_model: Parse, tmp_path: Path) -> Path:
    path = tmp_path / "bad.onnx"
    nodes = "soft = Relu (spikes) odd = Conv (soft, weight) counts = MatMul (odd, weight)"
    path.write_bytes(parse_model(nodes).SerializeToString())
    return path


@pytest.fixture
def spikes_file(tmp_path: Path) -> Path:
    path = tmp_path / "spikes.npz"
    spikes = np.random.default_rng(3).integers(0, 2, (4, 20, 3)).astype(np.uint8)
    np.savez(path, spikes=spikes)
    return path


def test_check_tells_what_each_node_becomes(
    model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(check_command, model_file)
    assert result["ok"]
    printed = capsys.readouterr().out
    for text in ("projection product", "population lif, 2 neurons", "spike count of lif"):
        assert text in printed


def test_check_lists_every_refusal_and_fails(
    bad_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SpikeloomError, match=r"cannot be compiled: 4 of 5 verdicts are no"):
        run(check_command, bad_file, as_json=True)
    result = json.loads(capsys.readouterr().out)
    assert not result["ok"]
    assert [item["ok"] for item in result["nodes"]] == [True, False, False, False, False]


def test_check_fails_where_lowering_would(parse_model: Parse, tmp_path: Path) -> None:
    path = tmp_path / "leaky.onnx"
    nodes = NODES.replace("beta", "tiny") + COUNT
    path.write_bytes(parse_model(nodes, initializers="float tiny = {0.0001}").SerializeToString())
    with pytest.raises(SpikeloomError, match="raise --decay-bits"):
        run(check_command, path)


def test_compile_writes_program_oracle_and_passes(
    model_file: Path, spikes_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    result = run(compile_command, model_file, "-o", out, "--check", spikes_file, "--lanes", "lif=1")
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == {
        "small.program.safetensors",
        "small.fixed.onnx",
        "passes/00-import.txt",
        "passes/01-repeat_constant_input.txt",
        "passes/02-fold_input_step.txt",
        "passes/03-fold_gains.txt",
        "passes/04-make_thresholds_inclusive.txt",
        "passes/05-choose_scales.txt",
        "passes/06-quantize.txt",
        "passes/07-bound_accumulators.txt",
    }
    program = Program.load(out / "small.program.safetensors")
    assert program.lanes == {"lif": 1}
    text = (out / "passes/07-bound_accumulators.txt").read_text(encoding="utf-8")
    assert text == f"{program.network}\n"
    spikes = read_spikes(spikes_file, program.network).spikes
    counts = run_model(out / "small.fixed.onnx", spikes, ["counts"])["counts"]
    assert np.array_equal(counts, reference.run(program.network, spikes).scores)
    # Spikes of 2 neurons, 2 counts and a class for each of 20 samples.
    assert result["numbers_checked"] == 20 * (4 * 2 + 2 + 1)
    assert result["layers"][0]["weight_bits"] == 8
    assert "checked: 220 numbers" in capsys.readouterr().out


def test_compile_for_a_target_chooses_the_lanes(
    model_file: Path, spikes_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    target = ("--target", "icebreaker", "--check", spikes_file)
    result = run(compile_command, model_file, "-o", out, *target)
    chosen = result["folding"]["chosen"]
    assert chosen == result["folding"]["front"][-1]
    program = Program.load(out / "small.program.safetensors")
    assert program.lanes == chosen["lanes"]
    assert {core.name: core.fire_lanes for core in program.cores} == chosen["fire_lanes"]
    assert (out / "small.foldings.png").read_bytes()[1:4] == b"PNG"
    shown = " ".join(capsys.readouterr().out.split())
    assert "foldings within icebreaker, estimated; the last one is taken" in shown
    # The cycles of the record are those of the cycle model, of every sample.
    spikes = read_spikes(spikes_file, program.network).spikes
    counted = float(measure(program, spikes).to_class.mean())
    assert result["folding"]["cycles_counted"] == counted
    assert result["folding"]["samples_counted"] == spikes.shape[1]
    assert f"the one taken: {counted:,.1f} cycles per sample, counted on the cycle model" in shown

    smaller = ("--target", "iCE40UP5K-SG48", "--budget", f"luts={chosen['luts'] - 1}")
    result = run(compile_command, model_file, "-o", out, *smaller)
    assert result["folding"]["chosen"]["luts"] < chosen["luts"]
    assert result["folding"]["cycles_counted"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "basys"], "unknown target 'basys'; known targets: ulx3s-85f, icebreaker, "),
        (["--budget", "luts=900"], "--budget goes with --target"),
        (["--target", "icebreaker", "--lanes", "lif=1"], "--target chooses what --lanes says"),
        (["--target", "icebreaker", "--fire-lanes", "lif=1"], "chooses what --fire-lanes says"),
        (
            ["--target", "icebreaker", "--budget", "luts=9,blocks=3"],
            "no folding is within 9 look-up tables, 3 block RAMs and 8 multipliers; the nearest",
        ),
    ],
)
def test_target_that_cannot_be_met_writes_nothing(
    arguments: list[str], message: str, model_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(SpikeloomError, match=message):
        run(compile_command, model_file, "-o", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("luts", "'luts' is not of the form RESOURCE=N with one of luts, blocks, multipliers"),
        ("lamps=3", "'lamps=3' is not of the form"),
        ("luts=-1", "'luts=-1' is not of the form"),
        ("luts=1,luts=2", "'luts' is given twice"),
    ],
)
def test_budget_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        folding.parse_budget(text)


def test_compile_for_an_accelerator_writes_an_image_that_it_takes(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    first = run(compile_command, model_file, "-o", out, "--weights", "loaded", "--lanes", "lif=1")
    program = Path(first["files"]["program"])
    image = Path(first["files"]["weights"]).read_bytes()
    assert len(image) == 4 * first["weight_image_words"]
    again = tmp_path / "other.onnx"
    again.write_bytes(model_file.read_bytes())
    second = run(compile_command, again, "-o", out, "--for", program)
    assert Path(second["files"]["weights"]).read_bytes() == image
    assert second["layers"][0]["lanes"] == 1
    assert "into the accelerator of 'small'" in capsys.readouterr().out


def test_image_for_an_accelerator_with_fixed_weights_is_refused(
    model_file: Path, tmp_path: Path
) -> None:
    program = run(compile_command, model_file, "-o", tmp_path / "out")["files"]["program"]
    with pytest.raises(SpikeloomError, match="are fixed; --for takes one"):
        run(compile_command, model_file, "-o", tmp_path / "other", "--for", program)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "option",
    [
        "--weight-bits=4",
        "--state-bits=9",
        "--lanes=lif=1",
        "--weights=loaded",
        "--target=ulx3s-85f",
    ],
)
def test_what_the_other_program_decides_cannot_be_given(
    option: str, model_file: Path, tmp_path: Path
) -> None:
    name = option.split("=")[0]
    with pytest.raises(SpikeloomError, match=f"{name} cannot be given with --for"):
        run(compile_command, model_file, "-o", tmp_path / "out", "--for", tmp_path / "none", option)


def test_compile_gives_the_same_bytes_every_time(model_file: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        run(compile_command, model_file, "-o", folder)
    for path in first.rglob("*.*"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--weight-bits", "9"], "weight_bits must be in 2 .. 8, not 9"),
        (["--state-bits", "5"], "--state-bits is 5"),
        (["--lanes", "lif=3"], "layer 'lif' has 2 neurons, so it takes 1 .. 2 lanes, not 3"),
        (["--lanes", "fc=1"], "lanes are given for 'fc', which is not a layer"),
    ],
)
def test_failed_compile_writes_nothing(
    arguments: list[str], text: str, model_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(SpikeloomError) as raised:
        run(compile_command, model_file, "-o", tmp_path / "out", *arguments)
    assert text in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_neurons_that_can_never_fire_are_told(
    parse_model: Parse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A layer with thresholds of its own; all of them out of reach is an error."""
    path, nodes = tmp_path / "deaf.onnx", NODES.replace("threshold)", "thresholds)")
    for thresholds, whole in (("1, 900", False), ("800, 900", True)):
        values = f"float[2] thresholds = {{{thresholds}}}"
        model = parse_model(nodes + COUNT, initializers=values)
        path.write_bytes(model.SerializeToString())
        arguments = (path, "-o", tmp_path / "out", "--state-bits", 24)
        if whole:
            message = (
                "layer 'lif' can never fire: whatever the input, no membrane comes to its threshold"
            )
            with pytest.raises(SpikeloomError, match=message):
                run(compile_command, *arguments)
        else:
            run(compile_command, *arguments)
            shown = " ".join(capsys.readouterr().out.split())
            assert "layer 'lif': 1 of 2 neurons can never fire, whatever the input: 1" in shown


def test_refused_model_writes_nothing(bad_file: Path, tmp_path: Path) -> None:
    with pytest.raises(SpikeloomError, match="Relu node 'soft'") as raised:
        run(compile_command, bad_file, "-o", tmp_path / "out")
    assert raised.value.__notes__ == ["and 3 more; 'spikeloom check' lists them all"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "spikes",
    [np.full((4, 2, 3), 2), np.zeros((4, 2)), np.zeros((3, 2, 3)), np.zeros((4, 2, 5))],
    ids=["not binary", "two axes", "another T", "another size"],
)
def test_spikes_that_do_not_fit_stop_the_compilation(
    spikes: np.ndarray[Any, Any], model_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.npz"
    np.savez(path, spikes=spikes)
    with pytest.raises(SpikeloomError, match="spikes"):
        run(compile_command, model_file, "-o", tmp_path / "out", "--check", path)
    assert not (tmp_path / "out").exists()


def test_pass_that_changes_spikes_is_named(
    model_file: Path, spikes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_thresholds(network: Network) -> Network:
        (layer,) = network.layers
        assert isinstance(layer.neuron, FixedNeuron)
        neuron = replace(layer.neuron, threshold=layer.neuron.threshold * 4)
        return replace(network, populations=(network.input, replace(layer, neuron=neuron)))

    monkeypatch.setattr(passes, "PIPELINE", (*passes.PIPELINE, raise_thresholds))
    with pytest.raises(
        VerificationMismatch,
        match=r"pass raise_thresholds changes what quantize made: layer 'lif', step \d, "
        r"sample \d+, neuron \d: expected spike 1, got 0",
    ):
        run(compile_command, model_file, "-o", tmp_path / "out", "--check", spikes_file)
    assert not (tmp_path / "out").exists()


def test_unused_nodes_are_told(
    parse_model: Parse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "idle.onnx"
    path.write_bytes(parse_model(NODES + "idle = Relu (lif)" + COUNT).SerializeToString())
    run(compile_command, path, "-o", tmp_path / "out")
    assert "note: node 'idle' (Relu) is unused" in capsys.readouterr().out


def test_encoder_on_the_chip_takes_pixels(model_file: Path, tmp_path: Path) -> None:
    pixels = tmp_path / "pixels.npz"
    np.savez(pixels, pixels=np.array([[0, 9, 255], [128, 128, 128]], np.uint8))
    out = tmp_path / "out"
    option = "first_spike:t_max=3,dark=9"
    result = run(compile_command, model_file, "-o", out, "--encode", option, "--check", pixels)
    assert result["numbers_checked"] > 0
    program = Program.load(out / "small.program.safetensors")
    assert program.network.on_chip == OnChipEncoder("first_spike", t_max=3, dark=9)
    simulated = run(simulate_command, out / "small.program.safetensors", pixels)
    assert simulated["cycles"]["samples"] == 2
    with pytest.raises(SpikeloomError, match="there is no encoder 'poisson' on the chip"):
        run(compile_command, model_file, "-o", out, "--encode", "poisson")


def test_network_that_the_accelerator_does_not_take_is_compiled_with_a_note(
    parse_model: Parse, spikes_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.onnx"
    neuron = "RecurrentNeuron (current, square, "
    nodes = (
        NODES.replace("Neuron (current, ", neuron) + "counts = ReduceMax <keepdims = 0> (v, time)"
    )
    square = "float[2,2] square = {1, 0, 0, 1}"
    path.write_bytes(parse_model(nodes, initializers=square).SerializeToString())
    result = run(compile_command, path, "-o", tmp_path / "out", "--check", spikes_file)
    told = "layer 'lif' is read out by its membranes and projects onto itself"
    assert result["accelerator_refusal"].startswith(told)
    assert "note: 'spikeloom emit' will refuse this program" in capsys.readouterr().out
    program = tmp_path / "out" / "small.program.safetensors"
    simulated = run(simulate_command, program, spikes_file)
    assert simulated["cycles"] is None
    assert f"clock cycles: none, {told}" in capsys.readouterr().out
    with pytest.raises(SpikeloomError, match=told):
        run(emit_command, program, "-o", tmp_path / "rtl")


def test_roundings_that_matter_are_told(
    parse_model: Parse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "slow.onnx"
    nodes = NODES.replace("beta", "slow") + COUNT
    path.write_bytes(parse_model(nodes, initializers="float slow = {0.99}").SerializeToString())
    run(compile_command, path, "-o", tmp_path / "out", "--state-bits", 11)
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "note: layer 'lif': the decay of 0.99 becomes 0.988281, so that 17% more or less leaks in "
        "a step; a larger --decay-bits is closer"
    ) in printed
    assert "note: layer 'lif': states of 11 bits saturate at" in printed


@pytest.mark.parametrize("text", ["lif", "lif=", "=3", "lif=two", "lif=1,lif=2", "lif=-1"])
def test_lanes_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        folding.parse_lanes(text)
