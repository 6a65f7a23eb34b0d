"""The ONNX nodes that make readouts: reductions over time, votes, the last step, ArgMax."""

from dataclasses import replace

import numpy as np

from spikeloom.compiler.ir import ReadoutKind
from spikeloom.compiler.onnx_convolution import pooled
from spikeloom.compiler.onnx_graph import Builder, Meaning, Node, as_current
from spikeloom.compiler.onnx_layout import Refusal
from spikeloom.compiler.onnx_values import (
    READOUTS,
    Activity,
    Classes,
    Current,
    Scores,
    Spikes,
    Value,
    in_order,
)


def as_activity(value: Value | None) -> Activity | None:
    """Spikes or membranes of one population on their way into a readout; None for all else.

    Spikes may be scaled by one number, or averaged over whole feature maps.
    """
    if isinstance(value, Activity):
        return value
    if isinstance(value, Spikes):
        return Activity(value.population, "spikes", value.order, value.layout)
    if not isinstance(value, Current) or len(value.terms) != 1 or value.bias.any():
        return None
    (term,) = value.terms
    gain = np.ones(1) if term.gain is None else term.gain
    if term.weight is not None or (gain != gain[0]).any() or gain[0] <= 0:
        return None
    group = 1
    if term.pooling is not None:
        _, rows, columns = term.pooling.shape
        if not rows == columns == term.pooling.size:
            return None
        group = rows * columns
    factor = float(gain[0])
    return Activity(term.pre, "spikes", term.order, value.layout, factor, group=group)


def reduce(node: Node, build: Builder) -> Meaning:
    """`ReduceSum`, `ReduceMean` and `ReduceMax`: over time, over the neurons of a vote, or both."""
    operator = node.proto.op_type
    value = node.inputs[0]
    if not isinstance(value, Spikes | Current | Activity | Scores):
        raise Refusal(f"{operator} of {value} is not supported; wanted spikes, over time (axis 0)")
    rank = len(value.layout.axes)
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        listed = node.constant(1, "the axes").value.reshape(-1).tolist()
    else:
        listed = list(node.attribute("axes", ()))
    axes = sorted({int(axis) % rank for axis in listed})
    keep = bool(node.attribute("keepdims", 1))
    # An axis of size 1 holds nothing; a window of one step is known by its place.
    full = [axis for axis in axes if value.layout.axes[axis] or (build.steps, axis) == (1, 0)]
    time = [axis for axis in full if value.layout.holds(axis, "time")]
    votes = [axis for axis in full if axis not in time]
    where = f"{operator} over axes {axes} of {value}"
    if not axes or not all(value.layout.holds(axis, "feature") for axis in votes):
        raise Refusal(f"{where} is not over time alone")
    if isinstance(value, Spikes | Current) and not time and len(votes) > 1:
        return _reduce_maps(node, value, votes, where, build)
    result = value if isinstance(value, Scores) else as_activity(value)
    if result is None:
        raise Refusal(f"{where} is not supported; wanted spikes, over time (axis 0)")
    meanings = []
    for axis in reversed(votes):
        result = _vote(result, axis, operator, where)
        meanings.append(f"vote of {value.layout.shape[axis]} neurons per class")
    if isinstance(result, Activity) and time:
        result = _over_time(result, operator, where, build)
        meanings.append(f"readout, {READOUTS[result.kind]} of {result.population}")
    layout = value.layout.without(axes, keep)
    return ", ".join(meanings) or f"no change of {value}", [replace(result, layout=layout)]


def _reduce_maps(
    node: Node, value: Spikes | Current, axes: list[int], where: str, build: Builder
) -> Meaning:
    """The average or sum over rows and columns: pooling over whole feature maps."""
    layout = value.layout
    rank = len(layout.axes)
    *_, channels, rows, columns = (1, *layout.shape)
    if (
        node.proto.op_type == "ReduceMax"
        or axes != [rank - 2, rank - 1]
        or not layout.holds(rank - 3, "feature")
        or rows != columns
    ):
        raise Refusal(
            f"{where} is not supported; wanted the mean over square maps [..., rows, columns]"
        )
    after = layout.without(axes, bool(node.attribute("keepdims", 1)))
    shape = (channels, rows, columns)
    meaning, current = pooled(node, as_current(node, value), shape, rows, after, build)
    if node.proto.op_type == "ReduceSum":
        current = current.scaled(np.full(channels, float(rows * columns)))
    return meaning, [current]


def _vote(value: Activity | Scores, axis: int, operator: str, where: str) -> Activity | Scores:
    """The sum or mean over neurons that stand one after the other."""
    layout = value.layout
    behind = range(axis + 1, len(layout.axes))
    if operator == "ReduceMax":
        raise Refusal(f"{where} takes the maximum of several neurons; wanted their sum or mean")
    if any(layout.axes[number] for number in behind) or not in_order(value.order):
        raise Refusal(
            f"{where} is a vote of neurons that do not stand one after the other; wanted "
            "[..., classes, neurons per class], over the last axis"
        )
    size = layout.shape[axis]
    return replace(
        value,
        layout=layout.without([axis], keep=True),
        order=np.arange(len(value.order) // size),
        group=value.group * size,
        factor=value.factor / (size if operator == "ReduceMean" else 1),
    )


def _over_time(value: Activity, operator: str, where: str, build: Builder) -> Scores:
    if value.population == build.populations[0].name:
        raise Refusal(f"{where} reads the input; wanted spikes of a layer of neurons")
    kind, weights, factor = _kind(value, operator, where, build.steps)
    return Scores(value.population, value.order, value.layout, factor, kind, weights, value.group)


def _kind(
    value: Activity, operator: str, where: str, steps: int
) -> tuple[ReadoutKind, tuple[float, ...], float]:
    """The readout that a reduction over time is, its weights per step, and the factor left."""
    weights, factor = value.weights, value.factor
    if operator == "ReduceMean":
        factor /= steps
    if value.what == "membranes":
        if operator != "ReduceMax":
            raise Refusal(f"{where} is not supported; wanted their last step or their maximum")
        if value.group > 1:
            raise Refusal(f"{where} is not supported; wanted the vote behind the maximum")
        return "maximum_membrane", (), factor
    if operator != "ReduceMax":
        return ("weighted_spike_count" if weights else "spike_count"), weights, factor
    if value.group > 1:
        raise Refusal(f"{where} is not supported; wanted the vote behind the maximum")
    left = np.arange(steps, 0, -1)
    unit = (weights or (1.0,) * steps)[-1]
    if unit <= 0 or not np.array_equal(np.array(weights or (1.0,)) / unit, left):
        raise Refusal(
            f"{where} is not the first spike: wanted spikes times T, T - 1, .. 1 over the time "
            "steps"
        )
    return "first_spike", (), factor * unit


def take(node: Node, build: Builder) -> Meaning:
    """`Gather` and `Slice` of membranes: the last time step."""
    value = node.inputs[0]
    operator = node.proto.op_type
    if not isinstance(value, Activity) or value.what != "membranes":
        raise Refusal(f"{operator} of {value} is not supported; wanted membranes, their last step")
    for position in range(1, len(node.proto.input)):
        if node.inputs[position] is not None:
            node.constant(position, f"input {position}")
    layout = value.layout
    time = [
        number for number, axis in enumerate(layout.axes) if axis and layout.holds(number, "time")
    ]
    numbers = np.arange(np.prod(layout.shape)).reshape(layout.shape)
    others = [getattr(item, "value", None) for item in node.inputs[1:]]
    (taken,) = node.evaluate([numbers, *others])
    last = numbers.take([-1], time[0]) if time else numbers
    if (build.steps > 1 and not time) or not np.array_equal(taken.reshape(-1), last.reshape(-1)):
        raise Refusal(f"it takes another part of {value} than their last step, {build.steps - 1}")
    kept = layout.without(time, keep=True).reshaped(taken.shape)
    scores = Scores(
        value.population, value.order, kept, value.factor, "final_membrane", (), value.group
    )
    return f"readout, final membrane of {value.population}", [scores]


def choose(node: Node, build: Builder) -> Meaning:
    """`ArgMax` over the classes."""
    value = node.inputs[0]
    if not isinstance(value, Scores):
        raise Refusal(f"ArgMax of {value} is not supported; wanted the scores of a readout")
    axis = int(node.attribute("axis", 0)) % len(value.layout.axes)
    size = value.layout.shape[axis]
    if not value.layout.holds(axis, "feature") or size != value.layout.features:
        raise Refusal(
            f"ArgMax over axis {axis} of {value} is not over its {len(value.order)} classes"
        )
    if node.attribute("select_last_index", 0):
        raise Refusal("select_last_index = 1; wanted 0: ties go to the lowest index")
    if not in_order(value.order):
        raise Refusal(f"the classes of {value} stand in another order")
    return f"readout, class of {value.population}", [Classes(value)]
