"""From a design to a bitstream, and what the report says."""

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from amaranth import Elaboratable, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.sim import synthesis
from spikeloom.sim.boards import ICE40UP5K, LFE5U_85F, Board, find_board
from spikeloom.sim.report import (
    Usage,
    check_capacity,
    estimate_usage,
    read_packed_usage,
    read_placement,
)
from spikeloom.sim.synthesis import build, synthesise_alone


class Counters(wiring.Component):  # type: ignore[misc]  # Amaranth is untyped
    """A small design with look-up tables, flip-flops and a block RAM."""

    def __init__(self) -> None:
        super().__init__({"blink": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        count = Signal(9)
        m.submodules.table = table = Memory(
            shape=8, depth=512, init=[i * 37 % 251 for i in range(512)]
        )
        port = table.read_port()
        total = Signal(16)
        m.d.comb += [port.addr.eq(count), self.blink.eq(total[-1])]
        m.d.sync += [count.eq(count + 1), total.eq(total + port.data)]
        return m


class OnBoard(Elaboratable):  # type: ignore[misc]  # Amaranth is untyped
    """The counters behind the UART pins of a board."""

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.counters = counters = Counters()
        m.submodules.tx = tx = io.Buffer("o", platform.request("uart", dir="-").tx)
        m.d.comb += tx.o.eq(counters.blink)
        return m


class Products(wiring.Component):  # type: ignore[misc]  # Amaranth is untyped
    """Three products of numbers that change."""

    def __init__(self) -> None:
        super().__init__({"i": In(12), "o": Out(24)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        values = [Signal(12, name=f"value{index}") for index in range(4)]
        for value, following in zip(values, [*values[1:], self.i], strict=True):
            m.d.sync += value.eq(following)
        total = sum(values[0] * other for other in values[1:])
        m.d.sync += self.o.eq(total)
        return m


def tiny(board: Board, **capacity: int) -> Board:
    """The board with a part that holds less."""
    part = board.part
    return replace(board, part=replace(part, capacity=MappingProxyType(part.capacity | capacity)))


def test_estimate_counts_what_a_carry_and_a_small_memory_take() -> None:
    cells = {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 7, "PFUMX": 9}
    usage = {item.resource: item.used for item in estimate_usage(cells, LFE5U_85F)}
    assert usage == {
        "LUT4": 24,
        "flip-flops": 7,
        "block RAM (18 Kbit)": 0,
        "multipliers (18x18)": 0,
    }


def test_design_that_is_too_large_is_told_by_how_much() -> None:
    usage = (Usage("LUT4", 6120, 5280), Usage("block RAM (4 Kbit)", 31, 30), Usage("x", 8, 8))
    with pytest.raises(SpikeloomError) as caught:
        check_capacity(usage, ICE40UP5K)
    assert str(caught.value) == (
        "the design is too large: it needs 6,120 LUT4, the iCE40UP5K-SG48 has 5,280: 840 too many"
    )
    assert "needs 31 block RAM (4 Kbit)" in caught.value.__notes__[0]
    assert "1 too many" in caught.value.__notes__[0]


def test_packed_usage_is_read_from_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "Info: Device utilisation:\n"
        "Info: \t         ICESTORM_LC:    6120/   5280   115%\n"
        "Info: \t        ICESTORM_RAM:       4/     30    13%\n"
        "ERROR: Unable to place cell 'a', no BELs remaining\n"
    )
    usage = read_packed_usage(log, ICE40UP5K)
    assert usage == (Usage("LUT4", 6120, 5280), Usage("block RAM (4 Kbit)", 4, 30))


def test_placement_is_read_from_the_report(tmp_path: Path) -> None:
    report = {
        "utilization": {item.placed: {"used": 3, "available": 4} for item in LFE5U_85F.resources},
        "fmax": {
            "$glbnet$clk": {"achieved": 123.456, "constraint": 25.0},
            "$glbnet$cd_pixel.clk$TRELLIS_IO_IN": {"achieved": 80.0, "constraint": 25.0},
        },
    }
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    placement = read_placement(path, LFE5U_85F)
    assert placement.utilisation[0] == Usage("LUT4", 3, 83_640)
    assert placement.fmax_mhz == {"clk": 123.456, "cd_pixel.clk": 80.0}
    assert placement.slowest_mhz == 80.0
    assert placement.as_dict()["fmax_mhz"]["clk"] == 123.46


@pytest.mark.slow
@pytest.mark.synthesis
@pytest.mark.parametrize("name", ["icebreaker", "ulx3s-85f"])
def test_build_gives_a_bitstream_and_a_report(name: str, tmp_path: Path) -> None:
    board = find_board(name)
    stages: list[str] = []
    report = build(OnBoard(), board, tmp_path, "counters", lambda stage, line: stages.append(stage))
    assert report.bitstream == tmp_path / f"counters-{name}{board.bitstream}"
    assert report.bitstream.stat().st_size > 10_000
    used = {item.resource.split()[0]: item.used for item in report.placement.utilisation}
    assert 16 <= used["LUT4"] <= 200
    assert used["block"] == 1
    assert report.placement.slowest_mhz > board.clock_hz / 1e6
    assert json.loads(report.bitstream.with_suffix(".json").read_text()) == report.as_dict()
    assert list(dict.fromkeys(stages))[:2] == ["synthesise", "place and route"]


@pytest.mark.slow
@pytest.mark.synthesis
def test_same_design_gives_the_same_bitstream(tmp_path: Path) -> None:
    board = find_board("icebreaker")
    first, second = (build(OnBoard(), board, tmp_path / folder) for folder in ("a", "b"))
    assert first.bitstream.read_bytes() == second.bitstream.read_bytes()


@pytest.mark.slow
@pytest.mark.synthesis
def test_products_move_to_look_up_tables_where_multipliers_are_too_few(tmp_path: Path) -> None:
    part = LFE5U_85F
    few = replace(part, capacity=MappingProxyType(part.capacity | {"multipliers (18x18)": 2}))
    used = [
        {item.resource.split()[0]: item.used for item in result.utilisation}
        for result in (
            synthesise_alone(Products(), part, tmp_path / "enough"),
            synthesise_alone(Products(), few, tmp_path / "few"),
        )
    ]
    assert [item["multipliers"] for item in used] == [3, 0]
    assert used[1]["LUT4"] > used[0]["LUT4"] + 100


@pytest.mark.synthesis
def test_build_that_does_not_fit_leaves_no_bitstream(tmp_path: Path) -> None:
    board = tiny(find_board("icebreaker"), LUT4=5)
    with pytest.raises(SpikeloomError, match=r"needs \d+ LUT4, the iCE40UP5K-SG48 has 5: \d+ too"):
        build(OnBoard(), board, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["top-icebreaker-build"]


@pytest.mark.slow
@pytest.mark.synthesis
def test_design_alone_gives_its_own_size_and_speed(tmp_path: Path) -> None:
    placement = synthesise_alone(Counters(), LFE5U_85F, tmp_path)
    used = {item.resource.split()[0]: item.used for item in placement.utilisation}
    # Two adders and nothing of a board: no synchroniser, no UART.
    assert used["flip-flops"] == 9 + 16
    assert placement.slowest_mhz > 100


@pytest.mark.slow
@pytest.mark.synthesis
def test_large_designs_take_the_other_router(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most, folder, routed in ((10_000, "small", False), (0, "large", True)):
        monkeypatch.setattr(synthesis, "MOST_FOR_ROUTER1", most)
        synthesise_alone(Counters(), LFE5U_85F, tmp_path / folder)
        log = (tmp_path / folder / "nextpnr-ecp5.log").read_text()
        assert ("Running router2" in log) is routed
