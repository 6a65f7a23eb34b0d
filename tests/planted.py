"""Faults planted in a design: a changed line in a method of a block."""

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest


@dataclass(frozen=True)
class Mutation:
    """A change of one line of a block.

    Attributes
    ----------
    block : the class, or a module
    method : of it, or the function
    line : text that stands there exactly once
    fault : what takes its place
    """

    name: str
    block: type | ModuleType
    method: str
    line: str
    fault: str

    def plant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put a changed copy of the method in the method's place."""
        method: Callable[..., Any] = getattr(self.block, self.method)
        source = textwrap.dedent(inspect.getsource(method))
        found = source.count(self.line)
        assert found == 1, f"'{self.line}' is {found} times in {self.method} of {self.block}"
        scope: dict[str, Any] = {}
        module = inspect.getmodule(method)
        exec(source.replace(self.line, self.fault), dict(module.__dict__), scope)
        monkeypatch.setattr(self.block, self.method, scope[self.method])
