"""What `spikeloom check` says of convolutions and pooling, and what it refuses."""

import numpy as np
import onnx
import pytest
from map_graphs import COUNT, NEURON, P2, Parse, behind, kinds, model_of

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.onnx_import import examine, import_network

MEANINGS = {
    "a = Conv <pads = [1, 1, 1, 1]> (maps, kernel)": "convolution 3C3p1",
    "a = Conv <strides = [2, 1]> (maps, row)": "convolution 3C1x2, stride 2x1",
    "a = Conv <group = 2> (maps, each)": "convolution 4C1, 2 groups",
    "a = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (maps)": (
        "pooling 2x2 as a depthwise convolution onto 'lif'"
    ),
    "a = AveragePool <kernel_shape = [2, 1]> (maps)": (
        "averages over 2x1, depthwise convolution 2C2x1, 2 groups"
    ),
}


@pytest.mark.parametrize(("node", "meaning"), MEANINGS.items(), ids=MEANINGS.values())
def test_verdict_is_in_the_words_of_the_field(node: str, meaning: str, parse_model: Parse) -> None:
    case = behind(
        f"{node} product = Flatten (a)",
        (-1,),
        [],
        kernel=(3, 2, 3, 3),
        row=(3, 2, 1, 2),
        each=(4, 1, 1, 1),
    )
    case.shapes["unfold"][1:] = [11, -1]
    report = examine(model_of(case, parse_model))
    assert {item.node: item.meaning for item in report.verdicts}["a"] == meaning


def test_pooling_tells_every_layer_that_it_is_folded_into(parse_model: Parse) -> None:
    case = behind(
        f"pool = AveragePool <{P2}> (maps) a = Conv (pool, kernel) b = Conv (pool, other)"
        "product = Add (a, b)",
        (3, 2, 1),
        [],
        kernel=(3, 2, 2, 2),
        other=(3, 2, 2, 2),
    )
    report = examine(model_of(case, parse_model))
    meanings = {item.node: item.meaning for item in report.verdicts}
    assert meanings["pool"] == "pooling 2x2 folded into 'a' and folded into 'b'"
    assert kinds(report.require()) == ["convolution pooled"]


REFUSED = {
    "dilation": (
        "a = Conv <dilations = [2, 2]> (maps, kernel)",
        "Conv node 'a': dilations = [2, 2]; wanted 1: spread the kernel with zeros instead",
    ),
    "channels that do not match": (
        "a = Conv <group = 2> (maps, kernel)",
        "Conv node 'a': it takes 4 channels in 2 groups and gives 3, but the spikes of 'spikes' "
        "has 2",
    ),
    "a kernel larger than the maps": (
        "a = Conv (maps, large)",
        "Conv node 'a': its kernel (7, 7) is larger than the maps of shape (2, 6, 5)",
    ),
    "three axes": (
        "a = Conv (spikes, deep)",
        "Conv node 'a': weight 'deep' has shape (3, 2, 1, 1, 1): a convolution over 3 axes; "
        "wanted 1 or 2",
    ),
    "time as an axis": (
        "b = Transpose <perm = [1, 2, 0, 3, 4]> (spikes) c = Reshape (b, pixels)"
        "a = Conv (c, kernel)",
        "Conv node 'a': it works on time steps or samples as if they were pixels; wanted "
        "[T * N, channels, rows, columns]: fold time into the batch",
    ),
    "time that is not folded": (
        "a = Conv (spikes, kernel)",
        "Conv node 'a': the spikes of 'spikes' has the shape (4, 11, 2, 6, 5); wanted "
        "[T * N, channels, rows, columns]: fold time into the batch",
    ),
    "a factor per pixel": (
        "b = Conv (maps, kernel) a = Mul (b, pixel)",
        "Mul node 'a': the factor on the convolution 'b' differs inside a feature map; wanted one "
        "number per channel",
    ),
    "padding that is not counted": (
        "a = AveragePool <kernel_shape = [2, 2], pads = [1, 1, 0, 0]> (maps)",
        "AveragePool node 'a': it divides by fewer pixels at the border; wanted no padding or "
        "count_include_pad = 1",
    ),
    "squares that are cut off": (
        "a = AveragePool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (maps)",
        "AveragePool node 'a': ceil_mode = 1 cuts squares off at the border; wanted ceil_mode = 0",
    ),
    "the maximum of spikes": (
        "a = MaxPool <kernel_shape = [2, 2]> (maps)",
        "MaxPool node 'a': the maximum of spikes is not linear; pool by averages, or by the "
        "earliest spike (spikeloom.models.stdbp.EarliestPool2d)",
    ),
    "a transposed convolution": (
        "a = ConvTranspose (maps, kernel)",
        "ConvTranspose node 'a': it is not supported; wanted Conv",
    ),
    "a kernel_shape of another size": (
        "a = Conv <kernel_shape = [5, 5]> (maps, kernel)",
        "Conv node 'a': its kernel_shape is not that of weight 'kernel'",
    ),
}


@pytest.mark.parametrize(("nodes", "text"), REFUSED.values(), ids=REFUSED)
def test_refusal_names_node_and_way_out(nodes: str, text: str, parse_model: Parse) -> None:
    case = behind(
        f"{nodes} product = Flatten (a)",
        (-1,),
        [],
        kernel=(3, 2, 3, 3),
        large=(3, 2, 7, 7),
        deep=(3, 2, 1, 1, 1),
        pixel=(3, 4, 3),
    )
    model = model_of(case, parse_model)
    pixels = onnx.numpy_helper.from_array(np.array([-1, 2, 4, 30]), "pixels")
    model.graph.initializer.append(pixels)
    with pytest.raises(SpikeloomError) as raised:
        import_network(model, "net")
    assert str(raised.value) == text


def test_pooled_and_plain_spikes_onto_the_same_neurons_are_refused(parse_model: Parse) -> None:
    case = behind(
        f"p = AveragePool <{P2}> (maps) a = Conv (p, kernel) b = Conv (maps, other)"
        "product = Add (a, b)",
        (3, 3, 2),
        [],
        kernel=(3, 2, 1, 1),
        other=(3, 2, 4, 4),
    )
    with pytest.raises(SpikeloomError, match=r"'spikes' reaches it both pooled and not, through"):
        import_network(model_of(case, parse_model), "net")


def test_convolutions_in_a_row_on_large_maps_are_refused(parse_model: Parse) -> None:
    model = parse_model(
        "maps = Reshape (spikes, fold) a = Conv (maps, kernel) product = Conv (a, kernel)"
        "current = Reshape (product, unfold)" + NEURON + COUNT,
        inputs="float[4,N,1,40,40] spikes",
        initializers="float[1,1,1,1] kernel = {1}, int64[4] fold = {-1, 1, 40, 40}, "
        "int64[5] unfold = {4, -1, 1, 40, 40}",
    )
    text = "behind 'a' it would be a dense matrix of 1600 x 1600 weights; put a layer of neurons"
    with pytest.raises(SpikeloomError, match=f"Conv node 'product': {text} between"):
        import_network(model, "net")
