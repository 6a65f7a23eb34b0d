# amaranth: UnusedElaboratable=no
"""One core of the accelerator: a layer of the network."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.core_pipeline import scan_pause, vector_places
from spikeloom.compiler.weight_image import Loaded
from spikeloom.rtl.arbiter import Arbiter
from spikeloom.rtl.banks import BankArray
from spikeloom.rtl.convolution import ConvolutionEngine
from spikeloom.rtl.encoder import SpikeEncoder
from spikeloom.rtl.events import event_stream, source_layout
from spikeloom.rtl.fire import FireUnit
from spikeloom.rtl.lanes import LaneArray
from spikeloom.rtl.loading import load_member, share_load
from spikeloom.rtl.membranes import MembraneSender
from spikeloom.rtl.operations import is_convolution
from spikeloom.rtl.queue import source_queue
from spikeloom.rtl.synapses import SynapseEngine


class LayerCore(wiring.Component):
    """Event queues, synapse engine, lanes, fire unit and encoder of one layer.

    Parameters
    ----------
    core : Core
    places : vectors that wait behind the fire unit; see `vector_places`, which is the default

    Members
    -------
    i0, i1, .. : In(stream) of events of the core's sources, in their order
    o : Out(stream) of events of this layer: its spikes, or its membranes for the readout
    load : In(LoadSignature), where weights can be loaded
    """

    def __init__(self, core, places: int | None = None):
        self.core = core
        places = vector_places(core) if places is None else places
        several = len(core.sources) > 1
        self.queue = Arbiter(core) if several else source_queue(core.sources[0])
        engine, lanes = SynapseEngine, LaneArray
        if is_convolution(core):
            engine, lanes = ConvolutionEngine, BankArray
        self.engine = engine(core, scan_pause(core), places)
        self.lanes = lanes(core)
        self.fire = FireUnit(core)
        sender = SpikeEncoder if core.sends == "spikes" else MembraneSender
        self.encoder = sender(core, places)
        inputs = {
            f"i{number}": In(stream.Signature(source_layout(source)))
            for number, source in enumerate(core.sources)
        }
        sent = event_stream(
            core.event_addresses_out.count, core.value_sent_bits, core.sent_per_cycle
        )
        super().__init__(inputs | {"o": Out(sent)} | load_member(core))

    @property
    def inputs(self):
        """The streams of the sources, in their order."""
        return [getattr(self, f"i{number}") for number in range(len(self.core.sources))]

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
        if isinstance(queue, Arbiter):
            for number, given in enumerate(self.inputs):
                wiring.connect(m, wiring.flipped(given), getattr(queue, f"i{number}"))
        else:
            wiring.connect(m, wiring.flipped(self.i0), queue.i)
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
        share_load(m, self, [engine, fire])
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
        self.queues = getattr(self.queue, "queues", [self.queue])
        self.pushed: list[int | None] = [None] * len(self.queues)
        self.given = False
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

    def restart(self, loaded: Loaded) -> None:
        """Begin anew with other weights, thresholds and biases, with the next clock edge."""
        self.load(loaded)
        self.engine.restart()
        self.still = False

    def load(self, loaded: Loaded) -> None:
        """Take what is loaded."""
        self.lanes.load(loaded.weights)
        self.fire.load(loaded.thresholds, loaded.biases)

    def push(self, source: int, event: int) -> None:
        """Take an event of a source with the next clock edge."""
        self.pushed[source], self.given = event, True

    def clock(self, ready: bool) -> None:
        """Go on by one clock edge, given whether all that take this layer's events are ready."""
        if self.still and not self.given and not (ready and self.encoder.valid):
            return
        vector, load = self.fire.vector, self.encoder.releases(ready)
        release = load + self.encoder.drops(vector)
        pop = self.engine.takes
        self.encoder.clock(vector, ready, load)
        self.fire.clock(self.engine.apply[0], self.lanes.sums)
        self.lanes.clock()
        self.engine.clock(self.queue.head, release)
        if len(self.queues) > 1:
            self.queue.clock(self.pushed, pop)
        else:
            self.queue.clock(self.pushed[0], pop)
        if self.given:
            self.pushed, self.given = [None] * len(self.queues), False
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
