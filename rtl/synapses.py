"""The synapse engine: turns events into operations on groups of neurons, with their weights."""

from functools import cache

from amaranth import Array, Const, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.core_pipeline import has_scale_stage, product_bits
from spikeloom.rtl.delays import delayed
from spikeloom.rtl.events import EventCode, joined_layout
from spikeloom.rtl.lane_words import balanced_sum, signed_lanes
from spikeloom.rtl.loading import load_member, load_of
from spikeloom.rtl.operations import NO_OPERATION, Kind, Operation, operation_layout
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.weight_memory import weight_memory


class Activity(enum.Enum, shape=3):
    """What the engine does in a clock cycle; the state of its state machine."""

    IDLE = 0
    ADD = 1
    FIRE = 2
    BLOCKED = 3
    WAIT = 4
    CLEAR = 5


class SynapseEngine(wiring.Component):
    """Address generator and weight memory of a core.

    An event of input a visits the groups 0 .. G-1, one per clock cycle, each with one word of
    weights. Where an event stands for E neighbouring inputs, a word has the weights of all of them,
    which are multiplied and summed before the lanes. The end of a time step visits the rows of the
    fire scan likewise. Operations pass the pipeline stages `fetch`, while the weight memory is
    read, where there is something to multiply, to sum or to shift `scale`, and `apply`, when the
    lanes act.

    Where the input is constant, the events of a window come once and its end starts the fire scans
    of all T steps, one after the other.

    After reset the engine first clears all rows, as a reset may cut a sample short. Behind a scan
    the next one waits for `pause` cycles, until the states of each row are back in their memory
    when it comes again. A FIRE operation waits for a credit, that is for a free place behind the
    fire unit, so nothing behind the engine ever has to stall.

    Parameters
    ----------
    core : Core
    pause : clock cycles between two scans, at least
    credits : places for the vectors that leave the fire unit

    Members
    -------
    i : In(stream) of events
    release : In(2), how many places have become free
    before : Out, the operation that is in `apply` one cycle later
    apply : Out, the operation to carry out
    weights : Out(lanes * product_bits), the weights of `apply` times the values, lane 0 lowest
    load : In(LoadSignature), where weights can be loaded
    """

    def __init__(self, core, pause: int, credits: int):
        self.core = core
        self.pause = pause
        self.group = Signal(range(core.groups))
        self.part = Signal(range(core.parts))
        self.row = Signal(range(core.rows))
        self.step = Signal(range(core.steps if core.constant else 1))
        self.wait = Signal(range(pause + 1))
        self.credits = Signal(range(credits + 1), init=credits)
        self.uncleared = Signal(init=1)
        self.activity = Signal(Activity)
        operation = operation_layout(core)
        self.fetch = Signal(operation)
        super().__init__(
            {
                "i": In(stream.Signature(joined_layout(core))),
                "release": In(2),
                "before": Out(operation),
                "apply": Out(operation),
                "weights": Out(core.lanes * product_bits(core)),
            }
            | load_member(core)
        )

    def probes(self):
        """State machine, counters and the operations in the pipeline."""
        return [
            Probe("engine.state", self.activity.as_value()),
            Probe("engine.group", self.group),
            Probe("engine.row", self.row),
            Probe("engine.step", self.step),
            Probe("engine.wait", self.wait),
            Probe("engine.credits", self.credits),
            Probe("engine.before", self.before.as_value()),
            Probe("engine.apply", self.apply.as_value()),
        ]

    def elaborate(self, platform):
        m = Module()
        issued = self._issue(m)
        self._advance(m, issued)
        self._read_weights(m, issued)
        return m

    def _issue(self, m):
        """Decide by the head of the queue what to do in this cycle."""
        core = self.core
        issued = Signal(operation_layout(core))
        last_step = self.step == core.steps - 1
        with m.If(self.uncleared):
            m.d.comb += [
                self.activity.eq(Activity.CLEAR),
                issued.kind.eq(Kind.CLEAR),
                issued.window_end.eq(1),
            ]
        with m.Elif(~self.i.valid):
            m.d.comb += self.activity.eq(Activity.IDLE)
        with m.Elif(~self.i.p.end):
            m.d.comb += [self.activity.eq(Activity.ADD), issued.kind.eq(Kind.ADD)]
        with m.Elif(self.wait != 0):
            m.d.comb += self.activity.eq(Activity.WAIT)
        with m.Elif(self.credits == 0):
            m.d.comb += self.activity.eq(Activity.BLOCKED)
        with m.Else():
            m.d.comb += [
                self.activity.eq(Activity.FIRE),
                issued.kind.eq(Kind.FIRE),
                issued.window_end.eq(last_step if core.constant else self.i.p.last),
            ]
            if core.constant:
                m.d.comb += issued.window_start.eq(self.step == 0)
        return issued

    def _advance(self, m, issued):
        """Move the counters on; the event is done with after its last operation."""
        core = self.core
        last_group = self.group == core.groups - 1
        last_part = self.part == core.parts - 1
        last_step = self.step == core.steps - 1
        adding = issued.kind == Kind.ADD
        firing = issued.kind == Kind.FIRE
        scanning = firing | (issued.kind == Kind.CLEAR)
        scan_end = scanning & last_group & last_part
        m.d.comb += issued.scan_end.eq(scan_end)
        with m.If(adding | scanning):
            m.d.comb += issued.group.eq(self.group)
        with m.If(adding | (scanning & last_part)):
            m.d.sync += self.group.eq(Mux(last_group, 0, self.group + 1))
        with m.If(scanning):
            m.d.comb += [issued.part.eq(self.part), issued.row.eq(self.row)]
            m.d.sync += [
                self.part.eq(Mux(last_part, 0, self.part + 1)),
                self.row.eq(Mux(scan_end, 0, self.row + 1)),
            ]
        with m.If(scan_end):
            m.d.sync += [self.wait.eq(self.pause), self.uncleared.eq(0)]
        with m.Elif(self.wait != 0):
            m.d.sync += self.wait.eq(self.wait - 1)
        self._restart(m)
        done = firing & scan_end
        if core.constant:
            with m.If(done):
                m.d.sync += self.step.eq(Mux(last_step, 0, self.step + 1))
            done = done & last_step
        m.d.comb += self.i.ready.eq((adding & last_group) | done)
        m.d.sync += self.credits.eq(self.credits + self.release - firing)

    def _restart(self, m):
        """Clear all rows where others have taken the place of weights and biases."""
        if load_of(self) is not None:
            with m.If(self.load.restart):
                m.d.sync += self.uncleared.eq(1)

    def _read_weights(self, m, issued):
        """Take operations and weights through the stages of the pipeline."""
        core = self.core
        row = Signal(range(core.weight_words))
        reading = issued.kind == Kind.ADD
        m.d.comb += row.eq(self.i.p.address * core.groups + self.group)
        m.d.sync += self.fetch.eq(issued)
        word = weight_memory(m, core, row, reading, load=load_of(self))
        self._weigh(m, word, 0)

    def _weigh(self, m, word, delay):
        """Take the weights from their memory to `apply`, multiplied and shifted where that is due.

        Parameters
        ----------
        word : what the memory has read, in a register
        delay : clock cycles from the one in which the event is at the head of the queue to the one
            in which the memory is asked
        """
        core = self.core
        if not has_scale_stage(core):
            m.d.comb += [self.before.eq(self.fetch), self.weights.eq(word)]
            m.d.sync += self.apply.eq(self.fetch)
            return
        m.d.sync += [self.before.eq(self.fetch), self.apply.eq(self.before)]
        # Two cycles later than the memory is asked, the weights are in `word`.
        factors = [Const(1)]
        if core.value_bits or core.events_per_cycle > 1:
            values = delayed(m, self.i.p.value, delay + 2)
            factors = list(values) if core.events_per_cycle > 1 else [values]
        source = delayed(m, self.i.p.source, delay + 2) if core.largest_shift else Const(0)
        bits = product_bits(core)
        weights = signed_lanes(word, core.word_weights)
        for lane in range(core.lanes):
            of_lane = zip(weights[lane :: core.lanes], factors, strict=True)
            scaled = balanced_sum([self._product(*pair) for pair in of_lane])
            if core.largest_shift:
                scaled = Array(scaled << each.shift for each in core.sources)[source]
            m.d.sync += self.weights[lane * bits : (lane + 1) * bits].eq(scaled)

    def _product(self, weight, factor):
        """A weight times the value of an event."""
        core = self.core
        if core.has_products:
            return weight * factor
        if core.value_bits:
            return Mux(factor == 0, 0, Mux(factor[-1], -weight, weight))
        return Mux(factor, weight, 0) if core.events_per_cycle > 1 else weight

    def model(self):
        """The cycle model of this engine."""
        return SynapseEngineModel(self.core, self.pause, self.credits.init)


# An operation, its row of weights, and what these are multiplied by.
Stage = tuple[Operation, int, tuple[int, ...]]

# Plain integers: the model compares them in every cycle.
IDLE, ADD, FIRE, BLOCKED, WAIT, CLEAR = (state.value for state in Activity)


class SynapseEngineModel:
    """Cycle model of SynapseEngine.

    Instead of weights it gives their row in `Core.weight_table`, and what they are multiplied by.

    Attributes
    ----------
    state : the engine's state in this cycle
    stages : operation, row of weights and factors, of `apply` and the stages before, latest first
    transitions : pairs of different states that have followed on each other
    """

    STATES = tuple(Activity.__members__)

    def __init__(self, core, pause: int, credits: int):
        self.core = core
        self.pause = pause
        self.code = EventCode.joined(core)
        self.group = self.row = self.step = self.wait = 0
        self.credits = credits
        self.uncleared = True
        self.nothing: Stage = NO_OPERATION, 0, ()
        self.stages: list[Stage] = [self.nothing] * (3 if has_scale_stage(core) else 2)
        self.state = CLEAR
        self.transitions: set[tuple[int, int]] = set()
        self.packed = cache(lambda operation: operation.packed(core))
        # A scan's operations but for the flags, made once.
        self.scan = [
            Operation(
                Kind.FIRE.value, row // core.parts, row % core.parts, row, int(row == core.rows - 1)
            )
            for row in range(core.rows)
        ]

    @property
    def legal_transitions(self) -> set[tuple[str, str]]:
        """All pairs of different states that can follow on each other."""
        first = ("ADD", "WAIT", "FIRE", "BLOCKED")
        legal = {(state, other) for state in ("IDLE", "ADD") for other in first if other != state}
        legal |= {("ADD", "IDLE"), ("BLOCKED", "FIRE"), ("WAIT", "FIRE"), ("WAIT", "BLOCKED")}
        legal |= {("FIRE", state) for state in ("IDLE", "ADD", "WAIT", "BLOCKED")}
        legal |= {("CLEAR", state) for state in ("IDLE", "ADD", "WAIT", "FIRE")}
        if self.core.has_run_time_weights:
            legal.add(("IDLE", "CLEAR"))
        if self.pause == 0:
            return {pair for pair in legal if "WAIT" not in pair}
        # Behind a scan comes the pause; who adds for so long, or rests a cycle, may miss it.
        never = {("CLEAR", "FIRE")}
        if self.core.rows == 1:
            never.add(("FIRE", "BLOCKED"))
        if self.pause <= self.core.visits.min():
            never.add(("ADD", "WAIT"))
        if self.pause == 1:
            never.add(("IDLE", "WAIT"))
        return legal - never

    @property
    def reads_weights(self) -> bool:
        """Whether the weight memory is asked in this cycle."""
        return self.state == ADD

    def restart(self) -> None:
        """Clear all rows from the next clock cycle on."""
        self.uncleared = True

    def settle(self, valid: bool, event: int) -> None:
        """Let the state settle after a clock edge, given the head of the queue."""
        before = self.state
        if self.uncleared:
            self.state = CLEAR
        elif not valid:
            self.state = IDLE
        elif not event & self.code.end:
            self.state = ADD
        elif self.wait:
            self.state = WAIT
        else:
            self.state = FIRE if self.credits else BLOCKED
        if self.state != before:
            self.transitions.add((before, self.state))

    @property
    def apply(self) -> Stage:
        """The operation to carry out, its row of weights and what they are multiplied by."""
        return self.stages[0]

    @property
    def before(self) -> Operation:
        """The operation that is in `apply` one cycle later."""
        return self.stages[1][0]

    @property
    def rests(self) -> bool:
        """Whether nothing changes here until an event arrives or a credit comes back."""
        waiting = self.state in (IDLE, BLOCKED) and not self.wait
        return waiting and all(stage is self.nothing for stage in self.stages)

    @property
    def takes(self) -> bool:
        """Whether the event at the head of the queue is done with in this cycle."""
        if self.state == ADD:
            return self.group == self.core.groups - 1
        last = self.row == self.core.rows - 1
        return self.state == FIRE and last and (not self.core.constant or self._last_step)

    @property
    def _last_step(self) -> bool:
        return self.step == self.core.steps - 1

    def clock(self, event: int, release: int) -> None:
        """Go on by one clock edge, given the head of the queue and the credits that come back."""
        issued = self.nothing
        self.wait -= self.wait > 0
        if self.state == ADD:
            address = self.code.address(event)
            row = address * self.core.groups + self.group
            issued = Operation(Kind.ADD.value, self.group), row, self._factors(event)
            self.group = (self.group + 1) % self.core.groups
        elif self.state in (FIRE, CLEAR):
            issued = self._scanned(event), 0, ()
        self.stages = [*self.stages[1:], issued]
        self.credits += release - (self.state == FIRE)

    def _factors(self, event: int) -> tuple[int, ...]:
        """What an event multiplies its weights by: its values, and the scale of its source."""
        shift = self.core.sources[self.code.source(event)].shift
        return tuple(value << shift for value in self.code.values(event))

    def _scanned(self, event: int) -> Operation:
        operation = self.scan[self.row]
        if operation.scan_end:
            self.wait = self.pause
        if self.state == CLEAR:
            operation = operation._replace(kind=Kind.CLEAR.value, window_end=1)
            self.uncleared = not operation.scan_end
        elif self.core.constant:
            operation = operation._replace(
                window_end=int(self._last_step), window_start=int(self.step == 0)
            )
            self.step = (self.step + operation.scan_end) % self.core.steps
        elif event == self.code.window_end:
            operation = operation._replace(window_end=1)
        self.row = (self.row + 1) % self.core.rows
        self.group = self.row // self.core.parts
        return operation

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        return (
            self.state,
            self.group,
            self.row,
            self.step,
            self.wait,
            self.credits,
            self.packed(self.before),
            self.packed(self.apply[0]),
        )
