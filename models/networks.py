"""The published networks, in the notation of the papers, for any training algorithm.

`build("15C5-P2-40C5-P2-300-10", (1, 28, 28), Stbp())` gives a network of `nn.Sequential`: windows
`[T, N, 1, 28, 28]` in, scores `[N, 10]` out. Its last child is the readout.
"""

import math
import re
from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.algorithm import Algorithm
from spikeloom.models.readouts import GroupVote
from spikeloom.models.stateless import Conv2d

_CONVOLUTION = re.compile(r"(\d+)C(\d+)(?:p(\d+))?")
_POOLING = re.compile(r"P(\d+)")


def build(
    notation: str,
    shape: tuple[int, ...],
    algorithm: Algorithm,
    *,
    dropout: float = 0.0,
    vote: int = 1,
) -> nn.Sequential:
    """An untrained network of convolutions, pooling and dense layers.

    Children are named `hidden1_current`, `hidden1`, .., `pool1`, .., `output_current`, `output` and
    `readout`. Weights are drawn from torch's random state.

    Parameters
    ----------
    notation : layers joined by `-`. `12C5` is a convolution with 12 features and a 5 x 5 kernel,
        `12C5p1` the same with one pixel of padding, `P2` pooling over 2 x 2 squares, `300` a dense
        layer; the last layer has one neuron per class and vote.
    shape : of one sample at one step, `(C, H, W)` or `(inputs,)`
    dropout : probability that a hidden neuron's output is dropped in training
    vote : neurons per class; the scores are means over them

    Raises
    ------
    SpikeloomError
        If the notation cannot be read, or its layers do not fit the shape or one another.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    tokens = notation.split("-")
    hidden = pools = 0
    gain = 1.0
    for position, token in enumerate(tokens):
        last = position == len(tokens) - 1
        if pooling := _POOLING.fullmatch(token):
            pools += 1
            size = int(pooling[1])
            _require(not last and size > 0, notation, token, "pools nothing that can be classified")
            _require(len(shape) == 3, notation, token, f"pools a vector of shape {shape}")
            _require(min(shape[1:]) >= size, notation, token, f"pools a map of shape {shape}")
            parts[f"pool{pools}"] = algorithm.pool(size)
            gain *= algorithm.pool_gain(size)
            shape = (shape[0], shape[1] // size, shape[2] // size)
            continue
        hidden += not last
        name = "output" if last else f"hidden{hidden}"
        if convolution := _CONVOLUTION.fullmatch(token):
            _require(not last, notation, token, "is the last layer; wanted a dense one")
            _require(len(shape) == 3, notation, token, f"convolves a vector of shape {shape}")
            features, kernel, padding = (int(group or 0) for group in convolution.groups())
            _require(features > 0 and kernel > 0, notation, token, "has an empty kernel")
            height, width = (size + 2 * padding - kernel + 1 for size in shape[1:])
            _require(min(height, width) > 0, notation, token, f"convolves a map of shape {shape}")
            parts[f"{name}_current"] = Conv2d(
                shape[0], features, kernel, padding=padding, bias=algorithm.bias
            )
            shape = (features, height, width)
        else:
            _require(token.isdecimal() and int(token) > 0, notation, token, "is no layer")
            if len(shape) > 1:
                parts["flatten"] = nn.Flatten(2)
            inputs, neurons = math.prod(shape), int(token)
            parts[f"{name}_current"] = nn.Linear(inputs, neurons, bias=algorithm.bias)
            shape = (neurons,)
        parts[name] = algorithm.output(gain) if last else algorithm.neurons(gain)
        gain = 1.0
        if dropout and not last:
            parts[f"{name}_dropout"] = algorithm.dropout(dropout)
    if vote > 1:
        _require(shape[0] % vote == 0, notation, tokens[-1], f"is no multiple of {vote} votes")
        parts["vote"] = GroupVote(vote)
    parts["readout"] = algorithm.readout()
    network = nn.Sequential(parts)
    algorithm.initialise(network)
    return network


def _require(fulfilled: bool, notation: str, token: str, text: str) -> None:
    if not fulfilled:
        raise SpikeloomError(f"network '{notation}': '{token}' {text}")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A published network without its training algorithm.

    Attributes
    ----------
    notation, shape, vote : see `build`
    source : who published it, and for which data
    """

    notation: str
    shape: tuple[int, ...]
    source: str
    vote: int = 1

    def build(self, algorithm: Algorithm, dropout: float = 0.0) -> nn.Sequential:
        """The network for one training algorithm; see `build`."""
        return build(self.notation, self.shape, algorithm, dropout=dropout, vote=self.vote)


_MNIST = (1, 28, 28)
_CIFAR = (3, 32, 32)
_CIFAR_FEATURES = "128C3p1-256C3p1-P2-512C3p1-P2-1024C3p1-512C3p1-1024-512"

ARCHITECTURES = {
    "mnist-mlp128": Architecture("128-10", (784,), "Spiker+, MNIST"),
    "mnist-256": Architecture("128-10", (256,), "Flexi-NeurA, MNIST as 16 x 16 pixels"),
    "mnist-mlp400": Architecture("400-10", (784,), "STDBP, MNIST"),
    "mnist-mlp512": Architecture("512-10", (784,), "STBP, authors' code, MNIST"),
    "mnist-mlp800": Architecture("800-10", (784,), "STBP and STDBP, MNIST"),
    "mnist-cnn": Architecture("15C5-P2-40C5-P2-300-10", _MNIST, "STBP and TSSL-BP, MNIST"),
    "mnist-cnn32": Architecture("32C3p1-P2-32C3p1-P2-128-10", _MNIST, "STBP, authors' code, MNIST"),
    "mnist-lenet": Architecture("20C5p2-P2-50C5p2-P2-200-10", _MNIST, "spike-based BP, MNIST"),
    "stdbp-cnn": Architecture(
        "16C5p2-P2-32C5p2-P2-800-128-10",
        _MNIST,
        "STDBP, MNIST and Fashion-MNIST, read as padded convolutions and a dense layer of 800",
    ),
    "stdbp-cnn-valid": Architecture(
        "16C3-P2-32C3-P2-128-10",
        _MNIST,
        "STDBP, the same read as in later code of the laboratory, where 800 is the flattened size",
    ),
    "fashion-mlp": Architecture("400-400-10", (784,), "TSSL-BP, Fashion-MNIST"),
    "fashion-mlp1000": Architecture("1000-10", (784,), "STDBP, Fashion-MNIST"),
    "fashion-cnn": Architecture("32C5p2-P2-64C5p2-P2-1024-10", _MNIST, "TSSL-BP, Fashion-MNIST"),
    "nmnist-mlp": Architecture("800-10", (2312,), "STBP, N-MNIST"),
    "nmnist-mlp512": Architecture("512-10", (2312,), "STBP, code of the same group, N-MNIST"),
    "nmnist-cnn": Architecture("12C5p1-P2-64C5-P2-10", (2, 34, 34), "TSSL-BP, N-MNIST"),
    "cifarnet": Architecture(
        f"{_CIFAR_FEATURES}-100", _CIFAR, "STBP, authors' code, CIFAR-10", vote=10
    ),
    "cifar-cnn1": Architecture(
        "96C3p1-256C3p1-P2-384C3p1-P2-384C3p1-256C3p1-1024-1024-10", _CIFAR, "TSSL-BP, CIFAR-10"
    ),
    "cifar-cnn2": Architecture(
        f"{_CIFAR_FEATURES}-10", _CIFAR, "TSSL-BP, settings of its reproduction, CIFAR-10"
    ),
    "cifar-vgg9": Architecture(
        "64C3p1-64C3p1-P2-128C3p1-128C3p1-P2-256C3p1-256C3p1-256C3p1-P2-1024-10",
        _CIFAR,
        "spike-based BP, CIFAR-10 and SVHN",
    ),
}
