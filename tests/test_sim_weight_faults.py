# amaranth: UnusedElaboratable=no
"""Faults planted where weights are loaded; the lockstep must catch each."""

from dataclasses import replace
from typing import Any

import pytest
from run_time_networks import with_other_weights, with_run_time_weights

from planted import Mutation
from planted_faults import Fault, first_difference, parse
from small_programs import small_maps, small_program
from spikeloom.compiler.exchange import weight_image
from spikeloom.compiler.geometry import Convolution
from spikeloom.compiler.program import Program
from spikeloom.rtl import convolution, fire, parameters, synapses, weight_memory
from spikeloom.rtl.control_port import ControlPort
from spikeloom.rtl.synapses import SynapseEngine
from spikeloom.rtl.top import Accelerator
from spikeloom.rtl.weight_loader import Register, WeightLoader
from spikeloom.sim.control_driver import Access, address_of, load_image

BLOCKS = (WeightLoader, ControlPort, SynapseEngine, Accelerator)


def reloadable(program: Program) -> Program:
    return replace(program, network=with_run_time_weights(program.network, "reloadable"))


PROGRAMS = {
    "dense": reloadable(small_program((6, 12, 5), 10)),
    "maps": reloadable(small_maps(Convolution((2, 4, 4), 3, (2, 2)), lanes=3)),
}

FAULTS = parse("""
an image for another accelerator is accepted [dense] => loader.stage
@ WeightLoader._check
- compare(self.fingerprint, Refusal.FINGERPRINT, Stage.LENGTH)
+ compare(self.data, Refusal.FINGERPRINT, Stage.LENGTH)

an image of another length is accepted [dense] => loader.stage
@ WeightLoader._check
- compare(self.length, Refusal.LENGTH, Stage.CONTENTS)
+ compare(self.data, Refusal.LENGTH, Stage.CONTENTS)

a damaged image is accepted [dense] => loader.stage
@ WeightLoader._check
- compare(self.crc.crc, Refusal.CHECKSUM, Stage.CHANGE)
+ compare(self.data, Refusal.CHECKSUM, Stage.CHANGE)

the checksum goes on from the image before [dense] => loader.stage
@ WeightLoader.elaborate
- self.crc.start.eq(begins)
+ self.crc.start.eq(begins & (self.stage == Stage.NONE))

the copies change places while a sample is under way [dense] => loader.stage
@ WeightLoader.elaborate
- with m.If(self.drained):
+ with m.If(1):

a sample begins before the copies have changed places [dense] => s_axis_tready
@ WeightLoader.elaborate
- self.hold.eq(~self.present | (self.stage == Stage.CHANGE))
+ self.hold.eq(~self.present)

an image goes on where the one before was cut short [dense] => loader.row, loader.memory
@ WeightLoader.elaborate
- self.row.eq(0)
+ self.row.eq(self.row)

a word is taken though its memory is busy [dense] => control.address_held, loader.column, loader.row
@ WeightLoader.elaborate
- waits |= gives & (self.stage == Stage.CONTENTS) & ~taken
+ waits |= 0

an image is not counted [dense] => loader.accepted
@ WeightLoader.elaborate
- self.accepted.eq(self.accepted + 1)
+ self.accepted.eq(self.accepted)

a row has one word too few [dense] => loader.column, loader.row
@ WeightLoader._advance
- self.column == last_columns
+ (self.column + 1 >= last_columns)

neurons are not cleared for other weights [dense] => engine.state
@ SynapseEngine._restart
- with m.If(self.load.restart):
+ with m.If(0):

a sample that waits for the readout does not count [dense] => loader.stage
@ Accelerator._load
- control.drained.eq(~self.input.begun & (self.input.sample == self.arriving))
+ control.drained.eq(~self.input.begun)

a write of a part of a word is carried out [dense] => s_axil_bvalid, loader.stage
@ ControlPort.elaborate
- self.write.eq(held & self.whole)
+ self.write.eq(held)

a write is answered before it is taken [dense] => control.address_held, s_axil_awready, s_axil_bvalid
@ ControlPort.elaborate
- held & (self.written | ~self.whole)
+ held

a register that is none can be read [dense] => s_axil_rresp
@ ControlPort.elaborate
- self.rresp.eq(_response(self.read_refused))
+ self.rresp.eq(0)

an address takes the place of one that is held [dense] => s_axil_awready, control.address
@ ControlPort.elaborate
- self.awready.eq(~self.address_held)
+ self.awready.eq(1)

an answer is taken back [dense] => s_axil_bvalid
@ ControlPort.elaborate
- with m.If(self.bvalid & self.bready):
+ with m.If(self.bvalid):
""")  # noqa: E501

# Functions, and who has imported them.
MUTATIONS = (
    (
        "dense",
        weight_memory,
        "weight_memory",
        "Cat(load.row[:number_bits], ~load.copy)",
        "Cat(load.row[:number_bits], load.copy)",
    ),
    (
        "maps",
        weight_memory,
        "weight_memory",
        'write = selected(load, "weights") & ~reading',
        'write = selected(load, "weights")',
    ),
    (
        "dense",
        weight_memory,
        "weight_memory",
        "write & (load.column == column)",
        "write",
    ),
    ("maps", parameters, "_registers", "load.copy != copy", "load.copy == copy"),
    (
        "dense",
        parameters,
        "_memory",
        "Cat(load.row[:number_bits], ~load.copy)",
        "Cat(load.row[:number_bits], load.copy)",
    ),
    ("maps", parameters, "_registers", "Mux(load.copy, copies[1], copies[0])", "copies[0]"),
)


def accesses(program: Program) -> list[Access]:
    """A good image, some that are wrong in each way, one that is cut short, and a good one."""
    other = with_other_weights(program.network, 3)
    image = weight_image(program, replace(program, network=other))
    sent = load_image(image)
    for place in (0, 1, len(image) // 2, -1):
        wrong = image.copy()
        wrong[place] ^= 4
        sent += load_image(wrong)
    begin = address_of(Register.BEGIN)
    sent += [Access(begin, 0, strobes=7), Access(begin), *load_image(image)[:-9]]
    own = weight_image(program, program)
    return [*sent, *load_image(own)]


@pytest.mark.parametrize("name", PROGRAMS)
def test_designs_without_a_fault_agree(name: str) -> None:
    program = PROGRAMS[name]
    assert first_difference(program, program, accesses=accesses(program)) is None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.name))
def test_planted_fault_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    program = PROGRAMS[fault.network]
    fault.plant(BLOCKS, monkeypatch)
    difference = first_difference(program, program, accesses=accesses(program))
    assert difference is not None
    assert difference.signal in fault.signals, difference


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation[3:]))
def test_fault_of_a_memory_is_caught(
    mutation: tuple[str, Any, str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, module, function, line, fault = mutation
    Mutation(function, module, function, line, fault).plant(monkeypatch)
    for importing in (synapses, convolution):
        monkeypatch.setattr(importing, "weight_memory", weight_memory.weight_memory)
    monkeypatch.setattr(fire, "parameter_lanes", parameters.parameter_lanes)
    program = PROGRAMS[network]
    assert first_difference(program, program, accesses=accesses(program)) is not None
