"""Compiling a network for the accelerator of another one: the option `--for`."""

import argparse
from typing import TYPE_CHECKING

from spikeloom.compiler.errors import SpikeloomError

if TYPE_CHECKING:
    from spikeloom.compiler.ir import Network
    from spikeloom.compiler.program import Program


def given_chip(args: argparse.Namespace) -> "Program | None":
    """The program that `--for` names, if any.

    Raises
    ------
    SpikeloomError
        If its weights are fixed, or if an option is given that it decides.
    """
    from spikeloom.compiler.program import Program

    if args.chip is None:
        return None
    decided = {
        "--weight-bits": args.weight_bits != 8,
        "--state-bits": args.state_bits is not None,
        "--decay-bits": args.decay_bits != 8,
        "--weights": args.weights != "fixed",
        "--lanes": "lanes" in args,
        "--fire-lanes": "fire_lanes" in args,
        "--events-per-cycle": "events_per_cycle" in args,
        "--target": args.target is not None,
    }
    for option, is_given in decided.items():
        if is_given:
            raise SpikeloomError(f"{option} cannot be given with --for: its program decides")
    program = Program.load(args.chip)
    if not program.network.has_run_time_weights:
        raise SpikeloomError(
            f"the weights of program '{args.chip}' are fixed; --for takes one that was compiled "
            "with --weights reloadable or loaded"
        )
    return program


def folded_like(network: "Network", chip: "Program") -> "Program":
    """A network with the folding of another one, whose layers stand in the same order."""
    from spikeloom.compiler.program import Program

    cores = dict(zip((layer.name for layer in network.layers), chip.cores, strict=True))
    lanes = {name: core.lanes for name, core in cores.items()}
    fire_lanes = {name: core.fire_lanes for name, core in cores.items()}
    alike = zip(network.populations, chip.network.populations, strict=True)
    together = {here.name: chip.events_per_cycle.get(there.name, 1) for here, there in alike}
    return Program(network, lanes, fire_lanes, together)
