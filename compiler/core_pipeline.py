"""The pipeline of a core: stages, widths and places, from which gates and estimates are made."""

from spikeloom.compiler.cores import DISTRIBUTED_DEPTH, Core

# As many as keep scans going while a vector travels from the engine to its place and the credit for
# it back, and as many as a distributed memory holds.
LEAST_PLACES, FEW_PLACES = 8, 16
# Four distributed memories deep: beyond, a vector would cost more than what it waits for.
MOST_PLACES = 64


def product_bits(core: Core) -> int:
    """Width of the sum of E weights times the values of an event, shifted as its source demands."""
    bits = core.weight_bits + core.largest_shift + (core.events_per_cycle - 1).bit_length()
    if not core.value_bits:
        return bits
    # A sign takes one bit more, for the smallest weight; any other value all of its bits.
    return bits + (core.value_bits if core.has_products else 1)


def has_scale_stage(core: Core) -> bool:
    """Whether there is a stage between weight memory and lanes.

    For products, shifts and sums; for banks of block RAM, which answer a cycle later than others;
    and for weights that are chosen from several ranks.
    """
    scaled = core.value_bits or core.largest_shift or core.events_per_cycle > 1
    return bool(scaled or core.has_deep_banks or core.has_weight_ranks)


def write_latency(core: Core) -> int:
    """Clock cycles from the `integrate` stage to the write of the states.

    A decay by a power of two is wiring; any other takes two more stages for its multiplier.
    """
    return 4 if core.needs_multiplier else 2


def scan_pause(core: Core) -> int:
    """Clock cycles between two scans, so that each row finds the states that were written of it.

    A row's states are read in the stage before `integrate`, and can be read the cycle after their
    write; between the two visits lie the other rows.
    """
    return max(0, write_latency(core) + 2 - core.rows)


def has_deep_states(core: Core) -> bool:
    """Whether states lie in block RAM, which answers late in a cycle.

    They are then read one cycle earlier, into a register; so many rows lie between two visits of
    one that what was written of it is there all the same.
    """
    return core.rows > DISTRIBUTED_DEPTH


def vector_places(core: Core) -> int:
    """Places of the queue behind a core's fire unit.

    A place for every row of a short scan; for every eighth of a long one, as only rows with spikes
    take one: the core goes on to the next step while the layer behind it works off the spikes,
    which come in a burst. Where a scan is one row, the next one waits for longer than that anyway.
    """
    if core.rows == 1:
        return 2
    few = min(max(LEAST_PLACES, _power_of_two(core.rows)), FEW_PLACES)
    return min(max(few, _power_of_two(-(-core.rows // 8))), MOST_PLACES)


def _power_of_two(count: int) -> int:
    """The smallest one that is not less."""
    return 1 << (count - 1).bit_length()
