"""Folding: how many lanes each layer gets so that the accelerator fits a part."""

from dataclasses import dataclass

from spikeloom.compiler.cores import Core, map_network
from spikeloom.compiler.ir import Network

# Look-up tables, measured on synthesised designs for ECP5: what a lane takes per bit of its sums
# (the adder and its share of the choice of a row), what a fire lane takes per bit of its membrane
# (three adders, saturation, states), and what a core and the ports take whatever their width.
LUTS_PER_LANE_BIT = 1.75
LUTS_PER_FIRE_LANE_BIT = 6.0
LUTS_PER_CORE = 170
LUTS_OF_PORTS = 450

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
        cores = map_network(network, lanes, {})
        foldable = [core for core in cores if core.lanes > 1]
        if not foldable or _fits(cores, budget):
            return lanes
        if _multipliers(cores) > budget.multipliers:
            costliest = max(foldable, key=_core_multipliers)
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
    return sum(_core_multipliers(core) for core in cores)


def _core_multipliers(core: Core) -> int:
    """Of the decays, and of the weights where an event is more than a sign."""
    products = sum(core.fire_lanes for decay in core.decays if core.is_product(decay))
    return products + (core.lanes if core.has_products else 0)


def _core_luts(core: Core) -> float:
    states = len(core.decays) * core.fire_lanes * core.neuron.accumulator_bits
    return (
        LUTS_PER_CORE
        + LUTS_PER_LANE_BIT * core.lanes * core.sum_bits
        + LUTS_PER_FIRE_LANE_BIT * states
    )


def _blocks(cores: tuple[Core, ...], budget: Budget) -> int:
    return sum(_core_blocks(core, budget) for core in cores)


def _core_blocks(core: Core, budget: Budget) -> int:
    """Block RAMs of a core: weights, sums of more than one group, states of more than one row."""
    words = [(core.inputs * core.groups, core.lanes * core.weight_bits)]
    if core.groups > 1:
        words.append((core.groups, core.lanes * core.sum_bits))
    if core.rows > 1:
        words.append((core.rows, core.fire_lanes * core.neuron.accumulator_bits))
    return sum(
        -(-width // budget.block_width) * -(-depth // budget.block_depth) for depth, width in words
    )
