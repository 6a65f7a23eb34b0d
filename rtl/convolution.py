"""The synapse engine of a convolution: which taps an event reaches, and their weights."""

from functools import cache

from amaranth import Array, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import memory

from spikeloom.compiler.core_pipeline import has_scale_stage
from spikeloom.compiler.cores import DISTRIBUTED_DEPTH
from spikeloom.compiler.taps import AxisFolding
from spikeloom.rtl.loading import load_of
from spikeloom.rtl.operations import Kind, Operation, operation_layout
from spikeloom.rtl.probe import Probe
from spikeloom.rtl.synapses import (
    ADD,
    SynapseEngine,
    SynapseEngineModel,
)
from spikeloom.rtl.target import Target
from spikeloom.rtl.weight_memory import weight_memory

# What an event does: per clock cycle the operation, the row of weights, and the counters of groups
# and of visits along rows and columns.
Visits = tuple[tuple[Operation, int, tuple[int, int, int]], ...]


class ConvolutionEngine(SynapseEngine):
    """Address generator and weight memory of a convolution.

    As `SynapseEngine`, but an event of a pixel visits the taps that it reaches: for each of its
    visits along the rows all along the columns, for each of these all groups of channels, one per
    clock cycle. What a visit reaches stands in a table per axis, by the event's row or column; so
    strides, padding, borders and pooling cost no cycle and no arithmetic.

    There is one more stage in the pipeline, `located`, between the tables and the weight memory.

    Parameters
    ----------
    core : ConvolutionCore
    pause, credits : as of `SynapseEngine`

    Members
    -------
    i, release, before, apply, weights : as of `SynapseEngine`

    Attributes
    ----------
    earlier : the operation that is in `apply` two cycles later, three where banks are block RAM
    """

    def __init__(self, core, pause: int, credits: int):
        super().__init__(core, pause, credits)
        self.target = Target(core)
        self.row_visit, self.column_visit = (
            Signal(range(max(axis.most_visits for axis in axes)))
            for axes in zip(*core.axes, strict=True)
        )
        self.located = Signal(operation_layout(core))
        late = has_scale_stage(core) and not core.has_deep_banks
        self.earlier = self.fetch if late else self.located
        # The position of the fire scan: the bank, as one bit of each, and the words in a bank.
        self.row_bank = Signal(core.grid.rows, init=1)
        self.column_bank = Signal(core.grid.columns, init=1)
        self.row_word = Signal(self.target.row_bits)
        self.column_word = Signal(self.target.column_bits)
        self.column = Signal(range(core.shape[2]))

    def probes(self):
        """As of `SynapseEngine`, and the counters of visits."""
        return [
            *super().probes(),
            Probe("engine.row_visit", self.row_visit),
            Probe("engine.column_visit", self.column_visit),
        ]

    def elaborate(self, platform):
        m = Module()
        self.at_row, self.at_column = self._look_up(m)
        issued = self._issue(m)
        self._advance(m, issued)
        self._aim(m, issued)
        self._read_weights(m, issued)
        return m

    def _look_up(self, m):
        """What the tables say of the event at the head of the queue."""
        core = self.core
        _, column_field, row_field = core.fields_joined
        address = self.i.p.address
        row_table, column_table = AxisTable(core, 0), AxisTable(core, 1)
        m.submodules.row_table, m.submodules.column_table = row_table.memory, column_table.memory
        rows, columns = (
            Cat(address[field.start : field.end], *self._source)
            for field in (row_field, column_field)
        )
        return (
            row_table.entry(m, rows, self.row_visit),
            column_table.entry(m, columns, self.column_visit),
        )

    @property
    def _source(self):
        """The number of the event's source, where there are several."""
        return [self.i.p.source] if len(self.core.sources) > 1 else []

    def _by_source(self, numbers):
        """The number of the event's source among those of all."""
        return Array(numbers)[self.i.p.source] if len(numbers) > 1 else numbers[0]

    def _advance(self, m, issued):
        """Move the counters on; the event is done with after its last operation."""
        core = self.core
        adding, firing = issued.kind == Kind.ADD, issued.kind == Kind.FIRE
        scanning = firing | (issued.kind == Kind.CLEAR)
        last_part = self.part == core.parts - 1
        last_step = self.step == core.steps - 1
        last_visited = self.group == self._by_source([each - 1 for each in core.groups_visited])
        last_group = (self.group == core.groups - 1) & last_part
        scan_end = scanning & (self.row == core.rows - 1)
        m.d.comb += issued.scan_end.eq(scan_end)
        with m.If(scanning):
            m.d.comb += [issued.part.eq(self.part), issued.row.eq(self.row)]
            m.d.sync += [
                self.part.eq(Mux(last_part, 0, self.part + 1)),
                self.row.eq(Mux(scan_end, 0, self.row + 1)),
            ]
            with m.If(last_part):
                m.d.sync += self.group.eq(Mux(last_group, 0, self.group + 1))
            with m.If(last_group):
                self._next_position(m, scan_end)
        with m.If(adding):
            m.d.sync += self.group.eq(Mux(last_visited, 0, self.group + 1))
            with m.If(last_visited):
                m.d.sync += self.column_visit.eq(Mux(self.at_column.last, 0, self.column_visit + 1))
                with m.If(self.at_column.last):
                    m.d.sync += self.row_visit.eq(Mux(self.at_row.last, 0, self.row_visit + 1))
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
        added = adding & last_visited & self.at_column.last & self.at_row.last
        m.d.comb += self.i.ready.eq(added | done)
        m.d.sync += self.credits.eq(self.credits + self.release - firing)

    def _next_position(self, m, scan_end):
        """Move the fire scan to the next position: the next bank, or the first one's next word."""
        core = self.core
        last_column = self.column == core.shape[2] - 1
        m.d.sync += self.column.eq(Mux(last_column, 0, self.column + 1))
        with m.If(last_column):
            m.d.sync += [self.column_bank.eq(1), self.column_word.eq(0)]
            _next_bank(m, self.row_bank, self.row_word, core.row_pitch)
        with m.Else():
            _next_bank(m, self.column_bank, self.column_word, core.groups)
        with m.If(scan_end):
            m.d.sync += [self.row_bank.eq(1), self.row_word.eq(0)]

    def _aim(self, m, issued):
        """Say which sums the operation is for."""
        core = self.core
        adding = issued.kind == Kind.ADD
        scanned_row = Cat(self.row_bank, *[self.row_word] * core.grid.rows)
        scanned_column = Cat(self.column_bank, *[self.column_word] * core.grid.columns)
        with m.If(adding):
            m.d.comb += [
                issued.group.eq(self.group + self._first_group(m)),
                issued.target.eq(Cat(self.at_row.target, self.at_column.target)),
            ]
        with m.Elif(issued.kind != Kind.NONE):
            m.d.comb += [
                issued.group.eq(self.group),
                issued.target.eq(Cat(scanned_row, scanned_column)),
            ]

    def _first_group(self, m):
        """The first group of channels that the event reaches."""
        core = self.core
        channel_field = core.fields_joined[0]
        firsts = {
            number << channel_field.width | channel: groups.start
            for number, channels in enumerate(core.channel_groups)
            for channel, groups in enumerate(channels)
        }
        if not any(firsts.values()):
            return 0
        first = Signal(range(core.groups))
        channel = self.i.p.address[channel_field.start : channel_field.end]
        with m.Switch(Cat(channel, *self._source)):
            for case, start in firsts.items():
                with m.Case(case):
                    m.d.comb += first.eq(start)
        return first

    def _read_weights(self, m, issued):
        """Take operations and weights through the stages of the pipeline."""
        core = self.core
        channel_field = core.fields_joined[0]
        per_channel = self._by_source(core.words_per_channel)
        channel = self.i.p.address[channel_field.start : channel_field.end]
        of_rows, of_columns, address = (Signal(range(core.weight_words)) for _ in range(3))
        m.d.sync += [
            of_rows.eq(channel * per_channel + self.at_row.word),
            of_columns.eq(self.at_column.word + self.group),
            self.located.eq(issued),
            self.fetch.eq(self.located),
        ]
        m.d.comb += address.eq(of_rows + of_columns)
        # A block RAM would be empty but for its first words.
        flat = core.weight_depth <= DISTRIBUTED_DEPTH and not core.has_run_time_weights
        word = weight_memory(
            m,
            core,
            address,
            self.located.kind == Kind.ADD,
            load=load_of(self),
            ranked=True,
            attrs={"rom_style": "logic"} if flat else {},
        )
        self._weigh(m, word, 1)

    def model(self):
        """The cycle model of this engine."""
        return ConvolutionEngineModel(self.core, self.pause, self.credits.init)


def _next_bank(m, bank, word, pitch):
    """Choose the next bank, and behind the last one the first one's next word."""
    m.d.sync += bank.eq(bank.rotate_left(1))
    with m.If(bank[-1]):
        m.d.sync += word.eq(word + pitch)


class AxisTable:
    """The visits along an axis as a memory, by source, position and number of the visit.

    Parameters
    ----------
    core : ConvolutionCore
    axis : 0 for the rows, 1 for the columns
    """

    def __init__(self, core, axis: int):
        target = Target(core)
        part = target.rows if axis == 0 else target.columns
        self.target_bits = target.row_width if axis == 0 else target.column_width
        foldings: list[AxisFolding] = [axes[axis] for axes in core.axes]
        self.visit_bits = (max(each.most_visits for each in foldings) - 1).bit_length()
        position_bits = core.fields_joined[2 if axis == 0 else 1].width
        words = [_first_words(core, number, axis) for number in range(len(foldings))]
        self.word_bits = max(map(max, words)).bit_length()
        depth = len(foldings) << position_bits if len(foldings) > 1 else len(foldings[0].visits)
        entries = [0] * (depth << self.visit_bits)
        for source, folding in enumerate(foldings):
            for position, visits in enumerate(folding.visits):
                place = (source << position_bits | position) << self.visit_bits
                for number, visit in enumerate(visits):
                    entries[place | number] = (
                        part(visit.places)
                        | words[source][visit.word] << self.target_bits
                        | (number == len(visits) - 1) << (self.target_bits + self.word_bits)
                    )
        self.memory = memory.Memory(
            shape=unsigned(self.target_bits + self.word_bits + 1), depth=len(entries), init=entries
        )
        self.port = self.memory.read_port(domain="comb")

    def entry(self, m, position, visit):
        """What stands in the table."""
        m.d.comb += self.port.addr.eq(Cat(visit[: self.visit_bits], position))
        return AxisEntry(self.port.data, self.target_bits)


def _first_words(core, number: int, axis: int) -> list[int]:
    """What a source's taps along an axis add to the address of the weights, by their number."""
    along_rows, along_columns = core.axes[number]
    visited = core.groups_visited[number]
    if axis == 1:
        return [word * visited for word in range(len(along_columns.words))]
    pitch = len(along_columns.words) * visited
    return [core.first_words[number] + word * pitch for word in range(len(along_rows.words))]


class AxisEntry:
    """One entry: its part of the target and of the weights' address, and whether it is the last."""

    def __init__(self, data, target_bits: int):
        self.target, self.word, self.last = data[:target_bits], data[target_bits:-1], data[-1]


class ConvolutionEngineModel(SynapseEngineModel):
    """Cycle model of ConvolutionEngine.

    Attributes
    ----------
    visit : how many of the event's operations have been issued
    """

    def __init__(self, core, pause: int, credits: int):
        super().__init__(core, pause, credits)
        self.visit = 0
        self.stages.append(self.nothing)
        self.target = Target(core)
        self.visits = cache(self._visits)
        self.head_visits: Visits = ()
        self.scan = [
            operation._replace(group=row // core.parts % core.groups, target=self._scan_target(row))
            for row, operation in enumerate(self.scan)
        ]
        self.counters = 0, 0, 0

    @property
    def takes(self) -> bool:
        """Whether the event at the head of the queue is done with in this cycle."""
        if self.state == ADD:
            return self.visit == len(self.head_visits) - 1
        return super().takes

    @property
    def reads_weights(self) -> bool:
        """Whether the weight memory is asked in this cycle."""
        return self.stages[-1][0].kind == ADD

    def settle(self, valid: bool, event: int) -> None:
        """Let the state settle after a clock edge, given the head of the queue."""
        super().settle(valid, event)
        self.head_visits = ()
        self.counters = self.group, 0, 0
        if self.state == ADD:
            self.head_visits = self.visits(self.code.source(event), self.code.address(event))
            self.counters = self.head_visits[self.visit][2]

    def clock(self, event: int, release: int) -> None:
        """Go on by one clock edge, given the head of the queue and the credits that come back."""
        if self.state != ADD:
            super().clock(event, release)
            return
        operation, row, _ = self.head_visits[self.visit]
        self.wait -= self.wait > 0
        self.stages = [*self.stages[1:], (operation, row, self._factors(event))]
        self.visit = 0 if self.takes else self.visit + 1
        self.credits += release

    def values(self) -> tuple[int, ...]:
        """Values of the probes."""
        state, _, *others = super().values()
        group, row_visit, column_visit = self.counters
        return state, group, *others, row_visit, column_visit

    def _scanned(self, event: int) -> Operation:
        operation = super()._scanned(event)
        self.group = self.row // self.core.parts % self.core.groups
        return operation

    def _scan_target(self, row: int) -> int:
        core = self.core
        y, x = divmod(row // (core.groups * core.parts), core.shape[2])
        row_banks, column_banks = self.target.banks
        return self.target.joined(
            _one_bank(y, row_banks, core.row_pitch, self.target.row_bits),
            _one_bank(x, column_banks, core.groups, self.target.column_bits),
        )

    def _visits(self, source: int, address: int) -> Visits:
        """What an event does."""
        core = self.core
        channel, x, y = (field.of(address) for field in core.fields_joined)
        along_rows, along_columns = core.axes[source]
        visited = core.groups_visited[source]
        found = []
        for row_visit, at_rows in enumerate(along_rows.visits[y]):
            for column_visit, at_columns in enumerate(along_columns.visits[x]):
                word = channel * len(along_rows.words) + at_rows.word
                word = word * len(along_columns.words) + at_columns.word
                target = self.target.joined(
                    self.target.rows(at_rows.places), self.target.columns(at_columns.places)
                )
                word = core.first_words[source] + word * visited
                for slot, group in enumerate(core.channel_groups[source][channel]):
                    operation = Operation(Kind.ADD.value, group, target=target)
                    counters = slot, row_visit, column_visit
                    found.append((operation, word + slot, counters))
        return tuple(found)


def _one_bank(place: int, banks: int, pitch: int, bits: int) -> int:
    """The part of a target that enables the bank of one place, and gives all banks its word."""
    word = place // banks * pitch
    return 1 << place % banks | sum(word << (banks + bank * bits) for bank in range(banks))
