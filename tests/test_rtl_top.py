"""The whole accelerator: its cycle model, the integer reference and onnxruntime agree with it."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, note, settings
from hypothesis import strategies as st

from lockstep import accelerator_bench, compare_fired, run_samples, send_words
from networks import LayerOptions, random_network, random_spikes
from spikeloom.compiler import reference
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.fixed_onnx import fixed_model
from spikeloom.compiler.program import Program
from spikeloom.compiler.readouts import steps_used
from spikeloom.rtl.events import WordFormat
from spikeloom.rtl.result import Packet
from spikeloom.rtl.top import Accelerator
from spikeloom.sim.features import FEATURES, features_of
from spikeloom.sim.oracle import compare_fixed
from spikeloom.sim.stimulus import Pauses, input_words
from wide_networks import any_chain, folding, random_events

# What Amaranth's simulator does in a few seconds: it elaborates each lane, and then runs some
# hundred cycles per second.
MOST_CYCLES = 600
MOST_LANES = 110

NO_PAUSES = Pauses()

# The features of all networks that agreed on every rung.
COVERED: set[str] = set()


def check(program, spikes, pauses=NO_PAUSES):
    """Run samples in lockstep; results, spikes and membranes are those of the reference."""
    trace = reference.run(program.network, spikes, membranes=True)
    model, results, cycles = run_samples(Accelerator(program, probe=True), spikes, pauses)
    assert_results(program, results, trace)
    used = steps_used(program.network.readout, trace.spikes[program.network.readout.population])
    for layer, core in zip(model.layers, program.cores, strict=True):
        compare_fired(core, layer.fire, trace, used.tolist())
    assert not model.input.error
    return cycles


def assert_results(program, results, trace):
    """The result packets are those that a trace of the reference stands for."""
    readout = program.network.readout
    packets = [Packet.of(words) for words in results]
    assert [packet.sample for packet in packets] == list(range(len(trace.scores)))
    assert [packet.category for packet in packets] == trace.classes.tolist()
    assert [list(packet.scores) for packet in packets] == trace.scores.tolist()
    used = steps_used(readout, trace.spikes[readout.population])
    assert [packet.steps for packet in packets] == used.tolist()


def estimated_cycles(program):
    """How long a sample keeps the accelerator busy, roughly."""
    per_step = [core.visits.sum() / 2 + core.rows for core in program.cores]
    return program.network.steps * sum(per_step)


# No more than ten examples each: from the tenth on, hypothesis mostly varies what it already had.
@pytest.mark.parametrize("layers", [1, 2, 3])
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    # An example takes a second: shrinking one would take minutes.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(data=st.data())
def test_random_networks_agree_on_every_rung(layers, data):
    seed = data.draw(st.integers(0, 2**32 - 1))
    network = any_chain(seed, layers)
    program = Program(network, *folding(network, seed))
    assume(is_small(program))
    share = st.sampled_from([0.0, 0.3, 0.7])
    pauses = data.draw(st.builds(Pauses, share, share, st.integers(1, 5), st.integers(0, 99)))
    note(str(program))
    check_on_every_rung(program, seed, pauses)


def check_on_every_rung(program, seed, pauses):
    events = random_events(program.network, 3, seed)
    compare_fixed(program.network, fixed_model(program.network), events)
    check(program, events, pauses)
    COVERED.update(features_of(program))


def test_every_feature_was_in_some_network():
    """What chance left out of the networks above is looked for and run here."""
    for name in FEATURES:
        if name not in COVERED:
            seed, program = first_program_with(name)
            check_on_every_rung(program, seed, Pauses(0.3, 0.3, seed=seed))
    missing = FEATURES.keys() - COVERED
    assert not missing


def first_program_with(name):
    for seed in range(1000):
        network = any_chain(seed, 1 + seed % 3)
        program = Program(network, *folding(network, seed))
        if is_small(program) and FEATURES[name](program):
            return seed, program
    pytest.fail(f"no random network has '{name}'")


def is_small(program):
    lanes = sum(core.lanes for core in program.cores)
    return estimated_cycles(program) < MOST_CYCLES and lanes < MOST_LANES


def small_network(sizes=(9, 7, 4), steps=4, seed=1):
    options = LayerOptions(reset=Reset.SUBTRACT, decay="per neuron")
    return random_network(seed, list(sizes), steps, [options] * (len(sizes) - 1))


@pytest.mark.parametrize("lanes", range(1, 10))
def test_groups_of_every_size_agree(lanes):
    network = small_network((5, 9, 9))
    program = Program(network, {"layer1": lanes, "layer2": 10 - lanes})
    check(program, random_spikes(network, 2, 0.5))


@pytest.mark.parametrize("sizes", [(1, 1), (1, 1, 1, 1, 1), (1, 6), (6, 1), (33, 2)])
@pytest.mark.parametrize("steps", [1, 3])
def test_smallest_networks_agree(sizes, steps):
    network = small_network(sizes, steps)
    for density in (0.0, 0.5, 1.0):
        check(Program(network, {}), random_spikes(network, 2, density), Pauses(0.3, 0.3))


def test_silent_and_full_samples_do_not_touch_their_neighbours():
    network = small_network()
    spikes = random_spikes(network, 5, 0.4)
    spikes[:, 1] = 0
    spikes[:, 3] = 1
    check(Program(network, {"layer1": 2}), spikes)
    alone = reference.run(network, spikes[:, 4:])
    together = reference.run(network, spikes)
    assert np.array_equal(alone.scores[0], together.scores[4])


@pytest.mark.parametrize("pauses", [Pauses(0.9), Pauses(0, 0.9), Pauses(0.9, 0.9, burst=20)])
def test_long_pauses_lose_and_double_nothing(pauses):
    network = small_network((9, 20, 12), 3)
    check(Program(network, {"layer1": 6}), random_spikes(network, 3, 0.6), pauses)


def test_layers_work_on_different_steps_at_once():
    network = small_network((12, 12, 12, 12), 8)
    spikes = random_spikes(network, 2, 0.5)
    lanes = {layer.name: 3 for layer in network.layers}
    program = Program(network, lanes)
    together = check(program, spikes)
    trace = reference.run(network, spikes)
    events = [trace.spikes[item.name].sum() for item in network.populations[:-1]]
    each = [
        count * core.groups + spikes.shape[1] * network.steps * core.rows
        for count, core in zip(events, program.cores, strict=True)
    ]
    assert max(each) < together < 0.7 * sum(each)


def test_accelerator_without_probes_shows_the_same_ports():
    network = small_network()
    spikes = random_spikes(network, 3, 0.5)
    program = Program(network, {"layer1": 3})
    accelerator = Accelerator(program)
    assert list(accelerator.observed()) == ["port"]
    assert not [name for name in accelerator.signature.members if name.startswith("probe")]
    _, results, _ = run_samples(accelerator, spikes, Pauses(0.3, 0.3))
    assert_results(SMALL, results, reference.run(network, spikes))


# From reset itself to the middle of the second sample; the readout sends a packet in between.
@pytest.mark.parametrize("cut", [0, 1, 2, 5, 11, 23, 40, 60, 77, 90])
@pytest.mark.parametrize("lanes", [{}, {"layer1": 2, "layer2": 3}])
def test_reset_at_any_time_leaves_nothing_behind(cut, lanes):
    network = small_network()
    spikes = random_spikes(network, 2, 0.7)
    program = Program(network, lanes)
    accelerator = Accelerator(program, probe=True)
    bench = accelerator_bench(accelerator)
    words = input_words(network, spikes)
    results = []
    model = accelerator.model()

    def cycles():
        # A malformed word first: the reset clears the error too.
        before = accelerator.model()
        cut_short = send_words(accelerator, before, [(0x7FFF, False), *words], [], 2, NO_PAUSES)
        yield from islice(cut_short, cut)
        drive, values = next(cut_short)
        yield [*drive, (bench.rst, 1)], values
        after = send_words(accelerator, model, words, results, 2, NO_PAUSES)
        drive, values = next(after)
        yield [*drive, (bench.rst, 0)], values
        yield from after

    bench.run(cycles())
    trace = reference.run(network, spikes, membranes=True)
    assert_results(program, results, trace)
    for layer, core in zip(model.layers, program.cores, strict=True):
        compare_fired(core, layer.fire, trace)


SMALL = Program(small_network(), {"layer1": 3})


def run_words(words, packets_expected=2):
    """Send words to a small accelerator in lockstep; gives the model and the result packets."""
    accelerator = Accelerator(SMALL, probe=True)
    model = accelerator.model()
    results = []
    cycles = send_words(accelerator, model, words, results, packets_expected, Pauses(0.2, 0.2))
    accelerator_bench(accelerator).run(cycles)
    return model, results


@pytest.mark.parametrize("address", [9, 15, 16, 0x100, 0x7FFF])
def test_address_out_of_range_sets_the_error_and_reaches_no_weights(address):
    network = small_network()
    spikes = random_spikes(network, 2, 0.5)
    words = input_words(network, spikes)
    malformed = [word for pair in words for word in (pair, (address, False))]
    model, results = run_words(malformed[:-1])
    assert model.input.error
    trace = reference.run(network, spikes, membranes=True)
    assert_results(SMALL, results, trace)
    compare_fired(SMALL.cores[0], model.layers[0].fire, trace)


@pytest.mark.parametrize(("position", "last"), [(-1, False), (0, True), (5, True)])
def test_last_in_a_wrong_place_sets_the_error_and_keeps_the_samples(position, last):
    network = small_network()
    spikes = random_spikes(network, 2, 0.5)
    words = input_words(network, spikes)
    words[position] = words[position][0], last
    model, results = run_words(words)
    assert model.input.error
    assert_results(SMALL, results, reference.run(network, spikes))


def test_end_of_a_step_with_an_address_is_still_an_end():
    network = small_network()
    spikes = random_spikes(network, 2, 0.5)
    end = WordFormat(9).end
    words = [
        (word | 3 if word == end else word, last) for word, last in input_words(network, spikes)
    ]
    model, results = run_words(words)
    assert not model.input.error
    assert_results(SMALL, results, reference.run(network, spikes))
