"""Running ONNX files in stock onnxruntime: the oracle that nobody here wrote."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from spikeloom.compiler import reference
from spikeloom.compiler.errors import VerificationMismatch
from spikeloom.compiler.fixed_onnx import CLASS, COUNTS, spikes_output
from spikeloom.compiler.inputs import file_values
from spikeloom.compiler.ir import Network
from spikeloom.models.runtime import run_model


def compare_fixed(network: Network, model: onnx.ModelProto | Path, spikes: NDArray[Any]) -> int:
    """Compare a fixed ONNX file in onnxruntime with the integer reference, bit for bit.

    Parameters
    ----------
    spikes : the input's events, whole numbers of `network.events`, shape (T, N, inputs)

    Returns
    -------
    How many numbers were compared: all spikes of all layers, all scores and all classes.

    Raises
    ------
    VerificationMismatch
        At the first number that differs, in the order of layers and time steps.
    """
    expected = reference.run(network, spikes)
    given = file_values(network, spikes).reshape(*spikes.shape[:2], *network.input.shape)
    got = run_model(model, given)
    compared = 0
    for layer in network.layers:
        found = got[spikes_output(layer.name)]
        wanted = expected.spikes[layer.name]
        where = first_difference(wanted, found)
        if where is not None:
            step, sample, neuron = where
            raise VerificationMismatch(
                f"layer '{layer.name}', step {step}, sample {sample}, neuron {neuron}: "
                f"expected spike {wanted[where]}, got {found[where]}"
            )
        compared += wanted.size
    for name, wanted_readout in ((COUNTS, expected.scores), (CLASS, expected.classes)):
        where = first_difference(wanted_readout, got[name])
        if where is not None:
            raise VerificationMismatch(
                f"readout '{name}', sample {where[0]}: expected "
                f"{wanted_readout[where[0]].tolist()}, got {got[name][where[0]].tolist()}"
            )
        compared += wanted_readout.size
    return compared


def first_difference(expected: NDArray[Any], got: NDArray[Any]) -> tuple[int, ...] | None:
    """The index of the first element that differs, or None.

    Raises
    ------
    VerificationMismatch
        If the shapes differ.
    """
    if expected.shape != got.shape:
        raise VerificationMismatch(f"expected an array of shape {expected.shape}, got {got.shape}")
    differ = expected != got
    if not differ.any():
        return None
    return tuple(int(index) for index in np.argwhere(differ)[0])
