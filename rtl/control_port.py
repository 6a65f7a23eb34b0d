"""The control port: AXI4-Lite writes and reads of 32-bit registers, one at a time."""

from typing import NamedTuple

from amaranth import Module, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.probe import Probe

ADDRESS_BITS = 5
DATA_BITS = 32
PROTECTION_BITS = 3
STROBES = DATA_BITS // 8


class Response(enum.Enum, shape=2):
    """What AXI4-Lite answers; other codes do not occur."""

    OKAY = 0
    SLVERR = 2


# The names and widths of AXI4-Lite, without a prefix: what comes in, and what goes out.
INPUTS = {
    "awaddr": ADDRESS_BITS,
    "awprot": PROTECTION_BITS,
    "awvalid": 1,
    "wdata": DATA_BITS,
    "wstrb": STROBES,
    "wvalid": 1,
    "bready": 1,
    "araddr": ADDRESS_BITS,
    "arprot": PROTECTION_BITS,
    "arvalid": 1,
    "rready": 1,
}
OUTPUTS = {
    "awready": 1,
    "wready": 1,
    "bresp": 2,
    "bvalid": 1,
    "arready": 1,
    "rdata": DATA_BITS,
    "rresp": 2,
    "rvalid": 1,
}


def axi_members():
    """The port's members, without a prefix."""
    return {name: In(width) for name, width in INPUTS.items()} | {
        name: Out(width) for name, width in OUTPUTS.items()
    }


class ControlPort(wiring.Component):
    """An AXI4-Lite subordinate that makes single writes and reads of what arrives.

    Address and data of a write may come in any order. All outputs are registers. What is written
    to or read from an address that is none, and writes of single bytes, are answered by SLVERR and
    change nothing.

    Members
    -------
    awaddr .. rvalid : AXI4-Lite
    write : Out(1), the word `data` is to be written to the register number `address`
    written : In(1), it is taken with the next clock edge; without `write` it has no meaning
    refused : In(1), with `written`, there is no such register
    read_address : Out(ADDRESS_BITS - 2), the register that a read asks for
    read_data : In(DATA_BITS), its value
    read_refused : In(1), there is no such register
    """

    def __init__(self):
        registers = ADDRESS_BITS - 2
        self.address_held, self.data_held = Signal(), Signal()
        self.whole = Signal()
        super().__init__(
            axi_members()
            | {
                "write": Out(1),
                "address": Out(registers),
                "data": Out(DATA_BITS),
                "written": In(1),
                "refused": In(1),
                "read_address": Out(registers),
                "read_data": In(DATA_BITS),
                "read_refused": In(1),
            }
        )

    def probes(self):
        """What is held of a write."""
        return [
            Probe("control.address_held", self.address_held),
            Probe("control.data_held", self.data_held),
            Probe("control.address", self.address),
            Probe("control.data", self.data),
        ]

    def elaborate(self, platform):
        m = Module()
        held = self.address_held & self.data_held & ~self.bvalid
        m.d.comb += [
            self.awready.eq(~self.address_held),
            self.wready.eq(~self.data_held),
            self.write.eq(held & self.whole),
            self.arready.eq(~self.rvalid),
            self.read_address.eq(self.araddr[2:]),
        ]
        with m.If(self.awvalid & self.awready):
            m.d.sync += [self.address.eq(self.awaddr[2:]), self.address_held.eq(1)]
        with m.If(self.wvalid & self.wready):
            m.d.sync += [
                self.data.eq(self.wdata),
                self.whole.eq(self.wstrb.all()),
                self.data_held.eq(1),
            ]
        with m.If(self.bvalid & self.bready):
            m.d.sync += self.bvalid.eq(0)
        with m.If(held & (self.written | ~self.whole)):
            failed = self.refused | ~self.whole
            m.d.sync += [
                self.address_held.eq(0),
                self.data_held.eq(0),
                self.bvalid.eq(1),
                self.bresp.eq(_response(failed)),
            ]
        with m.If(self.rvalid & self.rready):
            m.d.sync += self.rvalid.eq(0)
        with m.If(self.arvalid & self.arready):
            m.d.sync += [
                self.rvalid.eq(1),
                self.rdata.eq(self.read_data),
                self.rresp.eq(_response(self.read_refused)),
            ]
        return m

    def model(self):
        """The cycle model of this port."""
        return ControlPortModel()


def _response(failed):
    """`Response` by whether something failed: SLVERR is its second bit."""
    return failed << 1


class ControlInput(NamedTuple):
    """What the other side of an AXI4-Lite port drives in a clock cycle."""

    awaddr: int = 0
    awvalid: bool = False
    wdata: int = 0
    wstrb: int = 0
    wvalid: bool = False
    bready: bool = False
    araddr: int = 0
    arvalid: bool = False
    rready: bool = False


NO_CONTROL = ControlInput()


class ControlPortModel:
    """Cycle model of ControlPort."""

    def __init__(self) -> None:
        self.address_held = self.data_held = self.whole = False
        self.address = self.data = 0
        self.bvalid = self.rvalid = False
        self.bresp = self.rresp = self.rdata = 0

    @property
    def write(self) -> bool:
        """Whether a word is to be written in this cycle."""
        return self.held and self.whole

    @property
    def held(self) -> bool:
        """Whether a write is complete and the answer to the one before has been taken."""
        return self.address_held and self.data_held and not self.bvalid

    @property
    def rests(self) -> bool:
        """Whether nothing changes here until the other side does something."""
        return not self.held and not self.bvalid and not self.rvalid

    def clock(
        self,
        given: ControlInput,
        answer: tuple[bool, bool],
        read: tuple[int, bool],
    ) -> None:
        """Go on by one clock edge.

        Parameters
        ----------
        answer : whether the write is taken, and whether it is refused
        read : value of the register that is asked for, and whether there is none
        """
        held, bvalid, rvalid = self.held, self.bvalid, self.rvalid
        taken, refused = answer
        if given.awvalid and not self.address_held:
            self.address, self.address_held = given.awaddr >> 2, True
        if given.wvalid and not self.data_held:
            self.data, self.whole = given.wdata, given.wstrb == (1 << STROBES) - 1
            self.data_held = True
        if bvalid and given.bready:
            self.bvalid = False
        if held and (taken or not self.whole):
            self.address_held = self.data_held = False
            self.bvalid = True
            self.bresp = (refused or not self.whole) << 1
        if rvalid and given.rready:
            self.rvalid = False
        if given.arvalid and not rvalid:
            self.rvalid = True
            self.rdata, missing = read
            self.rresp = missing << 1

    def ports(self) -> tuple[int, ...]:
        """Values of the outputs, in the order of `OUTPUTS`."""
        return (
            not self.address_held,
            not self.data_held,
            self.bresp,
            self.bvalid,
            not self.rvalid,
            self.rdata,
            self.rresp,
            self.rvalid,
        )

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return self.address_held, self.data_held, self.address, self.data
