"""Input that cannot be used: one line on standard error, exit code 1, and no file."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from networks import random_spikes
from spikeloom.compiler.program import Program
from spikeloom.sim import boards
from spikeloom.sim.boards import find_board
from spikeloom.sim.cli import main
from spikeloom.sim.spike_files import InputSpikes, write_spikes

NEURON = "lif, v = spikeloom.Neuron (current, alpha, beta, threshold)"
COUNT = "counts = ReduceSum <keepdims = 0> (lif, time)"
CURRENT = "current = MatMul (spikes, weight)"
GOOD = CURRENT + NEURON + COUNT

# ONNX files: nodes and the shape of the input.
MODELS = {
    "good": (GOOD, "float[4,N,3] spikes"),
    "relu": ("current = Relu (spikes) counts = ReduceSum (current, time)", "float[4,N,3] spikes"),
    "open_steps": (GOOD, "float[T,N,3] spikes"),
    "open_inputs": (GOOD, "float[4,N,K] spikes"),
    "no_steps": (GOOD, "float[0,N,3] spikes"),
}
# The same with other numbers.
NUMBERS = {
    "nan_weight": ("weight", np.nan),
    "infinite_weight": ("weight", -np.inf),
    "zero_weights": ("weight", 0.0),
    "tiny_weights": ("weight", 1e-12),
    "infinite_threshold": ("threshold", np.inf),
    "no_threshold": ("threshold", 0.0),
    "negative_threshold": ("threshold", -1.5),
    "negative_decay": ("beta", -0.1),
    "growing_decay": ("beta", 1.5),
}
# Lists of events, behind the header.
EVENTS = {
    "input_out_of_range": "0,0,3",
    "step_out_of_range": "0,4,0",
    "negative_sample": "-1,0,0",
    "steps_out_of_order": "0,2,0\n0,1,0",
    "samples_out_of_order": "1,0,0\n0,0,0",
    "event_twice": "0,0,1\n0,0,1",
    "not_a_number": "0,zero,1",
    "no_samples": "",
}


@pytest.fixture(scope="module")
def inputs(
    parse_model: Callable[..., onnx.ModelProto], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with usable and unusable files."""
    folder = tmp_path_factory.mktemp("inputs")
    for name, (nodes, shape) in MODELS.items():
        (folder / f"{name}.onnx").write_bytes(parse_model(nodes, inputs=shape).SerializeToString())
    for name, (tensor, value) in NUMBERS.items():
        model = parse_model(GOOD)
        item = next(item for item in model.graph.initializer if item.name == tensor)
        values = np.full(tuple(item.dims), value, np.float32)
        item.CopyFrom(onnx.numpy_helper.from_array(values, tensor))
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    good = (folder / "good.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(good[: len(good) // 2])
    (folder / "text.onnx").write_text("not a model\n")
    (folder / "empty.onnx").touch()
    for name, lines in EVENTS.items():
        (folder / f"{name}.csv").write_text(f"sample,step,input\n{lines}\n")
    (folder / "header.csv").write_text("a,b,c\n")
    (folder / "empty.csv").touch()
    assert main(["compile", str(folder / "good.onnx"), "-o", str(folder)]) == 0
    program = Program.load(folder / "good.program.safetensors")
    program.save(folder / "good.safetensors")
    spikes = random_spikes(program.network, 3, 0.5)
    write_spikes(folder / "spikes.npz", InputSpikes(spikes))
    for name, array in {
        "numbers": spikes.astype(np.float32) * 0.5,
        "complex": spikes.astype(np.complex64),
        "other_steps": spikes[:2],
        "other_inputs": spikes[:, :, :2],
        "no_samples": spikes[:, :0],
    }.items():
        np.savez(folder / f"{name}.npz", spikes=array)
    np.savez(folder / "labels.npz", spikes=spikes, labels=np.zeros(2, np.int64))
    np.savez(folder / "nothing.npz")
    (folder / "cut.npz").write_bytes((folder / "spikes.npz").read_bytes()[:60])
    return folder


REFUSED_MODELS = {
    "none": "does not exist",
    "empty": "is not an ONNX file",
    "text": "is not an ONNX file, or it is cut short",
    "cut": "ONNX file",
    "relu": "Relu node 'current': the operator is not supported",
    "open_steps": "its number of time steps is open (shape [T, N, 3])",
    "open_inputs": "must have fixed sizes above 0, not [4, N, K]",
    "no_steps": "it has T = 0 time steps; wanted at least 1",
    "nan_weight": "'weight'",
    "infinite_weight": "'weight'",
    "zero_weights": "all weights of projection 'current' onto layer 'lif' are zero",
    "tiny_weights": "needs 49 bits; a membrane has at most 24",
    "infinite_threshold": "'threshold'",
    "no_threshold": "threshold 'threshold' is 0; wanted > 0",
    "negative_threshold": "threshold 'threshold' is -1.5; wanted > 0",
    "negative_decay": "beta 'beta' is -0.1; wanted a decay in 0 .. 1",
    "growing_decay": "beta 'beta' is 1.5; wanted a decay in 0 .. 1",
}
REFUSED_EVENTS = {
    "input_out_of_range": ", line 2: input is 3; wanted 0 .. 2",
    "step_out_of_range": ", line 2: step is 4; wanted 0 .. 3",
    "negative_sample": ", line 2: sample is -1; wanted 0 ..",
    "steps_out_of_order": ", line 3: sample 0, step 1 stands behind sample 0, step 2",
    "samples_out_of_order": ", line 3: sample 0, step 0 stands behind sample 1, step 0",
    "event_twice": ", line 3: sample 0 has an event of input 1 at step 0 already",
    "not_a_number": ", line 2: step is 'zero'; wanted an integer",
    "no_samples": " holds no samples",
    "header": ", line 1: the header is 'a,b,c'; wanted 'sample,step,input'",
    "empty": ", line 1: the header is ''; wanted 'sample,step,input'",
}
REFUSED_ARRAYS = {
    "none": "cannot read spikes from",
    "cut": "is not an NPZ file with an array 'spikes'",
    "nothing": "has no array 'spikes'",
    "numbers": "is 0.5; wanted 0 or 1",
    "complex": "are of type complex64; wanted the numbers 0 or 1",
    "other_steps": "have shape (2, 3, 3); network 'good' takes (T=4, batch, 3)",
    "other_inputs": "have shape (4, 3, 2); network 'good' takes (T=4, batch, 3)",
    "no_samples": "holds no samples",
    "labels": "holds labels of shape (2,)",
}
WITH_SPIKES = ("simulate good.safetensors {}", "verify good.safetensors {} -o out")
WITH_PROGRAM = (
    "emit {} -o out",
    "simulate {} spikes.npz -o out",
    "verify {} spikes.npz -o out",
    "build {} --board icebreaker -o out",
    "bench density {} -o out",
    "bench software {}",
)
WITH_LANES = (
    "compile good.onnx -o out",
    "emit good.safetensors -o out",
    "verify good.safetensors spikes.npz -o out",
    "build good.safetensors --board icebreaker -o out",
    "build good.onnx --board icebreaker -o out",
)
# A file stands where a folder is wanted.
NOWHERE = (
    "compile good.onnx -o {inputs}/spikes.npz",
    "compile good.onnx -o {inputs}/spikes.npz/below",
    "emit good.safetensors -o {inputs}/spikes.npz",
    "simulate good.safetensors spikes.npz -o {inputs}/spikes.npz/trace.npz",
    "verify good.safetensors spikes.npz -o {inputs}/spikes.npz",
    "build good.safetensors --board icebreaker -o {inputs}/spikes.npz",
    "bench density good.safetensors --samples 1 -o {inputs}/spikes.npz",
    "train digits --epochs 1 -o {inputs}/spikes.npz",
)

# What is typed, and what the line must say. Names of files stand for files in the folder `inputs`.
CASES = [
    *((f"compile {name}.onnx -o out", text) for name, text in REFUSED_MODELS.items()),
    *((f"check {name}.onnx", "ONNX file") for name in ("text", "cut", "empty", "none")),
    ("check zero_weights.onnx", REFUSED_MODELS["zero_weights"]),
    ("check relu.onnx", "'{inputs}/relu.onnx' cannot be compiled: "),
    # Lanes.
    *(
        (f"{command} --lanes lif=3", "layer 'lif' has 2 neurons, so it takes 1 .. 2 lanes, not 3")
        for command in WITH_LANES
    ),
    ("compile good.onnx -o out --lanes lif=0", "takes 1 .. 2 lanes, not 0"),
    ("compile good.onnx -o out --lanes fc=1", "lanes are given for 'fc', which is not a layer"),
    ("compile good.onnx -o out --lanes lif=1 --lanes lif=2", "layer 'lif' is given twice"),
    *(
        (f"compile good.onnx -o out --lanes={text}", "is not of the form LAYER=LANES")
        for text in ("2", "lif", "lif=", "lif=two", "lif=-1", "lif=1,", "lif=1.5")
    ),
    # Numbers.
    ("compile good.onnx -o out --weight-bits 9", "weight_bits must be in 2 .. 8, not 9"),
    ("compile good.onnx -o out --weight-bits=-1", "weight_bits must be in 2 .. 8, not -1"),
    ("compile good.onnx -o out --decay-bits 0", "decay_bits must be in 1 .. 16, not 0"),
    ("compile good.onnx -o out --state-bits many", "--state-bits: invalid int value: 'many'"),
    ("verify good.safetensors spikes.npz -o out --samples 0", "--samples must be at least 1"),
    ("verify good.safetensors spikes.npz -o out --samples=-2", "--samples must be at least 1"),
    ("simulate good.safetensors spikes.npz --sample 3 --picture out/a.png", "no sample 3"),
    ("simulate good.safetensors spikes.npz --picture out/a.txt", "ends in '.txt'; wanted one of"),
    ("train digits --epochs 0 -o out", "epochs = 0; wanted >= 1"),
    ("train digits --seed=-1 -o out", "seed = -1; wanted 0 .. 2**63 - 1"),
    ("train mnist -o out", "no recipe 'mnist'"),
    # Spikes.
    *(
        (command.format(f"{name}.csv"), f"'{{inputs}}/{name}.csv'{text}")
        for command in WITH_SPIKES
        for name, text in REFUSED_EVENTS.items()
    ),
    *(
        (f"simulate good.safetensors {name}.npz -o out/trace.npz", text)
        for name, text in REFUSED_ARRAYS.items()
    ),
    ("compile good.onnx -o out --check no_samples.npz", "holds no samples"),
    ("compile good.onnx -o out --check other_steps.npz", "takes (T=4, batch, 3)"),
    ("build good.safetensors --board icebreaker -o out --spikes no_samples.csv", "no samples"),
    ("bench software good.safetensors --spikes no_samples.npz", "holds no samples"),
    ("bench software --spikes spikes.npz", "--spikes goes with one PROGRAM, not with 0"),
    ("bench software --density 101", "--density is 101; wanted 0 .. 100"),
    ("bench software --seed=-1", "--seed is -1; wanted >= 0"),
    ("bench software --batches 1,0", "'1,0' is not of the form N,N,... with each N >= 1"),
    ("bench software --compile 784", "'784' is not of the form INPUTS-NEURONS-CLASSES"),
    # Files of another kind, in another order, or none.
    *((command.format("none.safetensors"), "does not exist") for command in WITH_PROGRAM),
    *(
        (command.format(file), "is not a readable program file")
        for command in WITH_PROGRAM
        for file in ("spikes.npz", "{inputs}")
    ),
    ("emit good.onnx -o out", "is not a readable program file"),
    ("compile good.safetensors -o out", "is not an ONNX file, or it is cut short"),
    ("compile {inputs} -o out", "is a folder; wanted an ONNX file"),
    ("simulate spikes.npz good.safetensors", "is not a readable program file"),
    ("simulate good.safetensors good.safetensors", "spikes come as .npz or .csv"),
    ("verify good.safetensors spikes.npz -o out --verilog none.v", "there is no Verilog file"),
    ("verify good.safetensors spikes.npz -o out --verilog {inputs}", "there is no Verilog file"),
    ("export none.safetensors -o out/a.onnx", "does not exist"),
    ("export good.safetensors -o out/a.onnx", "has another format than 'spikeloom checkpoint 2'"),
    ("export none.py:build --steps 2 --inputs 3 -o out/a.onnx", "does not exist"),
    ("export good.onnx -o out/a.onnx", "needs --steps and --inputs"),
    # Boards.
    ("build good.safetensors --board nexys -o out", "unknown board 'nexys'"),
    ("build none.safetensors --board nexys -o out", "unknown board 'nexys'"),
    # Places where nothing can be written.
    *((command, "cannot write into '{inputs}/spikes.npz") for command in NOWHERE),
    ("simulate good.safetensors spikes.npz -o {inputs}", "cannot write '{inputs}': it is a folder"),
    # The command line itself.
    ("", "the following arguments are required: COMMAND (see 'spikeloom --help')"),
    ("weave", "invalid choice: 'weave'"),
    ("compile", "the following arguments are required: MODEL, -o/--out"),
    ("compile good.onnx -o out --fast", "unrecognized arguments: --fast"),
    ("boards ulx3s-85f", "unrecognized arguments: ulx3s-85f"),
    ("build good.safetensors -o out", "the following arguments are required: --board"),
    ("bench", "the following arguments are required: MEASUREMENT"),
    ("bench speed good.safetensors", "invalid choice: 'speed'"),
    ("verify good.safetensors spikes.npz --simulator questa", "invalid choice: 'questa'"),
]


@pytest.mark.parametrize(("typed", "text"), CASES, ids=[typed for typed, _ in CASES])
def test_bad_input_ends_in_one_line_and_leaves_no_file(
    typed: str,
    text: str,
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(inputs.rglob("*"))
    monkeypatch.chdir(tmp_path)
    assert main(words(typed, inputs)) == 1
    first, *notes = capsys.readouterr().err.splitlines()
    # A table or a progress bar may stand in front of the error, on standard output only.
    assert first.startswith("spikeloom: error: ")
    assert text.replace("{inputs}", str(inputs)) in first
    assert not [line for line in notes if "Traceback" in line or line.startswith("spikeloom")]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert sorted(inputs.rglob("*")) == before


def words(typed: str, inputs: Path) -> list[str]:
    """What is typed, with the files' names made whole."""
    whole = re.sub(r"(?<= )(\w+\.[a-z]+)(?=[ :]|$)", rf"{inputs}/\1", typed)
    return whole.replace("{inputs}", str(inputs)).split()


@pytest.mark.slow
@pytest.mark.synthesis
def test_design_too_large_for_the_board_is_told_by_how_much(
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    board = find_board("icebreaker")
    part = replace(board.part, capacity=MappingProxyType(board.part.capacity | {"LUT4": 100}))
    monkeypatch.setattr(boards, "find_board", lambda name: replace(board, part=part))
    command = ["build", str(inputs / "good.onnx"), "--board", "icebreaker", "-o", str(tmp_path)]
    assert main(command) == 1
    line, note = capsys.readouterr().err.splitlines()
    found = re.fullmatch(
        r"spikeloom: error: the design is too large: it needs ([\d,]+) LUT4, the iCE40UP5K-SG48 "
        r"has 100: ([\d,]+) too many",
        line,
    )
    assert found
    needed, excess = (int(number.replace(",", "")) for number in found.groups())
    assert needed == 100 + excess
    assert "--lanes" in note
    assert [path.name for path in tmp_path.iterdir()] == ["good-icebreaker-build"]
