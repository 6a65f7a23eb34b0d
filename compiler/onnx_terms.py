"""Linear maps behind one another: what a layer makes of a map that reaches it without neurons.

Pooled spikes stay pooled, and a layer without neurons before it is multiplied into the next one:
into a dense matrix, as long as that is small.
"""

import math
from dataclasses import replace

import numpy as np

from spikeloom.compiler.geometry import Convolution, Map, Pooling
from spikeloom.compiler.ir import FloatArray
from spikeloom.compiler.onnx_graph import Builder
from spikeloom.compiler.onnx_layout import Refusal
from spikeloom.compiler.onnx_values import Term, per_channel

# Weights of the largest dense matrix that takes the place of a convolution.
LARGEST_MATRIX = 1 << 20


def matrix_of(term: Term, build: Builder) -> FloatArray:
    """A map as one matrix, its gain included, of shape (features, what is weighted).

    Raises
    ------
    Refusal
        If that is a convolution, or no weights at all, and the matrix would be large.
    """
    matrix = term.weight
    if matrix is None or term.convolution is not None:
        inputs = math.prod(
            build.population(term.pre).shape if term.pooling is None else term.pooling.result
        )
        if len(term.order) * inputs > LARGEST_MATRIX:
            raise Refusal(
                f"behind '{term.source}' it would be a dense matrix of {len(term.order)} x "
                f"{inputs} weights; put a layer of neurons between"
            )
        unit = np.eye(inputs)
        if matrix is not None and term.convolution is not None:
            fields = unit.reshape(inputs, *term.convolution.shape)
            unit = np.asarray(term.convolution(matrix, fields), np.float64).reshape(inputs, -1)
        matrix = unit.T
    if not term.in_order:
        matrix = matrix[term.order]
    return matrix if term.gain is None else matrix * term.gain[:, None]


def weigh(term: Term, weight: FloatArray, label: str, build: Builder) -> Term:
    """A dense layer behind a map; `weight` has the shape (neurons, features)."""
    if term.weight is not None:
        return _dense(term, weight @ matrix_of(term, build), f"{term.source}*{label}")
    if term.gain is not None:
        weight = weight * term.gain
    if not term.in_order:
        scattered = np.empty_like(weight)
        scattered[:, term.order] = weight
        weight = scattered
    _tell_folding(term, label, build)
    return _dense(term, weight, label)


def convolve(
    term: Term, convolution: Convolution, weight: FloatArray, label: str, build: Builder
) -> Term:
    """A convolution behind a map; `weight` has the shape `convolution.weight_shape`."""
    if _gives_maps(term, convolution.shape, build):
        channels = convolution.shape[0]
        gain = np.ones(channels) if term.gain is None else per_channel(term.gain, channels)
        if gain is not None:
            _tell_folding(term, label, build)
            groups, features = convolution.groups, convolution.features
            each = np.repeat(gain.reshape(groups, -1), features // groups, axis=0)
            return replace(
                term,
                source=label,
                order=np.arange(math.prod(convolution.result)),
                weight=weight if term.gain is None else weight * each[:, :, None, None],
                convolution=convolution,
                gain=None,
            )
    fields = matrix_of(term, build).T.reshape(-1, *convolution.shape)
    matrix = convolution(weight, fields).reshape(len(fields), -1).T
    return _dense(term, np.asarray(matrix, np.float64), f"{term.source}*{label}")


def pool(term: Term, shape: Map, size: int, label: str, build: Builder) -> Term:
    """Averages over squares of `size` that do not overlap, behind a map."""
    pooling, factor = Pooling(shape, size), 1 / size**2
    if _gives_maps(term, shape, build):
        gain = np.ones(shape[0]) if term.gain is None else per_channel(term.gain, shape[0])
        if gain is not None:
            before = term.pooling
            rows_and_columns = math.prod(pooling.result[1:])
            return Term(
                term.pre,
                label,
                np.arange(math.prod(pooling.result)),
                # Squares of squares are larger squares.
                pooling=pooling if before is None else Pooling(before.shape, before.size * size),
                gain=np.repeat(gain * factor, rows_and_columns),
            )
    convolution = term.convolution
    if convolution is not None and convolution.result == shape and term.in_order:
        return _pool_convolution(term, convolution, size, f"{term.source}*{label}")
    summed = depthwise(shape, (size, size), (size, size))
    return convolve(term, summed, np.full(summed.weight_shape, factor), label, build)


def _pool_convolution(term: Term, each: Convolution, size: int, source: str) -> Term:
    """Averages of a convolution are a convolution with a larger kernel and stride."""
    assert term.weight is not None
    (rows, columns), (down, across) = each.kernel, each.stride
    wider = replace(
        each,
        kernel=(rows + (size - 1) * down, columns + (size - 1) * across),
        stride=(size * down, size * across),
    )
    weight = np.zeros(wider.weight_shape)
    for row, column in np.ndindex(size, size):
        top, left = row * down, column * across
        weight[:, :, top : top + rows, left : left + columns] += term.weight / size**2
    gain = None if term.gain is None else per_channel(term.gain, each.features)
    return replace(
        term,
        source=source,
        order=np.arange(math.prod(wider.result)),
        weight=weight,
        convolution=wider,
        gain=None if gain is None else np.repeat(gain, math.prod(wider.result[1:])),
    )


def depthwise(
    shape: Map,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> Convolution:
    """A convolution that keeps the channels apart."""
    return Convolution(shape, shape[0], kernel, stride, padding, groups=shape[0])


def _gives_maps(term: Term, shape: Map, build: Builder) -> bool:
    """Whether a map gives spikes, pooled or as they are, as feature maps of this shape."""
    if term.weight is not None or not term.in_order:
        return False
    if term.pooling is not None:
        return term.pooling.result == shape
    return build.see_as_maps(term.pre, shape)


def _dense(term: Term, weight: FloatArray, source: str) -> Term:
    order = np.arange(len(weight))
    return Term(term.pre, source, order, weight, pooling=term.pooling)


def _tell_folding(term: Term, label: str, build: Builder) -> None:
    if term.pooling is not None:
        build.fates.setdefault(term.source, []).append(f"folded into '{label}'")
