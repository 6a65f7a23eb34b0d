"""The ONNX operators on feature maps: convolution and average pooling, per time step."""

import numpy as np

from spikeloom.compiler.geometry import Convolution, Map, Pooling
from spikeloom.compiler.ir import FloatArray
from spikeloom.compiler.onnx_graph import Builder, Meaning, Node, as_current
from spikeloom.compiler.onnx_layout import Layout, Refusal
from spikeloom.compiler.onnx_terms import convolve, depthwise, pool
from spikeloom.compiler.onnx_values import Constant, Current, Spikes, Value

Pair = tuple[int, int]


def convolution(node: Node, build: Builder) -> Meaning:
    """`Conv` by constant weights, over one or two axes that hold neither time nor batch."""
    value = node.inputs[0]
    weights = node.constant(1, "the weight")
    weight = np.asarray(weights.value, np.float64)
    axes = weight.ndim - 2
    if axes not in (1, 2):
        raise Refusal(
            f"weight '{weights.origin}' has shape {weight.shape}: a convolution over {axes} axes; "
            "wanted 1 or 2"
        )
    current, shape = _maps(node, value, axes)
    groups = int(node.attribute("group", 1))
    if weight.shape[1] * groups != shape[0] or weight.shape[0] % groups:
        raise Refusal(
            f"it takes {weight.shape[1] * groups} channels in {groups} groups and gives "
            f"{weight.shape[0]}, but {value} has {shape[0]}"
        )
    kernel = _pair(weight.shape[2:])
    if _pair(node.attribute("kernel_shape", weight.shape[2:])) != kernel:
        raise Refusal(f"its kernel_shape is not that of weight '{weights.origin}'")
    _refuse_dilation(node)
    stride = _pair(node.attribute("strides", (1,) * axes))
    padding = _padding(node, shape, kernel, stride)
    each = Convolution(shape, weight.shape[0], kernel, stride, padding, groups)
    label = weights.origin.removesuffix(".weight") if ".weight" in weights.origin else node.name
    result = _convolved(current, each, weight.reshape(each.weight_shape), axes, label, build)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = node.constant(2, "the bias")
        spread = bias.value.reshape(-1, *(1,) * axes)
        added = result.layout.per_feature(spread, f"bias '{bias.origin}'")
        result = Current(result.terms, result.bias + added, result.layout)
    dense = any(term.convolution is None for term in result.terms)
    into = ", multiplied into a dense matrix" if dense else ""
    return f"convolution {_notation(each)}{into}", [result]


def average(node: Node, build: Builder) -> Meaning:
    """`AveragePool` and `GlobalAveragePool`."""
    value = node.inputs[0]
    if not isinstance(value, Spikes | Current):
        raise Refusal(f"{node.proto.op_type} of {value} is not supported; wanted spikes")
    axes = len(value.layout.axes) - 2
    current, shape = _maps(node, value, axes)
    if node.proto.op_type == "GlobalAveragePool":
        kernel = stride = shape[1:]
        padding = (0, 0, 0, 0)
    else:
        kernel, stride, padding = _window(node, shape, axes)
    if kernel == stride == (1, 1) and not any(padding):
        return f"no change of {value}", [value]
    if kernel == stride and kernel[0] == kernel[1] and not any(padding):
        layout = _layout(current, Pooling(shape, kernel[0]).result, axes)
        meaning, result = pooled(node, current, shape, kernel[0], layout, build)
        return meaning, [result]
    each = depthwise(shape, kernel, stride, padding)
    ones = np.ones(each.weight_shape)
    summed = _convolved(current, each, ones, axes, node.name, build)
    rows, columns = kernel
    result = summed.scaled(np.full(len(summed.bias), 1 / (rows * columns)))
    return f"averages over {rows}x{columns}, depthwise convolution {_notation(each)}", [result]


def _window(node: Node, shape: Map, axes: int) -> tuple[Pair, Pair, tuple[int, int, int, int]]:
    """Kernel, stride and padding of an `AveragePool`."""
    kernel = _pair(node.attribute("kernel_shape", ()))
    _refuse_dilation(node)
    stride = _pair(node.attribute("strides", (1,) * axes))
    padding = _padding(node, shape, kernel, stride)
    if any(padding) and not node.attribute("count_include_pad", 0):
        raise Refusal(
            "it divides by fewer pixels at the border; wanted no padding or count_include_pad = 1"
        )
    if node.attribute("ceil_mode", 0):
        given = [size - part for size, part in zip(shape[1:], kernel, strict=True)]
        if any(rest % step for rest, step in zip(given, stride, strict=True)):
            raise Refusal("ceil_mode = 1 cuts squares off at the border; wanted ceil_mode = 0")
    return kernel, stride, padding


def pooled(
    node: Node, current: Current, shape: Map, size: int, layout: Layout, build: Builder
) -> tuple[str, Current]:
    """Averages over squares that do not overlap; `layout` is that of the result."""
    terms = tuple(pool(term, shape, size, node.name, build) for term in current.terms)
    sums = Pooling(shape, size)(current.bias.reshape(shape)).reshape(-1)
    bias = np.asarray(sums / size**2, np.float64)
    return f"pooling {size}x{size}", Current(terms, bias, layout)


def _convolved(
    current: Current,
    each: Convolution,
    weight: FloatArray,
    axes: int,
    label: str,
    build: Builder,
) -> Current:
    if min(each.result) < 1:
        raise Refusal(f"its kernel {each.kernel} is larger than the maps of shape {each.shape}")
    terms = tuple(convolve(term, each, weight, label, build) for term in current.terms)
    bias = each(weight, current.bias.reshape(1, *each.shape)).reshape(-1)
    return Current(terms, np.asarray(bias, np.float64), _layout(current, each.result, axes))


def _maps(node: Node, value: Value | None, axes: int) -> tuple[Current, Map]:
    """What is convolved, and the shape of its feature maps; one axis is one row of pixels."""
    if isinstance(value, Constant):
        raise Refusal("it convolves a constant")
    current = as_current(node, value)
    layout = current.layout
    rank = len(layout.axes)
    if rank != axes + 2 or axes not in (1, 2):
        raise Refusal(
            f"{value} has the shape {layout.shape}; wanted [T * N, channels, rows, columns]: fold "
            "time into the batch"
        )
    if not layout.holds(0, "time", "batch") or not all(
        layout.holds(axis, "feature") for axis in range(1, rank)
    ):
        raise Refusal(
            "it works on time steps or samples as if they were pixels; wanted [T * N, channels, "
            "rows, columns]: fold time into the batch"
        )
    _, channels, *pixels = layout.shape
    rows, columns = (1, *pixels)[-2:]
    return current, (channels, rows, columns)


def _layout(current: Current, result: Map, axes: int) -> Layout:
    channels, rows, columns = result
    kept = (channels, columns) if axes == 1 else (channels, rows, columns)
    features = Layout.of_axes(*(("feature", size) for size in kept))
    return Layout((current.layout.axes[0], *features.axes))


def _pair(values: tuple[int, ...] | list[int]) -> Pair:
    """Rows and columns; a convolution over one axis has one row."""
    rows, columns = (1, *values)[-2:]
    return int(rows), int(columns)


def _padding(node: Node, shape: Map, kernel: Pair, stride: Pair) -> tuple[int, int, int, int]:
    auto = node.attribute("auto_pad", "NOTSET")
    if auto == "NOTSET":
        pads = list(node.attribute("pads", (0, 0, 0, 0)))
        begin, end = pads[: len(pads) // 2], pads[len(pads) // 2 :]
        (top, left), (bottom, right) = ((0, *part)[-2:] for part in (begin, end))
        if min(pads) < 0:
            raise Refusal(f"its padding {pads} cuts pixels off; wanted >= 0")
        return top, left, bottom, right
    if auto == "VALID":
        return 0, 0, 0, 0
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise Refusal(f"auto_pad = {auto!r}; wanted NOTSET | VALID | SAME_UPPER | SAME_LOWER")
    small, large = [], []
    for size, part, step in zip(shape[1:], kernel, stride, strict=True):
        total = max((-(-size // step) - 1) * step + part - size, 0)
        small.append(total // 2)
        large.append(total - total // 2)
    first, last = (small, large) if auto == "SAME_UPPER" else (large, small)
    return first[0], first[1], last[0], last[1]


def _refuse_dilation(node: Node) -> None:
    dilations = list(node.attribute("dilations", ()))
    if any(item != 1 for item in dilations):
        raise Refusal(f"dilations = {dilations}; wanted 1: spread the kernel with zeros instead")


def _notation(each: Convolution) -> str:
    """As the papers write it, `15C5`: features, C, kernel; `p1` for padding."""
    rows, columns = each.kernel
    kernel = f"{rows}" if rows == columns else f"{rows}x{columns}"
    pads = each.padding
    padding = f"p{pads[0]}" if len(set(pads)) == 1 else f", padding {pads}"
    padding = padding if any(pads) else ""
    down, across = each.stride
    stride = "" if each.stride == (1, 1) else f", stride {down}"
    stride += f"x{across}" if down != across else ""
    groups = f", {each.groups} groups" if each.groups > 1 else ""
    return f"{each.features}C{kernel}{padding}{stride}{groups}"
