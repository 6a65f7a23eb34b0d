"""The neurons against their model and the integer reference, for every kind of neuron."""

import random

import numpy as np
import pytest

from lockstep import Bench, compare_fired
from networks import DECAYS, LayerOptions, random_network, random_spikes
from spikeloom.compiler import reference
from spikeloom.compiler.fixed import Reset, signed_range
from spikeloom.compiler.program import Program
from spikeloom.rtl.neurons import NeuronArray, fire_latency
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.synapses import SynapseEngineModel, weight_words

STEPS = 4
SAMPLES = 3
INPUTS = 6
# No operation is in the pipeline for longer.
PIPELINE = 6


def program_of(layer, neurons=7, lanes=3, seed=4):
    network = random_network(seed, [INPUTS, neurons], STEPS, [layer])
    return Program(network, {"layer1": lanes})


def run(program, seed=0):
    """Feed the neurons with what an engine's model does with random spikes.

    Compares each cycle with the model, and all membranes and spikes with the reference; gives the
    reference's trace.
    """
    core = program.cores[0]
    spikes = random_spikes(program.network, SAMPLES, 0.5, seed)
    dut = NeuronArray(core)
    model = dut.model()
    credits = 2
    engine = SynapseEngineModel(core, dut.fire_latency, credits)
    words = weight_words(core)
    generator = random.Random(seed)
    end = 1 << engine.address_bits
    events = [
        event
        for sample in range(SAMPLES)
        for step in range(STEPS)
        for event in [*np.flatnonzero(spikes[step, sample]).tolist(), end]
    ]

    def cycles():
        position = idle = 0
        held = False
        while idle < PIPELINE:
            held = held or (position < len(events) and generator.random() < 0.8)
            event = events[position] if held else 0
            engine.settle(held, event)
            model.settle(engine.apply, engine.apply_row)
            *_, fetch, apply = engine.values()
            drive = [
                (dut.fetch.as_value(), fetch),
                (dut.apply.as_value(), apply),
                (dut.weights, words[engine.apply_row]),
            ]
            yield drive, (*model.values(), model.scan_end)
            taken = held and engine.takes
            model.clock(engine.apply)
            engine.clock(event, engine.credits < credits and generator.random() < 0.5)
            if taken:
                position, held = position + 1, False
            idle += position == len(events)

    probes = [*dut.probes(), Probe("scan_end", dut.vector.scan_end)]
    Bench(dut, probes).run(cycles())
    trace = reference.run(program.network, spikes, membranes=True)
    compare_fired(core, model, trace)
    return trace


@pytest.mark.parametrize("reset", Reset)
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("lanes", [7, 3])
def test_neurons_equal_their_model_and_the_reference(reset, decay, lanes):
    trace = run(program_of(LayerOptions(reset=reset, decay=decay), lanes=lanes))
    assert trace.spikes["layer1"].any() and not trace.spikes["layer1"].all()


@pytest.mark.parametrize("lanes", range(1, 8))
def test_any_number_of_lanes_gives_the_same_membranes(lanes):
    run(program_of(LayerOptions(decay="per neuron"), lanes=lanes))


@pytest.mark.parametrize("weight_shift", range(4))
@pytest.mark.parametrize("weight_bits", [2, 5, 8])
def test_weights_of_any_width_and_shift_are_added(weight_bits, weight_shift):
    run(program_of(LayerOptions(weight_bits=weight_bits, weight_shift=weight_shift)))


@pytest.mark.parametrize("decay", ["one", "half", "general"])
@pytest.mark.parametrize("lanes", [7, 2])
def test_membrane_saturates_when_it_is_written_back(decay, lanes):
    layer = LayerOptions(reset=Reset.NONE, decay=decay, state_bits=8)
    program = program_of(layer, lanes=lanes)
    membranes = run(program).membranes["layer1"]
    low, high = signed_range(program.cores[0].neuron.state_bits)
    assert program.cores[0].neuron.state_bits == 8
    assert membranes.min() < low and membranes.max() > high, "nothing has saturated"


def test_one_neuron_is_a_core():
    run(program_of(LayerOptions(decay="general"), neurons=1, lanes=1))


def test_parameters_that_are_all_alike_take_no_memory():
    alike = program_of(LayerOptions(decay="general", per_neuron=False), neurons=6, lanes=3)
    run(alike)
    core = alike.cores[0]
    assert (core.thresholds == core.thresholds[0, 0]).all()


@pytest.mark.parametrize(
    ("decay", "cycles"),
    [("zero", 1), ("one", 1), ("half", 1), ("sixteenth", 1), ("general", 3), ("per neuron", 3)],
)
def test_only_powers_of_two_write_back_at_once(decay, cycles):
    assert fire_latency(program_of(LayerOptions(decay=decay)).cores[0]) == cycles
