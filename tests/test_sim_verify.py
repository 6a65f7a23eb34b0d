"""`verify` in real simulators: what it covers, what it finds, and what it builds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from run_time_networks import with_run_time_weights

from networks import LayerOptions, random_network, random_spikes
from spikeloom.compiler import reference
from spikeloom.compiler.errors import VerificationMismatch
from spikeloom.compiler.fixed import Reset
from spikeloom.compiler.inputs import Spikes
from spikeloom.compiler.ir import FixedNeuron
from spikeloom.compiler.program import Program
from spikeloom.rtl.emit import to_verilog
from spikeloom.sim.cli import main
from spikeloom.sim.simulator import available
from spikeloom.sim.spike_files import InputSpikes, write_spikes
from spikeloom.sim.stimulus import Pauses, with_extremes
from spikeloom.sim.verify import PAUSES, Verdict, verify

ICARUS = pytest.param(
    "icarus",
    marks=[
        pytest.mark.icarus,
        pytest.mark.skipif(not available("icarus"), reason="Icarus Verilog is not installed"),
    ],
)
VERILATOR = pytest.param("verilator", marks=[pytest.mark.verilator, pytest.mark.slow])
# For what does not depend on the simulator: Icarus builds a model in a moment.
QUICKEST = ICARUS if available("icarus") else VERILATOR

DESIGNS = {
    # Decays that need multipliers, membranes that saturate, groups that the lanes do not fill.
    "folded": Program(
        random_network(
            5,
            [12, 11, 4],
            5,
            [LayerOptions(Reset.SUBTRACT, "general", state_bits=10, weight_shift=1)] * 2,
        ),
        {"layer1": 4, "layer2": 3},
    ),
    # Whole layers at once, and one by one; a decay per neuron.
    "unfolded": Program(
        random_network(
            6,
            [9, 7, 5, 3],
            3,
            [
                LayerOptions(Reset.ZERO, "half"),
                LayerOptions(Reset.NONE, "per neuron", weight_bits=3),
                LayerOptions(Reset.ZERO, "one", per_neuron=False),
            ],
        ),
        {"layer2": 1},
    ),
    # Weights that a reset in the middle of an image must leave alone.
    "loaded": Program(
        with_run_time_weights(
            random_network(7, [9, 8, 3], 4, [LayerOptions(Reset.SUBTRACT, "half")] * 2), "loaded"
        ),
        {"layer1": 4},
    ),
}


@dataclass(frozen=True)
class Verified:
    """A design that a simulator has been through, and the folder of the simulator's files."""

    program: Program
    spikes: Spikes
    simulator: str
    folder: Path
    verdict: Verdict

    @property
    def built(self) -> int:
        """When the model was built."""
        return (self.folder / "build.log").stat().st_mtime_ns


Verify = Callable[[str, str], Verified]


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Verify:
    """Verify a design in a simulator, once for all tests."""
    done: dict[tuple[str, str], Verified] = {}

    def get(design: str, simulator: str) -> Verified:
        if (design, simulator) not in done:
            program = DESIGNS[design]
            spikes = with_extremes(program.network, random_spikes(program.network, 4, 0.4))
            folder = tmp_path_factory.mktemp(f"{design}-{simulator}")
            verdict = verify(program, spikes, folder, simulator=simulator)
            done[design, simulator] = Verified(program, spikes, simulator, folder, verdict)
        return done[design, simulator]

    return get


@pytest.mark.parametrize("simulator", [VERILATOR, ICARUS])
@pytest.mark.parametrize("design", DESIGNS)
def test_rtl_and_model_and_reference_agree(design: str, simulator: str, verified: Verify) -> None:
    item = verified(design, simulator)
    verdict, program = item.verdict, item.program
    network, samples = program.network, item.spikes.shape[1]
    assert (verdict.simulator, verdict.samples, verdict.runs) == (simulator, samples, len(PAUSES))
    # A membrane and a spike per neuron and step; number, class, steps used and a score per class.
    neurons = sum(core.neurons for core in program.cores)
    scores = program.cores[-1].neurons + 3
    assert verdict.numbers == verdict.runs * samples * (2 * network.steps * neurons + scores)
    # An input word takes a cycle.
    words = int(item.spikes.sum()) + samples * network.steps
    assert verdict.cycles > verdict.runs * words
    assert verdict.signals > 5 + 10 * len(program.cores)
    assert verdict.bits > verdict.signals
    assert verdict.cycles_per_second > 0


@pytest.mark.parametrize("simulator", [QUICKEST])
def test_coverage_reaches_every_state(simulator: str, verified: Verify) -> None:
    covered = verified("folded", simulator).verdict.coverage
    assert covered.states[0] == covered.states[1]
    # So small a network hardly ever fills a queue, which is what most transitions wait for.
    seen, legal = covered.transitions
    assert 3 / 5 < seen / legal <= 1
    assert len(covered.missing) == legal - seen


@pytest.mark.verilator
@pytest.mark.icarus
@pytest.mark.slow
@pytest.mark.skipif(not available("icarus"), reason="Icarus Verilog is not installed")
@pytest.mark.parametrize("design", DESIGNS)
def test_both_simulators_take_the_same_cycles(design: str, verified: Verify) -> None:
    first, second = (verified(design, name).verdict for name in ("verilator", "icarus"))
    assert first.cycles == second.cycles
    assert first.coverage == second.coverage


@pytest.mark.parametrize("simulator", [VERILATOR, ICARUS])
def test_same_design_is_not_built_again(simulator: str, verified: Verify) -> None:
    item = verified("folded", simulator)
    before, done = item.built, 0

    def count() -> None:
        nonlocal done
        done += 1

    other = random_spikes(item.program.network, 2, 0.7, seed=9)
    verify(
        item.program, other, item.folder,
        simulator=simulator, pauses=(Pauses(), Pauses(input=0.5)), on_sample=count,
    )  # fmt: skip
    assert item.built == before
    assert done == 2 * 2, "samples times runs"


@pytest.mark.parametrize("simulator", [QUICKEST])
def test_design_without_probes_is_compared_at_its_ports(simulator: str, tmp_path: Path) -> None:
    program = DESIGNS["unfolded"]
    spikes = random_spikes(program.network, 3, 0.4)
    verdict = verify(program, spikes, tmp_path, simulator=simulator, probe=False)
    assert verdict.signals == 5
    assert "probe" not in (tmp_path / "accelerator.v").read_text()
    wrong = tmp_path / "wrong.v"
    wrong.write_text(to_verilog(with_other_threshold(program)))
    with pytest.raises(VerificationMismatch, match=r"layer port, neuron -, signal m_axis_t"):
        verify(program, spikes, tmp_path / "out", simulator=simulator, verilog=wrong, probe=False)


def with_other_threshold(program: Program) -> Program:
    """The program with the last layer's last neuron quicker to fire."""
    network = program.network
    layer = network.layers[-1]
    assert isinstance(layer.neuron, FixedNeuron)
    threshold = layer.neuron.threshold.copy()
    threshold[-1] = 1
    changed = replace(layer, neuron=replace(layer.neuron, threshold=threshold))
    return Program(
        replace(network, populations=(*network.populations[:-1], changed)), program.lanes
    )


def with_other_weight(program: Program) -> Program:
    """The program with one weight of the first layer's sixth neuron changed in one bit."""
    network = program.network
    weight = network.projections[0].weight.copy()
    weight[5, 2] ^= 1
    changed = replace(network.projections[0], weight=weight)
    return Program(replace(network, projections=(changed, *network.projections[1:])), program.lanes)


@pytest.mark.parametrize("simulator", [QUICKEST])
def test_wrong_threshold_is_told_by_its_place(simulator: str, tmp_path: Path) -> None:
    program = DESIGNS["folded"]
    wrong = tmp_path / "wrong.v"
    wrong.write_text(to_verilog(with_other_threshold(program), probe=True))
    spikes = random_spikes(program.network, 3, 0.4)
    place = r"at cycle \d+, sample \d, step \d, layer layer2, neuron 3, signal fire\.\w+: "
    with pytest.raises(VerificationMismatch, match=place + r"expected -?\d+, got -?\d+") as caught:
        verify(program, spikes, tmp_path / "out", simulator=simulator, verilog=wrong)
    assert caught.value.__notes__ == ["--waves keeps the waveform"]


@pytest.mark.parametrize("simulator", [QUICKEST])
def test_command_ends_with_2_at_a_mismatch_and_keeps_the_waveform(
    simulator: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = DESIGNS["folded"]
    paths = [tmp_path / name for name in ("net.program.safetensors", "spikes.npz", "wrong.v")]
    program.save(paths[0])
    write_spikes(paths[1], InputSpikes(random_spikes(program.network, 3, 0.4)))
    paths[2].write_text(to_verilog(with_other_weight(program), probe=True))
    out = tmp_path / "out"
    arguments = [
        *("verify", *paths[:2], "--verilog", paths[2], "-o", out, "--waves", "--json"),
        *("--samples", 2, "--simulator", simulator),
    ]
    assert main([str(item) for item in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    error, note = captured.err.splitlines()
    assert error.startswith(f"spikeloom: error: the RTL in {simulator} differs from the model at")
    assert "layer layer1, neuron 5, signal lanes.write_data: expected" in error
    assert note.startswith(f"the waveform is in {out}, around ")
    assert [
        path for path in out.iterdir() if path.suffix in (".fst", ".vcd") and path.stat().st_size
    ]


@pytest.mark.parametrize("simulator", [QUICKEST])
def test_model_that_differs_from_the_reference_is_told(
    simulator: str, verified: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = verified("folded", simulator)
    program = item.program
    spikes = random_spikes(program.network, 2, 0.4)
    right = reference.run(program.network, spikes, membranes=True)
    membranes = {name: values.copy() for name, values in right.membranes.items()}
    membranes["layer2"][3, 1, 2] += 1
    wrong = replace(right, membranes=membranes)
    monkeypatch.setattr(reference, "run", lambda *_, **__: wrong)
    value = wrong.membranes["layer2"][3, 1, 2]
    with pytest.raises(VerificationMismatch) as caught:
        verify(program, spikes, item.folder, simulator=simulator, pauses=(Pauses(),))
    assert str(caught.value) == (
        "cycle model and integer reference differ at layer layer2, step 3, sample 1, neuron 2, "
        f"signal membranes: expected {value}, got {value - 1}"
    )
