# amaranth: UnusedElaboratable=no
"""Accelerators whose weights are loaded: RTL and model in lockstep, and the reference's answers."""

from dataclasses import replace

import pytest
from run_time_networks import with_other_weights, with_run_time_weights

from lockstep import accelerator_bench, send_words
from spikeloom.compiler import reference
from spikeloom.compiler.exchange import fingerprint, weight_image
from spikeloom.compiler.program import Program
from spikeloom.rtl.result import Packet
from spikeloom.rtl.top import Accelerator
from spikeloom.rtl.weight_loader import Refusal, Register
from spikeloom.sim.control_driver import Access, ControlDriver, address_of, load_image
from spikeloom.sim.stimulus import Pauses, input_words
from wide_networks import any_chain, folding, random_events


class Chip:
    """An accelerator with a network of its own, another network, and the image of that one."""

    def __init__(self, seed, weights="reloadable"):
        network = any_chain(seed, 1 + seed % 3)
        self.program = Program(with_run_time_weights(network, weights), *folding(network, seed))
        self.network = self.program.network
        self.other = with_other_weights(self.network, seed)
        self.image = weight_image(self.program, replace(self.program, network=self.other))
        self.accelerator = Accelerator(self.program, probe=True)
        self.events = random_events(network, 2, seed)
        self.pauses = Pauses(0.2, 0.2, seed=seed)

    def samples(self, model, network):
        """Cycles of some samples, whose answers must be those of a network."""
        results, words = [], input_words(self.network, self.events, self.program.events_per_word)
        count = self.events.shape[1]
        yield from send_words(self.accelerator, model, words, results, count, self.pauses)
        assert_answers(results, network, self.events)

    def accesses(self, model, accesses, answers):
        """Cycles of accesses to the control port; adds response and data of each to `answers`."""
        control = ControlDriver(accesses, 0.2)
        yield from send_words(self.accelerator, model, [], [], 0, self.pauses, control)
        answers += control.answers

    def run(self, cycles):
        accelerator_bench(self.accelerator).run(cycles)


def assert_answers(results, network, spikes):
    trace = reference.run(network, spikes)
    packets = [Packet.of(words) for words in results]
    assert [packet.category for packet in packets] == trace.classes.tolist()
    assert [list(packet.scores) for packet in packets] == trace.scores.tolist()


def status(refusal, accepted, present=True):
    return int(present) | refusal.value << 8 | accepted << 16


@pytest.mark.parametrize("seed", range(8))
def test_another_network_takes_the_place_of_the_first_one(seed):
    chip = Chip(seed)
    model = chip.accelerator.model()
    answers = []

    def cycles():
        yield from chip.samples(model, chip.network)
        yield from chip.accesses(model, load_image(chip.image), answers)
        yield from chip.samples(model, chip.other)

    chip.run(cycles())
    assert {response for response, _ in answers} == {0}


@pytest.mark.parametrize("seed", [1, 4])
def test_samples_go_on_while_an_image_is_loaded(seed):
    chip = Chip(seed)
    model = chip.accelerator.model()
    words = input_words(chip.network, chip.events, chip.program.events_per_word)
    spare = 40
    results = []
    control = ControlDriver(load_image(chip.image), 0.1)
    cycles = send_words(
        chip.accelerator, model, words * spare, results, 2 * spare, chip.pauses, control
    )
    chip.run(cycles)
    packets = [Packet.of(words) for words in results]
    first, second = (reference.run(net, chip.events).scores for net in (chip.network, chip.other))
    expected = [[tuple(row) for row in scores.tolist()] * spare for scores in (first, second)]
    got = [packet.scores for packet in packets]
    # All samples up to one by the first network, all from there on by the other one.
    changed = next(at for at in range(2 * spare) if got[at:] == expected[1][at:])
    assert got[:changed] == expected[0][:changed]
    assert 0 < changed < 2 * spare
    assert model.control.loader.accepted == 1


def damaged(image, place):
    wrong = image.copy()
    wrong[place] ^= 1
    return wrong


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda image: damaged(image, 0), Refusal.FINGERPRINT),
        (lambda image: damaged(image, 1), Refusal.LENGTH),
        (lambda image: damaged(image, len(image) // 2), Refusal.CHECKSUM),
        (lambda image: damaged(image, -1), Refusal.CHECKSUM),
    ],
)
def test_a_wrong_image_is_refused_and_the_old_network_goes_on(change, refusal):
    chip = Chip(2)
    model = chip.accelerator.model()
    answers, later = [], []

    def cycles():
        yield from chip.accesses(model, load_image(change(chip.image)), answers)
        yield from chip.samples(model, chip.network)
        yield from chip.accesses(model, load_image(chip.image), later)
        yield from chip.samples(model, chip.other)

    chip.run(cycles())
    assert answers[-1] == (0, status(refusal, 0))
    assert later[-1] == (0, status(Refusal.NONE, 1))


def test_an_image_that_is_cut_short_is_dropped_by_the_next_one():
    chip = Chip(2)
    model = chip.accelerator.model()

    def cycles():
        yield from chip.accesses(model, load_image(chip.image)[: len(chip.image) // 2], [])
        yield from chip.samples(model, chip.network)
        yield from chip.accesses(model, load_image(chip.image), [])
        yield from chip.samples(model, chip.other)

    chip.run(cycles())


def test_without_a_network_samples_wait_for_one():
    chip = Chip(3, "loaded")
    model = chip.accelerator.model()
    answers = []

    def cycles():
        for _ in range(50):
            driven = [(chip.accelerator.s_axis_tvalid, 1), (chip.accelerator.s_axis_tdata, 0)]
            yield driven, model.values()
            assert not model.s_axis_tready
            model.clock(0, False, False)
        yield [(chip.accelerator.s_axis_tvalid, 0)], model.values()
        model.clock(None, False, False)
        yield from chip.accesses(model, load_image(chip.image), answers)
        yield from chip.samples(model, chip.other)

    chip.run(cycles())
    assert answers[-1] == (0, status(Refusal.NONE, 1))


def test_a_reset_keeps_the_network_that_was_loaded():
    chip = Chip(1)
    model = chip.accelerator.model()
    bench = accelerator_bench(chip.accelerator)
    models = [model]

    def cycles():
        yield from chip.accesses(model, load_image(chip.image), [])
        yield from chip.samples(model, chip.other)
        yield [(bench.rst, 1)], model.values()
        again = chip.accelerator.model(model)
        yield [(bench.rst, 0)], again.values()
        again.clock(None, False, True)
        models.append(again)
        yield from chip.samples(again, chip.other)

    bench.run(cycles())
    assert models[-1].control.loader.accepted == 1


def test_registers_that_are_none_answer_with_an_error():
    chip = Chip(2)
    model = chip.accelerator.model()
    answers = []
    word = address_of(Register.WORD)
    accesses = [
        Access(address_of(Register.FINGERPRINT)),
        Access(address_of(Register.LENGTH)),
        # Only read, only written, and none at all.
        Access(address_of(Register.STATUS), 1),
        Access(word),
        Access(0x1C, 1),
        # A word without an image, and one in part.
        Access(word, 1),
        Access(address_of(Register.BEGIN), 0, strobes=3),
        Access(address_of(Register.STATUS)),
    ]
    chip.run(chip.accesses(model, accesses, answers))
    assert answers == [
        (0, fingerprint(chip.program)),
        (0, len(chip.image) - 3),
        (2, None),
        (2, 0),
        *[(2, None)] * 3,
        (0, status(Refusal.NONE, 0)),
    ]
