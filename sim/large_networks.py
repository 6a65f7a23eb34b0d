# amaranth: UnusedElaboratable=no
"""What large networks need, and what their layers do and cost one by one; see `sim.slices`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeloom.compiler import reference
from spikeloom.compiler.cores import Core
from spikeloom.compiler.estimate import Size, core_size
from spikeloom.compiler.fixed_onnx import fixed_model
from spikeloom.compiler.ir import Network
from spikeloom.rtl.core import LayerCore
from spikeloom.sim.boards import find_part
from spikeloom.sim.layer_cycles import LayerCycles, layer_cycles
from spikeloom.sim.oracle import compare_fixed
from spikeloom.sim.random_networks import random_spikes
from spikeloom.sim.report import Placement
from spikeloom.sim.slices import (
    Slice,
    fitting,
    folded,
    sliced,
    state_bits,
)
from spikeloom.sim.synthesis import synthesise_alone
from spikeloom.sim.verify import Verdict, verify

PART = "LFE5U-85F-6BG381C"
# Lanes of each layer, at most: what a part of this size has room for.
LANES = 64
TARGET_MHZ = 100.0
# Share of a slice's inputs that give an event in a time step.
DENSITY = 0.002

OnStage = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Needs:
    """What a whole network takes.

    Attributes
    ----------
    inputs : samples on which the fixed ONNX file in onnxruntime equalled the integer reference
    numbers : that were compared
    weight_bits, state_bits : of all weights, each once; of all sums, membranes and currents
    layers : where the clock cycles go, with at most `LANES` lanes per layer
    part_bits : of all block RAMs of the part
    """

    network: Network
    inputs: int
    numbers: int
    weight_bits: int
    state_bits: int
    layers: list[LayerCycles]
    part_bits: int

    @property
    def slowest(self) -> LayerCycles:
        """The layer that sets the pace."""
        return max(self.layers, key=lambda layer: layer.cycles)


def needs_of(network: Network, samples: int) -> Needs:
    """Compare a network with its ONNX file on random inputs, and add up what it needs."""
    events = random_spikes(network, samples, 0.5, seed=0)
    numbers = compare_fixed(network, fixed_model(network), events)
    program = folded(network, LANES)
    budget = find_part(PART).budget
    return Needs(
        network=network,
        inputs=samples,
        numbers=numbers,
        weight_bits=sum(edge.weight.size * edge.weight_bits for edge in network.projections),
        state_bits=sum(map(state_bits, program.cores)),
        layers=layer_cycles(program, reference.run(network, events[:, :2])),
        part_bits=budget.blocks * budget.block_width * budget.block_depth,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A core by itself on a part.

    Attributes
    ----------
    channels : of its input that are left
    estimate : what the core was estimated to take
    """

    core: Core
    channels: int
    estimate: Size
    placement: Placement

    @property
    def fmax_mhz(self) -> float:
        """The highest frequency."""
        return min(self.placement.fmax_mhz.values())

    @property
    def resources(self) -> dict[str, int]:
        """How many of each resource are used."""
        return {item.resource: item.used for item in self.placement.utilisation}


def verify_slice(network: Network, item: Slice, folder: Path, seed: int = 0) -> Verdict:
    """Compare a slice's RTL with the cycle model at every clock edge, on one random sample.

    Raises
    ------
    VerificationMismatch
        As `verify` does.
    """
    program = folded(sliced(network, item.layers), LANES)
    events = random_spikes(program.network, 1, DENSITY, seed)
    if not events.any():
        events[0, 0, 0] = 1
    return verify(program, events, folder)


def place_slice(
    network: Network, item: Slice, folder: Path, on_stage: OnStage = lambda stage: None
) -> list[Placed]:
    """Synthesise, place and route each layer of a slice by itself."""
    part = find_part(PART)
    placed = []
    cores = {core.name: core for core in folded(network, LANES).cores}
    for name in item.layers:
        core, channels = fitting(cores[name], part.budget)
        on_stage(name)
        place = folder / f"{item.network}-{name}"
        placement = synthesise_alone(LayerCore(core), part, place, TARGET_MHZ)
        placed.append(Placed(core, channels, core_size(core, part.budget), placement))
    return placed


def as_dict(needs: Needs) -> dict[str, Any]:
    """JSON values of what a network needs."""
    return {
        "steps": needs.network.steps,
        "inputs_compared": needs.inputs,
        "numbers_compared": needs.numbers,
        "weight_bits": needs.weight_bits,
        "state_bits": needs.state_bits,
        "part_bits": needs.part_bits,
        "layer_cycles": [layer.as_dict() for layer in needs.layers],
    }
