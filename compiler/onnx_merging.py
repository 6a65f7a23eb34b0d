"""Several linear maps from one population onto another become one: their weights add."""

import math
from dataclasses import replace

import numpy as np

from spikeloom.compiler.geometry import Convolution
from spikeloom.compiler.ir import FloatArray
from spikeloom.compiler.onnx_graph import Builder
from spikeloom.compiler.onnx_layout import Refusal
from spikeloom.compiler.onnx_terms import matrix_of
from spikeloom.compiler.onnx_values import Term, per_channel


def merge(terms: list[Term], build: Builder) -> Term:
    """The sum of weighted maps of one population, all in order, as one map.

    Raises
    ------
    Refusal
        If that is neither one convolution nor a small dense matrix.
    """
    first, *others = terms
    if not others:
        return first
    source = "+".join(term.source for term in terms)
    alike = all(term.pooling == first.pooling for term in others)
    if alike and all(term.convolution == first.convolution for term in others):
        weight = np.sum([_with_gain(term) for term in terms], axis=0)
        return replace(first, source=source, weight=weight, gain=None)
    convolutions = [term.convolution for term in terms if term.convolution is not None]
    strides = {each.stride for each in convolutions}
    if alike and len(convolutions) == len(terms) and len(strides) == 1:
        return _one_kernel(terms, convolutions, source)
    if not alike:
        raise Refusal(
            f"'{first.pre}' reaches it both pooled and not, through '{source}'; put a layer of "
            "neurons between"
        )
    weight = np.sum([matrix_of(term, build) for term in terms], axis=0)
    return Term(first.pre, source, first.order, weight, pooling=first.pooling)


def _one_kernel(terms: list[Term], convolutions: list[Convolution], source: str) -> Term:
    """Convolutions of equal stride and result in one kernel that covers all of theirs."""
    first = convolutions[0]
    top = max(each.padding[0] for each in convolutions)
    left = max(each.padding[1] for each in convolutions)
    starts = [(top - each.padding[0], left - each.padding[1]) for each in convolutions]
    ends = [
        (row + each.kernel[0], column + each.kernel[1])
        for (row, column), each in zip(starts, convolutions, strict=True)
    ]
    rows, columns = max(end[0] for end in ends), max(end[1] for end in ends)
    (down, across), (channels, height, width) = first.stride, first.shape
    _, result_rows, result_columns = first.result
    bottom = max(0, (result_rows - 1) * down + rows - height - top)
    right = max(0, (result_columns - 1) * across + columns - width - left)
    common = Convolution(
        first.shape, first.features, (rows, columns), first.stride, (top, left, bottom, right)
    )
    weight = np.zeros(common.weight_shape)
    for term, each, (row, column) in zip(terms, convolutions, starts, strict=True):
        own, share = _with_gain(term), channels // each.groups
        kernel_rows, kernel_columns = each.kernel
        for feature in range(each.features):
            start = feature // (each.features // each.groups) * share
            weight[
                feature,
                start : start + share,
                row : row + kernel_rows,
                column : column + kernel_columns,
            ] += own[feature]
    order = np.arange(math.prod(common.result))
    return replace(
        terms[0], source=source, order=order, weight=weight, convolution=common, gain=None
    )


def _with_gain(term: Term) -> FloatArray:
    """The weights with the gain multiplied in."""
    weight, gain = term.weight, term.gain
    assert weight is not None
    if gain is None:
        return weight
    if term.convolution is not None:
        channels = per_channel(gain, term.convolution.features)
        assert channels is not None
        gain = channels
    return weight * gain.reshape(-1, *(1,) * (weight.ndim - 1))
