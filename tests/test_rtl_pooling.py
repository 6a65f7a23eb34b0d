"""Pooling of the earliest spikes of a trained network, in the gates."""

import numpy as np
import torch
from test_rtl_top import check
from torch import nn

from spikeloom.compiler import reference
from spikeloom.compiler.onnx_import import import_network
from spikeloom.compiler.passes import lower
from spikeloom.compiler.program import Program
from spikeloom.models.export import convert
from spikeloom.models.layers import SpikeCount
from spikeloom.models.stateless import Conv2d
from spikeloom.models.stdbp import EarliestPool2d, Stdbp

STEPS = 6


def test_earliest_spikes_are_pooled_in_the_gates():
    """Conv-pool-dense, each pixel spiking once: the pooling neurons pass each square's first."""
    torch.manual_seed(1)
    neurons = Stdbp(threshold=0.3).neurons
    convolution = Conv2d(1, 3, 3, bias=False)
    convolution.weight.data.abs_()
    dense = nn.Linear(12, 4, bias=False)
    layers = [convolution, neurons(), EarliestPool2d(2), nn.Flatten(2), dense, neurons()]
    model = convert(nn.Sequential(*layers, SpikeCount()), STEPS, (1, 6, 6), name="ttfs")
    network = lower(import_network(model, "ttfs"))
    times = np.random.default_rng(0).integers(0, 8, (3, 36))
    events = np.stack([times == step for step in range(STEPS)]).astype(np.uint8)
    assert check(Program(network, {}), events) > STEPS
    trace = reference.run(network, events)
    before, after = (trace.spikes[item.name] for item in network.layers[:2])
    squares = before.reshape(STEPS, 3, 3, 2, 2, 2, 2).max(axis=(4, 6)).astype(int)
    fired = np.maximum.accumulate(squares)
    first = np.diff(fired, axis=0, prepend=0).reshape(after.shape)
    assert after.any() and np.array_equal(after, first)
