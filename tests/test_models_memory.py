import ctypes
import sys

import pytest

from spikeloom.models.memory import keep_freed_memory


@pytest.mark.parametrize(("platform", "called"), [("linux", [(-1, -1), (-4, 0)]), ("darwin", [])])
def test_freed_memory_is_kept_on_linux_only(
    platform: str, called: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, parameter: int, value: int) -> int:
            seen.append((parameter, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    monkeypatch.setattr(sys, "platform", platform)
    keep_freed_memory()
    assert seen == called


def test_library_without_the_setting_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    monkeypatch.setattr(sys, "platform", "linux")
    keep_freed_memory()
