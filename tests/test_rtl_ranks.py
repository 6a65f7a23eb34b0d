"""Memories in ranks: words come two cycles later, whichever rank they lie in."""

import random

import pytest
from amaranth import Elaboratable, Module, Signal
from test_rtl_top import check

from lockstep import Bench
from small_programs import small_maps
from spikeloom.compiler import convolution_core
from spikeloom.compiler.geometry import Convolution
from spikeloom.compiler.program import Program
from spikeloom.rtl import ranks
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.ranks import Write, registered_read
from spikeloom.sim.stimulus import Pauses
from wide_networks import random_events


class Dut(Elaboratable):
    """A memory of 20 words with both ports."""

    def __init__(self):
        self.address, self.word = Signal(5), Signal(8)
        self.write = Write(Signal(), Signal(5), Signal(8))

    def elaborate(self, platform):
        m = Module()
        init = [3 * n for n in range(20)]
        word = registered_read(m, "store", 8, 20, self.address, init=init, write=self.write)
        m.d.comb += self.word.eq(word)
        return m


@pytest.mark.parametrize("depth", [4, 8, 16, 32])
def test_words_are_read_two_cycles_later(depth, monkeypatch):
    monkeypatch.setattr(ranks, "RANK_DEPTH", depth)
    dut, generator = Dut(), random.Random(depth)
    words, asked = [3 * n for n in range(20)], []

    def cycles():
        for time in range(300):
            address, enable = generator.randrange(20), generator.random() < 0.5
            place, value = generator.randrange(20), generator.randrange(256)
            drive = [
                (dut.address, address),
                (dut.write.enable, enable),
                (dut.write.address, place),
                (dut.write.data, value),
            ]
            yield drive, [asked[time - 2] if time > 1 else 0]
            asked.append(words[address])
            if enable:
                words[place] = value

    # What is shown before the first word has come is whatever the registers begin with.
    assert Bench(dut, [Probe("word", dut.word)]).run(cycles()) == 300


@pytest.mark.parametrize("lanes", [2, 6])
def test_cores_with_memories_in_ranks_agree(lanes, monkeypatch):
    for module in (ranks, convolution_core):
        monkeypatch.setattr(module, "RANK_DEPTH", 16)
    program = small_maps(Convolution((3, 6, 6), 6, (2, 2)), lanes=lanes, steps=2)
    assert max(core.bank_depth for core in program.cores) > 16
    assert max(core.rows for core in program.cores) > 32
    assert any(core.has_weight_ranks for core in program.cores)
    check(Program(program.network, program.lanes), random_events(program.network, 3), Pauses(0.2))
