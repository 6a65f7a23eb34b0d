# amaranth: UnusedElaboratable=no
"""The serial line and the shell that joins it to an accelerator."""

import random

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from run_time_networks import with_run_time_weights

from networks import random_spikes
from small_programs import small_program
from spikeloom.compiler import reference
from spikeloom.compiler.exchange import weight_image
from spikeloom.compiler.program import Program
from spikeloom.rtl.board import ReplyWriter, SerialShell, WordAssembler
from spikeloom.rtl.result import Packet
from spikeloom.rtl.serial_control import ANSWER, Message
from spikeloom.rtl.top import Accelerator
from spikeloom.rtl.uart import Receiver, Transmitter, bit_cycles
from spikeloom.sim.stimulus import input_words

END = 0x8000
MALFORMED = 0x7FFF


def simulate(design, *benches):
    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    simulator.run()


def bytes_of(words, length=2):
    return b"".join(word.to_bytes(length, "little") for word in words)


class Echo(wiring.Component):
    """Stands in for an accelerator: the result of a sample is its words, with tlast after tlast."""

    s_axis_tvalid: In(1)
    s_axis_tready: Out(1)
    s_axis_tdata: In(16)
    s_axis_tlast: In(1)
    m_axis_tvalid: Out(1)
    m_axis_tready: In(1)
    m_axis_tdata: Out(16)
    m_axis_tlast: Out(1)
    error: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.m_axis_tvalid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(self.m_axis_tready),
            self.m_axis_tdata.eq(self.s_axis_tdata),
            self.m_axis_tlast.eq(self.s_axis_tlast),
        ]
        with m.If(self.s_axis_tvalid & (self.s_axis_tdata == MALFORMED)):
            m.d.sync += self.error.eq(1)
        return m


@pytest.mark.parametrize("divisor", [4, 5, 12])
def test_transmitter_drives_the_line_as_its_model(divisor):
    dut = Transmitter(divisor)
    data = bytes([0x00, 0xFF, 0xA5, 0x01])
    line = []

    async def send(ctx):
        ctx.set(dut.i.valid, 1)
        for byte in data:
            ctx.set(dut.i.payload, byte)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def watch(ctx):
        assert ctx.get(dut.tx) == 1, "the line is high while idle"
        await ctx.tick()
        for _ in range(len(Transmitter.model(data, divisor))):
            line.append(ctx.get(dut.tx))
            await ctx.tick()

    simulate(dut, send, watch)
    assert line == Transmitter.model(data, divisor)


def receive(dut, line, ready=lambda cycle: 1):
    received, lost = [], []

    async def drive(ctx):
        for cycle, level in enumerate(line):
            ctx.set(dut.rx, level)
            ctx.set(dut.o.ready, ready(cycle))
            if ctx.get(dut.o.valid) and ready(cycle):
                received.append((cycle, ctx.get(dut.o.payload)))
            if ctx.get(dut.lost):
                lost.append(cycle)
            await ctx.tick()

    simulate(dut, drive)
    return received, lost


@pytest.mark.parametrize("divisor", [4, 5, 12])
@pytest.mark.parametrize("gap", [0, 1, 7])
def test_receiver_gives_each_byte_in_the_cycle_its_model_says(divisor, gap):
    data = random.Random(divisor + gap).randbytes(6)
    line = [1] * 3
    for byte in data:
        line += Transmitter.model(bytes([byte]), divisor) + [1] * gap
    line += [1] * 5
    dut = Receiver(divisor)
    received, lost = receive(dut, line)
    assert received == Receiver.model(line, divisor)
    assert bytes(byte for _, byte in received) == data
    assert not lost


def test_receiver_bears_a_sender_that_is_two_percent_fast():
    line = [1] * 10 + Transmitter.model(b"\x55\xaa", 49) + [1] * 10
    received, lost = receive(Receiver(50), line)
    assert bytes(byte for _, byte in received) == b"\x55\xaa"
    assert not lost


def test_receiver_ignores_a_glitch():
    line = [1] * 5 + [0] * 2 + [1] * 20 + Transmitter.model(b"Z", 12) + [1] * 5
    received, lost = receive(Receiver(12), line)
    assert [byte for _, byte in received] == [ord("Z")]
    assert not lost


def test_receiver_reports_a_byte_without_stop_bit():
    broken = Transmitter.model(b"\xff", 4)
    broken[-5:] = [0] * 5
    received, lost = receive(Receiver(4), [1, *broken, *[1] * 60])
    assert not received
    assert len(lost) == 1


def test_receiver_reports_a_byte_that_was_not_taken():
    line = [*Transmitter.model(b"ab", 4), *[1] * 10]
    received, lost = receive(Receiver(4), line, ready=lambda cycle: cycle > len(line) - 3)
    assert [byte for _, byte in received] == [ord("a")]
    assert len(lost) == 1


def test_bit_time_is_exact_on_both_boards():
    assert bit_cycles(25_000_000, 1_000_000) == 25
    assert bit_cycles(12_000_000, 1_000_000) == 12


def test_bit_time_that_cannot_be_hit_is_refused():
    with pytest.raises(AssertionError, match="over 2 %"):
        bit_cycles(12_000_000, 2_600_000)


async def put(ctx, port, data, rng):
    for byte in data:
        while rng.random() < 0.3:
            ctx.set(port.valid, 0)
            await ctx.tick()
        ctx.set(port.valid, 1)
        ctx.set(port.payload, byte)
        await ctx.tick().until(port.ready)
    ctx.set(port.valid, 0)


@pytest.mark.parametrize("word_bits", [16, 32])
def test_assembler_marks_the_last_step_of_each_sample(word_bits):
    length = word_bits // 8
    end = 1 << (word_bits - 1)
    sample = [3, end, end, 7, 200, end]
    words = sample * 2
    dut = WordAssembler(word_bits, steps=3)
    taken = []

    async def feed(ctx):
        data = b"".join(word.to_bytes(length, "little") for word in words)
        await put(ctx, dut.i, data, random.Random(1))

    async def take(ctx):
        rng = random.Random(2)
        while len(taken) < len(words):
            ctx.set(dut.tready, rng.random() < 0.5)
            if ctx.get(dut.tvalid) and ctx.get(dut.tready):
                taken.append((ctx.get(dut.tdata), ctx.get(dut.tlast)))
            await ctx.tick()

    simulate(dut, feed, take)
    assert taken == [(word, index % 6 == 5) for index, word in enumerate(words)]


@pytest.mark.parametrize("word_bits", [16, 32])
def test_writer_puts_the_status_before_each_result(word_bits):
    length = word_bits // 8
    dut = ReplyWriter(word_bits)
    results = [[4, 0, 258], [(1 << word_bits) - 1]]
    expected = b"".join(
        bytes([status]) + bytes_of(result, length) for status, result in enumerate(results)
    )
    data = []

    async def feed(ctx):
        ctx.set(dut.tvalid, 1)
        for status, result in enumerate(results):
            ctx.set(dut.status, status)
            for index, word in enumerate(result):
                ctx.set(dut.tdata, word)
                ctx.set(dut.tlast, index == len(result) - 1)
                await ctx.tick().until(dut.tready)
        ctx.set(dut.tvalid, 0)

    async def take(ctx):
        rng = random.Random(3)
        while len(data) < len(expected):
            ctx.set(dut.o.ready, rng.random() < 0.5)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                data.append(ctx.get(dut.o.payload))
            await ctx.tick()

    simulate(dut, feed, take)
    assert bytes(data) == expected


def exchange(line, steps, divisor=4, dut_of=None):
    """What the shell of an accelerator answers to the levels of a line, as the bytes of its own."""
    dut = SerialShell(dut_of or Echo(), steps=steps, divisor=divisor)
    answer = []

    async def host(ctx):
        for level in [*[1] * 10, *line, *[1] * 4000]:
            ctx.set(dut.rx, level)
            answer.append(ctx.get(dut.tx))
            await ctx.tick()

    simulate(dut, host)
    return bytes(byte for _, byte in Receiver.model(answer, divisor))


def test_shell_answers_each_sample_over_the_line():
    samples = [[1, 5, END, 9, END], [END, END]]
    line = Transmitter.model(bytes_of(samples[0] + samples[1]), 4)
    assert exchange(line, steps=2) == b"".join(b"\x00" + bytes_of(item) for item in samples)


def test_shell_says_that_a_byte_was_lost():
    broken = Transmitter.model(b"\xff", 4)
    broken[-5:] = [0] * 5
    line = [*broken, *[1] * 60, *Transmitter.model(bytes_of([END]), 4)]
    assert exchange(line, steps=1) == b"\x01" + bytes_of([END])


def test_shell_says_that_a_word_was_malformed():
    sample = [MALFORMED, END]
    first, second = bytes_of(sample), bytes_of([END])
    # The echo of the malformed word leaves before the flag is set: the next status shows it.
    answer = exchange(Transmitter.model(first + second, 4), steps=1)
    assert answer == b"\x00" + first + b"\x02" + second


def messages(image):
    """The bytes that load an image."""
    data = bytes([Message.BEGIN.value])
    for word in image:
        data += bytes([Message.WORD.value]) + int(word).to_bytes(4, "little")
    return data


@pytest.mark.parametrize("damage", [0, 1])
def test_shell_loads_weights_over_the_line(damage):
    network = with_run_time_weights(small_program().network, "loaded")
    program = Program(network, {})
    image = weight_image(program, program)
    spikes = random_spikes(network, 1, 0.5)
    trace = reference.run(network, spikes)
    ask = bytes([Message.STATUS.value])
    length = len(Accelerator(program).s_axis_tdata) // 8
    sample = bytes([Message.SAMPLE.value]) + bytes_of(
        [word for word, _ in input_words(network, spikes)], length
    )
    data = ask + messages(image ^ damage) + ask + messages(image) + ask + sample + ask
    line = Transmitter.model(data, 4)
    answer = exchange(line, network.steps, dut_of=Accelerator(program))
    status = [answer[5 * number + 1 :][:4] for number in range(3)]
    present = [int.from_bytes(word, "little") & 1 for word in status]
    accepted = [int.from_bytes(word, "little") >> 16 for word in status]
    assert answer[:15:5] == bytes([ANSWER]) * 3
    assert present == [0, 1 - damage, 1]
    assert accepted == [0, 1 - damage, 2 - damage]
    # The last question is answered between results: here behind this one.
    assert answer[-5:] == bytes([ANSWER]) + status[2]
    packet = answer[15:-5]
    assert packet[0] == 0
    words = [int.from_bytes(packet[at : at + 4], "little") for at in range(1, len(packet), 4)]
    assert Packet.of(words).category == trace.classes[0]
    assert list(Packet.of(words).scores) == trace.scores[0].tolist()


def test_shell_says_that_a_byte_begins_no_message():
    network = with_run_time_weights(small_program().network, "reloadable")
    program = Program(network, {})
    silent = bytes([Message.SAMPLE.value]) + bytes_of(
        [word for word, _ in input_words(network, random_spikes(network, 1, 0.0))],
        len(Accelerator(program).s_axis_tdata) // 8,
    )
    line = Transmitter.model(b"\xff" + silent, 4)
    assert exchange(line, network.steps, dut_of=Accelerator(program))[0] == 1
