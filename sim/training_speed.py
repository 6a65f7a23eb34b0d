"""How fast the training loop is, beside the loop that one would write by hand."""

import copy
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.data import Dataset
from spikeloom.models.evaluate import coded_batch
from spikeloom.models.loop import Loop
from spikeloom.models.optimisers import build_optimiser
from spikeloom.models.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrainingRate:
    """Samples per second of processor time, the project's loop and a plain one, of median batches.

    Processor time, as other processes on the machine slow both down by chance.
    """

    batches: int
    loop: float
    plain: float

    @property
    def ratio(self) -> float:
        """How many times as fast as the plain loop the project's loop is."""
        return self.loop / self.plain


def measure(recipe: Recipe, dataset: Dataset, batches: int) -> TrainingRate:
    """Train two copies of a network in turns, a batch each, and time the batches.

    Parameters
    ----------
    batches : timed per loop, behind one that is not; together at most an epoch

    Raises
    ------
    SpikeloomError
        If an epoch has fewer batches.
    """
    most = -(-dataset.train.size // recipe.training.batch) - 1
    if not 1 <= batches <= most:
        raise SpikeloomError(
            f"--batches is {batches}; wanted 1 .. {most}, as an epoch of '{recipe.name}' has"
        )
    network = recipe.build()
    loop = Loop(
        copy.deepcopy(network), dataset, recipe.encoder, recipe.algorithm, recipe.training, None
    )
    turns: tuple[Iterator[object], ...] = (
        loop.pass_over_training_samples(),
        _plain_loop(recipe, network, dataset),
    )
    seconds: tuple[list[float], ...] = ([], [])
    for number in range(batches + 1):
        # Who goes first changes: the second finds some of the samples in the cache.
        for which in (0, 1) if number % 2 else (1, 0):
            start = time.process_time()
            next(turns[which])
            seconds[which].append(time.process_time() - start)
    ours, plain = (recipe.training.batch / statistics.median(kept[1:]) for kept in seconds)
    return TrainingRate(batches, ours, plain)


def _plain_loop(recipe: Recipe, network: nn.Sequential, dataset: Dataset) -> Iterator[None]:
    """Nothing but the steps of a training: no checks, no counts, no saving."""
    training = recipe.training
    random = np.random.default_rng(training.seed)
    order = random.permutation(dataset.train.size)
    optimiser = build_optimiser(training, network)
    network.train()
    for first in range(0, len(order), training.batch):
        inputs, labels = coded_batch(
            recipe.encoder,
            dataset.train,
            order[first : first + training.batch],
            1,
            lambda images: training.augmentation(images, random),
        )
        optimiser.zero_grad()
        loss = recipe.algorithm.judge(network, inputs, labels).loss
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if training.clip_gradient:
            nn.utils.clip_grad_norm_(network.parameters(), training.clip_gradient)
        optimiser.step()
        recipe.algorithm.constrain(network)
        yield
