"""A sender of vectors, SpikeEncoder or MembraneSender, in lockstep with its model."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from lockstep import Bench, Cycle
from spikeloom.rtl.probe import Probe


def send_vectors(
    sender: Any, vectors: Sequence[int], places: int, offer: float, ready: float, seed: int
) -> tuple[list[int], list[int]]:
    """Send all vectors; gives the events and the cycles in which they were taken.

    Parameters
    ----------
    places : of the sender's queue
    offer, ready : shares of the cycles in which a vector is offered, and an event taken
    """
    model = sender.model()
    generator = random.Random(seed)
    events: list[int] = []
    times: list[int] = []

    def cycles() -> Iterator[Cycle]:
        pending, credits, time = list(vectors), places, 0
        while pending or model.vectors or model.valid:
            # As the synapse engine does it: a vector is only sent where there is a place.
            vector = pending.pop(0) if pending and credits and generator.random() < offer else None
            taken = generator.random() < ready
            load = model.releases(taken)
            release = load + model.drops(vector)
            credits += release - (vector is not None)
            drive = [
                (sender.vector_valid, int(vector is not None)),
                (sender.vector.as_value(), vector or 0),
                (sender.o.ready, int(taken)),
            ]
            yield drive, (*model.values(), release)
            if model.valid and taken:
                events.append(model.event)
                times.append(time)
            model.clock(vector, taken, load)
            time += 1
        assert credits == places

    Bench(sender, [*sender.probes(), Probe("release", sender.release)]).run(cycles())
    return events, times
