"""Proofs about an arbiter: every event leaves once, and steps end for all sources together.

Its queues have proofs of their own (`queues`); these are about what leaves them.
"""

from amaranth import Cat, Const, Signal

from proofs.queues import claim_handshake
from spikeloom.compiler.cores import Core
from spikeloom.rtl.arbiter import Arbiter, joined_address
from spikeloom.sim.formal import Proof


def arbiter(core: Core) -> Proof:
    """An Arbiter whose senders send anything, and whose receiver takes it when it likes."""
    proof = Proof()
    m = proof.module
    m.submodules.arbiter = dut = Arbiter(core)
    for number in range(len(core.sources)):
        given = getattr(dut, f"i{number}")
        event = given.payload.as_value()
        m.d.comb += [
            given.valid.eq(proof.anything(1, f"valid{number}")),
            event.eq(proof.anything(len(event), f"event{number}")),
        ]
    m.d.comb += dut.o.ready.eq(proof.anything(1, "ready"))

    heads, joined = [queue.o for queue in dut.queues], dut.joined.i
    push = joined.valid & joined.ready
    ends = push & joined.p.end
    leaves, drops = [], []
    for number, (source, head) in enumerate(zip(core.sources, heads, strict=True)):
        pop = head.valid & head.ready
        drop = pop & ~head.p.end & dut.first_step if source.delay else Const(0)
        leaves.append(pop & ~drop)
        drops.append(drop)
        proof.claim(f"an event of source {number} leaves as itself", push, pop & ~drop)
        same = (joined.p.source == number) & (
            joined.p.address == joined_address(core, number, head.p.address)
        )
        proof.claim(f"source {number} keeps number and address", same, pop & ~drop & ~head.p.end)
        proof.claim(f"an end of source {number} ends the step", ends, pop & head.p.end)
        waits = dut.fresh & dut.first_step if source.delay else Const(0)
        proof.claim(f"a step does not end before source {number}", pop & head.p.end, ends & ~waits)
    proof.claim("one source at a time", sum(leaves) == 1, push & ~joined.p.end)
    proof.claim("nothing comes from nowhere", Cat(leaves).any(), push)
    moves = Cat(*leaves, *drops).any()
    all_wait = Cat(head.valid for head in heads).all()
    proof.claim("no standstill while all sources wait", moves, all_wait & joined.ready)

    # Windows: what the first step of one is, and how far the sources are apart.
    ended, first = Signal(init=1), Signal(init=1)
    with m.If(ends):
        m.d.sync += [ended.eq(joined.p.last), first.eq(0)]
    proof.claim("the first step is the one behind a window's end", dut.first_step == ended)
    proof.claim("there is nothing before the first window", dut.fresh == first)
    claim_handshake(proof, dut.o, dut.o.ready)
    proof.claim("two events wait at most", dut.joined.level <= dut.joined.depth)
    proof.reach("a spike of a window's last step is dropped", Cat(drops).any())
    proof.reach("a step ends behind a spike of its own", ends & ~dut.first_step & ~joined.p.last)
    return proof
