"""What a host sends over a serial line to an accelerator whose weights can be loaded."""

from amaranth import Cat, Module, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.control_port import INPUTS, OUTPUTS, STROBES
from spikeloom.rtl.weight_loader import Register

WORD_BYTES = 4


class Message(enum.Enum, shape=8):
    """The first byte of a message.

    - SAMPLE: the input words of a sample follow.
    - BEGIN: an image begins.
    - WORD: four bytes follow, the next word of the image, lowest byte first.
    - STATUS: nothing follows; the answer is the byte `ANSWER` and the register STATUS.
    """

    SAMPLE = 0
    BEGIN = 1
    WORD = 2
    STATUS = 3


# The first byte of the answer to STATUS; no result begins with it.
ANSWER = 0x80


class MessageReader(wiring.Component):
    """Divides the bytes of a host into those of samples and accesses to the control port.

    A message is read on when the one before has been dealt with, so that an image takes effect
    between the samples before it and those behind it. A sample waits until there is a network, and
    with it all that is sent behind: STATUS tells a host whether there is one.

    Members
    -------
    i : In(stream) of bytes
    o : Out(stream) of bytes of samples
    sample_end : In(1), the last word of a sample is taken
    awaddr .. rvalid : AXI4-Lite, of the manager's view
    answer_valid, answer : Out, the register STATUS has been read
    answer_taken : In(1)
    unknown : Out(1), a byte that begins no message is dropped
    """

    def __init__(self):
        axi = {name: Out(width) for name, width in INPUTS.items()}
        axi |= {name: In(width) for name, width in OUTPUTS.items()}
        super().__init__(
            axi
            | {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "sample_end": In(1),
                "answer_valid": Out(1),
                "answer": Out(8 * WORD_BYTES),
                "answer_taken": In(1),
                "unknown": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(WORD_BYTES))
        m.d.comb += [
            self.o.payload.eq(self.i.payload),
            self.wstrb.eq((1 << STROBES) - 1),
            self.bready.eq(1),
            self.rready.eq(1),
            self.araddr.eq(_address(Register.STATUS)),
        ]
        with m.FSM():
            with m.State("KIND"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    self._begin(m)
            with m.State("SAMPLE"):
                m.d.comb += [
                    self.o.valid.eq(self.i.valid & ~self.sample_end),
                    self.i.ready.eq(self.o.ready & ~self.sample_end),
                ]
                with m.If(self.sample_end):
                    m.next = "KIND"
            with m.State("WORD"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        self.wdata.eq(Cat(self.wdata[8:], self.i.payload)),
                        count.eq(count + 1),
                    ]
                    with m.If(count == WORD_BYTES - 1):
                        m.d.sync += [
                            count.eq(0),
                            self.awaddr.eq(_address(Register.WORD)),
                            self.awvalid.eq(1),
                            self.wvalid.eq(1),
                        ]
                        m.next = "WRITE"
            with m.State("WRITE"):
                with m.If(self.awready):
                    m.d.sync += self.awvalid.eq(0)
                with m.If(self.wready):
                    m.d.sync += self.wvalid.eq(0)
                with m.If(self.bvalid):
                    m.next = "KIND"
            with m.State("READ"):
                m.d.comb += self.arvalid.eq(1)
                with m.If(self.arready):
                    m.next = "DATA"
            with m.State("DATA"):
                with m.If(self.rvalid):
                    m.d.sync += self.answer.eq(self.rdata)
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += self.answer_valid.eq(1)
                with m.If(self.answer_taken):
                    m.next = "KIND"
        return m

    def _begin(self, m):
        with m.Switch(self.i.payload):
            with m.Case(Message.SAMPLE):
                m.next = "SAMPLE"
            with m.Case(Message.BEGIN):
                m.d.sync += [
                    self.awaddr.eq(_address(Register.BEGIN)),
                    self.awvalid.eq(1),
                    self.wvalid.eq(1),
                ]
                m.next = "WRITE"
            with m.Case(Message.WORD):
                m.next = "WORD"
            with m.Case(Message.STATUS):
                m.next = "READ"
            with m.Default():
                m.d.comb += self.unknown.eq(1)


def _address(register):
    return register.value * 4
