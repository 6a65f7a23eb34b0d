import pytest
import torch

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.layers import record_spikes
from spikeloom.models.residual import RESIDUAL_ARCHITECTURES, ResidualBlock
from spikeloom.models.spikebp import SpikeBased
from spikeloom.models.stateless import AvgPool2d, Conv2d
from spikeloom.models.tssl import Tssl


def test_shortcut_adds_to_the_same_membrane() -> None:
    block = ResidualBlock(2, 2, SpikeBased(threshold=1.0), stride=2)
    with torch.no_grad():
        block.first_current.weight.zero_()
        block.second_current.weight.zero_()
    spikes = torch.zeros(3, 1, 2, 4, 4)
    spikes[:, 0, 1, 2, 2] = 1  # alone it adds 1 per step, and 1 does not exceed the threshold
    assert block(spikes)[:, 0, 1].sum((1, 2)).tolist() == [0, 1, 0]
    assert block(spikes).sum().item() == 1


def test_algorithms_with_a_gain_in_pooling_are_refused() -> None:
    with pytest.raises(SpikeloomError, match=r"pool without a gain; Tssl has 4\.4"):
        RESIDUAL_ARCHITECTURES["cifar-resnet9"].build(Tssl())


@pytest.mark.parametrize(("features", "kind"), [(2, AvgPool2d), (4, Conv2d)])
def test_shortcut_has_weights_only_between_different_numbers_of_features(
    features: int, kind: type
) -> None:
    block = ResidualBlock(2, features, SpikeBased(), stride=2)
    assert isinstance(block.shortcut, kind)
    assert block(torch.ones(2, 3, 2, 8, 8)).shape == (2, 3, features, 4, 4)


def test_dropout_stands_behind_every_layer_of_neurons_but_the_pool() -> None:
    with torch.device("meta"):
        network = RESIDUAL_ARCHITECTURES["cifar-resnet9"].build(SpikeBased(), dropout=0.25)
        recorded = record_spikes(network, torch.zeros(1, 1, 3, 32, 32))
    masks = [name for name, _ in network.named_modules() if name.endswith("dropout")]
    neurons = [name for name in recorded.spikes if "pool" not in name and name != "output"]
    assert [name.removesuffix("_dropout") for name in masks] == neurons
