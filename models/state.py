"""The state of a training on disk, from which it goes on as if it had never stopped.

A safetensors file: the tensors of network, optimiser and best weights, and a JSON text in its
header with the place in the data, the history and the states of all random generators. No code.
"""

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from spikeloom.compiler import files
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import described
from spikeloom.models.source import describe_error

FORMAT = "spikeloom training state 1"
_HEADER = "spikeloom"

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Store:
    """Where a training keeps its state.

    Attributes
    ----------
    identity : JSON values that say what is trained; a state of another identity is refused
    resume : whether to go on from a state that is there already
    """

    path: Path
    identity: Mapping[str, Any]
    resume: bool = False

    @property
    def is_there(self) -> bool:
        """Whether there is a state to go on from."""
        return self.resume and self.path.exists()

    def stored_identity(self) -> dict[str, Any]:
        """The identity of the state that is there; empty if there is none, or it has no header."""
        if not self.is_there:
            return {}
        with _opened(self.path) as file:
            header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
        identity: dict[str, Any] = header.get("identity", {})
        return identity

    def save(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        best: Tensors,
        progress: Mapping[str, Any],
    ) -> None:
        """Write the state, and that of the global random generators."""
        moments = optimiser.state_dict()["state"]
        tensors = {f"network/{name}": item for name, item in network.state_dict().items()}
        tensors |= {f"best/{name}": item for name, item in best.items()}
        tensors |= {
            f"optimiser/{parameter}/{name}": item
            for parameter, values in moments.items()
            for name, item in values.items()
            if item is not None
        }
        tensors["random/torch"] = torch.get_rng_state()
        header = {
            "format": FORMAT,
            "torch": torch.__version__,
            "identity": self.identity,
            "progress": progress,
            "python": random.getstate(),
            "numpy": np.random.get_state(legacy=False),
        }
        metadata = {_HEADER: json.dumps(header, sort_keys=True, default=_plain)}
        # The file must not share memory with what the training goes on to change.
        copies = {name: item.detach().clone() for name, item in tensors.items()}
        files.write_bytes(self.path, safetensors.torch.save(copies, metadata))

    def load(
        self, network: nn.Module, optimiser: torch.optim.Optimizer
    ) -> tuple[Tensors, dict[str, Any]] | None:
        """Put the state back into network, optimiser and random generators.

        Returns
        -------
        The best weights and `progress` as they were saved; None if there is nothing to go on from.

        Raises
        ------
        SpikeloomError
            If the file is damaged, or of another training or another version of torch.
        """
        if not self.is_there:
            return None
        with _opened(self.path) as file:
            metadata = file.metadata() or {}
            names = file.keys()
            tensors: Tensors = {name: file.get_tensor(name) for name in names}
        try:
            header = json.loads(metadata[_HEADER])
            self._check(header)
            network.load_state_dict(_below("network/", tensors))
            settings = optimiser.state_dict()
            settings["state"] = _moments(_below("optimiser/", tensors))
            optimiser.load_state_dict(settings)
            torch.set_rng_state(tensors["random/torch"])
            version, internal, gauss = header["python"]
            random.setstate((version, tuple(internal), gauss))
            np.random.set_state(header["numpy"])
            return _below("best/", tensors), header["progress"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise SpikeloomError(
                f"'{self.path}' is not a training state of this network: {describe_error(error)}"
            ) from error

    def _check(self, header: dict[str, Any]) -> None:
        if header["format"] != FORMAT:
            raise SpikeloomError(
                f"'{self.path}' has the format '{header['format']}'; wanted '{FORMAT}'"
            )
        difference = described.first_difference(
            header["identity"], json.loads(json.dumps(self.identity))
        )
        if difference is not None:
            name, found, wanted = difference
            raise SpikeloomError(
                f"training state '{self.path}' has {name} = {found}, but this training has "
                f"{wanted}; start anew without --resume"
            )
        if header["torch"] != torch.__version__:
            raise SpikeloomError(
                f"training state '{self.path}' was written with torch {header['torch']}; torch "
                f"{torch.__version__} would not go on with the same numbers"
            )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except (OSError, safetensors.SafetensorError) as error:
        raise SpikeloomError(
            f"training state '{path}' cannot be read, or is cut short: {error}"
        ) from error


def _below(prefix: str, tensors: Tensors) -> Tensors:
    return {
        name.removeprefix(prefix): item for name, item in tensors.items() if name.startswith(prefix)
    }


def _moments(tensors: Tensors) -> dict[int, Tensors]:
    moments: dict[int, Tensors] = {}
    for path, item in tensors.items():
        parameter, _, name = path.partition("/")
        moments.setdefault(int(parameter), {})[name] = item
    return moments


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"cannot store {value!r}")
