# amaranth: UnusedElaboratable=no
"""The ports of the emitted Verilog under cocotbext-axi's source and sink."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_time_networks import with_other_weights, with_run_time_weights

from axi_bench import Monitor
from networks import LayerOptions, random_network, random_spikes
from spikeloom.compiler import reference
from spikeloom.compiler.exchange import weight_image
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.program import Program
from spikeloom.rtl.emit import to_verilog
from spikeloom.rtl.result import Packet
from spikeloom.rtl.top import Accelerator
from spikeloom.rtl.weight_loader import ACCEPTED_START
from spikeloom.sim.simulator import Bench, build_model, run_bench
from spikeloom.sim.stimulus import Pauses

# Never a pause, pauses on both sides, and a receiver so slow that the input has to wait.
PAUSES = (
    Pauses(),
    Pauses(input=0.3, output=0.3),
    Pauses(input=0.1, output=0.97, burst=200),
)


# The bench is a module of the tests.
BENCHES = str(Path(__file__).parent)


@pytest.fixture(scope="module")
def program() -> Program:
    options = LayerOptions(Reset.SUBTRACT, "general", state_bits=10)
    return Program(random_network(5, [6, 5, 3], 4, [options] * 2), {"layer1": 2})


@pytest.mark.verilator
@pytest.mark.slow
def test_results_and_handshakes_hold_under_an_independent_bus_model(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spikes = random_spikes(program.network, 8, 0.4)
    monkeypatch.setenv("PYTHONPATH", BENCHES, prepend=":")
    outcomes = _drive(program, spikes, tmp_path, PAUSES)

    expected = reference.run(program.network, spikes)
    assert len(outcomes) == len(PAUSES)
    for outcome in outcomes:
        packets = [Packet.of(words) for words in outcome["packets"]]
        assert [packet.category for packet in packets] == expected.classes.tolist()
        assert [list(packet.scores) for packet in packets] == expected.scores.tolist()
        assert [packet.sample for packet in packets] == list(range(8))
        assert (outcome["left"], outcome["error"]) == (0, 0)
        for monitor in outcome["monitors"].values():
            assert monitor["violations"] == []
    words = sum(len(packet) for packet in outcomes[0]["packets"])
    assert {outcome["monitors"]["m_axis"]["transfers"] for outcome in outcomes} == {words}
    # The slow receiver was felt on both sides.
    assert _stalls(outcomes[2], "m_axis") > _stalls(outcomes[1], "m_axis") > 0
    assert _stalls(outcomes[2], "s_axis") > _stalls(outcomes[0], "s_axis")


@pytest.mark.verilator
@pytest.mark.slow
def test_weights_are_loaded_by_an_independent_bus_model(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", BENCHES, prepend=":")
    chip = replace(program, network=with_run_time_weights(program.network, "loaded"))
    other = with_other_weights(chip.network, 3)
    image = weight_image(chip, replace(chip, network=other))
    spikes = random_spikes(other, 4, 0.4)
    outcomes = _drive(chip, spikes, tmp_path, PAUSES[:2], image=image.tolist())

    expected = reference.run(other, spikes)
    assert len(outcomes) == 2
    for number, outcome in enumerate(outcomes):
        packets = [Packet.of(words) for words in outcome["packets"]]
        assert [list(packet.scores) for packet in packets] == expected.scores.tolist()
        assert outcome["status"] >> ACCEPTED_START == number + 1
        for monitor in outcome["monitors"].values():
            assert monitor["transfers"] > 0
            assert monitor["violations"] == []


def _drive(
    program: Program, spikes: Spikes, folder: Path, pauses: Sequence[Pauses], **more: Any
) -> list[dict[str, Any]]:
    """What the bench of the bus model saw in each run; `more` is for its configuration."""
    bench = Bench("axi_bench")
    verilog = folder / "accelerator.v"
    verilog.write_text(to_verilog(program))
    program.save(folder / "program.safetensors")
    np.save(folder / "spikes.npy", spikes)
    configuration = {
        "program": str(folder / "program.safetensors"),
        "spikes": str(folder / "spikes.npy"),
        "pauses": [pause.as_dict() for pause in pauses],
        **more,
    }
    build_model("verilator", Accelerator(program), verilog, folder, bench=bench)
    return run_bench("verilator", folder, configuration, bench=bench)


def _stalls(outcome: dict[str, Any], stream: str) -> int:
    stalls: int = outcome["monitors"][stream]["stalls"]
    return stalls


def test_monitor_sees_a_word_that_is_taken_back_or_changed() -> None:
    monitor = Monitor()
    monitor.see(0, True, False, (5, 0))
    monitor.see(1, True, True, (5, 0))
    monitor.see(2, True, False, (6, 0))
    assert (monitor.transfers, monitor.stalls, monitor.violations) == (1, 2, [])
    monitor.see(3, True, False, (6, 1))
    monitor.see(4, False, True, (0, 0))
    assert monitor.violations == [
        "cycle 3: (6, 0) became (6, 1)",
        "cycle 4: tvalid fell before tready",
    ]
