import pytest
import torch
from torch import nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.stateless import AvgPool2d, Conv2d, WindowDropout


def test_convolution_treats_every_step_alike() -> None:
    torch.manual_seed(0)
    layer = Conv2d(2, 3, 3, padding=1, bias=False)
    window = torch.rand(4, 5, 2, 6, 6)
    result = layer(window)
    assert result.shape == (4, 5, 3, 6, 6)
    for step in range(4):
        single = nn.functional.conv2d(window[step], layer.weight, padding=1)
        torch.testing.assert_close(result[step], single)


def test_average_pooling_drops_what_fills_no_square() -> None:
    window = torch.arange(25.0).reshape(1, 1, 1, 5, 5)
    assert AvgPool2d(2)(window).flatten().tolist() == [3, 5, 13, 15]


def test_pooling_of_single_pixels_takes_every_second() -> None:
    window = torch.arange(16.0).reshape(1, 1, 1, 4, 4)
    assert AvgPool2d(1, 2)(window).flatten().tolist() == [0, 2, 8, 10]


@pytest.mark.parametrize("layer", [AvgPool2d(2), Conv2d(2, 2, 3).double()])
def test_gradients_equal_finite_differences(layer: nn.Module) -> None:
    window = torch.rand(2, 2, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (window,))


def test_dropout_holds_its_mask_for_the_window() -> None:
    torch.manual_seed(0)
    result = WindowDropout(0.25)(torch.ones(6, 50, 4, 5, 5))
    assert (result == result[0]).all()
    assert torch.unique(result).tolist() == pytest.approx([0, 4 / 3])
    assert float((result == 0).double().mean()) == pytest.approx(0.25, abs=0.02)


def test_dropout_of_rows_drops_whole_rows_of_maps_and_single_dense_neurons() -> None:
    torch.manual_seed(0)
    dropout = WindowDropout(0.5, whole_rows=True)
    maps = dropout(torch.ones(2, 3, 4, 5, 6))
    assert (maps == maps[..., :1]).all()
    assert not (maps == maps[..., :1, :]).all()
    assert len(torch.unique(dropout(torch.ones(2, 3, 40))[0, 0])) == 2


def test_dropout_changes_nothing_in_evaluation() -> None:
    window = torch.rand(2, 3, 4)
    assert WindowDropout(0.5).eval()(window) is window


def test_illegal_probability_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="probability 1; wanted 0 <= p < 1"):
        WindowDropout(1.0)
