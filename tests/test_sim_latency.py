"""The cycles counted on the cycle model against the RTL, and the bound against a hand count."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from amaranth.sim import Simulator
from run_time_networks import with_run_time_weights

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.ir import Readout
from spikeloom.compiler.onnx_import import examine
from spikeloom.compiler.passes import lower
from spikeloom.compiler.program import Program
from spikeloom.compiler.weight_storage import WeightStorage
from spikeloom.rtl.top import Accelerator
from spikeloom.sim.latency import lower_bound, measure, pipelined_cycles
from spikeloom.sim.stimulus import input_words

# Two inputs, each of which makes all of three hidden neurons spike; these drive two outputs.
NODES = """
    drive = MatMul (spikes, first) hidden, v = spikeloom.Neuron (drive, alpha, beta, threshold)
    current = MatMul (hidden, second) out, u = spikeloom.Neuron (current, alpha, beta, threshold)
    counts = ReduceSum <keepdims = 0> (out, time)
"""
WEIGHTS = "float[2,3] first = {2, 2, 2, 2, 2, 2}, float[3,2] second = {1, 0.5, 1, 0.5, 1, -1}"


@pytest.fixture(scope="module")
def program(parse_model: Callable[..., onnx.ModelProto]) -> Program:
    model = parse_model(NODES, inputs="float[4,N,2] spikes", initializers=WEIGHTS)
    return Program(lower(examine(model, "small").require()), {"hidden": 2, "out": 2})


@pytest.fixture
def spikes() -> Spikes:
    return (np.random.default_rng(1).random((4, 5, 2)) < 0.4).astype(np.uint8)


def count_on_rtl(program: Program, batches: list[Spikes]) -> list[tuple[int, int, int]]:
    """Per sample the cycles of its first word, its class and its last result word, in the RTL.

    A batch is sent without gaps, as soon as all results of the one before have come.
    """
    accelerator = Accelerator(program)
    times: list[tuple[int, int, int]] = []

    async def host(ctx: Any) -> None:
        ctx.set(accelerator.m_axis_tready, 1)
        await ctx.tick().repeat(20)
        cycle = 0
        for batch in batches:
            words = input_words(program.network, batch)
            start, wanted = cycle, len(times) + batch.shape[1]
            first: int | None = None
            while len(times) < wanted:
                word, last = words[0] if words else (0, False)
                ctx.set(accelerator.s_axis_tvalid, bool(words))
                ctx.set(accelerator.s_axis_tdata, word)
                ctx.set(accelerator.s_axis_tlast, last)
                if words and ctx.get(accelerator.s_axis_tready):
                    words.pop(0)
                if ctx.get(accelerator.m_axis_tvalid):
                    first = cycle if first is None else first
                    if ctx.get(accelerator.m_axis_tlast):
                        times.append((start, first, cycle))
                        first = None
                await ctx.tick()
                cycle += 1

    simulator = Simulator(accelerator)
    simulator.add_clock(1e-6)
    simulator.add_testbench(host)
    simulator.run()
    return times


def test_cycles_of_a_sample_alone_are_those_of_the_rtl(program: Program, spikes: Spikes) -> None:
    counted = measure(program, spikes)
    alone = count_on_rtl(program, [spikes[:, i : i + 1] for i in range(5)])
    assert counted.to_class.tolist() == [first - start + 1 for start, first, _ in alone]
    assert counted.to_result.tolist() == [last - start + 1 for start, _, last in alone]


def test_cycles_in_a_stream_are_those_of_the_rtl(program: Program, spikes: Spikes) -> None:
    stream = count_on_rtl(program, [np.concatenate([spikes[:, -1:], spikes], axis=1)])
    classes = [first for _, first, _ in stream]
    assert pipelined_cycles(program, spikes).tolist() == np.diff(classes).tolist()


def test_cycles_of_a_sample_do_not_depend_on_those_before(program: Program, spikes: Spikes) -> None:
    alone = measure(program, spikes[:, 3:4])
    assert alone.to_class[0] == measure(program, spikes).to_class[3]


def test_bound_is_the_work_of_the_busiest_core(program: Program) -> None:
    spikes = np.zeros((4, 2, 2), np.uint8)
    spikes[0, 1] = 1
    # Hidden: 4 scans of 2 rows, 2 events of 3 synapses for 2 lanes.
    assert lower_bound(program, spikes).tolist() == [2 * 4, 2 * 4 + 3]
    wide = program.with_lanes({"hidden": 3, "out": 2})
    assert lower_bound(wide, spikes).tolist() == [4, 4 + 3]
    # A scan of one neuron at a time takes three cycles.
    narrow = Program(program.network, {"hidden": 3}, {"hidden": 1})
    assert lower_bound(narrow, spikes).tolist() == [3 * 4, 3 * 4 + 2]


def test_no_sample_is_faster_than_its_bound(program: Program, spikes: Spikes) -> None:
    counted = measure(program, spikes)
    assert (counted.to_class > counted.bound).all()
    assert counted.pipelined.sum() >= counted.bound.sum()
    assert counted.as_dict()["latency_over_bound"] == pytest.approx(
        counted.to_class.mean() / counted.bound.mean()
    )


def test_spikes_of_another_network_are_refused(program: Program) -> None:
    with pytest.raises(SpikeloomError, match="input spikes have shape"):
        measure(program, np.zeros((3, 1, 2), np.uint8))


def test_sample_that_stops_early_leaves_no_words_to_the_next_one(program: Program) -> None:
    network = replace(program.network, readout=Readout("out", "first_spike")).with_early_stop()
    early = Program(network, program.lanes)
    # Both outputs spike in the first step; three are left of the window.
    spikes = np.ones((4, 3, 2), np.uint8)
    cycles = measure(early, spikes)
    assert (cycles.to_class == cycles.to_class[0]).all()
    whole = measure(Program(replace(network, readout=Readout("out")), program.lanes), spikes)
    assert (cycles.to_class < whole.to_class).all()
    assert (cycles.bound * network.steps == whole.bound).all()


@pytest.mark.parametrize("weights", ["reloadable", "loaded"])
def test_weights_that_are_loaded_take_no_more_cycles(
    weights: WeightStorage, program: Program, spikes: Spikes
) -> None:
    loaded = replace(program, network=with_run_time_weights(program.network, weights))
    expected, got = measure(program, spikes), measure(loaded, spikes)
    assert np.array_equal(got.to_class, expected.to_class)
    assert np.array_equal(got.pipelined, expected.pipelined)
