"""Proofs about back-pressure: credits within a layer, and the handshakes of whole blocks."""

from typing import Any

from amaranth import Cat, Signal

from spikeloom.compiler.cores import Core
from spikeloom.compiler.program import Program
from spikeloom.rtl.core import LayerCore
from spikeloom.rtl.operations import Kind
from spikeloom.rtl.readout import State
from spikeloom.rtl.top import Accelerator
from spikeloom.sim.formal import Proof


def layer_credits(core: Core, places: int) -> Proof:
    """A LayerCore: rows on their way and in the queue are never more than the queue's places."""
    proof = Proof()
    m = proof.module
    m.submodules.layer = layer = LayerCore(core, places)
    _drive(proof, layer)
    engine, fire, queue = layer.engine, layer.fire, layer.encoder.queue
    stages = [engine.fetch, engine.apply, fire.integrate, fire.decide]
    if core.value_bits:
        stages.insert(1, engine.before)
    on_the_way = sum(stage.kind == Kind.FIRE for stage in stages) + fire.vector_valid
    held = engine.credits + on_the_way + queue.level
    proof.claim("a vector finds a place", queue.level != queue.places, fire.vector_valid)
    proof.claim("a queue holds no more than its places", queue.level <= queue.places)
    proof.claim("no credit is lost or made", held == queue.places)
    proof.reach("all credits are spent", engine.credits == 0)
    return proof


def layer_pace(core: Core, places: int, most: int) -> Proof:
    """A LayerCore takes an event within `most` cycles, if its receiver takes all that it sends."""
    proof = Proof()
    m = proof.module
    m.submodules.layer = layer = LayerCore(core, places)
    _drive(proof, layer)
    proof.suppose(layer.o.ready)
    waits = Signal(range(most + 2))
    with m.If(layer.i0.valid & ~layer.i0.ready):
        m.d.sync += waits.eq(waits + 1)
    with m.Else():
        m.d.sync += waits.eq(0)
    proof.claim("an event is taken in time", waits <= most)
    proof.reach("an event waits", waits != 0)
    return proof


def accelerator_output(program: Program) -> Proof:
    """An Accelerator that gets any words at all: its results keep to AXI4-Stream."""
    proof = Proof()
    m = proof.module
    m.submodules.accelerator = accelerator = Accelerator(program)
    for name in ("s_axis_tvalid", "s_axis_tdata", "s_axis_tlast", "m_axis_tready"):
        port = getattr(accelerator, name)
        m.d.comb += port.eq(proof.anything(len(port), name))
    waiting = Signal()
    m.d.sync += waiting.eq(accelerator.m_axis_tvalid & ~accelerator.m_axis_tready)
    proof.claim("tvalid stays until tready", accelerator.m_axis_tvalid, waiting)
    for name in ("m_axis_tdata", "m_axis_tlast"):
        port = getattr(accelerator, name)
        offered = Signal.like(port, name=f"offered_{name}")
        m.d.sync += offered.eq(port)
        proof.claim(f"{name[7:]} stays until tready", port == offered, waiting)
    sent = accelerator.m_axis_tvalid & accelerator.m_axis_tready
    proof.reach("a packet leaves", sent & accelerator.m_axis_tlast)

    # What the registers hold, for the induction.
    readout = accelerator.readout
    one = [readout.state == state for state in State.__members__.values()]
    scanning = readout.state == State.SCAN
    proof.claim("the readout is in one state", Cat(one).any())
    proof.claim("scores are fetched before a packet begins", scanning, readout.reader.fetching)
    return proof


def _drive(proof: Proof, layer: Any) -> None:
    event = layer.i0.payload.as_value()
    proof.module.d.comb += [
        layer.i0.valid.eq(proof.anything(1, "valid")),
        event.eq(proof.anything(len(event), "event")),
        layer.o.ready.eq(proof.anything(1, "ready")),
    ]
