"""Proofs about the queues: nothing is lost, nothing comes twice, nothing overtakes.

The solver chooses one item, at any time, and the proof follows it through the queue. What holds for
an item that may be any holds for all.
"""

from typing import Any

from amaranth import Array, Mux, Signal, unsigned
from amaranth.lib import data

from spikeloom.rtl.queue import HEAD_PLACES, DeepQueue, EventQueue
from spikeloom.rtl.vectors import VectorQueue
from spikeloom.sim.formal import Proof

ITEM = data.StructLayout({"payload": unsigned(2)})


class Followed:
    """An item on its way through a queue.

    Parameters
    ----------
    push, pop : whether an item enters, and whether one leaves
    item : what enters
    most : items that the queue holds

    Attributes
    ----------
    count : items in the queue
    inside : whether the chosen one is among them
    ahead : items that leave before it
    kept : what it was when it entered
    """

    def __init__(self, proof: Proof, push: Any, pop: Any, item: Any, most: int) -> None:
        m = proof.module
        chosen = proof.anything(1, "chosen")
        self.count, self.ahead = Signal(range(most + 1)), Signal(range(most + 1))
        self.inside, self.kept = Signal(), Signal(len(item))
        m.d.sync += self.count.eq(self.count + push - pop)
        with m.If(self.inside):
            m.d.sync += [self.ahead.eq(self.ahead - pop), self.inside.eq(~pop | (self.ahead != 0))]
        with m.Elif(push & chosen):
            m.d.sync += [self.inside.eq(1), self.ahead.eq(self.count - pop), self.kept.eq(item)]
        behind = Signal()
        with m.If(~self.inside & push & chosen):
            m.d.sync += behind.eq(self.count != pop)
        leaving = self.inside & (self.ahead == 0) & pop
        proof.reach("an item leaves that came behind another", leaving & behind)
        proof.claim("no more items than places", self.count <= most)
        proof.claim("the item is not lost", self.ahead < self.count, self.inside)


def claim_order(proof: Proof, followed: Followed, places: list[Any], head: Any) -> None:
    """Claim that the followed item is in its place, and the head when nothing is ahead of it."""
    first = followed.inside & (followed.ahead == 0)
    proof.claim("the item leaves unchanged and in its turn", head == followed.kept, first)
    stored = Array(places)[followed.ahead]
    proof.claim("the item is where its turn says", stored == followed.kept, followed.inside)


def claim_handshake(proof: Proof, stream: Any, ready: Any) -> None:
    """Claim that what is offered stays, unchanged, until it is taken."""
    m = proof.module
    payload = stream.payload.as_value()
    waiting, offered = Signal(), Signal(len(payload))
    m.d.sync += [waiting.eq(stream.valid & ~ready), offered.eq(payload)]
    proof.claim("valid stays until ready", stream.valid, waiting)
    proof.claim("the payload stays until ready", payload == offered, waiting)


def event_queue(depth: int) -> Proof:
    """An EventQueue between a sender and a receiver that do as they like."""
    proof = Proof()
    m = proof.module
    m.submodules.queue = queue = EventQueue(ITEM, depth)
    m.d.comb += [
        queue.i.valid.eq(proof.anything(1, "valid")),
        queue.i.payload.eq(proof.anything(len(queue.i.payload.as_value()), "item")),
        queue.o.ready.eq(proof.anything(1, "ready")),
    ]
    push, pop = queue.i.valid & queue.i.ready, queue.o.valid & queue.o.ready
    followed = Followed(proof, push, pop, queue.i.payload.as_value(), depth)
    proof.claim("the level counts the items", queue.level == followed.count)
    proof.claim("there is an item if there is one", queue.o.valid == (followed.count != 0))
    proof.claim("an item is taken if there is a place", queue.i.ready == (followed.count != depth))
    places = [item.as_value() for item in queue.items]
    claim_order(proof, followed, places, queue.o.payload.as_value())
    claim_handshake(proof, queue.o, queue.o.ready)
    return proof


def deep_queue(depth: int) -> Proof:
    """A DeepQueue between a sender and a receiver that do as they like."""
    proof = Proof()
    m = proof.module
    queue = DeepQueue(ITEM, depth)
    stored = stored_vectors(proof, queue, depth)
    m.submodules.queue = queue
    item = queue.i.payload.as_value()
    m.d.comb += [
        queue.i.valid.eq(proof.anything(1, "valid")),
        item.eq(proof.anything(len(item), "item")),
        queue.o.ready.eq(proof.anything(1, "ready")),
    ]
    push, pop = queue.i.valid & queue.i.ready, queue.o.valid & queue.o.ready
    followed = Followed(proof, push, pop, item, depth + HEAD_PLACES)
    near = queue.head.level + queue.moving
    proof.claim("all items are counted", followed.count == near + queue.level)
    proof.claim("an item on its way finds a place", near <= HEAD_PLACES)
    collides = queue.read.en & queue.write.en & (queue.read.addr == queue.write.addr)
    proof.claim("no word is read in the cycle of its write", ~collides)
    claim_places(proof, queue, queue.level, depth)
    # In the order in which they leave: those at the head, the one on its way, those in the memory.
    heads = [place.as_value() for place in queue.head.items]
    placed = Signal(len(item))
    with m.If(followed.ahead < queue.head.level):
        m.d.comb += placed.eq(Array(heads)[followed.ahead])
    with m.Elif(followed.ahead < near):
        m.d.comb += placed.eq(queue.read.data.as_value())
    with m.Else():
        m.d.comb += placed.eq(Array(stored)[(followed.ahead - near)[: len(followed.ahead)]])
    proof.claim("the item is where its turn says", placed == followed.kept, followed.inside)
    claim_handshake(proof, queue.o, queue.o.ready)
    waits = Signal(range(4))
    with m.If((followed.count != 0) & ~queue.o.valid):
        m.d.sync += waits.eq(waits + 1)
    with m.Else():
        m.d.sync += waits.eq(0)
    # In the memory in the first cycle, on its way in the second.
    late = waits - queue.moving
    proof.claim(
        "an item comes to the head in time", late <= 0, (followed.count != 0) & ~queue.o.valid
    )
    proof.reach("the memory is full", queue.level == depth)
    return proof


def vector_queue(places: int) -> Proof:
    """A VectorQueue whose sender holds a credit for each vector."""
    proof = Proof()
    m = proof.module
    m.submodules.queue = queue = VectorQueue(ITEM, places)
    stored = stored_vectors(proof, queue, places)
    vector = queue.vector.as_value()
    m.d.comb += [
        queue.vector_valid.eq(proof.anything(1, "valid")),
        vector.eq(proof.anything(len(vector), "item")),
        queue.pop.eq(proof.anything(1, "pop")),
    ]
    followed = Followed(proof, queue.vector_valid, queue.pop, vector, places)
    proof.suppose(~queue.vector_valid | (followed.count != places))
    proof.suppose(~queue.pop | queue.valid)
    claim_level(proof, queue, followed.count)
    claim_order(proof, followed, stored, queue.head.as_value())
    return proof


def stored_vectors(proof: Proof, queue: VectorQueue | DeepQueue, places: int) -> list[Any]:
    """What a queue's memory holds, oldest first, read through ports of the proof's own."""
    stored = []
    for ahead in range(places):
        port = queue.store.read_port(domain="comb")
        place = queue.oldest + ahead
        proof.module.d.comb += port.addr.eq(Mux(place >= places, place - places, place))
        stored.append(Signal.like(port.data.as_value(), name=f"stored{ahead}"))
        proof.module.d.comb += stored[-1].eq(port.data)
    return stored


def claim_level(proof: Proof, queue: VectorQueue, count: Any) -> None:
    """Claim that level and places of a queue agree with the number of vectors in it."""
    proof.claim("the level counts the vectors", queue.level == count)
    proof.claim("there is a vector if there is one", queue.valid == (count != 0))
    claim_places(proof, queue, count, queue.places)


def claim_places(proof: Proof, queue: VectorQueue | DeepQueue, count: Any, places: int) -> None:
    """Claim that the pointers of a queue's memory agree with the number of items in it."""
    filled = queue.oldest + count
    newest = Mux(filled >= places, filled - places, filled)
    proof.claim("the next place lies behind the last one", queue.newest == newest)
    proof.claim("the places are the memory's", (queue.oldest < places) & (count <= places))
