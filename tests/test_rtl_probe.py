"""Probes: what a probe port shows, and how it is read."""

import numpy as np
import pytest
from amaranth import Module, Signal

from lockstep import Bench
from spikeloom.rtl.probe import Probe, pack_lanes, unpack_lanes


@pytest.mark.parametrize(
    ("part", "lane_bits"), [(1, 1), (2, 8), (8, 8), (9, 16), (17, 32), (32, 32), (33, 64)]
)
def test_lanes_are_sign_extended_to_the_next_machine_word(part, lane_bits):
    lanes = 5
    probe = Probe("membranes", Signal(lanes * part), lanes)
    assert (probe.lane_bits, probe.width) == (lane_bits, lanes * lane_bits)
    low, high = (0, 2) if part == 1 else (-(1 << (part - 1)), 1 << (part - 1))
    values = np.random.default_rng(part).integers(low, high, (20, lanes))
    values[0], values[1] = low, high - 1
    port = Signal(probe.width)

    def cycles():
        for row in values:
            word = sum((int(v) & ((1 << part) - 1)) << part * n for n, v in enumerate(row))
            shown = word if part == 1 else pack_lanes(row, lane_bits)
            assert probe.unpack(shown) == row.tolist()
            yield [(probe.value, word)], (shown,)

    module = Module()
    module.d.comb += port.eq(probe.wire())
    assert Bench(module, [Probe("port", port)]).run(cycles()) == 20


def test_probe_without_lanes_is_the_signal_itself():
    signal = Signal(13)
    probe = Probe("counter", signal)
    assert probe.wire() is signal
    assert (probe.width, probe.lanes) == (13, 0)


@pytest.mark.parametrize("lane_bits", [8, 16, 32, 64])
def test_packing_and_unpacking_are_inverse(lane_bits):
    ends = np.iinfo(f"int{lane_bits}")
    values = np.array([ends.min, -1, 0, 1, ends.max])
    assert unpack_lanes(pack_lanes(values, lane_bits), 5, lane_bits).tolist() == values.tolist()
    assert pack_lanes(np.array([1, -1]), lane_bits) == 1 | ((1 << lane_bits) - 1) << lane_bits


def test_bench_tells_the_cycle_and_the_lane_that_differ():
    probe = Probe("membranes", Signal(6), 3)
    module = Module()
    module.d.comb += probe.value.eq(0b11_01_00)
    right = pack_lanes(np.array([0, 1, -1]), 8)
    wrong = pack_lanes(np.array([0, 1, 1]), 8)
    with pytest.raises(
        AssertionError, match=r"cycle 1, membranes: expected lanes \[0, 1, 1\], got \[0, 1, -1\]"
    ):
        Bench(module, [probe]).run([([], (right,)), ([], (wrong,))])
