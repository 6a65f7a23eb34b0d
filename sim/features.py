"""What a network can ask of the accelerator, by name: a list that tests must cover, all of it.

A feature is something that a program has or does not have, seen in its network and its folding. The
tests on random networks fail if one of these features was in none of them.
"""

from collections.abc import Callable
from typing import get_args

from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.compiler.cores import DISTRIBUTED_DEPTH, Core
from spikeloom.compiler.fixed import Decay, Reset
from spikeloom.compiler.ir import ReadoutKind
from spikeloom.compiler.program import Program
from spikeloom.compiler.sources import MapSource, Source
from spikeloom.compiler.taps import AxisFolding

Has = Callable[[Program], bool]


def features_of(program: Program) -> list[str]:
    """Names of the features that a program has, in the order of `FEATURES`."""
    return [name for name, has in FEATURES.items() if has(program)]


def _some_core(has: Callable[[Core], bool]) -> Has:
    return lambda program: any(has(core) for core in program.cores)


def _some_convolution(has: Callable[[ConvolutionCore], bool]) -> Has:
    return lambda program: any(
        has(core) for core in program.cores if isinstance(core, ConvolutionCore)
    )


def _some_source(has: Callable[[Source], bool]) -> Has:
    return _some_core(lambda core: any(has(source) for source in core.sources))


def _some_maps(has: Callable[[MapSource], bool]) -> Has:
    return _some_convolution(lambda core: any(has(source) for source in core.sources))


def _some_axes(has: Callable[[AxisFolding, AxisFolding], bool]) -> Has:
    return _some_convolution(lambda core: any(has(*axes) for axes in core.axes))


def _some_decay(has: Callable[[Core, Decay], bool]) -> Has:
    return _some_core(lambda core: any(has(core, decay) for decay in core.decays))


def _is_shift(core: Core, decay: Decay) -> bool:
    return decay.shift > 0 and not core.is_product(decay) and bool(decay.multiplier.all())


def _senders(program: Program) -> list[str]:
    return [item.name for item in program.network.populations]


def _takers(program: Program, name: str) -> list[str]:
    """The other layers that take a population's events."""
    projections = program.network.projections
    return [edge.post for edge in projections if edge.pre == name != edge.post]


def _readout(kind: str) -> Has:
    return lambda program: program.network.readout.kind == kind


def _on_chip(kind: str) -> Has:
    def has(program: Program) -> bool:
        encoder = program.network.on_chip
        return encoder is not None and encoder.kind == kind

    return has


def _reset(rule: Reset) -> Has:
    return _some_core(lambda core: core.neuron.fire and core.neuron.reset is rule)


FEATURES: dict[str, Has] = {
    # Input.
    "input of spikes": lambda program: program.cores[0].value_bits == 0,
    "input of signed events": lambda program: (
        (program.cores[0].lowest, program.cores[0].highest) == (-1, 1)
    ),
    "input of graded events": lambda program: program.cores[0].has_products,
    "constant input": lambda program: program.cores[0].constant,
    "pixels that become random spikes": _on_chip("bernoulli"),
    "pixels that become first spikes": _on_chip("first_spike"),
    # Sources.
    "several projections onto a layer": _some_core(lambda core: len(core.sources) > 1),
    "recurrence": _some_source(lambda source: source.delay > 0),
    "recurrence of the layer that is read out": lambda program: any(
        source.delay for source in program.cores[-1].sources
    ),
    "projection past a layer": lambda program: any(
        len(_takers(program, name)) > 1 for name in _senders(program)
    ),
    "graded events beside spikes": _some_core(
        lambda core: core.has_products and len(core.sources) > 1
    ),
    "projections of different scales": _some_core(lambda core: core.largest_shift > 0),
    "events of a source that wait in a memory": _some_core(
        lambda core: len(core.sources) > 1 and any(source.waiting for source in core.sources)
    ),
    # Neurons.
    "synaptic current": _some_core(lambda core: len(core.decays) == 2),
    "no synaptic current": _some_core(lambda core: len(core.decays) == 1),
    "decay of 0": _some_decay(lambda _, decay: not decay.multiplier.all()),
    "decay of 1": _some_decay(lambda _, decay: bool((decay.factors == 1).any())),
    "decay by a shift alone": _some_decay(_is_shift),
    "decay by a product": _some_decay(Core.is_product),
    "decays per neuron": _some_decay(lambda _, decay: bool(decay.multiplier.std())),
    "thresholds per neuron": _some_core(lambda core: bool(core.neuron.threshold.std())),
    "positive bias": _some_core(lambda core: bool((core.neuron.bias > 0).any())),
    "negative bias": _some_core(lambda core: bool((core.neuron.bias < 0).any())),
    "reset to zero": _reset(Reset.ZERO),
    "reset by subtraction": _reset(Reset.SUBTRACT),
    "no reset": _reset(Reset.NONE),
    "single spike": _some_core(lambda core: core.neuron.fire and core.neuron.single_spike),
    "several spikes": _some_core(lambda core: core.neuron.fire and not core.neuron.single_spike),
    "integrator without spikes": _some_core(lambda core: not core.neuron.fire),
    "weights shifted to the membrane's scale": _some_core(lambda core: core.weight_shift > 0),
    # Where the weights come from.
    "fixed weights": lambda program: program.network.weights == "fixed",
    "weights that can be replaced": lambda program: program.network.weights == "reloadable",
    "weights that have to be loaded": lambda program: program.network.weights == "loaded",
    # Readout.
    **{f"readout of {kind.replace('_', ' ')}": _readout(kind) for kind in get_args(ReadoutKind)},
    "several neurons per class": lambda program: program.network.readout.group > 1,
    "early stop": lambda program: program.network.readout.early_stop,
    "early stop of a window of pixels": lambda program: (
        program.network.readout.early_stop and program.network.on_chip is not None
    ),
    "one class": lambda program: program.network.classes == 1,
    # Folding and size.
    "all lanes": _some_core(lambda core: core.groups == 1),
    "several groups": _some_core(lambda core: core.groups > 1),
    "several events of the input per cycle": lambda program: (
        program.cores[0].sources[0].events_per_cycle > 1
    ),
    "several events of a layer per cycle": _some_core(
        lambda core: core.sent_per_cycle > 1 and core.rows > 1
    ),
    "several graded events per cycle": _some_core(
        lambda core: core.has_products and core.events_per_cycle > 1
    ),
    "sources with different numbers of events per cycle": _some_core(
        lambda core: len({source.events_per_cycle for source in core.sources}) > 1
    ),
    "one lane": _some_core(lambda core: core.lanes == 1 and core.neurons > 1),
    "lanes that do not divide the neurons": _some_core(
        lambda core: core.channels % core.lanes_per_group > 0
    ),
    "fire lanes that do not divide the lanes": _some_core(
        lambda core: core.lanes_per_group % core.fire_lanes > 0
    ),
    "one row": _some_core(lambda core: core.rows == 1),
    "one neuron": _some_core(lambda core: core.neurons == 1),
    "one input": _some_core(lambda core: core.inputs == 1),
    "one layer": lambda program: len(program.cores) == 1,
    "several layers": lambda program: len(program.cores) > 1,
    "one time step": lambda program: program.network.steps == 1,
    "several time steps": lambda program: program.network.steps > 1,
    # Feature maps.
    "convolution": _some_convolution(lambda core: core.positions > 1),
    "dense layer behind feature maps": _some_convolution(
        lambda core: core.positions == 1 and core.convolutions[0].shape[1:] != (1, 1)
    ),
    "several channels in": _some_maps(lambda source: source.maps[0] > 1),
    "padding": _some_maps(lambda source: max(source.convolution.padding) > 0),
    "stride": _some_maps(lambda source: max(source.convolution.stride) > 1),
    "groups of channels": _some_maps(
        lambda source: 1 < source.convolution.groups < source.convolution.shape[0]
    ),
    "depthwise convolution": _some_maps(
        lambda source: 1 < source.convolution.groups == source.convolution.shape[0]
    ),
    "event that skips groups of channels": _some_convolution(
        lambda core: min(core.groups_visited) < core.groups
    ),
    "pooling": _some_maps(lambda source: source.pooling > 1),
    "pooling that leaves pixels over": _some_maps(
        lambda source: any(size % source.pooling for size in source.maps[1:])
    ),
    "several convolutions onto a layer": _some_convolution(
        lambda core: core.positions > 1 and len(core.sources) > 1
    ),
    "recurrence behind feature maps": _some_maps(lambda source: source.delay > 0),
    "event that reaches no neuron": _some_convolution(lambda core: not core.synapses.all()),
    "several columns at once": _some_convolution(lambda core: core.grid.columns > 1),
    "several rows at once": _some_convolution(lambda core: core.grid.rows > 1),
    "several visits along columns": _some_axes(lambda _, columns: columns.most_visits > 1),
    "several visits along rows": _some_axes(lambda rows, _: rows.most_visits > 1),
    "sums in block RAM": _some_convolution(lambda core: core.bank_depth > DISTRIBUTED_DEPTH),
    "sums in distributed memory": _some_convolution(
        lambda core: 1 < core.bank_depth <= DISTRIBUTED_DEPTH
    ),
}
"""Per name, whether a program has the feature."""
