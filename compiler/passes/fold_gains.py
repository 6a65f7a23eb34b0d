"""The pass `fold_gains`."""

from dataclasses import replace

from spikeloom.compiler.ir import Network


def fold_gains(network: Network) -> Network:
    """Multiply the gain of each projection (batch norm arrives as one) into its weights."""
    projections = tuple(
        edge
        if edge.gain is None
        else replace(edge, weight=edge.weight * edge.gain[:, None], gain=None)
        for edge in network.projections
    )
    return replace(network, projections=projections)
