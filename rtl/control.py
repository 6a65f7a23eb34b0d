# amaranth: UnusedElaboratable=no
"""The control unit of an accelerator whose weights can be loaded: its port and its loader."""

from collections.abc import Sequence

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.control_port import (
    INPUTS,
    OUTPUTS,
    ControlInput,
    ControlPort,
    ControlPortModel,
    axi_members,
)
from spikeloom.rtl.core import LayerCoreModel
from spikeloom.rtl.loading import LoadSignature
from spikeloom.rtl.weight_loader import WeightLoader, WeightLoaderModel

ASKED = ("write", "address", "data", "read_address")
ANSWERED = ("written", "refused", "read_data", "read_refused")


class ControlUnit(wiring.Component):
    """Takes weight images over AXI4-Lite.

    Parameters
    ----------
    cores : of the accelerator
    fingerprint : of the images that belong to it

    Members
    -------
    awaddr .. rvalid : AXI4-Lite; rtl/weight_loader.py lists the registers
    load0, load1, .. : Out(LoadSignature) to the cores
    hold : Out(1), no sample may begin
    drained : In(1), no sample is under way
    """

    def __init__(self, cores, fingerprint: int):
        self.port = ControlPort()
        self.loader = WeightLoader(cores, fingerprint)
        loads = {
            f"load{number}": Out(LoadSignature(load.signature.memories))
            for number, load in enumerate(self.loader.loads)
        }
        super().__init__(axi_members() | loads | {"hold": Out(1), "drained": In(1)})

    @property
    def loads(self):
        """What the cores are told, in their order."""
        return [getattr(self, f"load{number}") for number in range(len(self.loader.loads))]

    def probes(self):
        """Those of the port and of the loader."""
        return [*self.port.probes(), *self.loader.probes()]

    def elaborate(self, platform):
        m = Module()
        m.submodules.port, m.submodules.loader = port, loader = self.port, self.loader
        m.d.comb += [
            *(getattr(port, name).eq(getattr(self, name)) for name in INPUTS),
            *(getattr(self, name).eq(getattr(port, name)) for name in OUTPUTS),
            *(getattr(loader, name).eq(getattr(port, name)) for name in ASKED),
            *(getattr(port, name).eq(getattr(loader, name)) for name in ANSWERED),
            self.hold.eq(loader.hold),
            loader.drained.eq(self.drained),
        ]
        for own, load in zip(self.loads, loader.loads, strict=True):
            wiring.connect(m, load, wiring.flipped(own))
        return m

    def model(self, before=None):
        """The cycle model of this unit: after a reset of another model, or after power-up."""
        return ControlUnitModel(self, before)


class ControlUnitModel:
    """Cycle model of ControlUnit."""

    def __init__(self, unit: ControlUnit, before: "ControlUnitModel | None" = None):
        self.port: ControlPortModel = unit.port.model()
        self.loader: WeightLoaderModel = unit.loader.model(
            None if before is None else before.loader
        )

    @property
    def hold(self) -> bool:
        """Whether no sample may begin."""
        return self.loader.hold

    @property
    def rests(self) -> bool:
        """Whether nothing changes here until the other side does something."""
        return self.port.rests and self.loader.rests

    def load(self, layers: Sequence[LayerCoreModel]) -> None:
        """Give the cores what is in use."""
        for layer, loaded in zip(layers, self.loader.held, strict=True):
            layer.load(loaded)

    def clock(self, given: ControlInput, layers: Sequence[LayerCoreModel], drained: bool) -> None:
        """Go on by one clock edge, before the cores do."""
        port, loader = self.port, self.loader
        memory = loader.memory
        free = memory.what != "weights" or not layers[memory.core].engine.reads_weights
        write, address, data = port.write, port.address, port.data
        answer = loader.answer(write, address, free)
        read = loader.read(given.araddr >> 2)
        if loader.restart:
            for layer, loaded in zip(layers, loader.held, strict=True):
                layer.restart(loaded)
        loader.clock(write, address, data, answer[0], drained)
        port.clock(given, answer, read)

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return *self.port.values(), *self.loader.values()
