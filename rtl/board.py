"""What joins the accelerator to a host over a serial line.

Both directions carry words of the accelerator's streams, lowest byte first:

- To the board: the input words of a sample, one per event, and after the events of each time step
  a word with only the highest bit set. The sample is complete with the last step; the next one may
  follow at once. Queued are up to `QUEUE_BYTES` bytes while the accelerator is busy. A host that
  sends one sample, waits for the answer and then sends the next never needs more than that as long
  as a sample has no more words, or an event takes less time than its word on the line.
- From the board, once per sample: a status byte, then the words of the result: the class, and one
  score per class. The status is 0, or has bit 0 set if a byte was lost (by a full queue or a broken
  frame, or as it begins no message) and bit 1 if a malformed word arrived. Both stay set until the
  part is loaded anew, as no answer after that can be trusted.

Where weights can be loaded, each sample to the board is a message: a byte that says so stands
before it, and there are other messages (rtl/serial_control.py), one with an answer of its own.
"""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import io, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.control_port import INPUTS, OUTPUTS
from spikeloom.rtl.serial_control import ANSWER, WORD_BYTES, MessageReader
from spikeloom.rtl.top import CONTROL
from spikeloom.rtl.uart import Receiver, Transmitter, bit_cycles

# One block of RAM of either family.
QUEUE_BYTES = 512


class WordAssembler(wiring.Component):
    """Joins bytes, lowest first, to the input words of the accelerator, and marks the last one.

    Parameters
    ----------
    word_bits : width of a word, a multiple of 8
    steps : time steps of a sample: the end-of-step word of the last one gets `tlast`

    Members
    -------
    i : In(stream) of bytes
    tvalid, tready, tdata, tlast : AXI4-Stream out
    """

    def __init__(self, word_bits: int, steps: int):
        assert word_bits % 8 == 0
        self.word_bits = word_bits
        self.steps = steps
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "tvalid": Out(1),
                "tready": In(1),
                "tdata": Out(word_bits),
                "tlast": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        length = self.word_bits // 8
        count = Signal(range(length + 1))
        step = Signal(range(self.steps))
        end_of_step = self.tdata[-1]
        m.d.comb += [
            self.tvalid.eq(count == length),
            self.i.ready.eq(~self.tvalid),
            self.tlast.eq(end_of_step & (step == self.steps - 1)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.tdata.eq(Cat(self.tdata[8:], self.i.payload)), count.eq(count + 1)]
        with m.If(self.tvalid & self.tready):
            m.d.sync += count.eq(0)
            with m.If(end_of_step):
                m.d.sync += step.eq(step + 1)
            with m.If(self.tlast):
                m.d.sync += step.eq(0)
        return m


class ReplyWriter(wiring.Component):
    """Turns the result words of the accelerator into bytes, a status byte before each result.

    Parameters
    ----------
    word_bits : width of a word, a multiple of 8

    Members
    -------
    tvalid, tready, tdata, tlast : AXI4-Stream in
    status : In(8), sent before the words of a result
    answer_valid, answer : In, a word to be sent between results, behind the byte `ANSWER`
    answer_taken : Out(1), it has been sent
    o : Out(stream) of bytes
    """

    def __init__(self, word_bits: int):
        assert word_bits % 8 == 0
        self.word_bits = word_bits
        super().__init__(
            {
                "tvalid": In(1),
                "tready": Out(1),
                "tdata": In(word_bits),
                "tlast": In(1),
                "status": In(8),
                "answer_valid": In(1),
                "answer": In(8 * WORD_BYTES),
                "answer_taken": Out(1),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        length = self.word_bits // 8
        index = Signal(range(length))
        place = Signal(range(WORD_BYTES))
        with m.FSM():
            with m.State("STATUS"):
                # The status is sent with its result, not before one is there: so it covers all
                # bytes of the sample.
                m.d.comb += [
                    self.o.valid.eq(self.tvalid | self.answer_valid),
                    self.o.payload.eq(Mux(self.tvalid, self.status, ANSWER)),
                ]
                with m.If(self.tvalid & self.o.ready):
                    m.next = "WORDS"
                with m.Elif(self.answer_valid & self.o.ready):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                last = place == WORD_BYTES - 1
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.eq(self.answer.word_select(place, 8)),
                    self.answer_taken.eq(self.o.ready & last),
                ]
                with m.If(self.o.ready):
                    m.d.sync += place.eq(place + 1)
                    with m.If(last):
                        m.next = "STATUS"
            with m.State("WORDS"):
                m.d.comb += [
                    self.o.valid.eq(self.tvalid),
                    self.o.payload.eq(self.tdata.word_select(index, 8)),
                    self.tready.eq(self.o.ready & (index == length - 1)),
                ]
                with m.If(self.o.valid & self.o.ready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(self.tready):
                        m.d.sync += index.eq(0)
                        with m.If(self.tlast):
                            m.next = "STATUS"
        return m


class SerialShell(wiring.Component):
    """An accelerator behind a serial line; the module's docstring gives the protocol.

    Parameters
    ----------
    accelerator : component with the ports s_axis_* and m_axis_* (tvalid, tready, tdata, tlast),
        `error` and, where weights can be loaded, s_axil_*
    steps : time steps of a sample
    divisor : clock cycles per bit of the line

    Members
    -------
    rx : In(1), from the host
    tx : Out(1), to the host
    """

    def __init__(self, accelerator: wiring.Component, steps: int, divisor: int):
        self.accelerator = accelerator
        self.steps = steps
        self.divisor = divisor
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.accelerator = accelerator = self.accelerator
        m.submodules.receiver = receiver = Receiver(self.divisor)
        m.submodules.queue = queue = SyncFIFOBuffered(width=8, depth=QUEUE_BYTES)
        m.submodules.assembler = assembler = WordAssembler(
            len(accelerator.s_axis_tdata), self.steps
        )
        m.submodules.writer = writer = ReplyWriter(len(accelerator.m_axis_tdata))
        m.submodules.transmitter = transmitter = Transmitter(self.divisor)

        wiring.connect(m, receiver.o, queue.w_stream)
        unknown = self._read(m, queue.r_stream, assembler, writer)
        wiring.connect(m, writer.o, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            accelerator.s_axis_tvalid.eq(assembler.tvalid),
            accelerator.s_axis_tdata.eq(assembler.tdata),
            accelerator.s_axis_tlast.eq(assembler.tlast),
            assembler.tready.eq(accelerator.s_axis_tready),
            writer.tvalid.eq(accelerator.m_axis_tvalid),
            writer.tdata.eq(accelerator.m_axis_tdata),
            writer.tlast.eq(accelerator.m_axis_tlast),
            accelerator.m_axis_tready.eq(writer.tready),
        ]
        lost = Signal()
        with m.If(receiver.lost | unknown):
            m.d.sync += lost.eq(1)
        m.d.comb += writer.status.eq(Cat(lost, accelerator.error))
        return m

    def _read(self, m, queued, assembler, writer):
        """Bytes to where they belong; gives whether one of them belongs nowhere."""
        if not hasattr(self.accelerator, f"{CONTROL}awvalid"):
            wiring.connect(m, queued, assembler.i)
            return 0
        m.submodules.reader = reader = MessageReader()
        wiring.connect(m, queued, reader.i)
        wiring.connect(m, reader.o, assembler.i)
        for name in INPUTS:
            m.d.comb += getattr(self.accelerator, f"{CONTROL}{name}").eq(getattr(reader, name))
        for name in OUTPUTS:
            m.d.comb += getattr(reader, name).eq(getattr(self.accelerator, f"{CONTROL}{name}"))
        m.d.comb += [
            reader.sample_end.eq(assembler.tvalid & assembler.tready & assembler.tlast),
            writer.answer_valid.eq(reader.answer_valid),
            writer.answer.eq(reader.answer),
            reader.answer_taken.eq(writer.answer_taken),
        ]
        return reader.unknown


class BoardShell(wiring.Component):
    """An accelerator behind the UART of a board.

    Parameters
    ----------
    accelerator, steps : see SerialShell
    clock_hz, baud : of the board
    """

    def __init__(self, accelerator: wiring.Component, steps: int, clock_hz: int, baud: int):
        self.shell = SerialShell(accelerator, steps, bit_cycles(clock_hz, baud))
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.shell = self.shell
        uart = platform.request("uart", dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [self.shell.rx.eq(rx.i), tx.o.eq(self.shell.tx)]
        return m
