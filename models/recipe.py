"""A training experiment: every setting that it depends on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import datasets, described
from spikeloom.models.algorithm import Algorithm
from spikeloom.models.augment import Augmentation
from spikeloom.models.cifar import SHAPE as CIFAR_SHAPE
from spikeloom.models.data import Dataset, Split
from spikeloom.models.encoders import ENCODERS, Coded, Encoder
from spikeloom.models.networks import Architecture
from spikeloom.models.optimisers import Training
from spikeloom.models.residual import ResidualArchitecture
from spikeloom.models.sources import OnDownload, quietly
from spikeloom.models.spikebp import SpikeBased
from spikeloom.models.stbp import Stbp
from spikeloom.models.stdbp import Stdbp
from spikeloom.models.surrogates import Gaussian, Rectangle, Sigmoid, Triangle
from spikeloom.models.tssl import Tssl


@dataclass(frozen=True)
class Recipe:
    """A network, its data and coding, and how an algorithm trains it.

    Attributes
    ----------
    dataset : name in `spikeloom.models.datasets.NAMES`
    dropout : probability that a hidden neuron's output is dropped in training
    split_seed : draws the validation samples
    published : accuracy that others report for this network, with its source; as text, since
        what is not verified says so
    """

    name: str
    dataset: str
    encoder: Encoder
    network: Architecture | ResidualArchitecture
    algorithm: Algorithm
    training: Training
    dropout: float = 0.0
    split_seed: int = 0
    published: str = ""

    def __post_init__(self) -> None:
        if self.dataset not in datasets.NAMES:
            raise SpikeloomError(
                f"recipe '{self.name}' has dataset '{self.dataset}'; wanted one of "
                f"{list(datasets.NAMES)}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample at one time step."""
        if isinstance(self.network, Architecture):
            return self.network.shape
        return CIFAR_SHAPE

    @property
    def notation(self) -> str:
        """The network's layers behind its input, joined by `-`; `R` is a residual block."""
        if isinstance(self.network, Architecture):
            return self.network.notation
        blocks = (
            f"R{wide}" if step == 1 else f"R{wide}s{step}" for wide, step in self.network.blocks
        )
        return "-".join(("64C3p1-P2", *blocks, "1024-10"))

    @property
    def full_notation(self) -> str:
        """`notation` behind the shape of the input."""
        return f"{'x'.join(map(str, self.shape))}-{self.notation}"

    def load_data(self, folder: Path | None = None, on_download: OnDownload = quietly) -> Dataset:
        """The data set in its three parts, as this network takes it; see `datasets.load`."""
        dataset = datasets.load(self.dataset, folder, self.split_seed, on_download)
        if len(self.shape) == 1:
            dataset = dataset.flattened()
        if dataset.shape != self.shape:
            raise SpikeloomError(
                f"recipe '{self.name}' has a network for samples of shape {self.shape}, but those "
                f"of '{self.dataset}' have {dataset.shape}"
            )
        return dataset

    def build(self) -> nn.Sequential:
        """An untrained network, its weights drawn from the seed.

        Takes `[T, N, *shape]` and gives `[N, classes]`. Sets torch's random state.
        """
        torch.manual_seed(self.training.seed)
        return self.network.build(self.algorithm, self.dropout)

    def code(self, split: Split, first: int, stop: int) -> Coded:
        """Samples `first` to `stop - 1` of a split, coded for the network: `[T, N, *shape]`."""
        indices = np.arange(first, stop)
        coded = self.encoder(split.take(indices), indices)
        return coded.reshape(*coded.shape[:2], *self.shape)

    def with_training(self, **changes: Any) -> "Recipe":
        """The same recipe with other values in `training`, see `Training.changed`."""
        return replace(self, training=self.training.changed(**changes))

    def with_steps(self, steps: int) -> "Recipe":
        """The same recipe with another number of time steps."""
        return replace(self, encoder=replace(self.encoder, steps=steps))

    def to_json(self) -> dict[str, Any]:
        """Plain values that `from_json` turns back into the recipe."""
        values: dict[str, Any] = described.to_json(self)
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Recipe":
        """The recipe that `to_json` described; KeyError or TypeError if it describes none."""
        recipe = described.from_json(values, _KINDS)
        if not isinstance(recipe, cls):
            raise TypeError(f"{type(recipe).__name__} is no recipe")
        return recipe


_KINDS: tuple[type, ...] = (
    *(Recipe, Training, Augmentation, Architecture, ResidualArchitecture),
    *ENCODERS.values(),
    *(Stbp, Tssl, Stdbp, SpikeBased),
    *(Rectangle, Triangle, Sigmoid, Gaussian),
)
