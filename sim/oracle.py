"""Running ONNX files in stock onnxruntime: the oracle that nobody here wrote."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError, VerificationMismatch
from spikeloom.compiler.fixed_onnx import CLASS, COUNTS, spikes_output
from spikeloom.compiler.ir import Network

Arrays = dict[str, NDArray[Any]]

_ERRORS_ONLY = 3

# What onnxruntime raises on a file or on an input that it does not take.
_RUNTIME_ERRORS = (
    runtime.EPFail,
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NoSuchFile,
    runtime.NotImplemented,
    runtime.RuntimeException,
    ValueError,
)


def run_model(
    model: onnx.ModelProto | Path,
    spikes: NDArray[Any],
    outputs: list[str] | None = None,
    threads: int = 1,
) -> Arrays:
    """Run a model with one input in onnxruntime.

    Parameters
    ----------
    spikes : array of shape (T, N, inputs ...); it is converted to float32
    outputs : names of the outputs to compute; all if None
    threads : how many threads an operator may use

    Raises
    ------
    SpikeloomError
        If onnxruntime does not take the model or the input, or has no such output.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    what = f"model '{model.graph.name}'" if isinstance(model, onnx.ModelProto) else f"'{model}'"
    try:
        session = onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        names = [item.name for item in session.get_outputs()]
        missing = [name for name in outputs or [] if name not in names]
        if missing:
            raise SpikeloomError(f"{what} has no output '{missing[0]}'; it has {', '.join(names)}")
        wanted = outputs or names
        results = session.run(wanted, {given.name: spikes.astype(np.float32)})
    except _RUNTIME_ERRORS as error:
        reason = " ".join(str(error).split())
        raise SpikeloomError(f"onnxruntime cannot run {what}: {reason[:300]}") from error
    return dict(zip(wanted, results, strict=True))


def compare_fixed(network: Network, model: onnx.ModelProto | Path, spikes: NDArray[Any]) -> int:
    """Compare a fixed ONNX file in onnxruntime with the integer reference, bit for bit.

    Parameters
    ----------
    spikes : array of 0 and 1, shape (T, N, inputs)

    Returns
    -------
    How many numbers were compared: all spikes of all layers, all counts and all classes.

    Raises
    ------
    VerificationMismatch
        At the first number that differs, in the order of layers and time steps.
    """
    expected = reference.run(network, spikes)
    given = spikes.reshape(*spikes.shape[:2], *network.input.shape)
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
