"""Linear maps that reach a layer of neurons become projections."""

import math
from dataclasses import replace

import numpy as np

from spikeloom.compiler.geometry import Map
from spikeloom.compiler.ir import Neuron, Population, Projection
from spikeloom.compiler.onnx_graph import Builder
from spikeloom.compiler.onnx_merging import merge
from spikeloom.compiler.onnx_terms import depthwise, matrix_of
from spikeloom.compiler.onnx_values import Term, per_channel


def add_layer(
    build: Builder,
    name: str,
    shape: tuple[int, ...],
    neuron: Neuron,
    source: str,
    terms: tuple[Term, ...],
) -> Population:
    """Add a population and what projects onto it.

    Maps of the same population are one projection.

    Parameters
    ----------
    shape : of the current at one time step; the population has that of the feature maps instead,
        where a convolution or a pooling makes them
    """
    maps = _maps(terms, shape, build)
    for term in terms:
        if term.weight is None and term.pooling is not None:
            fate = f"as a depthwise convolution onto '{name}'"
            build.fates.setdefault(term.source, []).append(fate)
    pooled = {(term.pre, term.pooling) for term in terms if term.weight is not None}
    terms = tuple(
        _for_neurons(term, maps, (term.pre, term.pooling) in pooled, build) for term in terms
    )
    if any(term.convolution is not None for term in terms):
        assert maps is not None
        shape = maps
        build.maps.add(name)
    population = Population(name, shape, neuron, source)
    build.populations.append(population)
    for pre in dict.fromkeys(term.pre for term in terms):
        term = merge([term for term in terms if term.pre == pre], build)
        assert term.weight is not None
        build.projections.append(
            Projection(
                pre,
                name,
                term.weight,
                term.source,
                term.gain,
                convolution=term.convolution,
                pooling=term.pooling,
            )
        )
    return population


def _maps(terms: tuple[Term, ...], shape: tuple[int, ...], build: Builder) -> Map | None:
    """The feature maps that a layer of neurons has, None for one without."""
    for term in terms:
        if term.convolution is not None and term.in_order:
            return term.convolution.result
    for term in terms:
        if term.weight is None and term.pooling is not None and term.in_order:
            return term.pooling.result
    if any(term.weight is None for term in terms):
        shapes = [shape, *(build.population(term.pre).shape for term in terms)]
        for rows in shapes:
            if len(rows) == 3 and math.prod(rows) == math.prod(shape):
                return rows[0], rows[1], rows[2]
    return None


def _for_neurons(term: Term, maps: Map | None, keep_pooling: bool, build: Builder) -> Term:
    """A map as a dense one, or as a convolution that gives `maps` in order."""
    if term.weight is None and maps is not None:
        term = _summed(term, maps, keep_pooling, build)
    if term.convolution is not None and term.convolution.result == maps and term.in_order:
        return term
    if term.weight is not None and term.convolution is None and term.in_order:
        return term
    matrix = matrix_of(term, build)
    return Term(term.pre, term.source, np.arange(len(matrix)), matrix, pooling=term.pooling)


def _summed(term: Term, maps: Map, keep_pooling: bool, build: Builder) -> Term:
    """Spikes, pooled or as they are, as a depthwise convolution of ones, if they are maps.

    The convolution sums the squares itself, unless pooled spikes reach the same neurons anyway.
    """
    if not term.in_order or (term.gain is not None and per_channel(term.gain, maps[0]) is None):
        return term
    pooling = term.pooling
    if pooling is not None and not keep_pooling:
        size = pooling.size
        convolution, pooling = depthwise(pooling.shape, (size, size), (size, size)), None
    elif pooling is not None or build.see_as_maps(term.pre, maps):
        convolution = depthwise(maps, (1, 1), (1, 1))
    else:
        return term
    weight = np.ones(convolution.weight_shape)
    return replace(term, weight=weight, convolution=convolution, pooling=pooling)
