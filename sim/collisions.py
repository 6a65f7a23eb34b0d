"""Tells synthesis of which memories no word is used that was read in the cycle of its write.

Amaranth promises of every memory what such a read gives: the word as it was. A block RAM does not,
so that yosys builds registers, a comparison and a choice around it. Memories whose users do not
care carry the attribute `no_collision` (`spikeloom.rtl.ranks`), and RTLIL has a parameter for it.
"""

import re

_MODULE = re.compile(r"^module ", re.MULTILINE)
_MEMORY = re.compile(
    r"  attribute \\no_collision 1\n(?:  attribute .*\n)*  memory .* (\\\S+)\n", re.MULTILINE
)
_READ = re.compile(r"  cell \$memrd_v2 \S+\n(?:    .*\n)*  end\n")
_MASK = re.compile(r"(parameter \\COLLISION_X_MASK \d+')(0+)\n")


def without_collisions(text: str) -> str:
    """RTLIL text in which the reads of such memories may give anything in a collision."""
    starts = [match.start() for match in _MODULE.finditer(text)]
    ends = [*starts[1:], len(text)]
    parts = [text[: starts[0]]] if starts else [text]
    for start, end in zip(starts, ends, strict=True):
        parts.append(_change_module(text[start:end]))
    return "".join(parts)


def _change_module(text: str) -> str:
    names = {match.group(1) for match in _MEMORY.finditer(text)}

    def change(match: re.Match[str]) -> str:
        cell = match.group()
        if not any(f'parameter \\MEMID "\\{name}"\n' in cell for name in names):
            return cell
        return _MASK.sub(lambda mask: f"{mask[1]}{'1' * len(mask[2])}\n", cell)

    return _READ.sub(change, text)
