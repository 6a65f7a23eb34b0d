# amaranth: UnusedElaboratable=no
"""Faults planted in the design, each of which the lockstep comparison must catch and name."""

import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from lockstep import accelerator_bench, send_words
from networks import LayerOptions, random_network
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.ir import FixedNeuron, Network
from spikeloom.compiler.program import Program
from spikeloom.rtl.encoder import SpikeEncoder
from spikeloom.rtl.host_port import EventInput
from spikeloom.rtl.neurons import NeuronArray
from spikeloom.rtl.queue import EventQueue
from spikeloom.rtl.readout import SpikeCountReadout
from spikeloom.rtl.synapses import SynapseEngine
from spikeloom.rtl.top import Accelerator
from spikeloom.sim.difference import Difference, Observation
from spikeloom.sim.stimulus import Pauses, input_words

SAMPLES = 6
# A receiver that stalls often, and one that stalls for so long that all queues fill up.
PAUSES = (Pauses(input=0.2, output=0.95, burst=60), Pauses(output=0.98, burst=1000))


@dataclass(frozen=True)
class Fault:
    """A change of one line of a block's `elaborate`, or of what it calls.

    Attributes
    ----------
    block : the class
    method : of it
    line : text that stands there exactly once
    fault : what takes its place
    signal : pattern that the signal of the first difference must match
    """

    name: str
    block: type
    method: str
    line: str
    fault: str
    signal: str


FAULTS = (
    Fault(
        "lost event",
        EventQueue,
        "elaborate",
        "push = self.i.valid & self.i.ready",
        "push = self.i.valid & self.i.ready & (self.level != 1)",
        r"queue\.level",
    ),
    Fault(
        "duplicated event",
        EventQueue,
        "elaborate",
        "pop = self.o.valid & self.o.ready",
        "pop = self.o.valid & self.o.ready & (self.level != 2)",
        r"queue\.level",
    ),
    Fault(
        "skipped scan group",
        SynapseEngine,
        "elaborate",
        "last_group = self.group == groups - 1",
        "last_group = self.group == max(groups - 2, 0)",
        r"engine\.",
    ),
    Fault(
        "back-pressure ignored by the encoder",
        SpikeEncoder,
        "elaborate",
        "with m.Elif(self.o.ready):",
        "with m.Elif(self.o.valid):",
        r"encoder\.",
    ),
    Fault(
        "back-pressure ignored by the readout",
        SpikeCountReadout,
        "_send",
        "with m.If(self.o.ready):\n                m.d.sync += self.index",
        "with m.If(self.o.valid):\n                m.d.sync += self.index",
        r"readout\.index",
    ),
    Fault(
        "a bank is sent while it is counted in",
        SpikeCountReadout,
        "_send",
        "read.addr.eq(Cat(self.index, ~self.bank))",
        "read.addr.eq(Cat(self.index, self.bank))",
        r"readout\.word",
    ),
    Fault(
        "a window ends while the packet before is sent",
        SpikeCountReadout,
        "_count",
        "self.i.ready.eq(~window_end | (self.state == State.IDLE)),",
        "self.i.ready.eq(1),",
        r"(readout|queue)\.",
    ),
    Fault(
        "credits ignored by the engine",
        SynapseEngine,
        "elaborate",
        "with m.Elif(self.credits != 0):",
        "with m.Elif(self.credits + 1 != 0):",
        r"engine\.state",
    ),
    Fault(
        "no wait after a scan",
        SynapseEngine,
        "elaborate",
        "self.wait.eq(self.fire_latency)",
        "self.wait.eq(0)",
        r"engine\.(wait|state)",
    ),
    Fault(
        "no reset of the membrane",
        NeuronArray,
        "_fire",
        "Reset.ZERO: Mux(spike, 0, membrane),",
        "Reset.ZERO: membrane,",
        r"neurons\.",
    ),
    Fault(
        "a window does not start from rest",
        NeuronArray,
        "_fire",
        "rest.eq(Mux(self.apply.window_end, 0, after))",
        "rest.eq(after)",
        r"neurons\.",
    ),
    Fault(
        "no saturation",
        NeuronArray,
        "_decay",
        "saturated.eq(_clip(rest, state_bits))",
        "saturated.eq(rest)",
        r"neurons\.",
    ),
    Fault(
        "weights of the wrong event",
        SynapseEngine,
        "elaborate",
        "read.addr.eq(self.i.p.address * groups + self.group)",
        "read.addr.eq(self.i.p.address * groups)",
        r"neurons\.",
    ),
    Fault(
        "tie goes to the highest class",
        SpikeCountReadout,
        "_count",
        "(event.address < self.best_class)",
        "(event.address > self.best_class)",
        r"readout\.best_class",
    ),
    Fault(
        "illegal address passed on",
        EventInput,
        "elaborate",
        "legal = end | (address < self.inputs)",
        "legal = end | (address + 1 > 0)",
        r"input\.error|queue\.level",
    ),
)


@pytest.fixture(scope="module")
def program() -> Program:
    """Two folded layers, with a decay that needs multipliers and membranes that saturate."""
    options = LayerOptions(Reset.ZERO, "general", state_bits=10, weight_shift=1)
    return Program(random_network(5, [12, 11, 4], 5, [options] * 2), {"layer1": 4, "layer2": 2})


def test_correct_design_has_no_difference(program: Program) -> None:
    assert _first_difference(program, program) is None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.name))
def test_fault_in_a_block_is_caught(
    program: Program, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plant(fault, monkeypatch)
    difference = _first_difference(program, program)
    assert difference is not None
    assert re.match(fault.signal, difference.signal), difference


def test_flipped_weight_bit_is_reported_with_its_neuron(program: Program) -> None:
    network = program.network
    weight = network.projections[0].weight.copy()
    weight[7, 3] ^= 4
    flipped = replace(network.projections[0], weight=weight)
    wrong = replace(network, projections=(flipped, *network.projections[1:]))
    difference = _first_difference(program, Program(wrong, program.lanes))
    assert difference is not None
    assert (difference.layer, difference.neuron) == ("layer1", 7)
    assert difference.signal == "neurons.write_data"
    assert abs(difference.expected - difference.got) == 4 << 1
    text = str(difference)
    for word in ("cycle", "sample", "step", "layer layer1", "neuron 7", "expected", "got"):
        assert word in text


def test_threshold_off_by_one_is_reported_with_its_neuron() -> None:
    # Integrate and fire with equal weights makes a membrane meet its threshold exactly.
    options = LayerOptions(Reset.ZERO, "one", weight_bits=2, per_neuron=False)
    network = random_network(3, [6, 4], 6, [options])
    edge = replace(network.projections[0], weight=np.ones((4, 6), np.int64))
    network = replace(network, projections=(edge,))
    network = _with_thresholds(network, np.array([3, 3, 3, 3]), bias=0)
    wrong = _with_thresholds(network, np.array([3, 3, 4, 3]), bias=0)
    difference = _first_difference(Program(network, {}), Program(wrong, {}))
    assert difference is not None
    assert (difference.layer, difference.neuron) == ("layer1", 2)
    assert (difference.signal, difference.expected, difference.got) == ("neurons.spikes", 1, 0)


def _with_thresholds(network: Network, threshold: Any, bias: int) -> Network:
    layer = network.layers[0]
    neuron = layer.neuron
    assert isinstance(neuron, FixedNeuron)
    changed = replace(neuron, threshold=threshold, bias=np.full(len(threshold), bias))
    return replace(network, populations=(network.input, replace(layer, neuron=changed)))


def _plant(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a mutated copy of a method in the method's place."""
    method: Callable[..., Any] = getattr(fault.block, fault.method)
    source = textwrap.dedent(inspect.getsource(method))
    assert source.count(fault.line) == 1, f"'{fault.line}' is not in {fault.method} exactly once"
    scope: dict[str, Any] = {}
    exec(source.replace(fault.line, fault.fault), dict(inspect.getmodule(method).__dict__), scope)
    monkeypatch.setattr(fault.block, fault.method, scope[fault.method])


def _first_difference(program: Program, built: Program) -> Difference | None:
    """Run the model of `program` against the gates of `built` (the same, but for a fault)."""
    for pauses in PAUSES:
        difference = _run(program, built, pauses)
        if difference is not None:
            return difference
    return None


def _run(program: Program, built: Program, pauses: Pauses) -> Difference | None:
    accelerator = Accelerator(built, probe=True)
    model = Accelerator(program, probe=True).model()
    observation = Observation(accelerator)
    bench = accelerator_bench(accelerator)
    network = program.network
    shape = (network.steps, SAMPLES, network.input.size)
    spikes = (np.random.default_rng(1).random(shape) < 0.4).astype(np.uint8)
    words = input_words(network, spikes)
    # The address of no input: it must be dropped, and say so.
    words.insert(2, (network.input.size + 1, False))
    cycles = send_words(accelerator, model, words, [], SAMPLES, pauses)
    found: list[Difference] = []

    async def compare(context: Any) -> None:
        for cycle, (driven, _) in enumerate(cycles):
            for port, value in driven:
                context.set(port, value)
            expected, got = observation.expected(model), context.get(bench.shown)
            if expected != got:
                found.append(observation.first_difference(model, cycle, expected, got))
                return
            await context.tick()

    simulator = Simulator(bench.module)
    simulator.add_clock(1e-6)
    simulator.add_testbench(compare)
    simulator.run()
    return found[0] if found else None
