"""The experiments: every number that a training run depends on, and the named presets."""

import difflib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import data
from spikeloom.models.encoders import ENCODERS, Encoder
from spikeloom.models.layers import SpikeCount, Spiking
from spikeloom.models.surrogates import Rectangle

DATASETS: dict[str, Callable[[int], data.Dataset]] = {"digits": data.digits}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A network of dense layers of leaky integrate-and-fire neurons, and how STBP trains it.

    Attributes
    ----------
    dataset, encoder : names in `DATASETS` and `encoders.ENCODERS`
    steps : T, time steps per sample, >= 1
    layers : neurons per layer, inputs first, classes last
    beta, threshold : decay and threshold of all neurons
    lens : half the width of the surrogate rectangle (STBP's `lens`)
    epochs, batch : passes over the training samples, samples per update
    learning_rate : Adam's at the start; a cosine takes it to 0 over the epochs
    noise : standard deviation of the normal noise that every epoch adds to the training
        intensities, which are then clipped to 0 .. 1
    split_seed : draws the split of the data
    seed : draws the initial weights, the order of the samples and the noise
    """

    name: str
    dataset: str
    encoder: str
    steps: int
    layers: tuple[int, ...]
    beta: float
    threshold: float
    lens: float
    epochs: int
    batch: int
    learning_rate: float
    noise: float = 0.0
    split_seed: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise SpikeloomError(
                    f"recipe '{self.name}' has {name} = {getattr(self, name)}; wanted >= 1"
                )
        if not 0 <= self.seed < 1 << 63:
            raise SpikeloomError(
                f"recipe '{self.name}' has seed = {self.seed}; wanted 0 .. 2**63 - 1"
            )
        for name, known in (("dataset", DATASETS), ("encoder", ENCODERS)):
            if getattr(self, name) not in known:
                raise SpikeloomError(
                    f"recipe '{self.name}' has {name} '{getattr(self, name)}'; wanted one of "
                    f"{sorted(known)}"
                )

    def load_data(self) -> data.Dataset:
        """The data set in its three parts."""
        return DATASETS[self.dataset](self.split_seed)

    def build_encoder(self) -> Encoder:
        """The encoder of the input."""
        return ENCODERS[self.encoder](self.steps)

    def build(self) -> nn.Sequential:
        """An untrained network: `[T, N, inputs]` spikes to `[N, classes]` spike counts."""
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for index, (inputs, neurons) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            last = index == len(self.layers) - 2
            name = "output" if last else f"hidden{index + 1}"
            parts[f"{name}_current"] = nn.Linear(inputs, neurons)
            parts[name] = Spiking(self.beta, self.threshold, spike=Rectangle(self.lens))
        parts["count"] = SpikeCount()
        return nn.Sequential(parts)


RECIPES = (
    Recipe(
        name="digits",
        dataset="digits",
        encoder="evenly_spaced",
        steps=8,
        layers=(64, 64, 10),
        beta=0.5,
        threshold=0.3,
        lens=0.5,
        epochs=80,
        batch=64,
        learning_rate=5e-3,
        noise=0.1,
    ),
)


def find(name: str) -> Recipe:
    """The recipe called `name`.

    Raises
    ------
    SpikeloomError
        If there is none; the text offers the nearest names.
    """
    names = [recipe.name for recipe in RECIPES]
    if name in names:
        return RECIPES[names.index(name)]
    near = difflib.get_close_matches(name, names, cutoff=0.4) or names
    raise SpikeloomError(f"no recipe '{name}'; did you mean {' or '.join(map(repr, near))}?")
