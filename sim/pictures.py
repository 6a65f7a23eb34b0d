"""Pictures of what a network did and of what it costs.

The colours are those of Okabe and Ito, which people with any kind of colour vision tell apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeloom.compiler.errors import SpikeloomError, ToolMissing
from spikeloom.compiler.files import replacing
from spikeloom.compiler.fixed import IntArray
from spikeloom.compiler.ir import FixedNeuron, Network
from spikeloom.compiler.reference import Trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from spikeloom.compiler.folding import Folding
    from spikeloom.sim.benchmarks import DensityRow, Line
    from spikeloom.sim.layer_cycles import LayerCycles

SPIKES, WINNER, OTHERS = "#0072B2", "#D55E00", "#8C8C8C"

DPI = 150

# Above this many neurons a panel no longer names each of them.
NAMED_NEURONS = 20


def spike_raster(
    network: Network, trace: Trace, sample: int, path: Path, title: str | None = None
) -> None:
    """Draw the spikes of all populations in one sample, one panel each, over the time steps.

    The class that wins is marked, and each class has its score at the right.

    Parameters
    ----------
    title : by default the network, the sample and the class

    Raises
    ------
    SpikeloomError
        If there is no such sample, or no writer for the ending of `path`.
    """
    _check_sample(trace, sample)
    names = [item.name for item in network.populations]
    heights = [0.9 + np.sqrt(item.size) / 6 for item in network.populations]
    figure = _new_figure(7.2, 1.0 + sum(heights))
    panels = figure.subplots(
        len(names), 1, sharex=True, squeeze=False, height_ratios=heights
    ).ravel()
    winner = int(trace.classes[sample])
    for axes, name in zip(panels, names, strict=True):
        spikes = trace.spikes[name][:, sample]
        is_readout = name == network.readout.population
        _draw_spikes(axes, spikes, winner if is_readout else None)
        axes.set_ylabel(f"{name} (input)" if name == network.input.name else name)
        axes.set_title(f"{spikes.sum():,} events", loc="right", fontsize="small", color="0.35")
        if is_readout and spikes.shape[1] <= NAMED_NEURONS:
            _write_scores(axes, trace.scores[sample], winner)
    _label_steps(panels[-1], network.steps)
    figure.align_ylabels()
    figure.suptitle(title or _caption(network, trace, sample))
    _save(figure, path)


def membrane_plot(
    network: Network, trace: Trace, sample: int, path: Path, title: str | None = None
) -> None:
    """Draw the membranes of the readout's neurons in one sample, before the reset.

    Dots mark spikes. The class that wins and its threshold are in colour, the others are grey.

    Parameters
    ----------
    trace : with membranes
    title : by default the network, the sample and the class

    Raises
    ------
    SpikeloomError
        If there is no such sample, or no writer for the ending of `path`.
    """
    _check_sample(trace, sample)
    name = network.readout.population
    neuron = network.population(name).neuron
    assert isinstance(neuron, FixedNeuron) and name in trace.membranes
    membranes = trace.membranes[name][:, sample]
    spikes = trace.spikes[name][:, sample].astype(bool)
    winner = int(trace.classes[sample])
    steps = np.arange(network.steps)
    figure = _new_figure(7.2, 4.0)
    axes = figure.subplots()
    for index in range(membranes.shape[1]):
        wins = index == winner
        colour = WINNER if wins else OTHERS
        style: dict[str, Any] = {"color": colour, "zorder": 4 if wins else 2}
        axes.plot(steps, membranes[:, index], linewidth=2.2 if wins else 1.0, **style)
        fired = spikes[:, index]
        axes.plot(steps[fired], membranes[fired, index], "o", markersize=6 if wins else 4, **style)
    axes.axhline(int(neuron.threshold[winner]), color="black", linestyle="--", linewidth=1.0)
    _explain_membranes(figure, winner, int(neuron.threshold[winner]))
    if membranes.shape[1] <= NAMED_NEURONS:
        _name_curves(axes, membranes[-1], winner)
    axes.set_ylabel(f"membrane of {name}, before the reset")
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    _label_steps(axes, network.steps)
    figure.suptitle(title or _caption(network, trace, sample))
    _save(figure, path)


def density_plot(rows: Sequence[DensityRow], line: Line, path: Path, title: str) -> None:
    """Draw the cycles per time step against the input events per time step, with the line fitted.

    Raises
    ------
    SpikeloomError
        If there is no writer for the ending of `path`.
    """
    figure = _new_figure(6.4, 4.2)
    axes = figure.subplots()
    events = np.asarray([row.events_per_step for row in rows])
    cycles = [row.cycles_per_step for row in rows]
    axes.plot(
        events,
        line.cycles_at(events),
        color=OTHERS,
        label=f"line: {line.cycles_at_rest:.2f} + {line.cycles_per_event:.3f} per event",
    )
    axes.plot(events, cycles, "o", color=SPIKES, label="counted on the cycle model")
    # Labels of neighbours that are too close to both be read are left out, the sparser one first.
    labelled = np.inf
    for row in reversed(rows):
        if labelled - row.events_per_step > events.max() / 30:
            labelled = row.events_per_step
            axes.annotate(
                f"{row.density_percent:g} %",
                (row.events_per_step, row.cycles_per_step),
                xytext=(7, -11),
                textcoords="offset points",
                fontsize="small",
                color="0.35",
            )
    axes.set_xlim(-0.02 * events.max(), 1.1 * events.max())
    axes.set_ylim(bottom=0)
    axes.set_xlabel("input events per time step (and share of the inputs that spike)")
    axes.set_ylabel("clock cycles per time step")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="upper left")
    figure.suptitle(title)
    _save(figure, path)


def folding_plot(front: Sequence[Folding], path: Path, title: str) -> None:
    """Draw the look-up tables of foldings against their cycles per sample; the last is the chosen.

    Raises
    ------
    SpikeloomError
        If there is no writer for the ending of `path`.
    """
    figure = _new_figure(6.4, 4.2)
    axes = figure.subplots()
    luts = [item.luts for item in front]
    cycles = [item.cycles for item in front]
    axes.plot(luts, cycles, "o-", color=SPIKES, markersize=3.5, label="neither smaller nor faster")
    axes.plot(luts[-1:], cycles[-1:], "o", color=WINNER, label="chosen: the fastest")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("look-up tables, estimated")
    axes.set_ylabel("clock cycles per sample, estimated")
    axes.grid(color="0.9", which="both")
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(title)
    _save(figure, path)


def layer_plot(layers: Sequence[LayerCycles], path: Path, title: str) -> None:
    """Draw the clock cycles of each layer as bars: its events and scans, and without spikes.

    Raises
    ------
    SpikeloomError
        If there is no writer for the ending of `path`.
    """
    figure = _new_figure(1.6 + 1.3 * len(layers), 4.2)
    axes = figure.subplots()
    places = np.arange(len(layers))
    adding = [item.adding for item in layers]
    scanning = [item.scanning for item in layers]
    axes.bar(places - 0.2, adding, 0.36, color=SPIKES, label="events")
    axes.bar(places - 0.2, scanning, 0.36, adding, color=WINNER, label="fire scans")
    artificial = [item.artificial for item in layers]
    axes.bar(places + 0.2, artificial, 0.36, color=OTHERS, label="artificial layer, same lanes")
    for place, item in zip(places, layers, strict=True):
        axes.text(
            place - 0.2, item.cycles, f"{item.over_bound:.2f} x bound", ha="center", va="bottom"
        )
    axes.set_xticks(places, [f"{item.name}\n{item.lanes} lanes" for item in layers])
    axes.set_ylabel("clock cycles per sample")
    axes.margins(y=0.1)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(title)
    _save(figure, path)


def _new_figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ToolMissing(
            "pictures need matplotlib; install it with 'pip install matplotlib'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    endings = figure.canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in endings:
        raise SpikeloomError(
            f"picture '{path}' ends in '{path.suffix}'; wanted one of {', '.join(sorted(endings))}"
        )
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DPI)


def _check_sample(trace: Trace, sample: int) -> None:
    samples = len(trace.scores)
    if not 0 <= sample < samples:
        raise SpikeloomError(f"there is no sample {sample}; there are {samples}, from 0 on")


def _caption(network: Network, trace: Trace, sample: int) -> str:
    return f"{network.name}, sample {sample}: class {trace.classes[sample]}"


def _draw_spikes(axes: Axes, spikes: np.ndarray[Any, Any], winner: int | None) -> None:
    """One stroke per spike; `winner` is the neuron whose spikes are marked."""
    steps, neurons = spikes.shape
    step, neuron = np.nonzero(spikes)
    colours = [WINNER if index == winner else SPIKES for index in neuron.tolist()]
    axes.vlines(
        step,
        neuron - 0.4,
        neuron + 0.4,
        colors=colours,
        linewidth=float(np.clip(90 / steps, 0.8, 8.0)),
    )
    axes.set_ylim(neurons - 0.3, -0.7)
    axes.set_yticks(range(neurons) if neurons <= NAMED_NEURONS else (0, neurons - 1))
    axes.tick_params(axis="y", labelsize="small", length=0 if neurons <= NAMED_NEURONS else 3)
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)


def _write_scores(axes: Axes, scores: IntArray, winner: int) -> None:
    for index, score in enumerate(scores):
        _write_at_right(axes, index, f"{score}", index == winner)
    axes.yaxis.get_ticklabels()[winner].set(color=WINNER, fontweight="bold")


def _write_at_right(axes: Axes, height: float, text: str, wins: bool) -> None:
    axes.annotate(
        text,
        (1.01, height),
        xycoords=("axes fraction", "data"),
        verticalalignment="center",
        fontsize="small",
        color=WINNER if wins else "0.35",
        fontweight="bold" if wins else "normal",
    )


def _name_curves(axes: Axes, ends: IntArray, winner: int) -> None:
    """Write each curve's number at its right end, moved up or down where two would overlap."""
    order = np.argsort(ends, kind="stable")
    low, high = axes.get_ylim()
    gap = (high - low) / 22
    places = ends[order].astype(float)
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + gap)
    places += (ends[order] - places).mean()
    for number, place in zip(order, places, strict=True):
        _write_at_right(axes, place, f"{number}", number == winner)


def _explain_membranes(figure: Figure, winner: int, threshold: int) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=WINNER, linewidth=2.2, label=f"class {winner}, the winner"),
        Line2D([], [], color="black", linestyle="--", label=f"its threshold, {threshold}"),
        Line2D([], [], color=OTHERS, label="other classes"),
        Line2D([], [], color=OTHERS, marker="o", markersize=4, linestyle="", label="spike"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def _label_steps(axes: Axes, steps: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(-0.5, steps - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=16, integer=True))
    axes.set_xlabel("time step")
