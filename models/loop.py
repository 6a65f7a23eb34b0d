"""The training loop that all algorithms share.

What an algorithm decides stands in `spikeloom.models.algorithm`; what differs between experiments,
in `spikeloom.models.optimisers.Training`. The same settings give the same weights on the same
machine, also when a training is interrupted and resumed: what is random is drawn from the seed and
the place where it is used, or from generators whose state is stored.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.algorithm import Algorithm
from spikeloom.models.data import Dataset, Indices
from spikeloom.models.encoders import Encoder
from spikeloom.models.evaluate import Score, Tally, coded_batch, evaluate
from spikeloom.models.exact import make_sums_exact
from spikeloom.models.memory import keep_freed_memory
from spikeloom.models.optimisers import Training, build_optimiser, learning_rate
from spikeloom.models.rounding import Rounding
from spikeloom.models.state import Store, Tensors

SAVE_SECONDS = 60.0
"""Between two savings of the state inside an epoch; the end of an epoch is always saved."""


class Batch(NamedTuple):
    """How far an epoch is, after a batch.

    Attributes
    ----------
    epoch, batch : both from 1
    batches : in this epoch
    loss, accuracy, spike_rate : means over the epoch's samples so far
    """

    epoch: int
    batch: int
    batches: int
    loss: float
    accuracy: float
    spike_rate: float


class Epoch(NamedTuple):
    """What one pass over the training samples gave.

    Attributes
    ----------
    epoch : number of the pass, from 1
    learning_rate : of this epoch
    loss, train_accuracy : means over the training samples, during the updates
    validation_loss, accuracy : loss and share of correct classes on the validation samples
    spike_rate : spikes per neuron and step on the validation samples, all layers together
    """

    epoch: int
    learning_rate: float
    loss: float
    train_accuracy: float
    validation_loss: float
    accuracy: float
    spike_rate: float


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What `fit` found.

    Attributes
    ----------
    best : the epoch with the lowest validation loss, which on few samples tells more than the
        accuracy; the earliest of equals
    seconds : time spent training
    """

    epochs: tuple[Epoch, ...]
    best: Epoch
    seconds: float


OnBatch = Callable[[Batch], None]
OnEpoch = Callable[[tuple[Epoch, ...]], None]


def fit(
    network: nn.Sequential,
    dataset: Dataset,
    encoder: Encoder,
    algorithm: Algorithm,
    training: Training,
    *,
    on_batch: OnBatch = lambda batch: None,
    on_epoch: OnEpoch = lambda epochs: None,
    store: Store | None = None,
) -> Fitted:
    """Train a network in place; it ends with the weights of its best epoch, rounded.

    The rounding is that of `make_sums_exact`, or with `training.weight_bits` the compiler's. It is
    done before the validation samples are classified, which decide the best epoch. The test samples
    are not looked at. Sets torch's number of threads, its random state, and how the process takes
    memory (`spikeloom.models.memory`).

    Parameters
    ----------
    on_epoch : called after every epoch with all epochs so far
    store : keeps the state of the training on disk, and may hold one to go on from

    Raises
    ------
    SpikeloomError
        If the loss or a weight becomes NaN or infinite (the text says in which epoch and batch), if
        a batch does not fit into memory, or if the stored state is of another training.
    """
    loop = Loop(network, dataset, encoder, algorithm, training, store)
    while loop.epoch <= training.epochs:
        for batch in loop.pass_over_training_samples():
            on_batch(batch)
        loop.finish_epoch()
        on_epoch(tuple(loop.epochs))
    network.load_state_dict(loop.best)
    best = min(loop.epochs, key=lambda epoch: epoch.validation_loss)
    return Fitted(tuple(loop.epochs), best, loop.seconds)


class Loop:
    """A training, and where it stands.

    Attributes
    ----------
    epoch : the current one, from 1
    batch : how many batches of it are done
    tally : of these
    best : weights of the best epoch
    """

    def __init__(
        self,
        network: nn.Sequential,
        dataset: Dataset,
        encoder: Encoder,
        algorithm: Algorithm,
        training: Training,
        store: Store | None,
    ) -> None:
        keep_freed_memory()
        torch.set_num_threads(training.threads)
        torch.manual_seed(training.seed)
        self.network, self.dataset, self.encoder = network, dataset, encoder
        self.algorithm, self.training, self.store = algorithm, training, store
        self.optimiser = build_optimiser(training, network)
        self.rounding = None
        if training.weight_bits:
            example, _ = coded_batch(encoder, dataset.validation, np.arange(1))
            self.rounding = Rounding(network, example, training.weight_bits, encoder.events)
        self.epoch, self.batch, self.tally = 1, 0, Tally()
        self.epochs: list[Epoch] = []
        self.best: Tensors = {}
        self._before = 0.0
        self._restore()
        self._started = self._saved = perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds spent, those before a resumption included."""
        return self._before + perf_counter() - self._started

    def pass_over_training_samples(self) -> Iterator[Batch]:
        """Update with every batch of the current epoch that is not done yet."""
        size = self.dataset.train.size
        seed = [self.training.seed, self.epoch]
        order = np.random.default_rng(seed).permutation(size)
        batches = -(-size // self.training.batch)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.training, self.epoch)
        self.network.train()
        while self.batch < batches:
            first = self.batch * self.training.batch
            self._update(order[first : first + self.training.batch], [*seed, self.batch + 1])
            self.batch += 1
            if self.batch < batches and perf_counter() - self._saved > SAVE_SECONDS:
                self._save()
            yield Batch(self.epoch, self.batch, batches, *self.tally.score())

    def finish_epoch(self) -> None:
        """Validate, keep the weights if they are the best, and go to the next epoch."""
        passed, (score, weights) = self.tally.score(), self._validate()
        if all(score.loss < earlier.validation_loss for earlier in self.epochs):
            self.best = weights
        rate = learning_rate(self.training, self.epoch)
        self.epochs.append(Epoch(self.epoch, rate, passed.loss, passed.accuracy, *score))
        self.epoch, self.batch, self.tally = self.epoch + 1, 0, Tally()
        self._save()

    def _update(self, indices: Indices, seed: list[int]) -> None:
        training, network = self.training, self.network
        random = np.random.default_rng(seed)
        self.optimiser.zero_grad()
        try:
            inputs, labels = coded_batch(
                self.encoder,
                self.dataset.train,
                indices,
                self.epoch,
                lambda images: training.augmentation(images, random),
            )
            with (
                self.rounding.applied() if self.rounding else nullcontext(),
                self.tally.counting_spikes(network),
            ):
                judged = self.algorithm.judge(network, inputs, labels)
                judged.loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        except (MemoryError, RuntimeError) as error:
            if _is_out_of_memory(error):
                raise SpikeloomError(
                    f"a batch of {len(indices)} samples does not fit into memory; a smaller "
                    "--batch may"
                ) from error
            raise
        if training.clip_gradient:
            nn.utils.clip_grad_norm_(network.parameters(), training.clip_gradient)
        self.optimiser.step()
        self.algorithm.constrain(network)
        self._constrain()
        self._check_finite(judged.loss)
        self.tally.add(judged, labels)

    @torch.no_grad()
    def _constrain(self) -> None:
        limit = self.training.clamp_weights
        if limit:
            for parameter in self.network.parameters():
                parameter.clamp_(-limit, limit)

    def _check_finite(self, loss: Tensor) -> None:
        """Look at the weights too: neurons with a NaN membrane are silent, and the loss finite."""
        wrong = [
            name
            for name, parameter in self.network.named_parameters()
            if not parameter.isfinite().all()
        ]
        if not wrong and loss.isfinite():
            return
        what = f"'{wrong[0]}' holds NaN or infinite numbers" if wrong else "the loss is not finite"
        error = SpikeloomError(
            f"{what} after epoch {self.epoch}, batch {self.batch + 1}, loss {loss.item():g}; a "
            f"learning rate below {self.training.learning_rate:g} may help"
        )
        if self.store is not None and self.store.path.exists():
            error.add_note(f"the last state before that is kept in '{self.store.path}'")
        raise error

    def _validate(self) -> tuple[Score, Tensors]:
        """Judge the weights as they would be exported; give these weights too."""
        settings = (self.encoder, self.algorithm, self.dataset.validation, self.training.batch)
        if self.rounding is not None:
            self.rounding.choose_steps()
            with self.rounding.applied():
                weights = copy.deepcopy(self.network.state_dict())
                return evaluate(self.network, *settings), weights
        exact = copy.deepcopy(self.network)
        make_sums_exact(exact, self.encoder.events)
        return evaluate(exact, *settings), exact.state_dict()

    def _save(self) -> None:
        if self.store is None:
            return
        progress = {
            "epoch": self.epoch,
            "batch": self.batch,
            "tally": asdict(self.tally),
            "epochs": self.epochs,
            "steps": self.rounding.steps if self.rounding else [],
            "seconds": self.seconds,
        }
        self.store.save(self.network, self.optimiser, self.best, progress)
        self._saved = perf_counter()

    def _restore(self) -> None:
        stored = self.store.load(self.network, self.optimiser) if self.store else None
        if stored is None:
            return
        progress: dict[str, Any]
        self.best, progress = stored
        self.epoch, self.batch = progress["epoch"], progress["batch"]
        self.tally = Tally(**progress["tally"])
        self.epochs = [Epoch(*values) for values in progress["epochs"]]
        self._before = progress["seconds"]
        if self.rounding is not None:
            self.rounding.steps = progress["steps"]


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(
        sign in text for sign in ("out of memory", "not enough memory", "can't allocate memory")
    )
