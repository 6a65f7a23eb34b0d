"""What a training gives."""

from typing import NamedTuple

from torch import nn

from spikeloom.models.evaluate import Score
from spikeloom.models.loop import Epoch
from spikeloom.models.recipe import Recipe


class Start(NamedTuple):
    """The checkpoint that a training took its first weights from.

    Attributes
    ----------
    file : its name, without folders
    sha256 : of the file, in hexadecimal
    steps, epochs, weight_bits, seed : of the training that gave it
    """

    file: str
    sha256: str
    steps: int
    epochs: int
    weight_bits: int
    seed: int


class Trained(NamedTuple):
    """A trained network and how it came to be.

    Attributes
    ----------
    module : the network with the weights of the best epoch
    best : the epoch with the lowest validation loss; the earliest of equals
    test : what the network does with the test samples, in floats; found once, or None if they were
        not looked at
    test_rounded : the same with the compiler's integers, if the training was for these
    seconds : time spent training
    start : None if the first weights were drawn from the seed
    """

    recipe: Recipe
    module: nn.Sequential
    epochs: tuple[Epoch, ...]
    best: Epoch
    test: Score | None
    test_rounded: Score | None
    seconds: float
    start: Start | None
