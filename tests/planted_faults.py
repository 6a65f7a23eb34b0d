# amaranth: UnusedElaboratable=no
"""Faults planted in blocks of the accelerator, and the comparison that must catch them."""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from amaranth.sim import Simulator

from lockstep import accelerator_bench, send_words
from planted import Mutation
from spikeloom.compiler.addresses import Addresses
from spikeloom.compiler.program import Program
from spikeloom.rtl.top import Accelerator
from spikeloom.sim.control_driver import Access, ControlDriver
from spikeloom.sim.difference import Difference, Observation
from spikeloom.sim.stimulus import Pauses, Word, input_words
from wide_networks import random_events

SAMPLES = 5
# So that some are sent while weights are loaded, and behind that.
REPEATED = 10
# A receiver that stalls often, and one that stalls for so long that all queues fill up.
PAUSES = (Pauses(input=0.2, output=0.8, burst=20), Pauses(output=0.97, burst=150))


@dataclass(frozen=True)
class Fault:
    """A change of one place in a method of a block.

    Attributes
    ----------
    network : name of the network that it has an effect on
    malformed : what is wrong with one of the words that are sent; see `words_of`
    signals : the names that the signal of the first difference may have
    block, method : where it is
    line, fault : what stands there, exactly once, and what takes its place
    """

    name: str
    network: str
    malformed: str
    signals: tuple[str, ...]
    block: str
    method: str
    line: str
    fault: str

    def plant(self, blocks: Iterable[type], monkeypatch: pytest.MonkeyPatch) -> None:
        """Put a mutated copy of the method in the method's place."""
        block = next(block for block in blocks if block.__name__ == self.block)
        Mutation(self.name, block, self.method, self.line, self.fault).plant(monkeypatch)


_ENTRY = re.compile(
    r"(?P<name>.+) \[(?P<network>\w+)(?:, (?P<malformed>[\w ]+))?\] => (?P<signals>.+)\n"
    r"@ (?P<block>\w+)\.(?P<method>\w+)\n- (?P<line>.+)\n\+ (?P<fault>.+)"
)


def parse(table: str) -> list[Fault]:
    """The faults of a table of patches, divided by empty lines.

    <name> [<network>(, <what is malformed>)] => <signal>(, <signal> ..)
    @ <block>.<method>
    - <what stands there>
    + <what takes its place>
    """
    faults = []
    for text in table.strip().split("\n\n"):
        entry = _ENTRY.fullmatch(text)
        assert entry is not None, f"not a fault: {text}"
        fields = {name: value or "" for name, value in entry.groupdict().items()}
        signals = tuple(fields.pop("signals").split(", "))
        faults.append(Fault(signals=signals, **fields))
    return faults


def words_of(program: Program, malformed: str = "") -> list[Word]:
    """Words of random and of extreme samples, among them a malformed one.

    Parameters
    ----------
    malformed : what is wrong with it: its "address", "value", the bits in "between" the value and
        the end, or "last"; nothing if it is empty
    """
    network = program.network
    words = input_words(network, random_events(network, SAMPLES, 1), program.events_per_word)
    form = Accelerator(program).input.format
    addresses = Addresses(network.input.shape)
    # The next address is no input's; in some networks it does not exist.
    nobody = next(itertools.filterfalse(addresses.is_neuron, range(1 << 16)))
    wrong = {
        "address": (nobody, False),
        "value": (form.word(0, network.events.lowest - 1), False),
        "between": (form.word(0) | form.end >> 1, False),
        "last": (words[0][0], True),
    }
    if malformed:
        words.insert(0, wrong[malformed])
    return words


def first_difference(
    program: Program, built: Program, malformed: str = "", accesses: Sequence[Access] = ()
) -> Difference | None:
    """Between the model of `program` and the gates of `built` (the same, but for a fault).

    Parameters
    ----------
    accesses : to the control port, while the samples are sent, several times
    """
    words = words_of(program, malformed) * (REPEATED if accesses else 1)
    for pauses in PAUSES:
        difference = _run(program, built, words, pauses, accesses)
        if difference is not None:
            return difference
    return None


def _run(
    program: Program,
    built: Program,
    words: list[Word],
    pauses: Pauses,
    accesses: Sequence[Access],
) -> Difference | None:
    accelerator = Accelerator(built, probe=True)
    model = Accelerator(program, probe=True).model()
    observation = Observation(accelerator)
    bench = accelerator_bench(accelerator)
    control = ControlDriver(accesses, 0.2) if accesses else None
    samples = SAMPLES * (REPEATED if accesses else 1)
    cycles = send_words(accelerator, model, words, [], samples, pauses, control)
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
