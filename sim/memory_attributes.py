"""Tells synthesis what our memories do not promise, where Amaranth cannot.

Amaranth promises of every memory what a read in the cycle of a write gives: the word as it was. A
block RAM does not, so that yosys builds registers, a comparison and a choice around it. Memories
whose users do not care carry the attribute `no_collision` (`spikeloom.rtl.ranks`), and RTLIL has a
parameter for it. Amaranth also gives every memory contents to start with; those that do not need
any carry `uninitialised` (`spikeloom.rtl.weight_memory`), and then also fit memories without.
"""

import re

_MODULE = re.compile(r"^module ", re.MULTILINE)
_READ = re.compile(r"  cell \$memrd_v2 \S+\n(?:    .*\n)*  end\n")
_CONTENTS = re.compile(r"  cell \$meminit_v2 \S+\n(?:    .*\n)*  end\n")
_MASK = re.compile(r"(parameter \\COLLISION_X_MASK \d+')(0+)\n")


def apply_memory_attributes(text: str) -> str:
    """RTLIL text in which memories promise no more than their attributes say."""
    starts = [match.start() for match in _MODULE.finditer(text)]
    ends = [*starts[1:], len(text)]
    parts = [text[: starts[0]]] if starts else [text]
    for start, end in zip(starts, ends, strict=True):
        parts.append(_change_module(text[start:end]))
    return "".join(parts)


def _change_module(text: str) -> str:
    free, uninitialised = (
        _with_attribute(text, "no_collision"),
        _with_attribute(text, "uninitialised"),
    )

    def free_read(match: re.Match[str]) -> str:
        cell = match.group()
        if not _is_of(cell, free):
            return cell
        return _MASK.sub(lambda mask: f"{mask[1]}{'1' * len(mask[2])}\n", cell)

    def drop_contents(match: re.Match[str]) -> str:
        return "" if _is_of(match.group(), uninitialised) else match.group()

    text = _READ.sub(free_read, text)
    return _CONTENTS.sub(drop_contents, text) if uninitialised else text


def _with_attribute(text: str, name: str) -> set[str]:
    """Names of the memories that carry an attribute."""
    memory = re.compile(
        rf"  attribute \\{name} 1\n(?:  attribute .*\n)*  memory .* (\\\S+)\n", re.MULTILINE
    )
    return {match.group(1) for match in memory.finditer(text)}


def _is_of(cell: str, memories: set[str]) -> bool:
    return any(f'parameter \\MEMID "\\{name}"\n' in cell for name in memories)
