"""The table of boards."""

import argparse

import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.rtl.uart import bit_cycles
from spikeloom.sim.boards import BOARDS, Board, find_board
from spikeloom.sim.cli import boards as command
from spikeloom.sim.cli.console import Console
from spikeloom.sim.toolchain import TOOLS


def test_unknown_board_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(SpikeloomError, match=r"unknown board 'ulx3s'; did you mean ulx3s-85f\?"):
        find_board("ulx3s")
    with pytest.raises(SpikeloomError, match=r"did you mean icebreaker\?"):
        find_board("IceBraker")


def test_unknown_board_without_a_near_name_is_answered_with_all() -> None:
    with pytest.raises(SpikeloomError, match="known boards: ulx3s-85f, icebreaker"):
        find_board("zzz")


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_platform_has_the_clock_and_the_part_of_the_table(board: Board) -> None:
    platform = board.make_platform()
    assert platform.default_clk_constraint.frequency == board.clock_hz
    assert platform.device in board.part.name
    assert platform.lookup("uart")
    assert find_board(board.name) is board


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_capacity_is_known_for_every_resource(board: Board) -> None:
    assert {item.name for item in board.part.resources} == set(board.part.capacity)
    assert board.part.place_and_route[0] in TOOLS
    assert bit_cycles(board.clock_hz, board.baud) * board.baud == board.clock_hz


def test_command_lists_every_board(capsys: pytest.CaptureFixture[str]) -> None:
    result = command.run(argparse.Namespace(), Console())
    printed = capsys.readouterr().out
    assert [item["name"] for item in result["boards"]] == [board.name for board in BOARDS]
    assert all(board.name in printed for board in BOARDS)
    assert "83,640 LUT4" in printed
