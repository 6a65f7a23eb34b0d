"""Training a recipe's network, and judging it once on the test samples."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from spikeloom.models.data import Dataset
from spikeloom.models.evaluate import coded_batch, evaluate
from spikeloom.models.loop import OnBatch, OnEpoch, fit
from spikeloom.models.recipe import Recipe
from spikeloom.models.rounding import Rounding
from spikeloom.models.start import start_from
from spikeloom.models.state import Store
from spikeloom.models.trained import Start, Trained


def train(
    recipe: Recipe,
    dataset: Dataset | None = None,
    *,
    on_batch: OnBatch = lambda batch: None,
    on_epoch: OnEpoch = lambda epochs: None,
    state: Path | None = None,
    resume: bool = False,
    start: Path | None = None,
    test: bool = True,
) -> Trained:
    """Train a recipe's network; the same recipe gives the same weights on the same machine.

    Parameters
    ----------
    dataset : what `recipe.load_data` gives, which is taken when there is none here
    on_batch, on_epoch : called after every batch; after every epoch, with all epochs so far
    state : a file that keeps the state of the training
    resume : go on from that file, if there is one
    start : a checkpoint of the same network, or its ONNX file of the zoo, whose weights the
        training starts from in place of drawn ones; not read again by a training that goes on from
        its state
    test : False leaves the test samples alone, as trials on settings must

    Raises
    ------
    SpikeloomError
        As `spikeloom.models.loop.fit` does; if the start is of another network; if the
        state is of a training from another start.
    """
    dataset = dataset or recipe.load_data()
    module = recipe.build()
    training = recipe.training
    store = Store(state, recipe.to_json(), resume) if state is not None else None
    origin = None
    if start is not None:
        stored = store.stored_identity().get("start") if store is not None else None
        if stored is not None and stored["file"] == start.name:
            origin = Start(**stored)
        else:
            origin = start_from(start, recipe, module)
    if store is not None:
        described = origin._asdict() if origin is not None else None
        store = replace(store, identity={**store.identity, "start": described})
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
    score = rounded = None
    if test:
        settings = (module, recipe.encoder, recipe.algorithm, dataset.test, training.batch)
        score = evaluate(*settings)
        if training.weight_bits:
            example, _ = coded_batch(recipe.encoder, dataset.test, np.arange(1))
            rounding = Rounding(module, example, training.weight_bits, recipe.encoder.events)
            with rounding.applied():
                rounded = evaluate(*settings)
    return Trained(
        recipe, module, fitted.epochs, fitted.best, score, rounded, fitted.seconds, origin
    )
