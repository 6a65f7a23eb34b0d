import pytest
import torch
from torch import nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.algorithm import Algorithm
from spikeloom.models.layers import record_spikes
from spikeloom.models.networks import ARCHITECTURES, build
from spikeloom.models.residual import RESIDUAL_ARCHITECTURES
from spikeloom.models.spikebp import SpikeBased
from spikeloom.models.stbp import Stbp
from spikeloom.models.stdbp import Stdbp
from spikeloom.models.tssl import Tssl

# Weights without biases, and neurons with a state, of the published networks.
SIZES: dict[str, tuple[Algorithm, int, int | None]] = {
    "mnist-mlp128": (Stbp(), 101_632, 138),
    "mnist-256": (Stbp(), 34_048, 138),
    "mnist-mlp400": (Stdbp(), 317_600, 410),
    "mnist-mlp512": (Stbp(), 406_528, 522),
    "mnist-mlp800": (Stbp(), 635_200, 810),
    "mnist-cnn": (Tssl(), 210_375, 11_510),
    "mnist-cnn32": (Stbp(), 211_488, 31_498),
    "mnist-lenet": (SpikeBased(), 517_500, 32_060),
    "stdbp-cnn": (Stdbp(), 1_371_280, None),
    "stdbp-cnn-valid": (Stdbp(), 108_432, None),
    "fashion-mlp": (Tssl(), 477_600, 810),
    "fashion-mlp1000": (Stdbp(), 794_000, 1_010),
    "fashion-cnn": (Tssl(), 3_273_504, 38_666),
    "nmnist-mlp": (Stbp(), 1_857_600, 810),
    "nmnist-mlp512": (Stbp(), 1_188_864, 522),
    "nmnist-cnn": (Tssl(), 42_840, 21_514),
    "cifarnet": (Stbp(), 45_045_120, 624_228),
    "cifar-cnn1": (Tssl(), 21_156_384, 501_770),
    "cifar-cnn2": (Tssl(), 44_999_040, 624_138),
    "cifar-vgg9": (SpikeBased(), 5_938_880, 275_466),
    "cifar-resnet9": (SpikeBased(), 13_217_472, None),
    "cifar-resnet11": (SpikeBased(), 17_936_064, 336_906),
}


def test_every_published_network_is_listed() -> None:
    assert SIZES.keys() == ARCHITECTURES.keys() | RESIDUAL_ARCHITECTURES.keys()


@pytest.mark.parametrize("name", SIZES)
def test_network_has_the_published_size(name: str) -> None:
    algorithm, weights, neurons = SIZES[name]
    with torch.device("meta"):  # shapes only: 45 million weights would take seconds
        if name in ARCHITECTURES:
            network, shape = ARCHITECTURES[name].build(algorithm), ARCHITECTURES[name].shape
        else:
            network, shape = RESIDUAL_ARCHITECTURES[name].build(algorithm), (3, 32, 32)
        recorded = record_spikes(network, torch.zeros(1, 2, *shape))
    assert recorded.output.shape == (2, 10)
    counted = [item.numel() for key, item in network.named_parameters() if "bias" not in key]
    assert sum(counted) == weights
    if neurons is not None:
        assert sum(spikes[0, 0].numel() for spikes in recorded.spikes.values()) == neurons


def test_only_stbp_has_biases() -> None:
    for algorithm in (Stbp(), Tssl(), Stdbp(), SpikeBased()):
        network = build("4C3-P2-8-3", (1, 8, 8), algorithm)
        names = [name for name, _ in network.named_parameters() if name.endswith("bias")]
        assert bool(names) == isinstance(algorithm, Stbp)


def test_layers_are_named_by_their_place() -> None:
    network = build("4C3p1-P2-8-6", (1, 8, 8), Stbp(), dropout=0.5, vote=2)
    assert [name for name, _ in network.named_children()] == [
        "hidden1_current",
        "hidden1",
        "hidden1_dropout",
        "pool1",
        "flatten",
        "hidden2_current",
        "hidden2",
        "hidden2_dropout",
        "output_current",
        "output",
        "vote",
        "readout",
    ]
    assert isinstance(network.hidden1_dropout, nn.Dropout)


@pytest.mark.parametrize(
    ("notation", "shape", "message"),
    [
        ("4C3-x-10", (1, 8, 8), "'x' is no layer"),
        ("10-0", (8,), "'0' is no layer"),
        ("4C3-10", (8,), r"'4C3' convolves a vector of shape \(8,\)"),
        ("20-P2-10", (8,), r"'P2' pools a vector of shape \(20,\)"),
        ("4C9-10", (1, 8, 8), r"'4C9' convolves a map of shape \(1, 8, 8\)"),
        ("4C7-P4-10", (1, 8, 8), r"'P4' pools a map of shape \(4, 2, 2\)"),
        ("4C3-P2", (1, 8, 8), "'P2' pools nothing that can be classified"),
        ("10-4C3", (1, 8, 8), "'4C3' is the last layer; wanted a dense one"),
        ("0C3-10", (1, 8, 8), "'0C3' has an empty kernel"),
    ],
)
def test_notations_that_do_not_fit_are_refused(
    notation: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(SpikeloomError, match=f"network '{notation}': {message}"):
        build(notation, shape, Stbp())


def test_votes_must_share_the_output() -> None:
    with pytest.raises(SpikeloomError, match="'10' is no multiple of 4 votes"):
        build("8-10", (5,), Stbp(), vote=4)
