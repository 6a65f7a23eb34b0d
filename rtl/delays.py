"""Values some clock cycles later."""

from amaranth import Signal


def delayed(m, value, cycles):
    """A value so many clock cycles later."""
    for _ in range(cycles):
        later = Signal.like(value)
        m.d.sync += later.eq(value)
        value = later
    return value
