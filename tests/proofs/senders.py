"""Proofs about the blocks that turn a scan's rows into events.

The solver chooses one row, at any time, and the proof follows it through the queue and out of the
block. Between two rows' turns only events of the first may leave; so all events are accounted for.
"""

from typing import Any

from amaranth import Array, Cat, Const, Mux, Signal

from proofs.queues import Followed, claim_handshake, claim_level, claim_order, stored_vectors
from spikeloom.compiler.core_pipeline import vector_places
from spikeloom.compiler.cores import Core
from spikeloom.rtl.encoder import SpikeEncoder
from spikeloom.rtl.membranes import MembraneSender
from spikeloom.sim.formal import Proof


class Rows:
    """Feeds a sender of membranes with the rows of scans, in order, whenever there is a place.

    Attributes
    ----------
    row : of the vector that leaves the queue next
    followed : a vector on its way through the queue
    taken : whether the followed vector leaves the queue in this cycle
    """

    def __init__(self, proof: Proof, sender: Any) -> None:
        m, core, queue = proof.module, sender.core, sender.queue
        stored = stored_vectors(proof, queue, queue.places)
        m.submodules.sender = sender
        vector = sender.vector.as_value()
        m.d.comb += [
            sender.vector_valid.eq(proof.anything(1, "valid")),
            vector.eq(proof.anything(len(vector), "vector")),
            sender.o.ready.eq(proof.anything(1, "ready")),
        ]
        self.followed = followed = Followed(
            proof, sender.vector_valid, sender.release[0], vector, queue.places
        )
        first = followed.inside & (followed.ahead == 0)
        self.taken = first & sender.release[0]
        entering, self.row = Signal(range(core.rows)), Signal(range(core.rows))
        for row, moves in ((entering, sender.vector_valid), (self.row, sender.release[0])):
            with m.If(moves):
                m.d.sync += row.eq(Mux(row == core.rows - 1, 0, row + 1))
        proof.suppose(~sender.vector_valid | (followed.count != queue.places))
        proof.suppose(
            ~sender.vector_valid | (sender.vector.scan_end == (entering == core.rows - 1))
        )
        proof.claim("only vectors that are there leave", followed.count != 0, sender.release[0])
        claim_level(proof, queue, followed.count)
        claim_order(proof, followed, stored, queue.head.as_value())
        proof.claim("rows follow each other", entering == (self.row + followed.count) % core.rows)
        for ahead, word in enumerate(stored):
            ends = type(sender.vector)(sender.vector.shape(), word).scan_end
            last = (self.row + ahead) % core.rows == core.rows - 1
            proof.claim("the last row ends a scan", ends == last, followed.count > ahead)
        self.vector = type(sender.vector)(sender.vector.shape(), followed.kept)
        claim_handshake(proof, sender.o, sender.o.ready)


def claim_pace(proof: Proof, sender: Any, count: Any, leaves: Any, pending: Any, most: int) -> None:
    """Claim that with `ready` high a row waits for `most` events at most.

    Parameters
    ----------
    count : rows in the queue
    leaves : whether one leaves the queue
    pending : events that have not left and must, before the row can leave the queue
    """
    waits = Signal(range(most + 2))
    waiting = (count != 0) & ~leaves
    with proof.module.If(~waiting):
        proof.module.d.sync += waits.eq(0)
    with proof.module.Elif(sender.o.ready):
        proof.module.d.sync += waits.eq(waits + 1)
    proof.claim("each cycle with ready sends an event", waits + pending <= most)
    proof.claim("no row waits for longer", waits < most)


def spike_encoder(core: Core) -> Proof:
    """A SpikeEncoder: all spikes of a row leave once, the lowest first, then the scan's end."""
    proof = Proof()
    m = proof.module
    encoder = SpikeEncoder(core, vector_places(core))
    queue, vector = encoder.queue, encoder.vector
    stored = stored_vectors(proof, queue, queue.places)
    m.submodules.sender = encoder
    bits = vector.as_value()
    m.d.comb += [
        encoder.vector_valid.eq(proof.anything(1, "valid")),
        bits.eq(proof.anything(len(bits), "vector")),
        encoder.o.ready.eq(proof.anything(1, "ready")),
    ]
    silent = ~vector.spikes.any() & ~vector.scan_end
    enters, load = encoder.vector_valid & ~silent, queue.pop
    followed = Followed(proof, enters, load, queue.vector.as_value(), queue.places)
    taken = followed.inside & (followed.ahead == 0) & load
    row = Signal(range(core.rows))
    with m.If(encoder.vector_valid):
        m.d.sync += row.eq(Mux(row == core.rows - 1, 0, row + 1))
    proof.suppose(~encoder.vector_valid | (followed.count != queue.places))
    proof.suppose(~encoder.vector_valid | (vector.scan_end == (row == core.rows - 1)))
    starts = Array(Const(start, len(encoder.base)) for start in core.row_starts)
    proof.claim("only vectors that are there leave", followed.count != 0, load)
    proof.claim(
        "a place comes back for each row that leaves or is silent",
        encoder.release == load + (encoder.vector_valid & silent),
    )
    claim_level(proof, queue, followed.count)
    claim_order(proof, followed, stored, queue.head.as_value())
    claim_handshake(proof, encoder.o, encoder.o.ready)
    first = starts[row][: len(encoder.word_base)]
    proof.claim("a row waits with its first neuron", queue.vector.base == first, enters)
    kept = type(queue.vector)(queue.vector.shape(), followed.kept)

    # The followed row, once it has left the queue: what of it must still be sent.
    active, begun, left = Signal(), Signal(), Signal(core.fire_lanes)
    ends, last, base = Signal(), Signal(), Signal.like(encoder.word_base)
    lowest = Signal(range(core.fire_lanes))
    for lane in reversed(range(core.fire_lanes)):
        with m.If(left[lane]):
            m.d.comb += lowest.eq(lane)
    sent = encoder.o.valid & encoder.o.ready
    with m.If(active & sent):
        m.d.sync += [left.eq(left & (left - 1)), ends.eq(ends & (left != 0))]
    with m.If(load):
        m.d.sync += [begun.eq(1), active.eq(taken)]
    with m.If(taken):
        m.d.sync += [
            left.eq(kept.vector.spikes),
            ends.eq(kept.vector.scan_end),
            last.eq(kept.vector.window_end),
            base.eq(kept.base),
        ]

    payload = encoder.o.payload
    spike = Mux(left != 0, 1, 0)
    due = spike | ends
    proof.claim("nothing leaves before the first row", ~encoder.o.valid, ~begun)
    proof.claim("an event is there as long as one is due", encoder.o.valid == due, active)
    address = (base + lowest)[: len(payload.address)]
    proof.claim(
        "the lowest spike leaves first",
        (payload.address == address) & ~payload.end & ~payload.last,
        active & spike,
    )
    proof.claim(
        "the end comes behind the spikes",
        payload.end & (payload.last == last) & (payload.address == 0),
        active & ends & ~spike,
    )
    only = Mux(left != 0, ((left & (left - 1)) == 0) & ~ends, 1)
    proof.claim(
        "a row is done before the next one begins",
        ~due | (encoder.o.ready & only),
        active & load,
    )
    proof.reach(
        "the end follows behind a spike", active & ends & ~spike & (kept.vector.spikes != 0)
    )
    pending = sum(encoder.word[lane] for lane in range(core.fire_lanes)) + encoder.word_end
    claim_pace(proof, encoder, followed.count, load, pending, core.fire_lanes + 1)

    # What the registers hold, for the induction.
    held = Cat(encoder.word, encoder.word_end, encoder.word_base)
    proof.claim("the registers hold the row", held == Cat(left, ends, base), active)
    proof.claim("the end is of that row", encoder.word_last == last, active & ends)
    proof.claim("the rows are counted", encoder.base == starts[row])
    proof.claim("the parts are counted", encoder.part == row % core.parts)
    proof.claim("a spike is known", encoder.any_spike == encoder.word.any())
    several = (encoder.word & (encoder.word - 1)) != 0
    proof.claim("more than one spike is known", encoder.many_spikes == several)
    proof.claim("nothing is held before the first row", held[: core.fire_lanes + 1] == 0, ~begun)
    return proof


def membrane_sender(core: Core) -> Proof:
    """A MembraneSender: the membranes of neurons leave once, in order, then the scan's end."""
    proof = Proof()
    m = proof.module
    sender = MembraneSender(core, vector_places(core))
    rows = Rows(proof, sender)
    followed, vector, payload = rows.followed, rows.vector, sender.o.payload

    # The end of a scan is due when its last row has left the queue; `mine` if that was followed.
    ending, mine, last = Signal(), Signal(), Signal()
    with m.If(sender.release[0]):
        m.d.sync += [ending.eq(rows.row == core.rows - 1), mine.eq(rows.taken)]
        m.d.sync += last.eq(vector.window_end)
    with m.Elif(sender.o.ready):
        m.d.sync += ending.eq(0)

    turn = followed.inside & (followed.ahead == 0) & ~ending
    due = rows.row < core.neurons
    if core.sends == "final_membrane":
        due &= vector.window_end
    proof.claim("nothing leaves without a row", ~sender.o.valid, (followed.count == 0) & ~ending)
    proof.claim("an event is there if one is due", sender.o.valid == due, turn)
    proof.claim(
        "the membrane leaves with its address",
        (payload.address == rows.row)
        & (payload.value == vector.membrane)
        & ~payload.end
        & ~payload.last,
        turn & due,
    )
    proof.claim(
        "the end comes behind the last row",
        sender.o.valid & payload.end & (payload.address == 0) & (payload.value == 0),
        ending,
    )
    proof.claim("the window's end is told", payload.last == last, ending & mine)
    proof.claim("a row leaves when it was sent", sender.release[0] == (sender.o.ready | ~due), turn)
    proof.claim("a row waits for the end before it", ~sender.release[0], ending)
    claim_pace(proof, sender, followed.count, sender.release[0], 1 + ending, 2)

    proof.reach("a membrane is sent", turn & due)
    proof.reach("a window ends", ending & mine & last)

    # What the registers hold, for the induction.
    proof.claim("the rows are counted", sender.address == rows.row)
    proof.claim("the end is known", sender.ending == ending)
    proof.claim("the window's end is known", sender.last == last, ending & mine)
    return proof
