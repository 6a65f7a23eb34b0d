"""Operations: what the synapse engine tells lanes and fire unit to do."""

from typing import NamedTuple

from amaranth import unsigned
from amaranth.lib import data, enum

from spikeloom.compiler.convolution_core import ConvolutionCore
from spikeloom.rtl.target import Target


class Kind(enum.Enum, shape=2):
    """What an operation does."""

    NONE = 0
    ADD = 1
    FIRE = 2
    CLEAR = 3


# Plain integers: the models compare them in every cycle.
NONE, ADD, FIRE, CLEAR = (kind.value for kind in Kind)


def operation_layout(core) -> data.StructLayout:
    """An operation of a core.

    ADD adds the weights of an event to group `group` of the lanes. FIRE takes the sums of a row of
    the fire scan (`row`, which is `part` of `group`), and turns them into spikes and the states of
    the next time step; `scan_end` marks the last row, `window_end` all rows of the last time step
    of a window and `window_start` those of the first one of a core with constant input. CLEAR
    brings a row to rest. In a convolution `target` says which sums ADD adds to and which ones a row
    is taken from (rtl/target.py).
    """
    return data.StructLayout(
        {
            "kind": Kind,
            "group": range(core.groups),
            "part": range(core.parts),
            "row": range(core.rows),
            "scan_end": unsigned(1),
            "window_end": unsigned(1),
            **({"window_start": unsigned(1)} if core.constant else {}),
            **({"target": unsigned(Target(core).width)} if is_convolution(core) else {}),
        }
    )


def is_convolution(core) -> bool:
    """Whether the events of a core come from feature maps."""
    return isinstance(core, ConvolutionCore)


class Operation(NamedTuple):
    """An operation in the cycle models."""

    kind: int = NONE
    group: int = 0
    part: int = 0
    row: int = 0
    scan_end: int = 0
    window_end: int = 0
    window_start: int = 0
    target: int = 0

    def packed(self, core) -> int:
        """The bits of `operation_layout`."""
        shift, bits = 0, 0
        widths = (2, *((count - 1).bit_length() for count in (core.groups, core.parts, core.rows)))
        target_bits = Target(core).width if is_convolution(core) else 0
        for value, width in zip(
            self, (*widths, 1, 1, int(core.constant), target_bits), strict=True
        ):
            bits |= value << shift
            shift += width
        return bits


NO_OPERATION = Operation()
