"""Words that hold a signed number per lane, lane 0 lowest."""

from amaranth import Cat


def signed_lanes(word, lanes):
    """The signed parts of a word."""
    width = len(word) // lanes
    # One slice each: a slice of a slice makes the text of wide words grow with their square.
    return [word[lane * width : (lane + 1) * width].as_signed() for lane in range(lanes)]


def joined_lanes(values, bits):
    """Signed values side by side, each known to fit `bits` bits."""
    return Cat(
        value[:bits] if len(value) >= bits else Cat(value, value[-1].replicate(bits - len(value)))
        for value in values
    )


def balanced_sum(values):
    """The sum of values, added in pairs: as few additions one after the other as can be."""
    while len(values) > 1:
        odd = values[len(values) & ~1 :]
        pairs = zip(values[: len(values) & ~1 : 2], values[1::2], strict=True)
        values = [first + second for first, second in pairs] + odd
    return values[0]


def lane_word(values, bits) -> int:
    """The integer that holds integers side by side."""
    return sum(
        (int(value) & ((1 << bits) - 1)) << (bits * lane) for lane, value in enumerate(values)
    )
