# amaranth: UnusedElaboratable=no
"""One core of the accelerator: a layer of the network."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.banks import BankArray
from spikeloom.rtl.convolution import ConvolutionEngine
from spikeloom.rtl.encoder import SpikeEncoder
from spikeloom.rtl.events import event_layout, event_stream
from spikeloom.rtl.fire import FireUnit, scan_pause
from spikeloom.rtl.lanes import LaneArray
from spikeloom.rtl.membranes import MembraneSender
from spikeloom.rtl.operations import is_convolution
from spikeloom.rtl.queue import DeepQueue, EventQueue
from spikeloom.rtl.synapses import SynapseEngine
from spikeloom.rtl.vectors import vector_places


class LayerCore(wiring.Component):
    """Event queue, synapse engine, lanes, fire unit and encoder of one layer.

    Parameters
    ----------
    core : Core
    places : vectors that wait behind the fire unit; see `vector_places`, which is the default

    Members
    -------
    i : In(stream) of events of the layer before
    o : Out(stream) of events of this layer: its spikes, or its membranes for the readout
    """

    def __init__(self, core, places: int | None = None):
        self.core = core
        places = vector_places(core) if places is None else places
        layout = event_layout(core.addresses_in.count, core.value_bits)
        self.queue = DeepQueue(layout, core.waiting) if core.waiting else EventQueue(layout)
        engine, lanes = SynapseEngine, LaneArray
        if is_convolution(core):
            engine, lanes = ConvolutionEngine, BankArray
        self.engine = engine(core, scan_pause(core), places)
        self.lanes = lanes(core)
        self.fire = FireUnit(core)
        sender = SpikeEncoder if core.sends == "spikes" else MembraneSender
        self.encoder = sender(core, places)
        super().__init__(
            {
                "i": In(event_stream(core.addresses_in.count, core.value_bits)),
                "o": Out(event_stream(core.addresses_out.count, core.value_sent_bits)),
            }
        )

    def probes(self):
        """All probes, in the order of the pipeline."""
        blocks = (self.queue, self.engine, self.lanes, self.fire, self.encoder)
        return [probe for block in blocks for probe in block.probes()]

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = self.queue
        m.submodules.engine = engine = self.engine
        m.submodules.lanes = lanes = self.lanes
        m.submodules.fire = fire = self.fire
        m.submodules.encoder = encoder = self.encoder
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        wiring.connect(m, queue.o, engine.i)
        wiring.connect(m, encoder.o, wiring.flipped(self.o))
        m.d.comb += [
            lanes.apply.eq(engine.apply),
            lanes.weights.eq(engine.weights),
            fire.before.eq(engine.before),
            fire.apply.eq(engine.apply),
            fire.sums.eq(lanes.sums),
            encoder.vector_valid.eq(fire.vector_valid),
            encoder.vector.eq(fire.vector),
            engine.release.eq(encoder.release),
        ]
        if is_convolution(self.core):
            m.d.comb += lanes.earlier.eq(engine.earlier)
        else:
            m.d.comb += lanes.before.eq(engine.before)
        return m

    def model(self):
        """The cycle model of this core."""
        return LayerCoreModel(self)


class LayerCoreModel:
    """Cycle model of LayerCore: its blocks' models, joined as `elaborate` joins the blocks.

    A layer at a standstill is not computed again: in the model, too, silence costs next to nothing.
    """

    def __init__(self, core: LayerCore):
        self.name = core.core.name
        self.queue = core.queue.model()
        self.engine = core.engine.model()
        self.lanes = core.lanes.model()
        self.fire = core.fire.model()
        self.encoder = core.encoder.model()
        self.settle()

    def settle(self) -> None:
        """Let what depends on the registers alone settle, after a clock edge."""
        self.engine.settle(self.queue.valid, self.queue.head)
        self.lanes.settle(*self.engine.apply)
        self.shown: tuple[int, ...] | None = None
        self.still = (
            self.engine.rests and self.fire.rests and self.encoder.waits and not self.queue.moves
        )

    def clock(self, pushed: int | None, ready: bool) -> None:
        """Go on by one clock edge: the event taken, if any, and the next block's readiness."""
        if self.still and pushed is None and not (ready and self.encoder.valid):
            return
        vector, load = self.fire.vector, self.encoder.releases(ready)
        release = load + self.encoder.drops(vector)
        pop = self.engine.takes
        self.encoder.clock(vector, ready, load)
        self.fire.clock(self.engine.apply[0], self.lanes.sums)
        self.lanes.clock()
        self.engine.clock(self.queue.head, release)
        self.queue.clock(pushed, pop)
        self.settle()

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        if self.shown is None:
            self.shown = (
                *self.queue.values(),
                *self.engine.values(),
                *self.lanes.values(),
                *self.fire.values(),
                *self.encoder.values(),
            )
        return self.shown
