"""What the accelerator costs: cycles against density; what figures mean nothing without."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler import reference
from spikeloom.compiler.ir import FixedNeuron
from spikeloom.compiler.program import Program
from spikeloom.sim.latency import lower_bound, pipelined_cycles

FloatArray = NDArray[np.float64]
Advance = Callable[[int], None]

DENSITIES_PERCENT = (0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0)


@dataclass(frozen=True, slots=True)
class DensityRow:
    """The accelerator under random input in a steady state.

    Attributes
    ----------
    density_percent : probability of a spike per input and time step
    events_per_step : input events per time step, as drawn
    hidden_events_per_step : events of all layers but the readout's
    cycles_per_step : clock cycles per time step
    bound_per_step : the least number of cycles; see `latency.lower_bound`
    """

    density_percent: float
    events_per_step: float
    hidden_events_per_step: float
    cycles_per_step: float
    bound_per_step: float


@dataclass(frozen=True, slots=True)
class Line:
    """Cycles per time step as a straight line over the input events per time step.

    Attributes
    ----------
    largest_deviation_percent : of a cycle count from the line, in percent of the line
    """

    cycles_at_rest: float
    cycles_per_event: float
    largest_deviation_percent: float

    def cycles_at(self, events: FloatArray) -> FloatArray:
        """Cycles per time step at so many events per time step."""
        return self.cycles_at_rest + self.cycles_per_event * events


def sweep_density(
    program: Program, samples: int, seed: int, advance: Advance = lambda steps: None
) -> tuple[DensityRow, ...]:
    """Count cycles under independent random spikes of each density in `DENSITIES_PERCENT`.

    Parameters
    ----------
    samples : number of samples per density, sent without a gap, at least 1
    seed : of the spikes; the same for every density, so denser input holds the sparser one
    advance : is called after each density
    """
    network = program.network
    shape = (network.steps, samples, network.input.size)
    drawn = np.random.default_rng(seed).random(shape)
    steps = network.steps * samples
    hidden = [layer.name for layer in network.layers if layer.name != network.readout.population]
    rows = []
    for density in DENSITIES_PERCENT:
        spikes = (drawn < density / 100).astype(np.uint8)
        trace = reference.run(network, spikes)
        events = sum(int(trace.spikes[name].sum(dtype=np.int64)) for name in hidden)
        rows.append(
            DensityRow(
                density_percent=density,
                events_per_step=float(spikes.sum(dtype=np.int64)) / steps,
                hidden_events_per_step=events / steps,
                cycles_per_step=float(pipelined_cycles(program, spikes).sum()) / steps,
                bound_per_step=float(lower_bound(program, spikes).sum()) / steps,
            )
        )
        advance(1)
    return tuple(rows)


def fit_line(rows: tuple[DensityRow, ...]) -> Line:
    """The line of least squares through the rows, and how far the farthest lies from it."""
    events = np.asarray([row.events_per_step for row in rows])
    cycles = np.asarray([row.cycles_per_step for row in rows])
    slope, offset = (float(value) for value in np.polyfit(events, cycles, 1))
    line = offset + slope * events
    return Line(offset, slope, float(100 * np.max(np.abs(cycles - line) / np.abs(line))))


def circumstances(program: Program) -> dict[str, Any]:
    """What a figure means nothing without: network, word widths, folding, versions, machine."""
    network = program.network
    return {
        "network": network.name,
        "layers": "-".join(str(item.size) for item in network.populations),
        "steps": network.steps,
        "encoder": network.encoder,
        "weight_bits": network.precision.weight_bits,
        "state_bits": {
            layer.name: layer.neuron.state_bits
            for layer in network.layers
            if isinstance(layer.neuron, FixedNeuron)
        },
        "lanes": {
            layer.name: program.lanes.get(layer.name, layer.size) for layer in network.layers
        },
        "versions": {
            "spikeloom": version("spikeloom"),
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "threads": os.environ.get("OMP_NUM_THREADS", "numpy's default"),
    }
