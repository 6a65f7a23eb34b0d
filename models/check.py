"""The first rung of the verification ladder: torch and onnxruntime give the same spikes."""

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from spikeloom.compiler.errors import VerificationMismatch
from spikeloom.models import runtime
from spikeloom.models.layers import record_spikes

Array = NDArray[np.generic]


def check_export(module: nn.Module, model: onnx.ModelProto, spikes: Array) -> dict[str, int]:
    """Run an exported model in onnxruntime and compare every spike of every layer with torch's.

    Parameters
    ----------
    spikes : array of 0 and 1, shape `[T, N, ...]`

    Returns
    -------
    Per layer, how many spikes were compared (neurons x steps x samples); all of them are equal.

    Raises
    ------
    VerificationMismatch
        At the first difference, naming layer, step, sample and neuron.
    """
    ran = runtime.run(model, spikes)
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            recorded = record_spikes(module, torch.from_numpy(spikes.astype(np.float32)))
    finally:
        module.train(was_training)
    if list(recorded.spikes) != list(ran.spikes):
        raise VerificationMismatch(
            f"torch has the layers {list(recorded.spikes)}, the ONNX model {list(ran.spikes)}"
        )
    for layer, tensor in recorded.spikes.items():
        _compare(layer, tensor.numpy(), ran.spikes[layer])
    (counts,) = ran.outputs.values()
    if not np.array_equal(recorded.output.numpy(), counts):
        raise VerificationMismatch("all spikes are equal, but torch and onnxruntime count others")
    return {layer: tensor.numel() for layer, tensor in recorded.spikes.items()}


def _compare(layer: str, expected: Array, got: Array) -> None:
    if expected.shape != got.shape:
        raise VerificationMismatch(
            f"spikes of layer '{layer}' have shape {expected.shape} in torch, {got.shape} in "
            "onnxruntime"
        )
    different = np.argwhere(expected != got)
    if len(different):
        step, sample, *neuron = different[0].tolist()
        place = (step, sample, *neuron)
        error = VerificationMismatch(
            f"layer '{layer}', step {step}, sample {sample}, neuron "
            f"{','.join(map(str, neuron))}: torch gives {expected[place]:g}, onnxruntime "
            f"{got[place]:g}; {len(different)} of {expected.size} spikes differ"
        )
        error.add_note(
            "sums of floats depend on their order; spikeloom.models.exact.make_sums_exact rounds "
            "weights so that they do not"
        )
        raise error
