"""Residual networks of spike-based BP: a shortcut adds to the membrane of a block's last neurons.

Lee, Sarwar, Panda, Srinivasan, Roy, Frontiers in Neuroscience 14:119, 2020. No neurons are added: a
shortcut is one more current into the same neurons as the block's second convolution.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.algorithm import Algorithm
from spikeloom.models.stateless import AvgPool2d, Conv2d


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with neurons, and a shortcut around both.

    A shortcut between different numbers of features is a 1 x 1 convolution; else it takes every
    `stride`-th pixel with weight 1.

    Parameters
    ----------
    inputs, features : of the feature maps before and after
    stride : of the second convolution and of the shortcut
    dropout : behind both layers of neurons
    """

    def __init__(
        self,
        inputs: int,
        features: int,
        algorithm: Algorithm,
        *,
        stride: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        bias = algorithm.bias
        self.first_current = Conv2d(inputs, features, 3, padding=1, bias=bias)
        self.first = algorithm.neurons()
        self.first_dropout = algorithm.dropout(dropout)
        self.second_current = Conv2d(features, features, 3, stride=stride, padding=1, bias=bias)
        self.shortcut: nn.Module
        if inputs != features:
            self.shortcut = Conv2d(inputs, features, 1, stride=stride, bias=False)
        else:
            self.shortcut = AvgPool2d(1, stride)
        self.second = algorithm.neurons()
        self.second_dropout = algorithm.dropout(dropout)

    def forward(self, spikes: Tensor) -> Tensor:
        """Spikes `[T, N, C, H, W]` to spikes of `features` maps."""
        between = self.first_dropout(self.first(self.first_current(spikes)))
        current = self.second_current(between) + self.shortcut(spikes)
        result: Tensor = self.second_dropout(self.second(current))
        return result


@dataclass(frozen=True, slots=True)
class ResidualArchitecture:
    """A residual network for samples of 3 x 32 x 32.

    `64C3-P2`, the blocks, and the dense layers `1024-10`.

    Attributes
    ----------
    blocks : features and stride of each block
    source : who published it, and for which data
    """

    blocks: tuple[tuple[int, int], ...]
    source: str

    def build(self, algorithm: Algorithm, dropout: float = 0.0) -> nn.Sequential:
        """The network for one training algorithm; windows `[T, N, 3, 32, 32]` to `[N, 10]`.

        Raises
        ------
        SpikeloomError
            If the algorithm's pooling has a gain: a block has two currents behind it.
        """
        if algorithm.pool_gain(2) != 1:
            raise SpikeloomError(
                f"residual networks pool without a gain; {type(algorithm).__name__} has "
                f"{algorithm.pool_gain(2):g}"
            )
        bias, features, side = algorithm.bias, 64, 16
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            stem_current=Conv2d(3, features, 3, padding=1, bias=bias),
            stem=algorithm.neurons(),
            stem_dropout=algorithm.dropout(dropout),
            pool=algorithm.pool(2),
        )
        for number, (wider, stride) in enumerate(self.blocks, 1):
            parts[f"block{number}"] = ResidualBlock(
                features, wider, algorithm, stride=stride, dropout=dropout
            )
            features, side = wider, side // stride
        parts["flatten"] = nn.Flatten(2)
        parts["hidden_current"] = nn.Linear(features * side**2, 1024, bias=bias)
        parts["hidden"] = algorithm.neurons()
        parts["hidden_dropout"] = algorithm.dropout(dropout)
        parts["output_current"] = nn.Linear(1024, 10, bias=bias)
        parts["output"] = algorithm.output()
        parts["readout"] = algorithm.readout()
        network = nn.Sequential(parts)
        algorithm.initialise(network)
        return network


RESIDUAL_ARCHITECTURES = {
    "cifar-resnet9": ResidualArchitecture(
        ((128, 1), (256, 2), (512, 2)),
        "spike-based BP, CIFAR-10; its script is not published: ResNet11 without its last block, "
        "whose stride the third block takes over",
    ),
    "cifar-resnet11": ResidualArchitecture(
        ((128, 1), (256, 2), (512, 1), (512, 2)), "spike-based BP, CIFAR-10"
    ),
}
