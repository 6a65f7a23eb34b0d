"""The pass `fold_gains`."""

from dataclasses import replace

import numpy as np

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Network, Projection


def fold_gains(network: Network) -> Network:
    """Multiply the gain of each projection (batch norm arrives as one) into its weights."""
    return replace(network, projections=tuple(_fold(edge) for edge in network.projections))


def _fold(edge: Projection) -> Projection:
    gain = edge.gain
    if gain is None:
        return edge
    if edge.convolution is not None:
        by_channel = gain.reshape(edge.convolution.features, -1)
        different = (by_channel != by_channel[:, :1]).any(axis=1)
        if different.any():
            channel = int(np.argmax(different))
            values = by_channel[channel]
            raise SpikeloomError(
                f"projection '{edge.source}' onto layer '{edge.post}' is a convolution with gains "
                f"of {values.min():g} .. {values.max():g} within channel {channel}; wanted one "
                "gain per channel"
            )
        gain = by_channel[:, 0]
    weight = edge.weight * gain.reshape(-1, *(1,) * (edge.weight.ndim - 1))
    return replace(edge, weight=weight, gain=None)
