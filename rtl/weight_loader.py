# amaranth: UnusedElaboratable=no
"""The weight loader: checks an image word by word and puts it into the copies that are not in use.

Registers of the control port, by their addresses in bytes:

| address | name | access | holds |
| --- | --- | --- | --- |
| 0x00 | STATUS | read | bit 0: a network is there; bit 1: an image is being loaded; bits 8 .. 15: `Refusal` of the latest image; bits 16 .. 31: images that have been accepted since power-up, modulo 2**16 |
| 0x04 | FINGERPRINT | read | what the first word of an image must be |
| 0x08 | LENGTH | read | what its second word must be: how many words of contents follow |
| 0x0c | BEGIN | write | any value: the next word is the first one of an image; what had been begun is dropped |
| 0x10 | WORD | write | the next word of the image |
"""  # noqa: E501

import numpy as np
from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.weight_image import (
    WORD_BITS,
    Loaded,
    LoadedMemory,
    contents_of,
    decode,
    image_of,
    loaded_memories,
)
from spikeloom.rtl.control_port import ADDRESS_BITS
from spikeloom.rtl.loading import LoadSignature
from spikeloom.rtl.probe import Probe

# Of the register STATUS.
REFUSAL_START = 8
ACCEPTED_START = 16
ACCEPTED_BITS = WORD_BITS - ACCEPTED_START


class Register(enum.Enum, shape=ADDRESS_BITS - 2):
    """Numbers of the registers: a fourth of their addresses."""

    STATUS = 0
    FINGERPRINT = 1
    LENGTH = 2
    BEGIN = 3
    WORD = 4


class Refusal(enum.Enum, shape=2):
    """Why an image was refused."""

    NONE = 0
    FINGERPRINT = 1
    LENGTH = 2
    CHECKSUM = 3


class Stage(enum.Enum, shape=3):
    """Which word of an image is next; the state of the state machine."""

    NONE = 0
    FINGERPRINT = 1
    LENGTH = 2
    CONTENTS = 3
    CHECKSUM = 4
    CHANGE = 5


class WeightLoader(wiring.Component):
    """Takes images, and lets the copies of the memories change places between two samples.

    An image that is for another accelerator, of the wrong length, or damaged is refused; the copy
    in use never changes before the whole image has arrived and its checksum is right. Then no
    sample begins until all that have begun are through, the copies change places, and all cores
    clear their neurons. A reset keeps the network that is there.

    Parameters
    ----------
    cores : of the accelerator
    fingerprint : of the images that belong to it

    Members
    -------
    write, address, data, written, refused, read_address, read_data, read_refused : the other side
        of a ControlPort's
    load0, load1, .. : Out(LoadSignature) to the cores
    hold : Out(1), no sample may begin
    drained : In(1), no sample is under way
    """

    def __init__(self, cores, fingerprint: int):
        self.cores = cores
        self.fingerprint = fingerprint
        self.memories = loaded_memories(cores)
        self.length = sum(memory.words for memory in self.memories)
        self.stage = Signal(Stage)
        self.refusal = Signal(Refusal)
        self.memory = Signal(range(max(2, len(self.memories))))
        self.row = Signal(range(max(2, *(memory.depth for memory in self.memories))))
        self.column = Signal(range(max(2, *(memory.columns for memory in self.memories))))
        # A reset clears no memory, so what is in use stays in use.
        self.copy = Signal(reset_less=True)
        self.present = Signal(init=cores[0].weights != "loaded", reset_less=True)
        self.accepted = Signal(ACCEPTED_BITS, reset_less=True)
        self.restart = Signal()
        loads = {
            f"load{number}": Out(LoadSignature(loaded_memories([core])))
            for number, core in enumerate(cores)
        }
        super().__init__(
            {
                "write": In(1),
                "address": In(ADDRESS_BITS - 2),
                "data": In(WORD_BITS),
                "written": Out(1),
                "refused": Out(1),
                "read_address": In(ADDRESS_BITS - 2),
                "read_data": Out(WORD_BITS),
                "read_refused": Out(1),
                "hold": Out(1),
                "drained": In(1),
            }
            | loads
        )

    @property
    def loads(self):
        """The streams to the cores."""
        return [getattr(self, f"load{number}") for number in range(len(self.cores))]

    def probes(self):
        """State machine, counters and what is in use."""
        return [
            Probe("loader.stage", self.stage.as_value()),
            Probe("loader.refusal", self.refusal.as_value()),
            Probe("loader.memory", self.memory),
            Probe("loader.row", self.row),
            Probe("loader.column", self.column),
            Probe("loader.copy", self.copy),
            Probe("loader.present", self.present),
            Probe("loader.accepted", self.accepted),
            Probe("loader.restart", self.restart),
        ]

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = self.crc = CRC32_ISO_HDLC(WORD_BITS).create()
        loading = (self.stage != Stage.NONE) & (self.stage != Stage.CHANGE)
        begins = self.write & (self.address == Register.BEGIN.value)
        gives = self.write & (self.address == Register.WORD.value)
        status = Signal(WORD_BITS)
        m.d.comb += [
            status[0].eq(self.present),
            status[1].eq(self.stage != Stage.NONE),
            status[REFUSAL_START : REFUSAL_START + 2].eq(self.refusal),
            status[ACCEPTED_START:].eq(self.accepted),
        ]
        values = [status, self.fingerprint, self.length, 0]
        m.d.comb += [
            self.read_data.eq(Array(values)[Mux(self.read_refused, 3, self.read_address)]),
            self.read_refused.eq(self.read_address > Register.LENGTH.value),
            self.hold.eq(~self.present | (self.stage == Stage.CHANGE)),
            self.crc.data.eq(self.data),
            self.crc.start.eq(begins),
        ]
        taken = self._place(m, gives & (self.stage == Stage.CONTENTS))
        waits = (begins | gives) & (self.stage == Stage.CHANGE)
        waits |= gives & (self.stage == Stage.CONTENTS) & ~taken
        m.d.comb += [
            self.written.eq(~waits),
            self.refused.eq(~begins & ~(gives & loading)),
            self.crc.valid.eq(gives & loading & self.written),
        ]
        m.d.sync += self.restart.eq(0)
        with m.If(self.stage == Stage.CHANGE):
            with m.If(self.drained):
                m.d.sync += [
                    self.stage.eq(Stage.NONE),
                    self.copy.eq(~self.copy),
                    self.present.eq(1),
                    self.accepted.eq(self.accepted + 1),
                    self.restart.eq(1),
                ]
        with m.Elif(begins):
            m.d.sync += [
                self.stage.eq(Stage.FINGERPRINT),
                self.refusal.eq(Refusal.NONE),
                self.memory.eq(0),
                self.row.eq(0),
                self.column.eq(0),
            ]
        with m.Elif(gives & self.written):
            self._check(m)
        return m

    def _check(self, m):
        """Compare the first words and the last one; a wrong one ends the image."""

        def compare(wanted, refusal, following):
            with m.If(self.data == wanted):
                m.d.sync += self.stage.eq(following)
            with m.Else():
                m.d.sync += [self.stage.eq(Stage.NONE), self.refusal.eq(refusal)]

        with m.Switch(self.stage):
            with m.Case(Stage.FINGERPRINT):
                compare(self.fingerprint, Refusal.FINGERPRINT, Stage.LENGTH)
            with m.Case(Stage.LENGTH):
                compare(self.length, Refusal.LENGTH, Stage.CONTENTS)
            with m.Case(Stage.CONTENTS):
                self._advance(m)
            with m.Case(Stage.CHECKSUM):
                compare(self.crc.crc, Refusal.CHECKSUM, Stage.CHANGE)

    def _advance(self, m):
        """Move on to the place of the next word."""
        last_columns, last_rows = (
            Array(numbers)[self.memory]
            for numbers in (
                [memory.columns - 1 for memory in self.memories],
                [memory.depth - 1 for memory in self.memories],
            )
        )
        last_column, last_row = self.column == last_columns, self.row == last_rows
        m.d.sync += self.column.eq(Mux(last_column, 0, self.column + 1))
        with m.If(last_column):
            m.d.sync += self.row.eq(Mux(last_row, 0, self.row + 1))
            with m.If(last_row):
                with m.If(self.memory == len(self.memories) - 1):
                    m.d.sync += [self.memory.eq(0), self.stage.eq(Stage.CHECKSUM)]
                with m.Else():
                    m.d.sync += self.memory.eq(self.memory + 1)

    def _place(self, m, gives):
        """Offer the word to the core whose memory is next; whether it is taken."""
        first = 0
        for load in self.loads:
            count = len(load.select)
            m.d.comb += [
                load.copy.eq(self.copy),
                load.restart.eq(self.restart),
                load.row.eq(self.row),
                load.column.eq(self.column),
                load.word.eq(self.data),
            ]
            for number in range(count):
                m.d.comb += load.select[number].eq(gives & (self.memory == first + number))
            first += count
        return Cat(load.taken for load in self.loads).any()

    def model(self, before=None):
        """The cycle model of this loader: after a reset of another model, or after power-up."""
        return WeightLoaderModel(self, before)


NONE, FINGERPRINT, LENGTH, CONTENTS, CHECKSUM, CHANGE = (stage.value for stage in Stage)
BEGIN, WORD = Register.BEGIN.value, Register.WORD.value


class WeightLoaderModel:
    """Cycle model of WeightLoader.

    Attributes
    ----------
    held : what the cores have in use
    """

    STATES = tuple(Stage.__members__)

    def __init__(self, loader: WeightLoader, before: "WeightLoaderModel | None" = None):
        self.cores, self.memories = loader.cores, loader.memories
        self.fingerprint, self.length = loader.fingerprint, loader.length
        self.stage = self.refusal = 0
        self.place = 0
        self.restart = False
        self.contents: list[int] = []
        self.copy, self.accepted = 0, 0
        self.present = self.cores[0].weights != "loaded"
        self.held: list[Loaded] = contents_of(self.cores)
        if before is not None:
            self.copy, self.accepted, self.present = before.copy, before.accepted, before.present
            self.held = before.held
        # Of each word of the contents its memory, row and column.
        self.places = [
            (number, row, column)
            for number, memory in enumerate(self.memories)
            for row in range(memory.depth)
            for column in range(memory.columns)
        ] + [(0, 0, 0)]

    @property
    def rests(self) -> bool:
        """Whether nothing changes here without another word."""
        return self.stage != CHANGE and not self.restart

    @property
    def hold(self) -> bool:
        """Whether no sample may begin."""
        return not self.present or self.stage == CHANGE

    def take_own(self) -> None:
        """Have what the cores were compiled with in use, as if it had been loaded before."""
        self.present = True
        self.held = [Loaded(core.weight_table, core.thresholds, core.biases) for core in self.cores]

    @property
    def memory(self) -> LoadedMemory:
        """The memory that the next word of the contents belongs to."""
        return self.memories[self.places[self.place][0]]

    def answer(self, write: bool, address: int, free: bool) -> tuple[bool, bool]:
        """Whether a write is taken and whether it is refused.

        Parameters
        ----------
        free : whether the memory that the next word belongs to takes it
        """
        begins, gives = write and address == BEGIN, write and address == WORD
        waits = (begins or gives) and self.stage == CHANGE
        waits |= gives and self.stage == CONTENTS and not free
        loading = self.stage not in (NONE, CHANGE)
        return not waits, not begins and not (gives and loading)

    def read(self, address: int) -> tuple[int, bool]:
        """The value of a register, and whether there is none."""
        status = self.present | (self.stage != NONE) << 1
        status |= self.refusal << REFUSAL_START | self.accepted << ACCEPTED_START
        values = (status, self.fingerprint, self.length)
        return (values[address], False) if address < len(values) else (0, True)

    def clock(self, write: bool, address: int, data: int, taken: bool, drained: bool) -> None:
        """Go on by one clock edge, given a write and whether it is taken."""
        self.restart = False
        if self.stage == CHANGE:
            if drained:
                self.stage, self.copy, self.present = NONE, 1 - self.copy, True
                self.accepted = (self.accepted + 1) % (1 << ACCEPTED_BITS)
                self.restart = True
                self.held = decode(self.cores, np.asarray(self.contents, np.uint32))
        elif write and address == BEGIN:
            self.stage, self.refusal, self.place, self.contents = FINGERPRINT, 0, 0, []
        elif write and address == WORD and taken:
            self._check(data)

    def _check(self, data: int) -> None:
        if self.stage == FINGERPRINT:
            self._compare(data, self.fingerprint, Refusal.FINGERPRINT.value, LENGTH)
        elif self.stage == LENGTH:
            self._compare(data, self.length, Refusal.LENGTH.value, CONTENTS)
        elif self.stage == CONTENTS:
            self.contents.append(data)
            self.place += 1
            if self.place == self.length:
                self.stage = CHECKSUM
        elif self.stage == CHECKSUM:
            self._compare(data, self._checksum(), Refusal.CHECKSUM.value, CHANGE)

    def _compare(self, data: int, wanted: int, refusal: int, following: int) -> None:
        self.stage = following
        if data != wanted:
            self.stage, self.refusal = NONE, refusal

    def _checksum(self) -> int:
        contents = np.asarray(self.contents, np.uint32)
        return int(image_of(contents, self.fingerprint)[-1])

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        memory, row, column = self.places[self.place]
        return (
            self.stage,
            self.refusal,
            memory,
            row,
            column,
            self.copy,
            self.present,
            self.accepted,
            self.restart,
        )
