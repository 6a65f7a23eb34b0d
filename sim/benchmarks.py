# amaranth: UnusedElaboratable=no
"""What the accelerator and the software cost: cycles against density, samples per second."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler import reference
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.ir import FixedNeuron, Network, Population
from spikeloom.compiler.program import Program
from spikeloom.rtl.top import Accelerator
from spikeloom.sim.latency import lower_bound, pipelined_cycles
from spikeloom.sim.stimulus import input_words

FloatArray = NDArray[np.float64]
Advance = Callable[[int], None]

DENSITIES_PERCENT = (0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0)

# Each rate is the best of at least so many runs, which go on for at least so many seconds.
RUNS, SECONDS = 5, 0.5


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


@dataclass(frozen=True, slots=True)
class RateRow:
    """Samples per second at one batch size: the integer reference, and a loop in floats."""

    batch: int
    reference: float
    float_loop: float

    @property
    def ratio(self) -> float:
        """How many times as fast as the loop in floats the integer reference is."""
        return self.reference / self.float_loop


def measure_rate(network: Network, spikes: Spikes, batch: int) -> RateRow:
    """Time the integer reference and `run_in_floats` in turns on one batch.

    Parameters
    ----------
    spikes : array of 0 and 1, shape (T, samples, inputs), at least one sample; used over and over
        where the batch takes more than there are
    """
    chosen = np.ascontiguousarray(spikes[:, np.arange(batch) % spikes.shape[1]])
    functions: tuple[Callable[[Network, Spikes], object], ...] = (reference.run, run_in_floats)
    best = [np.inf for _ in functions]
    runs, spent = 0, 0.0
    while runs < RUNS or spent < SECONDS:
        runs += 1
        for index, function in enumerate(functions):
            start = time.perf_counter()
            function(network, chosen)
            seconds = time.perf_counter() - start
            best[index] = min(best[index], seconds)
            spent += seconds
    return RateRow(batch, batch / best[0], batch / best[1])


def measure_cycle_model(program: Program, spikes: Spikes) -> float:
    """Clock cycles per second of the cycle model, taking no note of what it does.

    Parameters
    ----------
    spikes : array of 0 and 1, shape (T, samples, inputs), at least one sample
    """
    words = input_words(program.network, spikes)
    model = Accelerator(program).model()
    cycles = position = 0
    start = time.perf_counter()
    while (seconds := time.perf_counter() - start) < SECONDS:
        word, last = words[position % len(words)]
        position += model.s_axis_tready
        model.clock(word, last, True)
        cycles += 1
    return cycles / seconds


def run_in_floats(network: Network, spikes: Spikes) -> NDArray[np.int64]:
    """The scores of a fixed network computed as one would without fixed point: step by step.

    The same weights, decays and thresholds in float32; membranes are neither rounded nor saturated,
    so a spike may differ now and then.

    Parameters
    ----------
    spikes : array of 0 and 1, shape (T, batch, inputs)

    Returns
    -------
    Array of shape (batch, classes).
    """
    layers = [_FloatLayer(network, layer, spikes.shape[1]) for layer in network.layers]
    fired: dict[str, NDArray[np.float32]] = {}
    classes = network.population(network.readout.population).size
    scores = np.zeros((spikes.shape[1], classes), np.int64)
    for step in range(network.steps):
        fired[network.input.name] = spikes[step].astype(np.float32)
        for layer in layers:
            fired[layer.name] = layer.step(fired)
        scores += fired[network.readout.population].astype(np.int64)
    return scores


class _FloatLayer:
    """A layer of `run_in_floats`, with its membranes; all arrays are float32."""

    def __init__(self, network: Network, population: Population, batch: int) -> None:
        neuron = population.neuron
        assert isinstance(neuron, FixedNeuron)
        self.name = population.name
        self.weights = {
            edge.pre: np.ldexp(edge.weight.T, edge.weight_shift).astype(np.float32)
            for edge in network.projections_to(population.name)
        }
        self.beta = neuron.decay.factors.astype(np.float32)
        self.bias = neuron.bias.astype(np.float32)
        self.threshold = neuron.threshold.astype(np.float32)
        self.reset = neuron.reset
        self.membrane = np.zeros((batch, population.size), np.float32)

    def step(self, fired: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """The spikes of this time step, given those of the populations before."""
        membrane = self.beta * self.membrane + self.bias
        for pre, weight in self.weights.items():
            membrane += fired[pre] @ weight
        spikes = membrane >= self.threshold
        if self.reset is Reset.ZERO:
            membrane[spikes] = 0
        elif self.reset is Reset.SUBTRACT:
            membrane -= spikes * self.threshold
        self.membrane = membrane
        return spikes.astype(np.float32)


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
        "lanes": {core.name: core.lanes for core in program.cores},
        "versions": {
            "spikeloom": version("spikeloom"),
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "threads": os.environ.get("OMP_NUM_THREADS", "numpy's default"),
    }
