"""A serial line without flow control: one start bit, eight data bits, one stop bit (8N1)."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

# Start bit, data bits with the lowest first, stop bit.
FRAME_BITS = 10


def bit_cycles(clock_hz: int, baud: int) -> int:
    """Clock cycles per bit, to the nearest.

    The error of a bit time adds up over a frame: half of it, 5 %, is what a receiver bears, and
    the other side needs its share.
    """
    cycles = (clock_hz + baud // 2) // baud
    assert cycles >= 4, "too few clock cycles per bit to hit its middle"
    assert abs(cycles * baud - clock_hz) <= 0.02 * clock_hz, "the bit time is off by over 2 %"
    return cycles


def frame(byte: int) -> list[int]:
    """The levels of the line, bit by bit, that carry a byte."""
    return [0, *(byte >> bit & 1 for bit in range(8)), 1]


class Transmitter(wiring.Component):
    """Sends bytes over a serial line.

    Parameters
    ----------
    divisor : clock cycles per bit, at least 4

    Members
    -------
    i : In(stream) of bytes; ready while the line is idle
    tx : Out(1), the line; high while idle
    """

    def __init__(self, divisor: int):
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        shift = Signal(FRAME_BITS, init=(1 << FRAME_BITS) - 1)
        bits_left = Signal(range(FRAME_BITS + 1))
        cycles_left = Signal(range(self.divisor))
        m.d.comb += [self.tx.eq(shift[0]), self.i.ready.eq(bits_left == 0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                shift.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1))),
                bits_left.eq(FRAME_BITS),
                cycles_left.eq(self.divisor - 1),
            ]
        with m.Elif(bits_left != 0):
            m.d.sync += cycles_left.eq(cycles_left - 1)
            with m.If(cycles_left == 0):
                m.d.sync += [
                    shift.eq(Cat(shift[1:], Const(1, 1))),
                    bits_left.eq(bits_left - 1),
                    cycles_left.eq(self.divisor - 1),
                ]
        return m

    @staticmethod
    def model(data: bytes, divisor: int) -> list[int]:
        """The line, clock cycle by clock cycle, from the cycle after the first byte was taken.

        The next byte waits at `i`, so it is taken in the first idle cycle after each stop bit.
        """
        line: list[int] = []
        for byte in data:
            for level in frame(byte):
                line += [level] * divisor
            line.append(1)
        return line


class Receiver(wiring.Component):
    """Receives bytes from a serial line.

    A bit is sampled once, in its middle. There is no way to hold the sender back: a byte that is
    not taken before the next one is complete is lost, and so is a byte without a stop bit; either
    raises `lost`.

    Parameters
    ----------
    divisor : clock cycles per bit, at least 4

    Members
    -------
    rx : In(1), the line; synchronised here
    o : Out(stream) of bytes
    lost : Out(1), high for one cycle when a byte is lost
    """

    # Two flip-flops of the synchroniser.
    LATENCY = 2

    def __init__(self, divisor: int):
        self.divisor = divisor
        super().__init__({"rx": In(1), "o": Out(stream.Signature(8)), "lost": Out(1)})

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1, stages=self.LATENCY)
        shift = Signal(8)
        bits_left = Signal(range(FRAME_BITS + 1))
        cycles_left = Signal(range(self.divisor))
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(bits_left == 0):
            with m.If(~line):
                m.d.sync += [bits_left.eq(FRAME_BITS), cycles_left.eq(self.divisor // 2 - 1)]
        with m.Elif(cycles_left != 0):
            m.d.sync += cycles_left.eq(cycles_left - 1)
        with m.Else():
            m.d.sync += [cycles_left.eq(self.divisor - 1), bits_left.eq(bits_left - 1)]
            with m.If((bits_left == FRAME_BITS) & line):
                # A glitch: the line is high again in the middle of the start bit.
                m.d.sync += bits_left.eq(0)
            with m.Elif(bits_left != 1):
                m.d.sync += shift.eq(Cat(shift[1:], line))
            with m.Elif(line & (~self.o.valid | self.o.ready)):
                m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(shift)]
            with m.Else():
                m.d.comb += self.lost.eq(1)
        return m

    @staticmethod
    def model(line: list[int], divisor: int) -> list[tuple[int, int]]:
        """The bytes that a line carries, each with the cycle in which `o` first offers it.

        `line` gives the level of `rx` in each clock cycle; all bytes are taken at once.
        """
        received = []
        cycle = 0
        while cycle < len(line):
            middle = cycle + divisor // 2
            samples = line[middle::divisor][:FRAME_BITS]
            if line[cycle] or samples[:1] == [1]:
                cycle += 1 if line[cycle] else middle + 1 - cycle
                continue
            if len(samples) < FRAME_BITS:
                break
            end = middle + (FRAME_BITS - 1) * divisor
            if samples[-1]:
                byte = sum(level << bit for bit, level in enumerate(samples[1:-1]))
                received.append((end + Receiver.LATENCY + 1, byte))
            cycle = end + 1
        return received
