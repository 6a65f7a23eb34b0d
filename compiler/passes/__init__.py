"""Lowering: the passes that turn a trained network into integers, in their order."""

from collections.abc import Callable

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Network
from spikeloom.compiler.passes.bound_accumulators import bound_accumulators
from spikeloom.compiler.passes.choose_scales import choose_scales
from spikeloom.compiler.passes.fold_gains import fold_gains
from spikeloom.compiler.passes.fold_input_step import fold_input_step
from spikeloom.compiler.passes.make_thresholds_inclusive import make_thresholds_inclusive
from spikeloom.compiler.passes.quantize import quantize
from spikeloom.compiler.passes.repeat_constant_input import repeat_constant_input

Pass = Callable[[Network], Network]

PIPELINE: tuple[Pass, ...] = (
    repeat_constant_input,
    fold_input_step,
    fold_gains,
    make_thresholds_inclusive,
    choose_scales,
    quantize,
    bound_accumulators,
)


def lower(
    network: Network, on_pass: Callable[[str, Network], None] = lambda name, network: None
) -> Network:
    """Run every pass in order; the network is valid before and after each.

    Parameters
    ----------
    network : a network in real numbers, as imported
    on_pass : called with the name of each pass and what it made

    Raises
    ------
    SpikeloomError
        If the network is not valid or cannot be lowered; a note names the pass.
    """
    network.verify()
    for step in PIPELINE:
        try:
            network = step(network)
            network.verify()
        except SpikeloomError as error:
            error.add_note(f"in pass {step.__name__}")
            raise
        on_pass(step.__name__, network)
    return network
