"""Where a network's clock cycles go, layer by layer, beside the same layers without spikes."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.compiler.cores import Core
from spikeloom.compiler.program import Program
from spikeloom.compiler.reference import Trace
from spikeloom.compiler.sources import Source


@dataclass(frozen=True, slots=True)
class LayerCycles:
    """Clock cycles that a layer works on a sample, on average; waiting is not counted.

    Attributes
    ----------
    lanes : that add weights
    events : that the layer receives
    adding, scanning : cycles of its events, and of its fire scans
    bound : synapses of the events over lanes, and the fire scans: no core of so many lanes can do
        better
    artificial : cycles of an artificial layer of the same shape on as many lanes: each of its
        products once, whatever the input, and nothing else
    """

    name: str
    lanes: int
    events: float
    adding: float
    scanning: int
    bound: float
    artificial: float

    @property
    def cycles(self) -> float:
        """Of the layer."""
        return self.adding + self.scanning

    @property
    def over_bound(self) -> float:
        """Cycles over the bound."""
        return self.cycles / self.bound

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name, and both ratios."""
        return asdict(self) | {"cycles": self.cycles, "over_bound": self.over_bound}


def layer_cycles(program: Program, trace: Trace) -> list[LayerCycles]:
    """Count the cycles of each layer.

    Parameters
    ----------
    trace : of the program's network, with all spikes, of at least one sample
    """
    found = []
    for core in program.cores:
        per_sender = np.concatenate([_sent(source, core, trace) for source in core.sources])
        scanning = core.rows * core.steps
        found.append(
            LayerCycles(
                core.name,
                core.lanes,
                float(per_sender.sum()),
                float(per_sender @ core.visits),
                scanning,
                float(per_sender @ core.synapses) / core.lanes + scanning,
                products(core) / core.lanes,
            )
        )
    return found


def _sent(source: Source, core: Core, trace: Trace) -> NDArray[np.float64]:
    """Events that count of each sender of a source, per sample."""
    steps = 1 if core.constant else core.steps - source.delay
    sent = source.sent(trace.spikes[source.name][:steps])
    return np.asarray(sent.sum(axis=(0, 1), dtype=np.int64) / sent.shape[1])


def products(core: Core) -> int:
    """Products of an artificial layer of the same shape, per sample."""
    if not isinstance(core, ConvolutionCore):
        return core.inputs * core.neurons
    # Pooling, which comes first, leaves one number of each square.
    return sum(
        int(core.of_source(core.synapses, number).sum()) // source.pooling**2
        for number, source in enumerate(core.sources)
    )
