"""Reading and writing input spikes, and what is refused."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Events, Network
from spikeloom.compiler.on_chip import OnChipEncoder
from spikeloom.compiler.onnx_import import examine
from spikeloom.compiler.passes import lower
from spikeloom.sim.spike_files import InputSpikes, read_spikes, write_spikes

NODES = """
    current = MatMul (spikes, weight) lif, v = spikeloom.Neuron (current, alpha, beta, threshold)
    counts = ReduceSum <keepdims = 0> (lif, time)
"""
HEADER = "sample,step,input\n"


@pytest.fixture(scope="module")
def network(parse_model: Callable[..., onnx.ModelProto]) -> Network:
    """Four time steps, three inputs, two classes."""
    return lower(examine(parse_model(NODES), "small").require())


def test_npz_gives_back_what_was_written(network: Network, tmp_path: Path) -> None:
    spikes = np.random.default_rng(0).integers(0, 2, (4, 5, 3)).astype(np.uint8)
    labels = np.asarray([0, 1, 1, 0, 1])
    path = tmp_path / "spikes.npz"
    write_spikes(path, InputSpikes(spikes, labels))
    read = read_spikes(path, network)
    assert read.labels is not None
    assert np.array_equal(read.spikes, spikes)
    assert read.spikes.dtype == np.uint8
    assert np.array_equal(read.labels, labels)
    write_spikes(path, InputSpikes(spikes))
    assert read_spikes(path, network).labels is None


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_lists_events(newline: str, network: Network, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    text = HEADER + "0,0,2\n0,0,1\n0,3,0\n 2, 1, 0\n\n"
    path.write_bytes(text.replace("\n", newline).encode())
    read = read_spikes(path, network)
    wanted = np.zeros((4, 3, 3), np.uint8)
    wanted[[0, 0, 3, 1], [0, 0, 0, 2], [2, 1, 0, 0]] = 1
    assert np.array_equal(read.spikes, wanted)
    assert read.labels is None


def test_file_without_a_sample_is_refused(network: Network, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(HEADER)
    np.savez(tmp_path / "none.npz", spikes=np.zeros((4, 0, 3)))
    for name in ("events.csv", "none.npz"):
        with pytest.raises(SpikeloomError, match=f"{name}' holds no samples"):
            read_spikes(tmp_path / name, network)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("0,0,1\n0,0,3\n", "line 3: input is 3; wanted 0 .. 2"),
        ("0,4,0\n", "line 2: step is 4; wanted 0 .. 3"),
        ("-1,0,0\n", "line 2: sample is -1; wanted 0 .."),
        ("999999999999,0,0\n", "line 2: sample is 999999999999; wanted 0 .."),
        ("1,0,0\n0,0,0\n", "line 3: sample 0, step 0 stands behind sample 1, step 0"),
        ("0,2,0\n0,1,0\n", "line 3: sample 0, step 1 stands behind sample 0, step 2"),
        ("0,0,1\n0,0,2\n0,0,1\n", "line 4: sample 0 has an event of input 1 at step 0 already"),
        ("0,0,1\n\n0,0,1\n", "line 4: sample 0 has an event"),
        ("0,0,1.0\n", "line 2: input is '1.0'; wanted an integer"),
        ("0,,1\n", "line 2: step is ''; wanted an integer"),
        ("0,1_0,1\n", "line 2: step is '1_0'; wanted an integer"),
        ("0,0\n", "line 2: 2 fields; wanted 3"),
        ("0,0,0,1\n", "line 2: 4 fields; wanted 3"),
    ],
)
def test_bad_event_is_refused_by_its_line(
    lines: str, text: str, network: Network, tmp_path: Path
) -> None:
    path = tmp_path / "events.csv"
    path.write_text(HEADER + lines)
    with pytest.raises(SpikeloomError) as raised:
        read_spikes(path, network)
    assert f"'{path}', {text}" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "line 1: the header is ''; wanted 'sample,step,input'"),
        (b"step,sample,input\n", "line 1: the header is 'step,sample,input'"),
        (b"0,0,1\n", "line 1: the header is '0,0,1'"),
        (b"sample,step,input\n\xff\xfe", "is not a CSV file"),
    ],
)
def test_file_that_is_no_list_of_events_is_refused(
    content: bytes, text: str, network: Network, tmp_path: Path
) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(content)
    with pytest.raises(SpikeloomError, match=r"events\.csv'") as raised:
        read_spikes(path, network)
    assert text in str(raised.value)


@pytest.mark.parametrize("content", [None, b"", b"text", b"PK\x03\x04 cut"])
def test_npz_that_cannot_be_read_is_told(
    content: bytes | None, network: Network, tmp_path: Path
) -> None:
    path = tmp_path / "spikes.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpikeloomError, match=r"spikes\.npz'"):
        read_spikes(path, network)


def test_damaged_npz_is_refused_wherever_the_damage_is(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "spikes.npz"
    write_spikes(path, InputSpikes(np.ones((4, 2, 3), np.uint8)))
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(SpikeloomError):
            read_spikes(path, network)
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        # A byte that nothing depends on may change; an error of another kind is a bug.
        with suppress(SpikeloomError):
            read_spikes(path, network)


@pytest.mark.parametrize(
    ("spikes", "text"),
    [
        (np.full((4, 2, 3), 2), "input spike at step 0, sample 0, input 0 is 2"),
        (np.zeros((4, 2)), "shape (4, 2)"),
        (np.zeros((3, 2, 3)), "shape (3, 2, 3)"),
        (np.zeros((4, 2, 5)), "shape (4, 2, 5)"),
        (np.full((4, 2, 3), np.nan), "is nan"),
        (np.full((4, 2, 3), "1"), "input spikes are of type <U1"),
        (np.zeros((4, 2, 3), complex), "input spikes are of type complex128"),
        (np.zeros((4, 2, 3), [("a", "u1")]), "input spikes are of type"),
    ],
    ids=["not binary", "two axes", "another T", "another size", "nan", "text", "complex", "fields"],
)
def test_spikes_that_do_not_fit_are_refused(
    spikes: np.ndarray[Any, Any], text: str, network: Network, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.npz"
    np.savez(path, spikes=spikes)
    with pytest.raises(SpikeloomError, match=r"wrong\.npz'") as raised:
        read_spikes(path, network)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([0], "labels of shape (1,)"),
        ([0.0, 1.0], "type float64"),
        ([0, 2], "sample 1 the label 2; network 'small' has the classes 0 .. 1"),
        ([-1, 0], "sample 0 the label -1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    labels: list[float], text: str, network: Network, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.npz"
    np.savez(path, spikes=np.zeros((4, 2, 3)), labels=np.asarray(labels))
    with pytest.raises(SpikeloomError, match=r"wrong\.npz'") as raised:
        read_spikes(path, network)
    assert text in str(raised.value)


def test_other_endings_are_refused(network: Network, tmp_path: Path) -> None:
    with pytest.raises(SpikeloomError, match=r"ends in '\.txt'; spikes come as \.npz or \.csv"):
        read_spikes(tmp_path / "spikes.txt", network)


def graded(network: Network) -> Network:
    events = Events(-14, 90, 2.0**-5, constant=True, folded=True)
    return replace(network, events=events)


def test_npz_of_currents_is_read_as_events(network: Network, tmp_path: Path) -> None:
    events = np.random.default_rng(2).integers(-14, 91, (1, 3, network.input.size))
    events = np.broadcast_to(events, (network.steps, *events.shape[1:])).astype(np.int8)
    path = tmp_path / "test.npz"
    write_spikes(path, InputSpikes(events, np.zeros(3, np.int64)), graded(network))
    with np.load(path) as file:
        assert file["spikes"].dtype == np.float32
        assert np.array_equal(file["spikes"], events / 32)
    got = read_spikes(path, graded(network))
    assert got.spikes.dtype == np.int8
    assert np.array_equal(got.spikes, events)


def test_csv_for_graded_input_is_refused(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "spikes.csv"
    path.write_text("sample,step,input\n0,0,0\n")
    with pytest.raises(
        SpikeloomError,
        match=r"'.*spikes\.csv' lists spikes, but network '.*' takes events of -14 \.\. 90 steps "
        r"of 0\.03125; wanted an \.npz file",
    ):
        read_spikes(path, graded(network))


def test_pixels_stand_for_an_input_that_is_the_same_in_all_steps(
    network: Network, tmp_path: Path
) -> None:
    path = tmp_path / "pixels.npz"
    pixels = np.array([[0, 7, 255], [1, 2, 3]], np.uint8)
    np.savez(path, pixels=pixels, labels=[0, 1])
    read = read_spikes(path, network.with_on_chip(OnChipEncoder("bernoulli")))
    assert np.array_equal(read.spikes, np.stack([pixels] * 4))
    assert read.labels is not None and read.labels.tolist() == [0, 1]
    with pytest.raises(SpikeloomError, match="it holds 'pixels'; the network takes 'spikes'"):
        read_spikes(path, network)
