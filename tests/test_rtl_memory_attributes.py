# amaranth: UnusedElaboratable=no
"""Reads that meet a write: synthesis is told where they do not matter, and there they do not."""

import numpy as np
import pytest
from amaranth.back import rtlil
from test_rtl_top import check

from planted import Mutation
from small_programs import small_maps
from spikeloom.compiler.geometry import Convolution
from spikeloom.compiler.on_chip import OnChipEncoder
from spikeloom.compiler.program import Program
from spikeloom.rtl import banks, ranks, states
from spikeloom.rtl.core import LayerCore
from spikeloom.rtl.top import Accelerator
from spikeloom.sim.memory_attributes import apply_memory_attributes
from spikeloom.sim.stimulus import Pauses
from wide_networks import random_events

# Both layers' sums and the first one's states are deep.
PROGRAM = small_maps(Convolution((3, 6, 6), 6, (1, 1)), lanes=3, steps=3)


def masks(text):
    return text.count("COLLISION_X_MASK 1'0"), text.count("COLLISION_X_MASK 1'1")


def test_reads_of_marked_memories_are_changed_and_no_others():
    text = str(rtlil.convert(LayerCore(PROGRAM.cores[1]), name="top"))
    strict, free = masks(text)
    changed = apply_memory_attributes(text)
    assert free == 0 and masks(changed)[1] > 0
    assert sum(masks(changed)) == strict
    assert changed.count("\n") == text.count("\n")


def test_pixels_keep_what_was_read_in_the_cycle_of_their_clearing():
    network = PROGRAM.network.with_on_chip(OnChipEncoder("bernoulli"))
    text = apply_memory_attributes(
        str(rtlil.convert(Accelerator(Program(network, {})), name="top"))
    )
    module = text[text.index("module \\top.pixels\n") :]
    module = module[: module.index("\nmodule ")]
    assert "pixels0" in module and "pixels1" in module and masks(module)[1] == 0


@pytest.mark.parametrize("pauses", [Pauses(), Pauses(0.3, 0.5, burst=4)])
def test_what_is_read_in_the_cycle_of_a_write_does_not_matter(pauses, monkeypatch):
    """With the opposite of the word in its place nothing changes."""
    fault = Mutation(
        "collision",
        ranks,
        "registered_read",
        "m.d.sync += word.eq(read.data)",
        "hit = Signal(); m.d.sync += [hit.eq((port.en & (port.addr == read.addr)) if write else 0),"
        " word.eq(read.data ^ hit.replicate(width))]",
    )
    fault.plant(monkeypatch)
    for module in (banks, states):
        monkeypatch.setattr(module, "registered_read", ranks.registered_read)
    core = PROGRAM.cores[0]
    assert core.has_deep_banks and core.rows > 32
    events = random_events(PROGRAM.network, 3)
    events[:, 0] = np.random.default_rng(0).random(events[:, 0].shape) < 0.5
    check(PROGRAM, events, pauses)
