"""Readouts in all the ways to write them, and neurons of all kinds."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from float_run import run_floats

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Neuron, Readout
from spikeloom.compiler.onnx_import import examine, import_network
from spikeloom.models.runtime import run_model

Parse = Callable[..., onnx.ModelProto]

CURRENT = "current = MatMul (spikes, six)"
LIF = "lif, v = spikeloom.Neuron (current, alpha, beta, threshold)"
SILENT = 'lif, v = spikeloom.Neuron <reset = "none", fire = 0> (current, alpha, beta, threshold)'
CONSTANTS = """
    float[3,6] six = {1, 2, 3, -4, 5, 6, -2, 3, 1, 4, -1, 2, 2, -1, 3, 1, 2, -3},
    float[4,1,1] falling = {4, 3, 2, 1}, float[4,1,1] halves = {1, 0.75, 0.5, 0.5},
    float[4,1,1] double = {8, 6, 4, 2}, float[4,1,1] none = {0, 0, 0, 0},
    float[4,1,1] minus = {1, 1, 1, -1}, float[4,1,6] both = {
        1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 7},
    int64 last = {-1}, int64 third = {3}, int64[1] lasts = {-1}, int64[1] ends = {4},
    int64[1] far = {9223372036854775807}, int64[1] two = {2}, int64[1] three = {3},
    int64[1] class = {1}, int64[4] voters = {4, -1, 3, 2}, int64[3] after = {-1, 3, 2},
    int64[4] mixed = {4, -1, 2, 3}, float half = {0.5}, float low = {-0.5}
"""

VOTE = "split = Reshape (lif, voters) means = ReduceMean <keepdims = 0> (split, three)"
FINAL = Readout("lif", "final_membrane")
FIRST = Readout("lif", "first_spike")
WEIGHTED = Readout("lif", "weighted_spike_count", (1.0, 0.75, 0.5, 0.5))

# Name: nodes behind the layer of neurons, what they are.
READOUTS = {
    "spike count": ("counts = ReduceSum <keepdims = 0> (lif, time)", Readout("lif")),
    "scaled spikes": (
        "scaled = Mul (lif, half) counts = ReduceSum <keepdims = 0> (scaled, time)",
        Readout("lif"),
    ),
    "time-weighted": (
        "timed = Mul (lif, halves) counts = ReduceSum <keepdims = 0> (timed, time)",
        WEIGHTED,
    ),
    "time-weighted mean": (
        "timed = Mul (halves, lif) mean = ReduceMean <keepdims = 0> (timed, time)"
        "counts = Mul (mean, half)",
        WEIGHTED,
    ),
    "first spike": (
        "timed = Mul (lif, falling) counts = ReduceMax <keepdims = 0> (timed, time)",
        FIRST,
    ),
    "first spike in other units": (
        "timed = Mul (lif, double) kept = ReduceMax (timed, time) counts = Squeeze (kept, time)",
        FIRST,
    ),
    "last step": ("counts = Gather <axis = 0> (v, last)", FINAL),
    "last step by its number": ("counts = Gather <axis = 0> (v, third)", FINAL),
    "last step, kept axis": (
        "kept = Gather <axis = 0> (v, lasts) counts = Squeeze (kept, time)",
        FINAL,
    ),
    "slice from the end": (
        "kept = Slice (v, lasts, far, time) counts = Squeeze (kept, time)",
        FINAL,
    ),
    "slice by number": (
        "scaled = Mul (v, half) kept = Slice (scaled, three, ends, time)"
        "counts = Squeeze (kept, time)",
        FINAL,
    ),
    "maximum": (
        "counts = ReduceMax <keepdims = 0> (v, time)",
        Readout("lif", "maximum_membrane"),
    ),
    "vote before the sum": (
        f"{VOTE} counts = ReduceSum <keepdims = 0> (means, time)",
        Readout("lif", group=2),
    ),
    "vote behind the sum": (
        "sums = ReduceSum <keepdims = 0> (lif, time) split = Reshape (sums, after)"
        "counts = ReduceSum <keepdims = 0> (split, two)",
        Readout("lif", group=2),
    ),
    "vote and sum at once": (
        "split = Reshape (lif, voters) axes = Concat <axis = 0> (time, three)"
        "counts = ReduceMean <keepdims = 0> (split, axes)",
        Readout("lif", group=2),
    ),
    "vote and time weights": (
        f"{VOTE} timed = Mul (means, halves) counts = ReduceSum <keepdims = 0> (timed, time)",
        Readout("lif", "weighted_spike_count", WEIGHTED.weights, 2),
    ),
    "vote of first spikes": (
        "timed = Mul (lif, falling) sums = ReduceMax <keepdims = 0> (timed, time)"
        "split = Reshape (sums, after) counts = ReduceMean <keepdims = 0> (split, two)",
        Readout("lif", "first_spike", group=2),
    ),
    "vote of membranes": (
        "split = Reshape (v, voters) means = ReduceMean <keepdims = 0> (split, three)"
        "counts = Gather <axis = 0> (means, last)",
        Readout("lif", "final_membrane", group=2),
    ),
}


def parse(nodes: str, parse_model: Parse, neuron: str = LIF) -> onnx.ModelProto:
    model = parse_model(CURRENT + neuron + nodes, initializers=CONSTANTS)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


@pytest.mark.parametrize(("nodes", "readout"), READOUTS.values(), ids=READOUTS)
def test_readouts_are_known_and_rank_as_in_onnxruntime(
    nodes: str, readout: Readout, parse_model: Parse
) -> None:
    model = parse(nodes, parse_model)
    network = import_network(model, "net")
    assert network.readout == readout
    spikes = np.random.default_rng(1).integers(0, 2, (4, 30, 3), np.uint8)
    (expected,) = run_model(model, spikes).values()
    scores = run_floats(network, spikes).scores
    assert np.allclose(scores * (expected.sum() / scores.sum()), expected)
    assert len(np.unique(expected)) > 2


@pytest.mark.parametrize(
    "nodes",
    ["counts = Gather <axis = 0> (v, last)", "counts = ReduceMax <keepdims = 0> (v, time)"],
)
def test_neurons_that_never_fire_are_read_by_their_membranes(
    nodes: str, parse_model: Parse
) -> None:
    model = parse(nodes, parse_model, SILENT)
    report = examine(model)
    assert {item.node: item.meaning for item in report.verdicts}["lif"] == (
        "population lif, 6 neurons that never fire"
    )
    network = report.require()
    (layer,) = network.layers
    assert isinstance(layer.neuron, Neuron) and not layer.neuron.fire
    spikes = np.random.default_rng(1).integers(0, 2, (4, 30, 3), np.uint8)
    (expected,) = run_model(model, spikes).values()
    assert np.allclose(run_floats(network, spikes).scores, expected)


def test_synaptic_state_and_single_spikes_are_kept(parse_model: Parse) -> None:
    neuron = "lif, v = spikeloom.Neuron <single_spike = 1> (current, slow, beta, each)"
    model = parse_model(
        CURRENT + neuron + "counts = ReduceSum <keepdims = 0> (lif, time)",
        initializers=CONSTANTS
        + ", float[1,6] slow = {0, 0.5, 1, 0.25, 0.75, 0.5}, float[6] each = {4, 5, 6, 7, 8, 9}",
        outputs="float[N,6] counts",
    )
    network = import_network(model, "net")
    neuron_found = network.layers[0].neuron
    assert isinstance(neuron_found, Neuron)
    assert neuron_found.single_spike
    assert neuron_found.alpha.tolist() == [0, 0.5, 1, 0.25, 0.75, 0.5]
    spikes = np.random.default_rng(1).integers(0, 2, (4, 30, 3), np.uint8)
    (expected,) = run_model(model, spikes).values()
    assert np.array_equal(run_floats(network, spikes).scores, expected)
    assert set(np.unique(expected)) == {0, 1}


@pytest.mark.parametrize(
    ("readout", "words"),
    [
        ("spike count", "spike count"),
        ("time-weighted", "time-weighted spike count"),
        ("first spike", "first spike"),
        ("maximum", "maximum membrane"),
        ("vote behind the sum", "spike count"),
    ],
)
def test_verdict_names_the_readout(readout: str, words: str, parse_model: Parse) -> None:
    report = examine(parse(READOUTS[readout][0], parse_model))
    meanings = [item.meaning for item in report.verdicts]
    assert f"readout, {words} of lif" in meanings
    assert meanings[-1].startswith(f"the {words} of 'lif'")


def test_one_step_is_enough_for_every_readout(parse_model: Parse) -> None:
    for nodes, kind in (
        ("timed = Mul (lif, half) counts = ReduceSum <keepdims = 0> (timed, time)", "spike_count"),
        ("counts = ReduceMax <keepdims = 0> (lif, time)", "first_spike"),
        ("counts = Gather <axis = 0> (v, last)", "final_membrane"),
    ):
        model = parse_model(
            CURRENT + LIF + nodes,
            inputs="float[1,N,3] spikes",
            outputs="float[N,6] counts",
            initializers=CONSTANTS,
        )
        assert import_network(model, "net").readout.kind == kind


# Name: nodes, the error's text, the layer of neurons.
REFUSED = {
    "spikes of neurons that never fire": (
        "counts = ReduceSum <keepdims = 0> (lif, time)",
        "ReduceSum node 'counts': ReduceSum of the spikes of 'lif', which never fires (fire = 0) "
        "is not supported; wanted spikes, over time (axis 0)",
        SILENT,
    ),
    "a layer behind neurons that never fire": (
        "next = Mul (lif, half) w, x = spikeloom.Neuron (next, alpha, beta, threshold)"
        "counts = ReduceSum <keepdims = 0> (w, time)",
        "Mul node 'next': the spikes of 'lif', which never fires (fire = 0) cannot be the current "
        "of a layer of neurons",
        SILENT,
    ),
    "the mean membrane": (
        "counts = ReduceMean <keepdims = 0> (v, time)",
        "ReduceMean node 'counts': ReduceMean over axes [0] of the membranes of 'lif' is not "
        "supported; wanted their last step or their maximum",
        LIF,
    ),
    "another step": (
        "counts = Gather <axis = 0> (v, time)",
        "Gather node 'counts': it takes another part of the membranes of 'lif' than their last "
        "step, 3",
        LIF,
    ),
    "the last sample": (
        "counts = Gather <axis = 1> (v, last)",
        "Gather node 'counts': it takes another part of the membranes of 'lif' than their last "
        "step, 3",
        LIF,
    ),
    "spikes of the last step": (
        "counts = Gather <axis = 0> (lif, last)",
        "Gather node 'counts': Gather of the spikes of 'lif' is not supported; wanted membranes, "
        "their last step",
        LIF,
    ),
    "whether a neuron fired": (
        "counts = ReduceMax <keepdims = 0> (lif, time)",
        "ReduceMax node 'counts': ReduceMax over axes [0] of the spikes of 'lif' is not the first "
        "spike: wanted spikes times T, T - 1, .. 1 over the time steps",
        LIF,
    ),
    "a maximum of other weights": (
        "timed = Mul (lif, halves) counts = ReduceMax <keepdims = 0> (timed, time)",
        "ReduceMax node 'counts': ReduceMax over axes [0] of the weighted spikes of 'lif' is not "
        "the first spike",
        LIF,
    ),
    "negative weights": (
        "timed = Mul (lif, minus) counts = ReduceSum <keepdims = 0> (timed, time)",
        "Mul node 'timed': factor 'minus' is -1 at a time step; wanted >= 0",
        LIF,
    ),
    "weights of zero": (
        "timed = Mul (lif, none) counts = ReduceSum <keepdims = 0> (timed, time)",
        "ReduceSum node 'counts': ReduceSum over axes [0] of the current 'timed' is not supported; "
        "wanted spikes, over time (axis 0)",
        LIF,
    ),
    "weights of steps and neurons": (
        "timed = Mul (lif, both) counts = ReduceSum <keepdims = 0> (timed, time)",
        "Mul node 'timed': factor 'both' differs between time steps and between features or "
        "samples",
        LIF,
    ),
    "membranes that are weighted": (
        "timed = Mul (v, halves) counts = Gather <axis = 0> (timed, last)",
        "Mul node 'timed': factor 'halves' differs between time steps; only spikes on their way "
        "into a readout, not the membranes of 'lif', may be weighted by time",
        LIF,
    ),
    "time weights of a current": (
        "next = MatMul (lif, wide) timed = Mul (next, halves)"
        "w, x = spikeloom.Neuron (timed, alpha, beta, threshold)"
        "counts = ReduceSum <keepdims = 0> (w, time)",
        "Mul node 'timed': factor 'halves' differs between time steps; only spikes on their way "
        "into a readout, not the current 'next', may be weighted by time",
        LIF,
    ),
    "a vote over the first axis": (
        "split = Reshape (lif, mixed) sums = ReduceSum <keepdims = 0> (split, two)"
        "counts = ReduceSum <keepdims = 0> (sums, time)",
        "ReduceSum node 'sums': ReduceSum over axes [2] of the spikes of 'lif' is a vote of "
        "neurons that do not stand one after the other; wanted [..., classes, neurons per class], "
        "over the last axis",
        LIF,
    ),
    "the best of several neurons": (
        "sums = ReduceSum <keepdims = 0> (lif, time) split = Reshape (sums, after)"
        "counts = ReduceMax <keepdims = 0> (split, two)",
        "ReduceMax node 'counts': ReduceMax over axes [2] of the spike count of 'lif' takes the "
        "maximum of several neurons; wanted their sum or mean",
        LIF,
    ),
    "a vote before the first spike": (
        f"{VOTE} timed = Mul (means, falling) counts = ReduceMax <keepdims = 0> (timed, time)",
        "ReduceMax node 'counts': ReduceMax over axes [0] of the weighted spikes of 'lif' in "
        "groups of 2 is not supported; wanted the vote behind the maximum",
        LIF,
    ),
    "the input": (
        "counts = ReduceSum <keepdims = 0> (spikes, time)",
        "ReduceSum node 'counts': ReduceSum over axes [0] of the spikes of 'spikes' reads the "
        "input; wanted spikes of a layer of neurons",
        LIF,
    ),
    "a bias of the membranes": (
        "more = Add (v, half) counts = Gather <axis = 0> (more, last)",
        "Add node 'more': only a factor > 0 may stand behind a readout; put biases into the layer",
        LIF,
    ),
    "a negative factor of the membranes": (
        "more = Mul (v, low) counts = Gather <axis = 0> (more, last)",
        "Mul node 'more': factor 'low' behind a readout must be one number > 0",
        LIF,
    ),
}


@pytest.mark.parametrize(("nodes", "text", "neuron"), REFUSED.values(), ids=REFUSED)
def test_refusal_names_node_and_way_out(
    nodes: str, text: str, neuron: str, parse_model: Parse
) -> None:
    model = parse(nodes, parse_model, neuron)
    wide = onnx.numpy_helper.from_array(np.ones((6, 2), np.float32), "wide")
    model.graph.initializer.append(wide)
    with pytest.raises(SpikeloomError) as raised:
        import_network(model, "net")
    assert text in str(raised.value)


def test_two_readouts_are_refused(parse_model: Parse) -> None:
    model = parse(
        "counts = ReduceSum <keepdims = 0> (lif, time) final = Gather <axis = 0> (v, last)",
        parse_model,
    )
    model.graph.output.append(onnx.ValueInfoProto(name="final"))
    model.graph.output[1].type.CopyFrom(model.graph.output[0].type)
    text = "the readouts spike count of 'lif', final membrane of 'lif'; wanted one"
    with pytest.raises(SpikeloomError, match=f"graph output 'counts': {text}"):
        import_network(model, "net")
