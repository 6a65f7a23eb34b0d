"""The program file: what goes in comes out, and nothing else is taken for one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from safetensors.numpy import save_file

from networks import LayerOptions, random_network, random_spikes
from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.ir import FixedNeuron, Network, Neuron, Readout
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.program import VERSION, Program

Description = dict[str, Any]


def network(skip: bool = False) -> Network:
    options = [
        LayerOptions(Reset.SUBTRACT, "per neuron", weight_bits=5, weight_shift=2, state_bits=10),
        LayerOptions(Reset.NONE, "general", decay_bits=16),
    ]
    return random_network(2, [6, 7, 4], 3, options, skip)


def program() -> Program:
    return Program(network(), {"layer1": 3})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A program file."""
    path = tmp_path / "net.program.safetensors"
    program().save(path)
    return path


def parts(path: Path) -> tuple[Description, dict[str, Any]]:
    """The description and the tensors of a program file."""
    with safetensors.safe_open(path, "numpy") as file:
        names = list(file.keys())
        return json.loads(file.metadata()["spikeloom"]), {n: file.get_tensor(n) for n in names}


def rewrite(path: Path, change: Callable[[Description, dict[str, Any]], object]) -> None:
    """Change a program file as someone with another tool could."""
    description, tensors = parts(path)
    change(description, tensors)
    save_file(tensors, path, metadata={"spikeloom": json.dumps(description)})


def test_loaded_program_is_the_saved_one(path: Path) -> None:
    saved, loaded = program(), Program.load(path)
    assert str(loaded) == str(saved)
    assert loaded.describe() == saved.describe()
    for ours, theirs in zip(saved.cores, loaded.cores, strict=True):
        assert (ours.name, ours.lanes, ours.fire_lanes) == (
            theirs.name,
            theirs.lanes,
            theirs.fire_lanes,
        )
        decays = ours.neuron.decay, theirs.neuron.decay
        assert np.array_equal(ours.multipliers(decays[0]), theirs.multipliers(decays[1]))
        for name in ("weight_table", "thresholds", "biases"):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name))
            assert getattr(theirs, name).dtype == np.int64


def test_loaded_program_computes_the_same(path: Path) -> None:
    ours, theirs = program().network, Program.load(path).network
    spikes = random_spikes(ours, 20, 0.4)
    expected = reference.run(ours, spikes, membranes=True)
    got = reference.run(theirs, spikes, membranes=True)
    for layer in ours.layers:
        assert np.array_equal(expected.membranes[layer.name], got.membranes[layer.name])


def test_same_program_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    Program.load(path).save(tmp_path / "again.safetensors")
    program().save(tmp_path / "anew.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    assert (tmp_path / "anew.safetensors").read_bytes() == path.read_bytes()


def test_file_states_what_its_numbers_mean(path: Path) -> None:
    description, tensors = parts(path)
    assert (description["format"], description["version"]) == ("spikeloom program", VERSION)
    assert description["steps"] == 3
    assert set(description["arithmetic"]) == {
        "bias", "convolution", "decay", "delay", "events", "integers", "on_chip", "pooling",
        "readout", "reset", "saturation", "update order",
    }  # fmt: skip
    layer = description["populations"][1]
    assert (layer["lanes"], layer["reset"], layer["state_bits"]) == (3, "subtract", 10)
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"int8", "int32"}
    assert set(tensors) == {
        "weight/input/layer1",
        "weight/layer1/layer2",
        *(f"{name}/layer{number}" for name in ("threshold", "bias", "decay_multiplier")
          for number in (1, 2)),
    }  # fmt: skip


def test_other_lanes_leave_the_network_alone() -> None:
    ours = program()
    other = ours.with_lanes({"layer2": 1})
    assert other.network is ours.network
    assert [core.lanes for core in other.cores] == [7, 1]


def test_folding_otherwise_does_not_examine_the_network_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = program()
    monkeypatch.setattr(Network, "verify", lambda network: pytest.fail("examined again"))
    assert ours.with_lanes({"layer1": 2}).lanes == {"layer1": 2}


def test_lanes_that_do_not_fit_are_refused_at_once() -> None:
    with pytest.raises(SpikeloomError, match=r"takes 1 \.\. 7 lanes, not 8"):
        Program(network(), {"layer1": 8})


def test_network_that_the_accelerator_does_not_take_is_a_program(tmp_path: Path) -> None:
    chain = network()
    edge = replace(chain.projections[1], pre="layer2", weight=np.eye(4, dtype=np.int64))
    recurrent = replace(
        chain,
        projections=(*chain.projections, edge),
        readout=replace(chain.readout, kind="final_membrane"),
    )
    program = Program(bound_accumulators(recurrent), {"layer1": 3})
    told = "'layer2' is read out by its membranes and projects onto itself"
    assert program.refusal is not None and told in program.refusal
    with pytest.raises(SpikeloomError, match=told):
        program.cores  # noqa: B018
    program.save(tmp_path / "skip.safetensors")
    loaded = Program.load(tmp_path / "skip.safetensors")
    assert loaded.lanes == {"layer1": 3, "layer2": 4}
    assert f"no cores: {program.refusal}" in str(loaded)


def test_network_that_the_accelerator_takes_is_not_refused() -> None:
    assert program().refusal is None


def test_weights_of_another_memory_order_are_saved_alike(tmp_path: Path) -> None:
    ours = network()
    edges = [replace(edge, weight=edge.weight.T.copy().T) for edge in ours.projections]
    Program(replace(ours, projections=tuple(edges)), {}).save(tmp_path / "columns.safetensors")
    loaded = Program.load(tmp_path / "columns.safetensors").network
    for edge, saved in zip(ours.projections, loaded.projections, strict=True):
        assert np.array_equal(edge.weight, saved.weight)


def test_network_of_real_numbers_is_refused() -> None:
    fixed = network()
    real = Neuron(np.zeros(7), np.full(7, 0.5), np.ones(7), np.zeros(7), Reset.ZERO)
    layers = (replace(fixed.layers[0], neuron=real), fixed.layers[1])
    with pytest.raises(SpikeloomError, match="'random' holds real numbers; quantise it first"):
        Program(replace(fixed, populations=(fixed.input, *layers)), {})


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpikeloomError, match=r"program file '.*none\.safetensors' does not exist"):
        Program.load(tmp_path / "none.safetensors")


def test_folder_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(SpikeloomError, match="is not a readable program file"):
        Program.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"P", b"\0" * 64, b"not a program at all, not at all"])
def test_file_of_something_else_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(SpikeloomError, match="is not a readable program file"):
        Program.load(path)


def test_file_cut_short_anywhere_is_told(path: Path) -> None:
    whole = path.read_bytes()
    for length in {0, 1, 7, 8, 9, 100, *range(0, len(whole), 97), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(SpikeloomError, match="is not a readable program file"):
            Program.load(path)


def test_file_of_tensors_is_not_yet_a_program(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(SpikeloomError, match="is a safetensors file but not a Spikeloom program"):
        Program.load(path)


@pytest.mark.parametrize("version", [0, VERSION + 1, "1", None])
def test_other_version_is_told(version: object, path: Path) -> None:
    rewrite(path, lambda description, _: description.update(version=version))
    with pytest.raises(
        SpikeloomError,
        match=f"is a program of version {version}; this Spikeloom reads version {VERSION}",
    ):
        Program.load(path)


DAMAGE: dict[str, Callable[[Description, dict[str, Any]], object]] = {
    "no tensor": lambda _, tensors: tensors.pop("bias/layer1"),
    "no entry": lambda description, _: description.pop("steps"),
    "no layer": lambda description, _: description.update(populations=[]),
    "layers are no list": lambda description, _: description.update(populations=5),
    "layer is no object": lambda description, _: description.update(populations=["x"]),
    "other reset": lambda description, _: description["populations"][1].update(reset="maybe"),
    "lanes as text": lambda description, _: description["populations"][1].update(lanes="3"),
    "too many lanes": lambda description, _: description["populations"][1].update(lanes=9),
    "steps as text": lambda description, _: description.update(steps="3"),
    "no steps": lambda description, _: description.update(steps=0),
    "wide weights": lambda description, _: description["projections"][0].update(weight_bits=2),
    "strange readout": lambda description, _: description["readout"].update(votes=3),
    "readout of nothing": lambda description, _: description["readout"].update(population="x"),
    "kind of readout": lambda description, _: description["readout"].update(kind="median"),
    "group of the readout": lambda description, _: description["readout"].update(group=3),
    "weights of the readout": lambda description, _: description["readout"].update(weights=[1]),
    "no events": lambda description, _: description.pop("events"),
    "events as text": lambda description, _: description["events"].update(highest="1"),
    "events of a step that is no power of two": lambda description, _: description["events"].update(
        step=0.3, folded=True
    ),
    "pooling": lambda description, _: description["projections"][0].update(
        pooling={"shape": [6, 1, 1], "size": 2}
    ),
    "convolution": lambda description, _: description["projections"][0].update(
        convolution={"shape": [1, 2, 3], "features": 7, "kernel": [0, 1]}
    ),
    "convolution of nothing": lambda description, _: description["projections"][0].update(
        convolution={}
    ),
    "current decay without a tensor": lambda description, _: description["populations"][1].update(
        current_decay_shift=3, current_bits=8
    ),
    "precision": lambda description, _: description["precision"].update(weight_bits=99),
    "shape of weights": lambda _, tensors: tensors.update(
        {"weight/input/layer1": np.zeros((7, 5), np.int8)}
    ),
    "shape of thresholds": lambda _, tensors: tensors.update(
        {"threshold/layer1": np.ones(3, np.int32)}
    ),
    "threshold of zero": lambda _, tensors: tensors["threshold/layer1"].fill(0),
    "decay above one": lambda _, tensors: tensors["decay_multiplier/layer1"].fill(1 << 20),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_program_is_told_in_one_line(damage: str, path: Path) -> None:
    rewrite(path, DAMAGE[damage])
    with pytest.raises(SpikeloomError) as raised:
        Program.load(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("header", ["", "{", "[]", "null", "3"])
def test_header_that_is_no_description_is_told(header: str, path: Path) -> None:
    _, tensors = parts(path)
    save_file(tensors, path, metadata={"spikeloom": header})
    with pytest.raises(SpikeloomError):
        Program.load(path)


def test_interrupted_save_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        program().save(tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_accumulator_survives_the_file(path: Path) -> None:
    for ours, theirs in zip(network().layers, Program.load(path).network.layers, strict=True):
        assert isinstance(ours.neuron, FixedNeuron) and isinstance(theirs.neuron, FixedNeuron)
        assert ours.neuron.accumulator_bits == theirs.neuron.accumulator_bits > 0


def test_accumulator_that_could_wrap_is_refused() -> None:
    network = random_network(1, [5, 3], 4, [LayerOptions()])
    layer = network.layers[0]
    assert isinstance(layer.neuron, FixedNeuron)
    narrow = replace(layer.neuron, accumulator_bits=layer.neuron.accumulator_bits - 1)
    changed = replace(network, populations=(network.input, replace(layer, neuron=narrow)))
    with pytest.raises(SpikeloomError, match=r"layer 'layer1' has an accumulator of \d+ bits"):
        Program(changed, {})


@pytest.mark.parametrize("name", ["readout", "input", "not an identifier"])
def test_layer_name_that_the_accelerator_cannot_take_is_told(name: str) -> None:
    network = random_network(1, [5, 3], 4, [LayerOptions()])
    edge = replace(network.projections[0], post=name)
    changed = replace(
        network,
        populations=(replace(network.input, name="spikes"), replace(network.layers[0], name=name)),
        projections=(replace(edge, pre="spikes"),),
        readout=Readout(name),
    )
    assert f"layer '{name}' cannot be called so" in str(Program(changed, {}).refusal)
