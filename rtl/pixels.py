# amaranth: UnusedElaboratable=no
"""The encoder on the chip: keeps the pixels of a sample and makes spikes of them, step by step."""

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.addresses import Addresses, block_addresses
from spikeloom.compiler.on_chip import (
    BYTE,
    HIGHEST_PIXEL,
    REGISTER_BITS,
    lane_seeds,
    next_register,
    pixel_lanes,
    pixel_rows,
)
from spikeloom.compiler.sources import value_bits
from spikeloom.rtl.encoder import SpikeEncoder
from spikeloom.rtl.events import EventCode, event_layout, event_stream
from spikeloom.rtl.host_port import IN_FLIGHT_BITS
from spikeloom.rtl.probe import Probe

PLACES = 16


class PixelScan:
    """The scan of the pixels in a time step, as a `SpikeEncoder` takes it: a row per clock cycle.

    Attributes
    ----------
    fire_lanes : pixels of a row
    rows : of the scan
    codes : what is kept of each pixel value; 0 never spikes
    code_bits : width of a code
    sent_per_cycle : neighbouring pixels whose spikes leave as one event
    """

    def __init__(self, network, sent_per_cycle: int = 1):
        self.network = network
        self.sent_per_cycle = sent_per_cycle
        self.encoder, self.steps = network.on_chip, network.steps
        self.addresses_in = Addresses(network.input.shape)
        self.addresses_out = Addresses((self.addresses_in.count,))
        self.event_addresses_out = block_addresses(self.addresses_out, sent_per_cycle)
        self.fire_lanes = self.lanes_per_group = pixel_lanes(self.addresses_in)
        self.rows = self.groups = pixel_rows(self.addresses_in)
        self.parts, self.value_sent_bits = 1, 0
        self.channel_starts = tuple(row * self.fire_lanes for row in range(self.rows))
        self.is_random = self.encoder.kind == "bernoulli"
        self.codes = tuple(range(HIGHEST_PIXEL + 1))
        if not self.is_random:
            self.codes = tuple(self.encoder.time_codes().tolist())
        self.code_bits = self.encoder.code_bits
        self.lane_bits = (self.fire_lanes - 1).bit_length()
        self.value_bits = value_bits(0, HIGHEST_PIXEL)


class PixelEncoder(wiring.Component):
    """Takes the pixels of a sample, and sends the spikes of each time step and its end.

    Two memories hold pixels: one is filled while the other is scanned, once per time step, a row
    of pixels per clock cycle. Of first spikes the step of each is kept; else a random byte per
    pixel decides (`compiler/on_chip.py`), from registers that begin every window alike. In the last
    step the rows are cleared for the sample after the next; pixels that are not sent are 0. After
    reset both memories are cleared first.

    Once the readout has decided the sample that is scanned (`stop`), the next step is the last one
    of its window, and sends no spikes.

    Parameters
    ----------
    network : a fixed network with an encoder on the chip
    sent_per_cycle : neighbouring pixels whose spikes leave as one event

    Members
    -------
    i : In(stream) of pixels, as events with values, and one end behind them
    o : Out(stream) of events
    stop : In(1), the readout has decided sample number `decided` before its window was over
    decided : In(IN_FLIGHT_BITS)
    """

    def __init__(self, network, sent_per_cycle: int = 1):
        self.scan = scan = PixelScan(network, sent_per_cycle)
        self.sample = Signal(IN_FLIGHT_BITS)
        self.closing = Signal()
        self.filling, self.scanned = Signal(), Signal()
        self.full = Signal(2)
        self.uncleared = Signal(init=1)
        self.row, self.step = Signal(range(scan.rows)), Signal(range(scan.steps))
        self.credits = Signal(range(PLACES + 1), init=PLACES)
        self.looking = Signal()
        self.looking_step = Signal(range(scan.steps))
        self.looking_end, self.looking_last, self.looking_closing = Signal(), Signal(), Signal()
        self.looking_bank = Signal()
        self.spikes = Signal(scan.fire_lanes)
        self.encoder = SpikeEncoder(scan, PLACES)
        layout = event_layout(scan.addresses_in.count, scan.value_bits)
        super().__init__(
            {
                "i": In(stream.Signature(layout)),
                "o": Out(event_stream(scan.event_addresses_out.count, neurons=sent_per_cycle)),
                "stop": In(1),
                "decided": In(IN_FLIGHT_BITS),
            }
        )

    def probes(self):
        """Which memories are full, the scan and the events sent."""
        return [
            Probe("pixels.filling", self.filling),
            Probe("pixels.full", self.full),
            Probe("pixels.uncleared", self.uncleared),
            Probe("pixels.row", self.row),
            Probe("pixels.step", self.step),
            Probe("pixels.sample", self.sample),
            Probe("pixels.closing", self.closing),
            Probe("pixels.spikes", Mux(self.looking, self.spikes, 0)),
            Probe("pixels.credits", self.credits),
            *self.encoder.probes(),
        ]

    def elaborate(self, platform):
        m = Module()
        m.submodules.encoder = self.encoder
        wiring.connect(m, self.encoder.o, wiring.flipped(self.o))
        last_row, last_step = self.row == self.scan.rows - 1, Signal()
        closes = Signal()
        # Decided in the first row for the whole step.
        m.d.comb += [
            closes.eq(Mux(self.row == 0, self.stop & (self.decided == self.sample), self.closing)),
            last_step.eq((self.step == self.scan.steps - 1) | closes),
        ]
        scanning = self.full.bit_select(self.scanned, 1) & (self.credits != 0) & ~self.uncleared
        m.d.comb += self.i.ready.eq(~self.full.bit_select(self.filling, 1) & ~self.uncleared)
        with m.If(scanning | self.uncleared):
            m.d.sync += self.row.eq(Mux(last_row, 0, self.row + 1))
        with m.If(scanning):
            m.d.sync += self.closing.eq(closes)
        with m.If(scanning & last_row):
            m.d.sync += self.step.eq(Mux(last_step, 0, self.step + 1))
            with m.If(last_step):
                m.d.sync += [
                    self.full.bit_select(self.scanned, 1).eq(0),
                    self.scanned.eq(~self.scanned),
                    self.sample.eq(self.sample + 1),
                ]
        with m.If(self.uncleared & last_row):
            m.d.sync += self.uncleared.eq(0)
        with m.If(self.i.valid & self.i.ready & self.i.p.end):
            m.d.sync += [
                self.full.bit_select(self.filling, 1).eq(1),
                self.filling.eq(~self.filling),
            ]
        m.d.sync += [
            self.credits.eq(self.credits + self.encoder.release - scanning),
            self.looking.eq(scanning),
            self.looking_step.eq(self.step),
            self.looking_end.eq(last_row),
            self.looking_last.eq(last_step),
            self.looking_closing.eq(closes),
            self.looking_bank.eq(self.scanned),
        ]
        pixels = self._keep(m, scanning & last_step)
        self._look(m, pixels)
        return m

    def _keep(self, m, clearing):
        """Write and clear pixels; gives the row that was asked for a cycle ago."""
        scan = self.scan
        lane, word = (
            self.i.p.address[: scan.lane_bits],
            self.i.p.address[scan.lane_bits :],
        )
        code = Signal(scan.code_bits)
        if scan.is_random:
            m.d.comb += code.eq(self.i.p.value[: scan.code_bits])
        else:
            table = memory.Memory(shape=unsigned(scan.code_bits), depth=256, init=scan.codes)
            m.submodules.table = table
            port = table.read_port(domain="comb")
            m.d.comb += [port.addr.eq(self.i.p.value), code.eq(port.data)]
        taken = self.i.valid & self.i.ready & ~self.i.p.end
        found = []
        for bank in range(2):
            store = memory.Memory(
                shape=unsigned(scan.fire_lanes * scan.code_bits), depth=scan.rows, init=[]
            )
            m.submodules[f"pixels{bank}"] = store
            read = store.read_port()
            write = store.write_port(granularity=scan.code_bits)
            cleared = self.uncleared | (clearing & (self.scanned == bank))
            m.d.comb += read.addr.eq(self.row)
            with m.If(cleared):
                m.d.comb += [write.addr.eq(self.row), write.en.eq(-1)]
            with m.Elif(taken & (self.filling == bank)):
                m.d.comb += [
                    write.addr.eq(word),
                    write.data.eq(code.replicate(scan.fire_lanes)),
                    write.en.eq(1 << lane),
                ]
            found.append(read.data)
        return Mux(self.looking_bank, found[1], found[0])

    def _look(self, m, pixels):
        """Send the spikes of a row to the encoder."""
        scan = self.scan
        seeds = lane_seeds(scan.encoder.seed, scan.fire_lanes)
        spikes = []
        for lane, seed in enumerate(seeds):
            code = pixels[lane * scan.code_bits : (lane + 1) * scan.code_bits]
            if not scan.is_random:
                spikes.append(code == self.looking_step + 1)
                continue
            register = Signal(REGISTER_BITS, init=seed, name=f"register{lane}")
            later = Signal(REGISTER_BITS)
            m.d.comb += later.eq(next_register(register))
            with m.If(self.looking):
                m.d.sync += register.eq(Mux(self.looking_end & self.looking_last, seed, later))
            spikes.append(later[:BYTE] < code)
        m.d.comb += [
            self.spikes.eq(Mux(self.looking_closing, 0, Cat(spikes))),
            self.encoder.vector_valid.eq(self.looking),
            self.encoder.vector.spikes.eq(self.spikes),
            self.encoder.vector.scan_end.eq(self.looking_end),
            self.encoder.vector.window_end.eq(self.looking_last),
        ]

    def model(self):
        """The cycle model of this encoder."""
        return PixelEncoderModel(self)


class PixelEncoderModel:
    """Cycle model of PixelEncoder; events are integers."""

    def __init__(self, encoder: PixelEncoder):
        self.scan = scan = encoder.scan
        self.encoder = encoder.encoder.model()
        self.code = EventCode(scan.addresses_in.count, scan.value_bits)
        self.banks = [[0] * (scan.rows * scan.fire_lanes) for _ in range(2)]
        self.filling = self.scanned = self.row = self.step = 0
        self.full = [False, False]
        self.uncleared = True
        self.sample, self.closing = 0, False
        self.credits = PLACES
        self.vector: int | None = None
        self.seeds = lane_seeds(scan.encoder.seed, scan.fire_lanes)
        self.registers = self.seeds

    @property
    def ready(self) -> bool:
        """Whether a pixel is taken in this cycle."""
        return not self.full[self.filling] and not self.uncleared

    @property
    def busy(self) -> bool:
        """Whether something changes here without anybody sending a pixel."""
        return self.uncleared or any(self.full) or self.vector is not None or self.encoder.valid

    @property
    def valid(self) -> bool:
        """Whether `event` is sent."""
        return self.encoder.valid

    @property
    def event(self) -> int:
        """The event at the output."""
        return self.encoder.event

    def clock(self, pixel: int | None, ready: bool, stop: bool, decided: int) -> None:
        """Go on by one clock edge: the event taken, if any, and whether `event` is taken.

        Parameters
        ----------
        stop, decided : as of PixelEncoder
        """
        vector, load = self.vector, self.encoder.releases(ready)
        release = load + self.encoder.drops(vector)
        self.encoder.clock(vector, ready, load)
        scanning = self.full[self.scanned] and self.credits > 0 and not self.uncleared
        last_step = False
        if scanning:
            if self.row == 0:
                self.closing = stop and decided == self.sample
            last_step = self.closing or self.step == self.scan.steps - 1
        self.vector = self._look(last_step) if scanning else None
        if pixel is not None:
            self._take(pixel)
        self.credits += release - scanning
        if scanning or self.uncleared:
            self._next_row(scanning, last_step)

    def _take(self, pixel: int) -> None:
        if pixel & self.code.end:
            self.full[self.filling] = True
            self.filling ^= 1
        else:
            value = self.code.value(pixel)
            self.banks[self.filling][self.code.address(pixel)] = self.scan.codes[value]

    def _look(self, last_step: bool) -> int:
        """The vector of the row that is read in this cycle."""
        scan, bank = self.scan, self.banks[self.scanned]
        first = self.row * scan.fire_lanes
        places = slice(first, first + scan.fire_lanes)
        last_row = self.row == scan.rows - 1
        if scan.is_random:
            self.registers = tuple(map(next_register, self.registers))
            low = (1 << BYTE) - 1
            drawn = [register & low for register in self.registers]
            spikes = [byte < code for byte, code in zip(drawn, bank[places], strict=True)]
            if last_row and last_step:
                self.registers = self.seeds
        else:
            spikes = [code == self.step + 1 for code in bank[places]]
        if last_step:
            bank[places] = [0] * scan.fire_lanes
        vector = 0
        if not self.closing:
            vector = sum(spike << lane for lane, spike in enumerate(spikes))
        return vector | last_row << scan.fire_lanes | last_step << (scan.fire_lanes + 1)

    def _next_row(self, scanning: bool, last_step: bool) -> None:
        if self.row < self.scan.rows - 1:
            self.row += 1
            return
        self.row = 0
        if not scanning:
            self.uncleared = False
        elif not last_step:
            self.step += 1
        else:
            self.step, self.full[self.scanned] = 0, False
            self.scanned ^= 1
            self.sample = (self.sample + 1) % (1 << IN_FLIGHT_BITS)

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        full = self.full[0] | self.full[1] << 1
        spikes = (self.vector or 0) & ((1 << self.scan.fire_lanes) - 1)
        state = (self.filling, full, self.uncleared, self.row, self.step, self.sample)
        return (*state, self.closing, spikes, self.credits, *self.encoder.values())
