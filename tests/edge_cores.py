"""Cores of many kinds, most of them unusual, for what holds of all cores."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from run_time_networks import with_run_time_weights

from networks import LayerOptions
from small_programs import small_maps, small_program, small_residual, small_sources
from spikeloom.compiler.cores import Core
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.geometry import Convolution
from spikeloom.compiler.ir import Events, Readout, ReadoutKind
from spikeloom.compiler.program import Program
from spikeloom.compiler.weight_storage import WeightStorage

SIGNED = Events(lowest=-1)
GRADED = Events(-14, 90, 2.0**-5)
CONSTANT = Events(-14, 90, 2.0**-5, constant=True)
PIXELS = Events(0, 255, 2.0**-8)


def _dense(
    sizes: tuple[int, int],
    lanes: int,
    fire_lanes: int,
    *,
    events: Events | None = None,
    current: float | None = None,
    readout: ReadoutKind | None = None,
    weights: WeightStorage = "fixed",
    single_spike: bool = False,
    **options: Any,
) -> Core:
    program = small_program(
        sizes,
        lanes,
        fire_lanes,
        options=LayerOptions(**options),
        events=events,
        current=current,
        readout=None if readout is None else Readout("layer1", kind=readout),
        **({"single_spike": True} if single_spike else {}),
    )
    if weights != "fixed":
        network = with_run_time_weights(program.network, weights)
        program = Program(network, program.lanes, program.fire_lanes)
    return program.cores[0]


def _maps(
    convolution: Convolution,
    lanes: int,
    fire_lanes: int = 2,
    *,
    core: int = 0,
    pooling: int = 1,
    events: Events | None = None,
) -> Core:
    program = small_maps(
        convolution, lanes=lanes, fire_lanes=fire_lanes, pooling=pooling, events=events
    )
    return program.cores[core]


def _small_weights() -> Core:
    """Whose weights use two of their eight bits."""
    core = _dense((300, 32), 16, 4)
    (source,) = core.sources
    return replace(core, sources=(replace(source, weight=source.weight & 3),))


CORES: dict[str, Callable[[], Core]] = {
    "all lanes": lambda: _dense((200, 60), 60, 8),
    "groups": lambda: _dense((200, 60), 12, 4, reset=Reset.SUBTRACT),
    "few lanes": lambda: _dense((200, 64), 8, 1),
    "signed events": lambda: _dense((100, 40), 10, 4, events=SIGNED),
    "graded events": lambda: _dense((100, 40), 10, 4, events=GRADED),
    "constant input": lambda: _dense((100, 40), 10, 2, events=CONSTANT),
    "current": lambda: _dense((100, 40), 10, 4, current=0.7, decay="general"),
    "current in many rows": lambda: _dense((300, 200), 20, 2, current=0.5, weight_bits=4),
    "decay of 24 bits": lambda: _dense(
        (64, 32), 16, 4, decay="general", decay_bits=16, state_bits=24
    ),
    "decay per neuron": lambda: _dense((64, 36), 12, 4, decay="per neuron", weight_bits=5),
    "one neuron per row": lambda: _dense((30, 300), 3, 1, weight_bits=3),
    "single spikes": lambda: _dense((120, 30), 6, 6, readout="first_spike", single_spike=True),
    "largest membrane": lambda: _dense((120, 10), 10, 1, readout="maximum_membrane"),
    "last membrane": lambda: _dense((120, 10), 4, 1, readout="final_membrane"),
    "two neurons": lambda: _dense((3, 2), 1, 1),
    "many narrow weights": lambda: _dense((784, 64), 8, 2, weight_bits=4),
    "many wide weights": lambda: _dense((1500, 48), 16, 16),
    "small weights": _small_weights,
    "one threshold": lambda: _dense(
        (100, 45), 7, 3, per_neuron=False, weight_bits=6, reset=Reset.NONE
    ),
    "recurrent": lambda: small_sources(lanes=2).cores[0],
    "sources of two scales": lambda: small_sources(lanes=3).cores[1],
    "reloadable": lambda: _dense((100, 30), 10, 5, weight_bits=4, weights="reloadable"),
    "loaded": lambda: _dense((100, 30), 30, 10, weights="loaded"),
    "maps": lambda: _maps(Convolution((3, 12, 12), 8, (3, 3)), 24),
    "rows of maps": lambda: _maps(Convolution((2, 10, 10), 6, (3, 3), padding=(1, 1, 1, 1)), 54, 3),
    "parts of maps": lambda: _maps(Convolution((4, 16, 16), 12, (5, 5), stride=(2, 2)), 12, 4),
    "groups of maps": lambda: _maps(Convolution((4, 20, 20), 10, (3, 3)), 3, 1),
    "depthwise": lambda: _maps(Convolution((6, 9, 9), 6, (3, 3), groups=6), 6, 6),
    "graded maps": lambda: _maps(Convolution((2, 8, 8), 4, (3, 3)), 12, 4, events=PIXELS),
    "pooling": lambda: _maps(Convolution((8, 6, 6), 8, (2, 2), stride=(2, 2), groups=8), 4, 2),
    "behind pooling": lambda: _maps(Convolution((2, 10, 10), 6, (3, 3)), 6, 3, core=1, pooling=2),
    "maps of two sources": lambda: small_residual().cores[1],
    "dense and recurrent behind maps": lambda: small_residual().cores[2],
}
