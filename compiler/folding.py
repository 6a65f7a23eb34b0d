"""Folding: how many lanes each layer gets so that the accelerator fits a part."""

from dataclasses import dataclass

from spikeloom.compiler.cores import Core, map_network
from spikeloom.compiler.ir import Network

# Look-up tables, measured on synthesised designs (ECP5 and iCE40, 2 to 64 lanes): what a lane
# takes per bit of its accumulator, and what a core and the ports take whatever their width.
LUTS_PER_LANE_BIT = 6.5
LUTS_PER_CORE = 250
LUTS_OF_PORTS = 250

# The share of the look-up tables that is planned for: a fuller part routes badly, and the estimate
# is rough. Block RAMs are counted, so all of them may be used.
LUT_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Budget:
    """What a part offers.

    Attributes
    ----------
    luts : look-up tables
    multipliers : DSP blocks
    blocks : block RAMs
    block_width, block_depth : shape of a block RAM at its widest
    """

    luts: int
    multipliers: int
    blocks: int
    block_width: int
    block_depth: int


def fit_lanes(network: Network, budget: Budget) -> dict[str, int]:
    """Lanes per layer: one per neuron, halved in the costliest layer until all fits.

    Where even one lane per layer does not fit, that is what comes back; the build then says by
    how much the part is too small.
    """
    lanes = {layer.name: layer.size for layer in network.layers}
    while True:
        cores = map_network(network, lanes)
        foldable = [core for core in cores if core.lanes > 1]
        if not foldable or _fits(cores, budget):
            return lanes
        if _multipliers(cores) > budget.multipliers:
            costliest = max(foldable, key=lambda core: _multipliers((core,)))
        elif _blocks(cores, budget) > budget.blocks:
            costliest = max(foldable, key=lambda core: _core_blocks(core, budget))
        else:
            costliest = max(foldable, key=_core_luts)
        lanes[costliest.name] = -(-costliest.lanes // 2)


def _fits(cores: tuple[Core, ...], budget: Budget) -> bool:
    luts = LUTS_OF_PORTS + sum(_core_luts(core) for core in cores)
    return (
        luts <= LUT_SHARE * budget.luts
        and _multipliers(cores) <= budget.multipliers
        and _blocks(cores, budget) <= budget.blocks
    )


def _multipliers(cores: tuple[Core, ...]) -> int:
    return sum(core.lanes for core in cores if core.needs_multiplier)


def _core_luts(core: Core) -> float:
    return LUTS_PER_CORE + LUTS_PER_LANE_BIT * core.lanes * core.neuron.accumulator_bits


def _blocks(cores: tuple[Core, ...], budget: Budget) -> int:
    return sum(_core_blocks(core, budget) for core in cores)


def _core_blocks(core: Core, budget: Budget) -> int:
    """Block RAMs of a core: weights, and with more than one group membranes and biases."""
    words = [(core.inputs * core.groups, core.lanes * core.weight_bits)]
    if core.groups > 1:
        words += [(core.groups, core.lanes * core.neuron.accumulator_bits)] * 2
    return sum(
        -(-width // budget.block_width) * -(-depth // budget.block_depth) for depth, width in words
    )
