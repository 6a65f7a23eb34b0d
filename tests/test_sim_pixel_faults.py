# amaranth: UnusedElaboratable=no
"""Faults planted in the encoder on the chip, each of which the lockstep comparison must catch."""

import pytest

from planted_faults import Fault, first_difference, parse
from small_programs import small_maps, small_program
from spikeloom.compiler.geometry import Convolution
from spikeloom.compiler.ir import Readout
from spikeloom.compiler.on_chip import OnChipEncoder
from spikeloom.compiler.program import Program
from spikeloom.rtl.pixels import PixelEncoder


def with_encoder(program: Program, encoder: OnChipEncoder) -> Program:
    network = program.network.with_on_chip(encoder)
    return Program(network, program.lanes, program.fire_lanes)


PROGRAMS = {
    # Three rows of pixels, the last of them with one.
    "random": with_encoder(small_program((17, 6), 2, 1), OnChipEncoder("bernoulli", seed=3)),
    "first": with_encoder(
        small_program((17, 6), 2, 1, steps=4), OnChipEncoder("first_spike", t_max=3, dark=10)
    ),
    "maps": with_encoder(
        small_maps(Convolution((2, 3, 5), 3, (2, 2)), lanes=3), OnChipEncoder("bernoulli", seed=4)
    ),
}

EARLY = Readout("layer2", "first_spike", early_stop=True)
PROGRAMS["early"] = with_encoder(
    small_program((17, 6, 3), 1, 1, seed=2, steps=12, readout=EARLY),
    OnChipEncoder("bernoulli", seed=5),
)

FAULTS = parse("""
pixels are not cleared [random] => pixels.spikes
@ PixelEncoder._keep
- cleared = self.uncleared | (clearing & (self.scanned == bank))
+ cleared = self.uncleared

pixels are cleared with the first step [random] => pixels.spikes
@ PixelEncoder.elaborate
- pixels = self._keep(m, scanning & last_step)
+ pixels = self._keep(m, scanning)

the memory that is filled is cleared [first] => pixels.spikes
@ PixelEncoder._keep
- (clearing & (self.scanned == bank))
+ clearing

random bytes go on from sample to sample [random] => pixels.spikes
@ PixelEncoder._look
- Mux(self.looking_end & self.looking_last, seed, later)
+ later

random bytes go on while nothing is looked at [random] => pixels.spikes
@ PixelEncoder._look
- with m.If(self.looking):
+ with m.If(self.looking | ~self.looking):

a byte that equals the pixel spikes [random] => pixels.spikes
@ PixelEncoder._look
- later[:BYTE] < code
+ later[:BYTE] <= code

spikes come a step late [first] => pixels.spikes
@ PixelEncoder._look
- code == self.looking_step + 1
+ code == self.looking_step

a pixel is written into the whole row [maps] => pixels.spikes
@ PixelEncoder._keep
- write.en.eq(1 << lane)
+ write.en.eq(-1)

a pixel is written into both memories [random] => pixels.spikes
@ PixelEncoder._keep
- taken & (self.filling == bank)
+ taken

the memory that is scanned is the other one [random] => pixels.spikes
@ PixelEncoder._keep
- Mux(self.looking_bank, found[1], found[0])
+ Mux(self.looking_bank, found[0], found[1])

pixels are taken while both memories are full [random] => s_axis_tready
@ PixelEncoder.elaborate
- ~self.full.bit_select(self.filling, 1) & ~self.uncleared
+ ~self.uncleared

the scan does not wait for a place [random] => pixels.credits, pixels.row
@ PixelEncoder.elaborate
- (self.credits != 0)
+ (self.credits >= 0)

a window that is decided goes on [early] => pixels.closing
@ PixelEncoder.elaborate
- self.stop & (self.decided == self.sample)
+ 0

a window ends with the sample before it [early] => pixels.closing
@ PixelEncoder.elaborate
- self.stop & (self.decided == self.sample)
+ self.stop

the step behind the decision spikes [early] => pixels.spikes
@ PixelEncoder._look
- Mux(self.looking_closing, 0, Cat(spikes))
+ Cat(spikes)

samples are not counted [early] => pixels.sample
@ PixelEncoder.elaborate
- self.sample.eq(self.sample + 1)
+ self.sample.eq(self.sample)

every step ends the window [random] => encoder.event
@ PixelEncoder._look
- self.encoder.vector.window_end.eq(self.looking_last)
+ self.encoder.vector.window_end.eq(1)

the scan ends a row early [random] => pixels.uncleared
@ PixelEncoder.elaborate
- self.row == self.scan.rows - 1
+ self.row == self.scan.rows - 2
""")


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_correct_design_has_no_difference(program: Program) -> None:
    assert first_difference(program, program) is None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.name))
def test_fault_in_the_encoder_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    program = PROGRAMS[fault.network]
    fault.plant((PixelEncoder,), monkeypatch)
    difference = first_difference(program, program)
    assert difference is not None
    assert difference.signal in fault.signals, difference
