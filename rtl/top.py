# amaranth: UnusedElaboratable=no
"""The accelerator: one core per layer between an AXI4-Stream input and an AXI4-Stream output."""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.exchange import fingerprint
from spikeloom.rtl.control import ControlUnit, ControlUnitModel
from spikeloom.rtl.control_port import INPUTS, NO_CONTROL, OUTPUTS, ControlInput, axi_members
from spikeloom.rtl.core import LayerCore, LayerCoreModel
from spikeloom.rtl.events import event_layout
from spikeloom.rtl.fork import Fork
from spikeloom.rtl.host_port import IN_FLIGHT_BITS, EventInput
from spikeloom.rtl.pixels import PixelEncoder
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.queue import EventQueue
from spikeloom.rtl.readout import Readout
from spikeloom.rtl.result import RESULT_BITS

# Before the names of the control port's signals.
CONTROL = "s_axil_"


class Accelerator(wiring.Component):
    """A layer-pipelined, event-driven accelerator for exactly one program.

    Layers work on different time steps at once: each starts as soon as events arrive, and the end
    of a step travels through the pipeline behind the step's last spike.

    Parameters
    ----------
    program : Program
    probe : whether the signals that the cycle model predicts get ports of their own

    Members
    -------
    s_axis_* : AXI4-Stream in; `tdata` is an event word (rtl/events.py), `tlast` accompanies the
        last end of a step of a sample
    m_axis_* : AXI4-Stream out; a packet per sample: the class, then a score per class
    error : Out(1), a malformed word has arrived since reset
    s_axil_* : AXI4-Lite, where weights can be loaded (rtl/weight_loader.py)
    probe_input, probe_<layer>, probe_readout, probe_control : Out, with `probe` only
    """

    def __init__(self, program, probe: bool = False):
        self.program = program
        cores, network = program.cores, program.network
        last = cores[-1]
        self.input = EventInput(network, program.events_per_word)
        self.pixels = None
        if network.on_chip is not None:
            sent = program.events_per_cycle.get(network.input.name, 1)
            self.pixels = PixelEncoder(network, sent)
        self.layers = [LayerCore(core) for core in cores]
        self.readout_queue = EventQueue(event_layout(last.neurons, last.value_sent_bits))
        self.readout = Readout(
            network.readout.kind,
            last.neurons,
            network.steps,
            group=network.readout.group,
            weights=tuple(int(weight) for weight in network.readout.weights),
            value_bits=last.value_sent_bits,
            early_stop=network.readout.early_stop,
        )
        self.control = None
        if network.has_run_time_weights:
            self.control = ControlUnit(cores, fingerprint(program))
        # The number of the sample whose events reach the readout, for an early stop.
        self.arriving = Signal(IN_FLIGHT_BITS)
        self.probe = probe
        ports = {
            "s_axis_tvalid": In(1),
            "s_axis_tready": Out(1),
            "s_axis_tdata": In(self.input.format.bits),
            "s_axis_tlast": In(1),
            "m_axis_tvalid": Out(1),
            "m_axis_tready": In(1),
            "m_axis_tdata": Out(RESULT_BITS),
            "m_axis_tlast": Out(1),
            "error": Out(1),
        }
        if self.control is not None:
            ports |= {f"{CONTROL}{name}": member for name, member in axi_members().items()}
        if probe:
            for name, probes in self._blocks().items():
                ports[f"probe_{name}"] = Out(sum(item.width for item in probes))
        super().__init__(ports)

    def takers_of(self, name: str) -> list[tuple[int, int]]:
        """Who takes a population's events: the index of a layer, and as which of its sources."""
        return [
            (index, number)
            for index, layer in enumerate(self.layers)
            for number, source in enumerate(layer.core.sources)
            if source.name == name
        ]

    def _routes(self):
        """Of the input and each layer its name, the stream that it sends and those that take it."""
        routes = []
        given = self.input.o if self.pixels is None else self.pixels.o
        senders = [(self.program.network.input.name, given)]
        senders += [(layer.core.name, layer.o) for layer in self.layers]
        for name, sent in senders:
            takers = [self.layers[index].inputs[number] for index, number in self.takers_of(name)]
            if sent is self.layers[-1].o:
                takers.append(self.readout_queue.i)
            routes.append((name, sent, takers))
        return routes

    def _blocks(self):
        pixels = [] if self.pixels is None else self.pixels.probes()
        return {
            "input": [*self.input.probes(), *pixels],
            **{layer.core.name: layer.probes() for layer in self.layers},
            "readout": [*self.readout_queue.probes(), *self.readout.probes()],
            **({} if self.control is None else {"control": self.control.probes()}),
        }

    def observed(self) -> dict[str, list[Probe]]:
        """What a simulator sees: the probes by block, if there are any, then the output ports."""
        names = ["s_axis_tready", "m_axis_tvalid", "m_axis_tdata", "m_axis_tlast", "error"]
        if self.control is not None:
            names += [f"{CONTROL}{name}" for name in OUTPUTS]
        ports = {"port": [Probe(name, getattr(self, name)) for name in names]}
        return (self._blocks() if self.probe else {}) | ports

    def elaborate(self, platform):
        m = Module()
        m.submodules.input = self.input
        m.submodules.readout_queue = self.readout_queue
        m.submodules.readout = self.readout
        readout = self.readout
        with m.If(readout.i.valid & readout.i.ready & readout.i.p.last):
            m.d.sync += self.arriving.eq(self.arriving + 1)
        m.d.comb += [
            self.input.begin_ready.eq(readout.begin_ready),
            self.input.stop.eq(readout.stop),
            self.input.decided.eq(self.arriving),
            readout.begin.eq(self.input.begin),
            self.input.valid.eq(self.s_axis_tvalid),
            self.input.word.eq(self.s_axis_tdata),
            self.input.last.eq(self.s_axis_tlast),
            self.s_axis_tready.eq(self.input.ready),
            self.error.eq(self.input.error),
        ]
        if self.pixels is not None:
            m.submodules.pixels = self.pixels
            wiring.connect(m, self.input.o, self.pixels.i)
            m.d.comb += [
                self.pixels.stop.eq(readout.stop),
                self.pixels.decided.eq(self.arriving),
            ]
        for layer in self.layers:
            m.submodules[layer.core.name] = layer
        for name, sender, takers in self._routes():
            m.submodules[f"fork_{name}"] = fork = Fork(sender.payload.shape(), len(takers))
            wiring.connect(m, sender, fork.i)
            for output, taker in zip(fork.outputs, takers, strict=True):
                wiring.connect(m, output, taker)
        wiring.connect(m, self.readout_queue.o, self.readout.i)
        m.d.comb += [
            self.m_axis_tvalid.eq(readout.o.valid),
            self.m_axis_tdata.eq(readout.o.p.word),
            self.m_axis_tlast.eq(readout.o.p.last),
            readout.o.ready.eq(self.m_axis_tready),
        ]
        if self.control is not None:
            self._load(m, self.control)
        if self.probe:
            for name, probes in self._blocks().items():
                m.d.comb += getattr(self, f"probe_{name}").eq(Cat(item.wire() for item in probes))
        return m

    def _load(self, m, control: ControlUnit):
        """Join the control unit to its ports, the input and the cores."""
        m.submodules.control = control
        m.d.comb += [
            *(getattr(control, name).eq(getattr(self, f"{CONTROL}{name}")) for name in INPUTS),
            *(getattr(self, f"{CONTROL}{name}").eq(getattr(control, name)) for name in OUTPUTS),
            self.input.begin_ready.eq(self.readout.begin_ready & ~control.hold),
            control.drained.eq(~self.input.begun & (self.input.sample == self.arriving)),
        ]
        for layer, load in zip(self.layers, control.loads, strict=True):
            wiring.connect(m, load, layer.load)

    def model(self, before: "AcceleratorModel | None" = None):
        """The cycle model of the whole accelerator, after power-up.

        Parameters
        ----------
        before : the model up to a reset, which keeps the weights that have been loaded
        """
        return AcceleratorModel(self, before)


class AcceleratorModel:
    """Cycle model of Accelerator, joined from its blocks' models as `elaborate` joins the blocks.

    The outputs and all probes depend on registers alone, so within a cycle they can be read at any
    time: call `clock` once per clock edge, with the inputs that the edge sees.
    """

    def __init__(self, accelerator: Accelerator, before: "AcceleratorModel | None" = None):
        self.input = accelerator.input.model()
        self.pixels = None if accelerator.pixels is None else accelerator.pixels.model()
        self.layers = [layer.model() for layer in accelerator.layers]
        self.readout_queue = accelerator.readout_queue.model()
        self.readout = accelerator.readout.model()
        self.probe = accelerator.probe
        # Of the input and each layer who takes its events: a layer, and as which of its sources.
        names = [accelerator.program.network.input.name, *(layer.name for layer in self.layers)]
        self.takers = [
            [(self.layers[index], number) for index, number in accelerator.takers_of(name)]
            for name in names
        ]
        self.control: ControlUnitModel | None = None
        if accelerator.control is not None:
            self.control = accelerator.control.model(None if before is None else before.control)
            self.control.load(self.layers)
        self._settle()

    def with_own_weights(self) -> "AcceleratorModel":
        """This model with the program's weights in use, as if they had been loaded before."""
        if self.control is not None:
            self.control.loader.take_own()
            self.control.load(self.layers)
            self._settle()
        return self

    def _settle(self) -> None:
        """Let what the input does next settle, after a clock edge; it is asked several times."""
        stop, decided = self.readout.stop, self.readout.windows_done
        self._ends_early = stop and self.input.ends_early(stop, decided % (1 << IN_FLIGHT_BITS))
        begin_ready = self.readout.begin_ready and not (self.control and self.control.hold)
        self._s_axis_tready = self.input.ready(self._takes_input, begin_ready, self._ends_early)

    @property
    def _takes_input(self) -> bool:
        """Whether what the input sends is taken in this cycle."""
        return _all_ready(self.takers[0]) if self.pixels is None else self.pixels.ready

    @property
    def is_busy(self) -> bool:
        """Whether something goes on that no input word asked for, such as clearing after reset."""
        pixels = self.pixels is not None and self.pixels.busy
        control = self.control is not None and not self.control.rests
        return (
            pixels
            or control
            or any(not layer.still or layer.encoder.valid for layer in self.layers)
        )

    @property
    def s_axis_tready(self) -> bool:
        """Whether an input word is taken."""
        return self._s_axis_tready

    @property
    def m_axis(self) -> tuple[bool, int, bool]:
        """tvalid, tdata and tlast of the output."""
        return self.readout.valid, self.readout.word, self.readout.last

    def clock(
        self,
        word: int | None,
        last: bool,
        m_axis_tready: bool,
        control: ControlInput = NO_CONTROL,
    ) -> None:
        """Go on by one clock edge.

        Parameters
        ----------
        word : `tdata` of the input, None while `tvalid` is low
        last : `tlast` of the input
        m_axis_tready : readiness of whoever takes the results
        control : what is driven at the control port, where weights can be loaded
        """
        if self.control is not None:
            drained = self.input.drained(self.readout.windows_done)
            self.control.clock(control, self.layers, drained)
        event = None
        begin = False
        if self._ends_early:
            if self._takes_input:
                event = self.input.end_early()
        elif word is not None and self._s_axis_tready:
            begin = not self.input.begun
            event = self.input.clock(word, last)
        if self.pixels is not None:
            ready = _all_ready(self.takers[0])
            sent = self.pixels.event if ready and self.pixels.valid else None
            decided = self.readout.windows_done % (1 << IN_FLIGHT_BITS)
            self.pixels.clock(event, ready, self.readout.stop, decided)
            event = sent
        if event is not None:
            _push(self.takers[0], event)
        queue = self.readout_queue
        # Every handshake is settled by the registers before the edge: all are asked before any
        # layer moves on.
        last, ready_before = self.layers[-1], []
        event = None
        for layer, takers in zip(self.layers, self.takers[1:], strict=True):
            ready = _all_ready(takers) and (layer is not last or queue.ready)
            ready_before.append(ready)
            if ready and layer.encoder.valid:
                event = layer.encoder.event
                _push(takers, event)
            else:
                event = None
        for layer, ready in zip(self.layers, ready_before, strict=True):
            layer.clock(ready)
        scored = queue.valid and self.readout.ready(queue.head)
        self.readout.clock(queue.head if scored else None, m_axis_tready, begin)
        queue.clock(event, scored)
        self._settle()

    def progress(self, block: str, probe: str) -> tuple[int, int]:
        """Sample and time step that a block works on; for the ports, the readout's."""
        if block == "input":
            return self.input.samples_done, self.input.step
        for layer in self.layers:
            if layer.name == block:
                return layer.fire.scanned if probe.startswith("fire.") else layer.fire.progress
        return self.readout.progress

    def values(self) -> list[int]:
        """Values of all that can be observed, in the order of `Accelerator.observed`."""
        values: list[int] = []
        if self.probe:
            values += self.input.values()
            values += () if self.pixels is None else self.pixels.values()
            for layer in self.layers:
                values += layer.values()
            values += self.readout_queue.values()
            values += self.readout.values()
            if self.control is not None:
                values += self.control.values()
        values += (self._s_axis_tready, *self.m_axis, self.input.error)
        values += () if self.control is None else self.control.port.ports()
        return values


Takers = list[tuple[LayerCoreModel, int]]


def _all_ready(takers: Takers) -> bool:
    """Whether all of them take an event in this cycle."""
    return all(layer.queues[source].ready for layer, source in takers)


def _push(takers: Takers, event: int) -> None:
    """Give an event to all of them with the next clock edge."""
    for layer, source in takers:
        layer.push(source, event)
