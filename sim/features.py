"""What a network can ask of the accelerator, by name: a list that tests must cover, all of it.

A feature is something that a program has or does not have, seen in its network and its folding. The
tests on random networks fail if one of these features was in none of them.
"""

from collections.abc import Callable
from typing import get_args

from spikeloom.compiler.cores import Core
from spikeloom.compiler.fixed import Decay, Reset
from spikeloom.compiler.ir import ReadoutKind
from spikeloom.compiler.program import Program

Has = Callable[[Program], bool]


def features_of(program: Program) -> list[str]:
    """Names of the features that a program has, in the order of `FEATURES`."""
    return [name for name, has in FEATURES.items() if has(program)]


def _some_core(has: Callable[[Core], bool]) -> Has:
    return lambda program: any(has(core) for core in program.cores)


def _some_decay(has: Callable[[Core, Decay], bool]) -> Has:
    return _some_core(lambda core: any(has(core, decay) for decay in core.decays))


def _is_shift(core: Core, decay: Decay) -> bool:
    return decay.shift > 0 and not core.is_product(decay) and bool(decay.multiplier.all())


def _readout(kind: str) -> Has:
    return lambda program: program.network.readout.kind == kind


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
    # Readout.
    **{f"readout of {kind.replace('_', ' ')}": _readout(kind) for kind in get_args(ReadoutKind)},
    "several neurons per class": lambda program: program.network.readout.group > 1,
    "early stop": lambda program: program.network.readout.early_stop,
    "one class": lambda program: program.network.classes == 1,
    # Folding and size.
    "all lanes": _some_core(lambda core: core.groups == 1),
    "several groups": _some_core(lambda core: core.groups > 1),
    "one lane": _some_core(lambda core: core.lanes == 1 and core.neurons > 1),
    "lanes that do not divide the neurons": _some_core(lambda core: core.neurons % core.lanes > 0),
    "fire lanes that do not divide the lanes": _some_core(
        lambda core: core.lanes % core.fire_lanes > 0
    ),
    "one row": _some_core(lambda core: core.rows == 1),
    "one neuron": _some_core(lambda core: core.neurons == 1),
    "one input": _some_core(lambda core: core.inputs == 1),
    "one layer": lambda program: len(program.cores) == 1,
    "several layers": lambda program: len(program.cores) > 1,
    "one time step": lambda program: program.network.steps == 1,
    "several time steps": lambda program: program.network.steps > 1,
}
"""Per name, whether a program has the feature."""
