"""Benchmarks: the numbers that do not depend on the machine."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from spikeloom.compiler import reference
from spikeloom.compiler.onnx_import import examine
from spikeloom.compiler.passes import lower
from spikeloom.compiler.program import Program
from spikeloom.sim import benchmarks
from spikeloom.sim.benchmarks import DENSITIES_PERCENT, DensityRow, fit_line, sweep_density
from spikeloom.sim.latency import pipelined_cycles

NODES = """
    product = MatMul (spikes, weight) current = Add (product, bias)
    hidden, v = spikeloom.Neuron <reset = "zero"> (current, alpha, one, threshold)
    drive = MatMul (hidden, second)
    out, u = spikeloom.Neuron <reset = "subtract"> (drive, alpha, one, threshold)
    counts = ReduceSum <keepdims = 0> (out, time)
"""
CONSTANTS = "float one = {1}, float[2,2] second = {2, -1, -2, 3}"


@pytest.fixture(scope="module")
def program(parse_model: Callable[..., onnx.ModelProto]) -> Program:
    return Program(lower(examine(parse_model(NODES, initializers=CONSTANTS), "two").require()), {})


def rows_at(*points: tuple[float, float]) -> tuple[DensityRow, ...]:
    return tuple(DensityRow(0.0, events, 0.0, cycles, 0.0) for events, cycles in points)


def test_line_goes_through_points_that_lie_on_one() -> None:
    line = fit_line(rows_at((0, 3), (1, 5), (10, 23)))
    assert (line.cycles_at_rest, line.cycles_per_event) == pytest.approx((3, 2))
    assert line.largest_deviation_percent == pytest.approx(0, abs=1e-9)
    assert line.cycles_at(np.asarray([4.0])) == pytest.approx([11])


def test_deviation_is_that_of_the_farthest_point_in_percent_of_the_line() -> None:
    # Least squares through these: 10 everywhere but for what cancels out.
    line = fit_line(rows_at((0, 11), (1, 8), (2, 11)))
    assert (line.cycles_at_rest, line.cycles_per_event) == pytest.approx((10, 0))
    assert line.largest_deviation_percent == pytest.approx(20)


def test_sweep_counts_every_density_and_is_the_same_for_the_same_seed(program: Program) -> None:
    advanced: list[int] = []
    rows = sweep_density(program, 3, 7, advanced.append)
    assert rows == sweep_density(program, 3, 7)
    assert rows != sweep_density(program, 3, 8)
    assert len(advanced) == len(DENSITIES_PERCENT)
    assert [row.density_percent for row in rows] == list(DENSITIES_PERCENT)
    assert (rows[0].events_per_step, rows[-1].events_per_step) == (0, 3)
    events = [row.events_per_step for row in rows]
    assert events == sorted(events), "denser input holds the sparser one"
    full = pipelined_cycles(program, np.ones((4, 3, 3), np.uint8))
    assert rows[-1].cycles_per_step == pytest.approx(full.sum() / 12)
    assert all(row.cycles_per_step >= row.bound_per_step for row in rows)
    hidden = reference.run(program.network, np.ones((4, 3, 3), np.uint8)).spikes["hidden"]
    assert rows[-1].hidden_events_per_step == pytest.approx(hidden.sum() / 12)


def test_circumstances_name_network_widths_and_versions(program: Program) -> None:
    told = benchmarks.circumstances(program)
    assert (told["network"], told["layers"], told["steps"]) == ("two", "3-2-2", 4)
    assert (told["weight_bits"], told["lanes"]) == (8, {"hidden": 2, "out": 2})
    assert told["versions"]["numpy"] == np.__version__
