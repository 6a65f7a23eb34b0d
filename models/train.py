"""Training a recipe's network, and judging it once on the test samples."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from spikeloom.models.data import Dataset
from spikeloom.models.evaluate import Score, coded_batch, evaluate
from spikeloom.models.loop import Epoch, OnBatch, OnEpoch, fit
from spikeloom.models.recipe import Recipe
from spikeloom.models.rounding import Rounding
from spikeloom.models.state import Store


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network and how it came to be.

    Attributes
    ----------
    module : the network with the weights of the best epoch
    best : the epoch with the lowest validation loss; the earliest of equals
    test : what the network does with the test samples, in floats; found once
    test_rounded : the same with the compiler's integers, if the training was for these
    seconds : time spent training
    """

    recipe: Recipe
    module: nn.Sequential
    epochs: tuple[Epoch, ...]
    best: Epoch
    test: Score
    test_rounded: Score | None
    seconds: float


def train(
    recipe: Recipe,
    dataset: Dataset | None = None,
    *,
    on_batch: OnBatch = lambda batch: None,
    on_epoch: OnEpoch = lambda epochs: None,
    state: Path | None = None,
    resume: bool = False,
) -> Trained:
    """Train a recipe's network; the same recipe gives the same weights on the same machine.

    Parameters
    ----------
    dataset : what `recipe.load_data` gives, which is taken when there is none here
    on_batch, on_epoch : called after every batch; after every epoch, with all epochs so far
    state : a file that keeps the state of the training
    resume : go on from that file, if there is one

    Raises
    ------
    SpikeloomError
        As `spikeloom.models.loop.fit` does.
    """
    dataset = dataset or recipe.load_data()
    module = recipe.build()
    training = recipe.training
    store = Store(state, recipe.to_json(), resume) if state is not None else None
    fitted = fit(
        module,
        dataset,
        recipe.encoder,
        recipe.algorithm,
        training,
        on_batch=on_batch,
        on_epoch=on_epoch,
        store=store,
    )
    settings = (module, recipe.encoder, recipe.algorithm, dataset.test, training.batch)
    test = evaluate(*settings)
    rounded = None
    if training.weight_bits:
        example, _ = coded_batch(recipe.encoder, dataset.test, np.arange(1))
        with Rounding(module, example, training.weight_bits).applied():
            rounded = evaluate(*settings)
    return Trained(recipe, module, fitted.epochs, fitted.best, test, rounded, fitted.seconds)
