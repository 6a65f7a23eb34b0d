"""The synapse engine: turns events into operations on groups of neurons, with their weights."""

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, memory, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl.events import event_layout, event_stream
from spikeloom.rtl.probe import Probe


class Kind(enum.Enum, shape=2):
    """What an operation does to a group of neurons."""

    NONE = 0
    ADD = 1
    FIRE = 2
    CLEAR = 3


class Activity(enum.Enum, shape=3):
    """What the engine does in a clock cycle; the state of its state machine."""

    IDLE = 0
    ADD = 1
    FIRE = 2
    BLOCKED = 3
    DRAIN = 4
    CLEAR = 5


def operation_layout(groups: int) -> data.StructLayout:
    """An operation on one group of neurons.

    ADD adds the weights of an event. FIRE compares the membranes with the thresholds and makes them
    ready for the next time step; `scan_end` marks the last group of a time step, `window_end` all
    groups of the last time step of a sample. CLEAR brings the membranes to rest.
    """
    return data.StructLayout(
        {"kind": Kind, "group": range(groups), "scan_end": unsigned(1), "window_end": unsigned(1)}
    )


class SynapseEngine(wiring.Component):
    """Address generator and weight memory of a core.

    An event of input a visits the groups 0 .. G-1, one per clock cycle, each with one word of
    weights. The end of a time step visits them likewise and makes them fire. Operations pass two
    pipeline stages: `fetch`, while the weight memory is read, and `apply`, when the neurons act.

    After reset it first clears all groups, as a reset may cut a sample short. After a scan it waits
    until the neurons have written back: a later operation would find the old membranes. A FIRE
    operation waits for a credit, that is for a free place in the spike encoder, so nothing behind
    the engine ever has to stall.

    Parameters
    ----------
    core : Core
    fire_latency : clock cycles from a FIRE operation in `apply` to the write of its membranes
    credits : places for spike vectors in the encoder

    Members
    -------
    i : In(stream) of events
    release : In(1), the encoder has freed a place
    fetch : Out, the operation whose weights are being read
    apply : Out, the operation to carry out
    weights : Out(lanes * weight_bits), the weights of `apply`, lane 0 lowest
    """

    def __init__(self, core, fire_latency: int, credits: int):
        self.core = core
        self.fire_latency = fire_latency
        self.group = Signal(range(core.groups))
        self.step = Signal(range(core.steps))
        self.wait = Signal(range(fire_latency + 1))
        self.credits = Signal(range(credits + 1), init=credits)
        self.uncleared = Signal(init=1)
        self.activity = Signal(Activity)
        operation = operation_layout(core.groups)
        super().__init__(
            {
                "i": In(event_stream(core.inputs)),
                "release": In(1),
                "fetch": Out(operation),
                "apply": Out(operation),
                "weights": Out(core.lanes * core.weight_bits),
            }
        )

    def probes(self):
        """State machine, counters and the operations in the pipeline."""
        return [
            Probe("engine.state", self.activity.as_value()),
            Probe("engine.group", self.group),
            Probe("engine.step", self.step),
            Probe("engine.wait", self.wait),
            Probe("engine.credits", self.credits),
            Probe("engine.fetch", self.fetch.as_value()),
            Probe("engine.apply", self.apply.as_value()),
        ]

    def elaborate(self, platform):
        m = Module()
        core = self.core
        groups = core.groups

        issued = Signal(operation_layout(groups))
        last_group = self.group == groups - 1
        last_step = self.step == core.steps - 1
        with m.If(self.wait != 0):
            m.d.comb += self.activity.eq(Activity.DRAIN)
        with m.Elif(self.uncleared):
            m.d.comb += [
                self.activity.eq(Activity.CLEAR),
                issued.kind.eq(Kind.CLEAR),
                issued.scan_end.eq(last_group),
                issued.window_end.eq(1),
            ]
        with m.Elif(~self.i.valid):
            m.d.comb += self.activity.eq(Activity.IDLE)
        with m.Elif(~self.i.p.end):
            m.d.comb += [self.activity.eq(Activity.ADD), issued.kind.eq(Kind.ADD)]
        with m.Elif(self.credits != 0):
            m.d.comb += [
                self.activity.eq(Activity.FIRE),
                issued.kind.eq(Kind.FIRE),
                issued.scan_end.eq(last_group),
                issued.window_end.eq(last_step),
            ]
        with m.Else():
            m.d.comb += self.activity.eq(Activity.BLOCKED)

        busy = issued.kind != Kind.NONE
        firing = issued.kind == Kind.FIRE
        with m.If(busy):
            m.d.comb += issued.group.eq(self.group)
            m.d.sync += self.group.eq(Mux(last_group, 0, self.group + 1))
        m.d.comb += self.i.ready.eq(busy & last_group & ~self.uncleared)
        with m.If(self.wait != 0):
            m.d.sync += self.wait.eq(self.wait - 1)
        with m.Elif(issued.scan_end):
            m.d.sync += [self.wait.eq(self.fire_latency), self.uncleared.eq(0)]
            with m.If(firing):
                m.d.sync += self.step.eq(Mux(last_step, 0, self.step + 1))
        m.d.sync += self.credits.eq(self.credits + self.release - firing)

        m.submodules.weight_memory = weight_memory = memory.Memory(
            shape=unsigned(core.lanes * core.weight_bits),
            depth=core.inputs * groups,
            init=weight_words(core),
        )
        read = weight_memory.read_port()
        m.d.comb += [
            read.en.eq(issued.kind == Kind.ADD),
            read.addr.eq(self.i.p.address * groups + self.group),
        ]
        # The memory's output is registered once more: a block RAM answers late in the cycle.
        m.d.sync += [
            self.fetch.eq(issued),
            self.apply.eq(self.fetch),
            self.weights.eq(read.data),
        ]
        return m

    def model(self):
        """The cycle model of this engine."""
        return SynapseEngineModel(self.core, self.fire_latency, self.credits.init)


def weight_words(core) -> list[int]:
    """The contents of a core's weight memory: one integer per word, lane 0 lowest."""
    mask = (1 << core.weight_bits) - 1
    return [
        sum((int(weight) & mask) << (core.weight_bits * lane) for lane, weight in enumerate(row))
        for row in core.weight_table
    ]


NO_OPERATION = (0, 0, 0, 0)
# Plain integers: the model compares them in every cycle.
IDLE, ADD, FIRE, BLOCKED, DRAIN, CLEAR = (state.value for state in Activity)


class SynapseEngineModel:
    """Cycle model of SynapseEngine.

    Operations are tuples (kind, group, scan_end, window_end); instead of weights it gives their
    row in `Core.weight_table`.

    Attributes
    ----------
    state : the engine's state in this cycle
    transitions : pairs of different states that have followed on each other
    """

    def __init__(self, core, fire_latency: int, credits: int):
        self.groups = core.groups
        self.steps = core.steps
        self.fire_latency = fire_latency
        self.group_bits = (core.groups - 1).bit_length()
        self.address_bits = event_layout(core.inputs).size - 1
        self.group = self.step = self.wait = 0
        self.credits = credits
        self.uncleared = True
        self.fetch = self.apply = NO_OPERATION
        self.fetch_row = self.apply_row = 0
        self.state = CLEAR
        self.transitions: set[tuple[int, int]] = set()

    STATES = tuple(Activity.__members__)

    @property
    def legal_transitions(self) -> set[tuple[str, str]]:
        """All pairs of different states that can follow on each other."""
        start = {("DRAIN", state) for state in ("IDLE", "ADD", "FIRE", "BLOCKED")}
        wake = {("IDLE", state) for state in ("ADD", "FIRE", "BLOCKED")}
        after_add = {("ADD", state) for state in ("IDLE", "FIRE", "BLOCKED")}
        scan = {("CLEAR", "DRAIN"), ("FIRE", "DRAIN"), ("BLOCKED", "FIRE")}
        cut = {("FIRE", "BLOCKED")} if self.groups > 1 else set()
        return start | wake | after_add | scan | cut

    def settle(self, valid: bool, event: int) -> None:
        """Let the state settle after a clock edge, given the head of the queue."""
        before = self.state
        if self.wait:
            self.state = DRAIN
        elif self.uncleared:
            self.state = CLEAR
        elif not valid:
            self.state = IDLE
        elif not event >> self.address_bits:
            self.state = ADD
        else:
            self.state = FIRE if self.credits else BLOCKED
        if self.state != before:
            self.transitions.add((before, self.state))

    @property
    def rests(self) -> bool:
        """Whether nothing changes here until an event arrives or a credit comes back."""
        waiting = self.state in (IDLE, BLOCKED)
        return waiting and self.fetch is NO_OPERATION and self.apply is NO_OPERATION

    @property
    def takes(self) -> bool:
        """Whether the event at the head of the queue is done with in this cycle."""
        return self.state in (ADD, FIRE) and self.group == self.groups - 1

    def clock(self, event: int, release: bool) -> None:
        """Go on by one clock edge, given the head of the queue."""
        self.apply, self.apply_row = self.fetch, self.fetch_row
        self.fetch = NO_OPERATION
        last_group = self.group == self.groups - 1
        if self.state == DRAIN:
            self.wait -= 1
        elif self.state == ADD:
            self.fetch = (Kind.ADD.value, self.group, 0, 0)
            self.fetch_row = event * self.groups + self.group
        elif self.state == CLEAR:
            self.fetch = (Kind.CLEAR.value, self.group, int(last_group), 1)
        elif self.state == FIRE:
            last_step = self.step == self.steps - 1
            self.fetch = (Kind.FIRE.value, self.group, int(last_group), int(last_step))
            self.credits -= 1
            if last_group:
                self.step = 0 if last_step else self.step + 1
        if self.fetch[0]:
            self.group = 0 if last_group else self.group + 1
        if self.fetch[2]:
            self.wait = self.fire_latency
            self.uncleared = False
        self.credits += release

    def _packed(self, operation: tuple[int, int, int, int]) -> int:
        kind, group, scan_end, window_end = operation
        flags = scan_end | window_end << 1
        return kind | group << 2 | flags << (2 + self.group_bits)

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return (
            self.state,
            self.group,
            self.step,
            self.wait,
            self.credits,
            self._packed(self.fetch),
            self._packed(self.apply),
        )
