"""The pass `fold_input_step`."""

import math
from dataclasses import replace

import numpy as np

from spikeloom.compiler.ir import Network


def fold_input_step(network: Network) -> Network:
    """Multiply what an event of 1 is worth into the weights, so that events are whole numbers."""
    events = network.events
    if events.folded:
        return network
    # An exact power of two.
    exponent = math.frexp(events.step)[1] - 1
    projections = tuple(
        replace(edge, weight=np.ldexp(edge.weight, exponent))
        if edge.pre == network.input.name
        else edge
        for edge in network.projections
    )
    return replace(network, projections=projections, events=replace(events, folded=True))
