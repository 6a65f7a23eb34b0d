# amaranth: UnusedElaboratable=no
"""One core of the accelerator: a layer of the network."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.encoder import SpikeEncoder
from spikeloom.rtl.events import event_layout, event_stream
from spikeloom.rtl.neurons import NeuronArray
from spikeloom.rtl.queue import EventQueue
from spikeloom.rtl.synapses import SynapseEngine


def spike_vector_places(core) -> int:
    """Spike vectors that wait in the encoder of a core.

    With one group a scan is one vector. With more, as many as keep a scan going while the first
    of them travels from the engine to the encoder and its credit back.
    """
    return 2 if core.groups == 1 else 5


class LayerCore(wiring.Component):
    """Event queue, synapse engine, neurons and spike encoder of one layer.

    Parameters
    ----------
    core : Core

    Members
    -------
    i : In(stream) of events of the layer before
    o : Out(stream) of events of this layer
    """

    def __init__(self, core):
        self.core = core
        places = spike_vector_places(core)
        self.queue = EventQueue(event_layout(core.inputs))
        self.neurons = NeuronArray(core)
        self.engine = SynapseEngine(core, self.neurons.fire_latency, places)
        self.encoder = SpikeEncoder(core.neurons, core.lanes, places)
        super().__init__({"i": In(event_stream(core.inputs)), "o": Out(event_stream(core.neurons))})

    def probes(self):
        """All probes, in the order of the pipeline."""
        blocks = (self.queue, self.engine, self.neurons, self.encoder)
        return [probe for block in blocks for probe in block.probes()]

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = self.queue
        m.submodules.engine = engine = self.engine
        m.submodules.neurons = neurons = self.neurons
        m.submodules.encoder = encoder = self.encoder
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        wiring.connect(m, queue.o, engine.i)
        wiring.connect(m, encoder.o, wiring.flipped(self.o))
        m.d.comb += [
            neurons.fetch.eq(engine.fetch),
            neurons.apply.eq(engine.apply),
            neurons.weights.eq(engine.weights),
            encoder.vector_valid.eq(neurons.vector_valid),
            encoder.vector.eq(neurons.vector),
            engine.release.eq(encoder.release),
        ]
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
        self.groups = core.core.groups
        self.queue = core.queue.model()
        self.engine = core.engine.model()
        self.neurons = core.neurons.model()
        self.encoder = core.encoder.model()
        self.settle()

    def settle(self) -> None:
        """Let what depends on the registers alone settle, after a clock edge."""
        self.engine.settle(self.queue.valid, self.queue.head)
        self.neurons.settle(self.engine.apply, self.engine.apply_row)
        self.shown: tuple[int, ...] | None = None
        self.still = self.engine.rests and self.neurons.rests and self.encoder.waits

    def clock(self, pushed: int | None, ready: bool) -> None:
        """Go on by one clock edge: the event taken, if any, and the next block's readiness."""
        if self.still and pushed is None and not (ready and self.encoder.valid):
            return
        vector = None
        if self.neurons.vector_valid:
            vector = self.neurons.spikes, self.neurons.scan_end
        load = self.encoder.loads(ready)
        release = self.encoder.releases(load)
        pop = self.engine.takes
        self.encoder.clock(vector, ready, load)
        self.neurons.clock(self.engine.apply)
        self.engine.clock(self.queue.head, release)
        self.queue.clock(pushed, pop)
        self.settle()

    @property
    def steps_done(self) -> int:
        """Time steps at whose end all neurons have been compared, since reset."""
        return len(self.neurons.fired) // self.groups

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        if self.shown is None:
            self.shown = (
                *self.queue.values(),
                *self.engine.values(),
                *self.neurons.values(),
                *self.encoder.values(),
            )
        return self.shown
