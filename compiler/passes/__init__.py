"""Lowering: the passes that turn a trained network into integers, in their order."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

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
    network: Network,
    on_pass: Callable[[str, Network], None] = lambda name, network: None,
    like: Network | None = None,
) -> Network:
    """Run every pass in order; the network is valid before and after each.

    Parameters
    ----------
    network : a network in real numbers, as imported
    on_pass : called with the name of each pass and what it made
    like : a fixed network whose scales and widths are taken, so that the weights can be loaded into
        its accelerator; see `spikeloom.compiler.exchange`

    Raises
    ------
    SpikeloomError
        If the network is not valid or cannot be lowered; a note names the pass.
    """
    network.verify()
    if like is not None:
        network = _prepared(network, like)
    given: dict[Pass, Pass] = {
        choose_scales: partial(choose_scales, like=like),
        quantize: partial(quantize, like=like),
        bound_accumulators: partial(bound_accumulators, like=like),
    }
    for step in PIPELINE:
        try:
            network = given.get(step, step)(network)
            network.verify()
        except SpikeloomError as error:
            error.add_note(f"in pass {step.__name__}")
            raise
        on_pass(step.__name__, network)
    return network


def _prepared(network: Network, like: Network) -> Network:
    """The network with the precision of another one, of as many layers and projections."""
    found, wanted = (
        [len(item.projections_to(layer.name)) for layer in item.layers] for item in (network, like)
    )
    if found != wanted:
        raise SpikeloomError(
            f"network '{network.name}' has layers with {found} projections; the accelerator of "
            f"'{like.name}' has layers with {wanted}"
        )
    return replace(network, precision=like.precision, weights=like.weights)
