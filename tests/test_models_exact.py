import numpy as np
import pytest
import torch
from torch import nn

from spikeloom.compiler.ir import Events
from spikeloom.models.exact import make_sums_exact
from spikeloom.models.layers import Spiking
from spikeloom.models.stateless import AvgPool2d, Conv2d


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 300.0])
def test_sums_do_not_depend_on_their_order(scale: float, bias: bool) -> None:
    torch.manual_seed(7)
    layer = nn.Linear(500, 20, bias)
    with torch.no_grad():
        layer.weight *= scale
    make_sums_exact(layer)
    rows = layer.weight.detach().numpy()
    if bias:
        rows = np.column_stack([rows, layer.bias.detach().numpy()])
    exact = rows.astype(np.float64).sum(1)
    random = np.random.default_rng(7)
    for _ in range(20):
        order = random.permutation(rows.shape[1])
        assert np.array_equal(np.cumsum(rows[:, order], axis=1)[:, -1], exact)


def test_weights_move_less_than_a_23rd_bit_of_the_largest_row() -> None:
    torch.manual_seed(1)
    layer = nn.Linear(64, 64)
    before = layer.weight.detach().clone()
    largest = (before.abs().sum(1) + layer.bias.detach().abs()).max()
    make_sums_exact(layer)
    moved = (layer.weight.detach() - before).abs().max()
    assert 0 < moved <= largest / 2**23


def test_rounding_twice_changes_nothing() -> None:
    torch.manual_seed(2)
    layer = nn.Linear(10, 5)
    make_sums_exact(layer)
    once = layer.weight.detach().clone()
    make_sums_exact(layer)
    assert torch.equal(layer.weight, once)


@pytest.mark.parametrize("pooled", [False, True])
def test_sums_of_convolutions_are_exact_behind_pooling_too(pooled: bool) -> None:
    torch.manual_seed(3)
    layer = Conv2d(6, 4, 5)
    network = nn.Sequential(Spiking(), AvgPool2d(3) if pooled else nn.Identity(), layer)
    before = layer.weight.detach().clone()
    make_sums_exact(network)
    moved = float((layer.weight.detach() - before).abs().max())
    largest = float(before.abs().sum((1, 2, 3)).max())
    assert 0 < moved <= largest * 2.0 ** (-23 + 4 * pooled)
    steps = (layer.weight.detach() * 2.0**24 / 2 ** (4 * pooled)).double()
    assert torch.equal(steps, (steps / 2).round() * 2)


def test_sums_over_graded_inputs_are_exact() -> None:
    torch.manual_seed(4)
    layer = nn.Linear(300, 8)
    make_sums_exact(layer, Events(-64, 192, 2**-6))
    inputs = (torch.randn(300).clamp(-3, 3) * 64).round() / 64
    products = (layer.weight.detach() * inputs).numpy()
    for _ in range(20):
        order = np.random.default_rng(4).permutation(300)
        sums = np.cumsum(products[:, order], axis=1, dtype=np.float32)[:, -1]
        assert np.array_equal(sums, products.astype(np.float64).sum(1))
