"""Pictures: what is drawn is what the trace holds; and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Network
from spikeloom.compiler.onnx_import import examine
from spikeloom.compiler.passes import lower
from spikeloom.compiler.reference import Trace
from spikeloom.sim import pictures
from spikeloom.sim.benchmarks import DensityRow, fit_line
from spikeloom.sim.layer_cycles import LayerCycles

# The second of two outputs always spikes.
NODES = """
    product = MatMul (spikes, weight) current = Add (product, drive)
    out, v = spikeloom.Neuron (current, alpha, beta, threshold)
    counts = ReduceSum <keepdims = 0> (out, time)
"""
SAMPLE = 2


@pytest.fixture(scope="module")
def network(parse_model: Callable[..., onnx.ModelProto]) -> Network:
    model = parse_model(NODES, initializers="float[2] drive = {-20, 3}")
    return lower(examine(model, "small").require())


@pytest.fixture(scope="module")
def trace(network: Network) -> Trace:
    spikes = np.random.default_rng(5).integers(0, 2, (4, 3, 3)).astype(np.uint8)
    return reference.run(network, spikes, membranes=True)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures saved."""
    saved: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, path: Path, dpi: int) -> None:
        saved.append(figure)
        save(figure, path, dpi=dpi)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def strokes(axes: Axes) -> list[tuple[int, int, str]]:
    """Time step, neuron and colour of the spikes drawn."""
    (drawn,) = (item for item in axes.collections if isinstance(item, LineCollection))
    segments = [np.asarray(item) for item in drawn.get_segments()]
    colours = np.broadcast_to(np.atleast_2d(drawn.get_colors()), (len(segments), 4))
    return [
        (round(float(item[0, 0])), round(float(item[:, 1].mean())), to_hex(colour).upper())
        for item, colour in zip(segments, colours, strict=True)
    ]


def test_raster_has_a_stroke_per_spike_and_marks_the_winner(
    network: Network, trace: Trace, figures: list[Figure], tmp_path: Path
) -> None:
    path = tmp_path / "raster.png"
    pictures.spike_raster(network, trace, SAMPLE, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [item.name for item in tmp_path.iterdir()] == ["raster.png"]
    given, out = figures[0].axes
    drawn = {stroke[:2] for stroke in strokes(given)}
    steps, neurons = np.nonzero(trace.spikes["spikes"][:, SAMPLE])
    assert drawn == set(zip(steps.tolist(), neurons.tolist(), strict=True))
    assert strokes(out) == [(step, 1, pictures.WINNER) for step in range(4)]
    assert given.get_ylabel() == "spikes (input)"
    assert [item.get_text() for item in out.texts] == ["0", "4"]
    assert figures[0].get_suptitle() == "small, sample 2: class 1"


def test_membranes_and_threshold_are_drawn(
    network: Network, trace: Trace, figures: list[Figure], tmp_path: Path
) -> None:
    pictures.membrane_plot(network, trace, SAMPLE, tmp_path / "membranes.png", "a title")
    (axes,) = figures[0].axes
    winners = [line for line in axes.lines if line.get_color() == pictures.WINNER]
    curve, spikes = winners
    membranes = trace.membranes["out"][:, SAMPLE, 1]
    assert np.array_equal(curve.get_ydata(), membranes)
    assert np.array_equal(spikes.get_ydata(), membranes[trace.spikes["out"][:, SAMPLE, 1] == 1])
    neuron = network.layers[0].neuron
    assert neuron is not None
    threshold = int(neuron.threshold[1])
    assert np.array_equal(axes.lines[-1].get_ydata(), [threshold, threshold])
    assert figures[0].get_suptitle() == "a title"


def test_names_of_curves_do_not_overlap(figures: list[Figure]) -> None:
    axes = Figure().subplots()
    axes.set_ylim(0, 100)
    pictures._name_curves(axes, np.asarray([50, 50, 51, 90]), winner=3)
    places = [item.xy[1] for item in axes.texts]  # type: ignore[attr-defined]  # all Annotations
    assert [item.get_text() for item in axes.texts] == ["0", "1", "2", "3"]
    assert (np.diff(places) > 4).all()


def test_density_picture_shows_every_row(figures: list[Figure], tmp_path: Path) -> None:
    rows = tuple(
        DensityRow(density, events, 0.0, 3 + events, events)
        for density, events in ((0.0, 0.0), (1.0, 0.1), (50.0, 5.0), (100.0, 10.0))
    )
    pictures.density_plot(rows, fit_line(rows), tmp_path / "density.png", "small")
    (axes,) = figures[0].axes
    assert np.allclose(axes.lines[1].get_xydata(), [(0, 3), (0.1, 3.1), (5, 8), (10, 13)])
    # Where two dots lie too close, the denser one is labelled.
    assert [item.get_text() for item in axes.texts] == ["100 %", "50 %", "1 %"]


def test_layer_picture_stacks_scans_on_events(figures: list[Figure], tmp_path: Path) -> None:
    layers = [
        LayerCycles("first", 4, 10.0, 20.0, 6, 13.0, 40.0),
        LayerCycles("second", 2, 5.0, 8.0, 2, 10.0, 4.0),
    ]
    pictures.layer_plot(layers, tmp_path / "layers.png", "small")
    (axes,) = figures[0].axes
    bars = [(bar.get_y(), bar.get_height()) for bar in axes.patches if isinstance(bar, Rectangle)]
    assert bars == [(0, 20), (0, 8), (20, 6), (8, 2), (0, 40), (0, 4)]
    assert [item.get_text() for item in axes.texts] == ["2.00 x bound", "1.00 x bound"]


@pytest.mark.parametrize("sample", [-1, 3])
def test_sample_that_is_not_there_is_refused(
    sample: int, network: Network, trace: Trace, tmp_path: Path
) -> None:
    for draw in (pictures.spike_raster, pictures.membrane_plot):
        with pytest.raises(SpikeloomError, match=f"no sample {sample}; there are 3, from 0 on"):
            draw(network, trace, sample, tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["picture.npz", "picture"])
def test_picture_of_an_unknown_kind_is_refused(
    name: str, network: Network, trace: Trace, tmp_path: Path
) -> None:
    with pytest.raises(SpikeloomError, match=r"ends in '.*'; wanted one of .*png"):
        pictures.spike_raster(network, trace, 0, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_network_of_many_neurons_is_drawn_without_a_name_for_each(
    parse_model: Callable[..., onnx.ModelProto], figures: list[Figure], tmp_path: Path
) -> None:
    numbers = ", ".join(["1"] * 90)
    model = parse_model(
        NODES.replace("weight", "wide").replace("drive", "thirty"),
        outputs="float[N,30] counts",
        initializers=f"float[3,30] wide = {{{numbers}}}, float[30] thirty = {{{numbers[:88]}}}",
    )
    network = lower(examine(model, "wide").require())
    trace = reference.run(network, np.ones((4, 1, 3), np.uint8), membranes=True)
    pictures.spike_raster(network, trace, 0, tmp_path / "raster.png")
    pictures.membrane_plot(network, trace, 0, tmp_path / "membranes.png")
    assert list(figures[0].axes[1].get_yticks()) == [0, 29]
    assert not figures[1].axes[0].texts
