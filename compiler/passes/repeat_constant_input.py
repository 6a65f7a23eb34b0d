"""The pass `repeat_constant_input`."""

from dataclasses import replace

from spikeloom.compiler.ir import Network


def repeat_constant_input(network: Network) -> Network:
    """Give a constant input in every time step, where a layer receives other events as well.

    A layer that only the constant input reaches takes its events once in a window and keeps their
    sums. Beside events that come step by step, they come step by step too: the same numbers, but
    the input has to be sent T times.
    """
    if not network.input_events.constant:
        return network
    reached = {edge.post for edge in network.projections if edge.pre == network.input.name}
    if all(len(network.projections_to(name)) == 1 for name in reached):
        return network
    return replace(network, events=replace(network.events, constant=False))
