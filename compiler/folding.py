"""Folding: how many lanes each layer gets, so that a network is fast and fits a part.

A folding is chosen before synthesis, so its size is an estimate (`compiler.estimate`). Cycles are
those of `compiler.cores.Core`: the visits of an event, and one per row of the fire scan.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikeloom.compiler.addresses import Addresses
from spikeloom.compiler.budget import Budget
from spikeloom.compiler.convolution_core import ConvolutionCore, legal_lanes
from spikeloom.compiler.cores import Core
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.estimate import core_size, ports_size
from spikeloom.compiler.events_per_cycle import LEGAL, splits_events
from spikeloom.compiler.ir import Network
from spikeloom.compiler.mapping import MAX_FIRE_LANES, map_network
from spikeloom.compiler.on_chip import pixel_rows
from spikeloom.compiler.reference import Trace
from spikeloom.compiler.sources import Source, blocks_sent

# Clock cycles of a time step beside events and rows: the way through the pipeline and back.
CYCLES_PER_STEP = 4

# How many foldings are compared with as many others at once.
_AT_ONCE = 256

ASSUMED_DENSITY = 0.1
"""Share of a population that has an event in a time step, where no spikes are given."""


MeanEvents = Mapping[str, Mapping[int, float]]
"""Per population the mean number of events per sample, if those of so many neighbouring neurons
are one; at least for 1."""


@dataclass(frozen=True, slots=True)
class Folding:
    """Lanes of every layer, and what they are estimated to take.

    Attributes
    ----------
    lanes, fire_lanes, events_per_cycle : as `spikeloom.compiler.program.Program` takes them
    luts, registers, multipliers, blocks, large_blocks : of the accelerator
    cycles : clock cycles per sample, from its first event to its class
    """

    lanes: dict[str, int]
    fire_lanes: dict[str, int]
    events_per_cycle: dict[str, int]
    luts: int
    registers: int
    multipliers: int
    blocks: int
    large_blocks: int
    cycles: int


class _Cost(NamedTuple):
    """Of one layer, or of the layers up to one: the slowest's and all their cycles, and sizes."""

    slowest: float
    total: float
    luts: float
    registers: float
    multipliers: float
    blocks: float
    large_blocks: float


def _ports(network: Network, budget: Budget) -> _Cost:
    """Of what stands beside the cores; an encoder on the chip looks at all pixels in every step."""
    cycles = 0
    if network.on_chip is not None:
        cycles = network.steps * pixel_rows(Addresses(network.input.shape))
    return _Cost(cycles, cycles, *ports_size(network, budget))


def fold(
    network: Network,
    budget: Budget,
    events: MeanEvents | None = None,
    together: Sequence[dict[str, int]] = ({},),
) -> Folding:
    """The fastest folding within a budget; of equally fast ones that with fewest look-up tables.

    Raises
    ------
    SpikeloomError
        As `pareto_front` does.
    """
    return pareto_front(network, budget, events, together)[-1]


def pareto_front(
    network: Network,
    budget: Budget,
    events: MeanEvents | None = None,
    together: Sequence[dict[str, int]] = ({},),
) -> list[Folding]:
    """The foldings within a budget of which no other is both smaller and faster, smallest first.

    Parameters
    ----------
    events : mean number of events per sample that each population sends, all time steps together;
        by default `ASSUMED_DENSITY` of its neurons in each step
    together : events per cycle of the populations, in one or several ways to choose from

    Raises
    ------
    SpikeloomError
        If the accelerator does not take the network, or if no folding is within the budget; the
        text then says which comes nearest.
    """
    ports = _ports(network, budget)
    found: list[Folding] = []
    unmet: SpikeloomError | None = None
    for counts in together:
        options = [
            [(core, _cost(core, budget, sent)) for core in _foldings_of(full)]
            for full, sent in _with_events(network, map_network(network, {}, {}, counts), events)
        ]
        combined = _combine(options, ports, budget)
        found += [_described(chosen, cost) for chosen, cost in combined]
        if not found and unmet is None:
            unmet = _unmet(options, ports, budget)
    if not found:
        assert unmet is not None
        raise unmet
    found.sort(key=lambda item: (item.luts, item.cycles))
    front: list[Folding] = []
    for item in found:
        if not front or item.cycles < front[-1].cycles:
            front.append(item)
    return front


def estimate(
    network: Network,
    lanes: dict[str, int],
    fire_lanes: dict[str, int],
    budget: Budget,
    events: MeanEvents | None = None,
    events_per_cycle: dict[str, int] | None = None,
) -> Folding:
    """What a folding takes on a part whose block RAMs are shaped as those of `budget`.

    Parameters
    ----------
    lanes, fire_lanes, events_per_cycle : as `spikeloom.compiler.program.Program` takes them
    events : as `pareto_front` takes them

    Raises
    ------
    SpikeloomError
        If the accelerator does not take the network, or not with so many lanes.
    """
    cores = map_network(network, lanes, fire_lanes, events_per_cycle)
    costs = [_cost(core, budget, counts) for core, counts in _with_events(network, cores, events)]
    return _described(cores, reduce(_together, costs, _ports(network, budget)))


def mean_events(trace: Trace) -> MeanEvents:
    """Mean number of events per sample that each population sent, of at least one sample.

    Of populations whose spikes the trace has, for each number of neurons whose events are one.
    """
    means = {name: {1: float(counts.mean())} for name, counts in trace.event_counts().items()}
    for name, spikes in trace.spikes.items():
        for count in LEGAL[1:]:
            blocks = blocks_sent(spikes, count).sum(axis=(0, 2), dtype=np.int64)
            means[name][count] = float(blocks.mean())
    return means


def _with_events(
    network: Network, cores: Sequence[Core], events: MeanEvents | None
) -> Iterator[tuple[Core, list[float]]]:
    """Each core with the number of events per sample that it receives from each of its sources."""
    for core in cores:
        yield core, [_mean_sent(network, source, events) for source in core.sources]


def _mean_sent(network: Network, source: Source, events: MeanEvents | None) -> float:
    """Events per sample of a source; where only spikes are known, as if these came by chance."""
    if events is not None and source.events_per_cycle in events[source.name]:
        return events[source.name][source.events_per_cycle]
    density = ASSUMED_DENSITY
    if events is not None:
        density = events[source.name][1] / (network.steps * source.inputs)
    of_block: float = 1 - (1 - min(density, 1.0)) ** source.events_per_cycle
    return network.steps * source.senders * of_block


def _foldings_of(core: Core) -> Iterator[Core]:
    """A layer with every lane number whose groups are about sqrt(2) times as many as the last's.

    A convolution also with all its channels, for each grid of columns and rows.
    """
    lane_counts = {-(-core.channels // round(2 ** (half / 2))) for half in range(32)}
    if isinstance(core, ConvolutionCore):
        grids = legal_lanes(core.convolutions)
        lane_counts |= {count for count in grids if count > core.channels}
    for lanes in sorted(lane_counts):
        wide = min(lanes, core.channels)
        fire_lanes = {min(wide, 1 << power) for power in range(MAX_FIRE_LANES.bit_length())}
        # Membranes are read out one by one.
        for firing in sorted(fire_lanes) if core.sends == "spikes" else (1,):
            folded = replace(core, lanes=lanes, fire_lanes=firing)
            if not splits_events(folded):
                yield folded


def _cost(core: Core, budget: Budget, events: Sequence[float]) -> _Cost:
    visits = sum(
        count * float(core.of_source(core.visits, number).mean())
        for number, count in enumerate(events)
    )
    if core.constant:
        visits /= core.steps
    cycles = visits + core.steps * (core.rows + CYCLES_PER_STEP)
    return _Cost(cycles, cycles, *core_size(core, budget))


def _combine(
    options: Sequence[Sequence[tuple[Core, _Cost]]], ports: _Cost, limits: Budget | None
) -> list[tuple[tuple[Core, ...], _Cost]]:
    """One option per layer in all ways that are within the limits and not worse than another."""
    combined: list[tuple[tuple[Core, ...], _Cost]] = [((), ports)]
    counts = _counts(options, limits)
    for layer in options:
        grown = [
            ((*chosen, core), _together(before, cost))
            for chosen, before in combined
            for core, cost in layer
        ]
        if limits is not None:
            grown = [item for item in grown if _excess(item[1], limits) <= 1]
        costs = np.array([cost for _, cost in grown], float).reshape(-1, len(_Cost._fields))
        combined = [grown[index] for index in _undominated(costs * counts)]
    return combined


def _counts(
    options: Sequence[Sequence[tuple[Core, _Cost]]], limits: Budget | None
) -> NDArray[np.float64]:
    """1 for what decides between foldings, 0 for what cannot run short."""
    limited = ("multipliers", "blocks", "large_blocks")
    ample = {name: False for name in limited}
    if limits is not None:
        for name in limited:
            most = sum(max(getattr(cost, name) for _, cost in layer) for layer in options)
            ample[name] = most <= getattr(limits, name)
    # Registers are told, but never run short.
    deciding = {"registers": 0.0} | {name: 0.0 if ample[name] else 1.0 for name in limited}
    return np.array([deciding.get(name, 1.0) for name in _Cost._fields])


def _together(before: _Cost, layer: _Cost) -> _Cost:
    sums = (first + second for first, second in zip(before[1:], layer[1:], strict=True))
    return _Cost(max(before.slowest, layer.slowest), *sums)


def _undominated(costs: NDArray[np.float64]) -> list[int]:
    """Rows than which no other is better or equal in all columns; of equal rows the first."""
    kept: list[int] = []
    # A row can only be dominated by one that stands before it in this order. Many rows are compared
    # with those kept at once, which leaves few to be compared one by one.
    order = np.lexsort(costs.T[::-1])
    for first in range(0, len(order), _AT_ONCE):
        some = order[first : first + _AT_ONCE]
        beaten = np.zeros(len(some), bool)
        for start in range(0, len(kept), _AT_ONCE):
            front = costs[kept[start : start + _AT_ONCE]]
            left = np.flatnonzero(~beaten)
            beaten[left] = (front[:, None] <= costs[some[left]]).all(axis=2).any(axis=0)
        fresh: list[int] = []
        for index in some[~beaten]:
            if not (costs[fresh] <= costs[index]).all(axis=1).any():
                fresh.append(int(index))
        kept += fresh
    return kept


def _excess(cost: _Cost, budget: Budget) -> float:
    """How many times the budget a design is, in the resource where that is most."""
    pairs = (
        (cost.luts, budget.luts),
        (cost.multipliers, budget.multipliers),
        (cost.blocks, budget.blocks),
        (cost.large_blocks, budget.large_blocks),
    )
    return max(need / allowed if allowed else np.inf for need, allowed in pairs if need)


def _described(cores: Sequence[Core], cost: _Cost) -> Folding:
    # Layers work on different steps at once: of all but the slowest a sample waits for one step.
    cycles = cost.slowest + (cost.total - cost.slowest) / cores[0].steps
    return Folding(
        {core.name: core.lanes for core in cores},
        {core.name: core.fire_lanes for core in cores},
        _events_per_cycle(cores),
        round(cost.luts),
        round(cost.registers),
        round(cost.multipliers),
        round(cost.blocks),
        round(cost.large_blocks),
        round(cycles),
    )


def _events_per_cycle(cores: Sequence[Core]) -> dict[str, int]:
    """Of the populations that send several at once."""
    sources = (source for core in cores for source in core.sources)
    return {item.name: item.events_per_cycle for item in sources if item.events_per_cycle > 1}


def _unmet(
    options: Sequence[Sequence[tuple[Core, _Cost]]], ports: _Cost, budget: Budget
) -> SpikeloomError:
    # Where only the size counts, speed must not keep an option.
    still = [[(core, cost._replace(slowest=0, total=0)) for core, cost in item] for item in options]
    found = _combine(still, ports._replace(slowest=0, total=0), None)
    chosen, cost = min(found, key=lambda item: _excess(item[1], budget))
    lanes = ", ".join(f"{core.name}={core.lanes}" for core in chosen)
    return SpikeloomError(
        f"no folding is within {budget.luts:,} look-up tables, {budget.blocks:,} block RAMs and "
        f"{budget.multipliers:,} multipliers; the nearest, with lanes {lanes}, takes about "
        f"{cost.luts:,.0f}, {cost.blocks:,.0f} and {cost.multipliers:,.0f}"
    )
