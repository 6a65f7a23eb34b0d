# amaranth: UnusedElaboratable=no
"""What is emitted: the same bytes every time, ports as listed, images as the weights."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from networks import LayerOptions, random_network
from spikeloom.compiler.program import Program
from spikeloom.rtl.emit import emit, memory_image, ports, to_verilog
from spikeloom.rtl.weight_memory import weight_words

ROOT = Path(__file__).parents[1]

HASH = """
import hashlib, sys
from pathlib import Path
from spikeloom.compiler.program import Program
from spikeloom.rtl.emit import to_verilog
program = Program.load(Path(sys.argv[1]))
print(*(hashlib.sha256(to_verilog(program, probe).encode()).hexdigest() for probe in (0, 1)))
"""


@pytest.fixture(scope="module")
def program():
    options = LayerOptions(weight_bits=5, decay="per neuron")
    return Program(random_network(1, [6, 7, 4], 3, [options] * 2), {"layer1": 3})


@pytest.fixture(scope="module")
def verilog(program):
    return {probe: to_verilog(program, probe) for probe in (False, True)}


def declared_ports(text):
    """Name to (direction, width) of the module `accelerator`, as the Verilog declares them."""
    body = text.split("module accelerator(")[1].split("endmodule")[0]
    found = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", body, re.MULTILINE)
    return {name: (direction[:-3], int(high or 0) + 1) for direction, high, name in found}


def test_same_program_gives_the_same_bytes_in_another_process(program, verilog, tmp_path):
    path = tmp_path / "program.safetensors"
    program.save(path)
    # Sets of strings are ordered otherwise in each process, unless told not to.
    seed = "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HASH, str(path)],
        env=os.environ | {"PYTHONHASHSEED": seed},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    here = [hashlib.sha256(verilog[probe].encode()).hexdigest() for probe in (False, True)]
    assert done.stdout.split() == here


@pytest.mark.parametrize("probe", [False, True])
def test_verilog_names_no_source_file(verilog, probe):
    text = verilog[probe]
    assert ".py" not in text
    assert "src =" not in text
    assert str(ROOT) not in text
    assert str(Path.home()) not in text
    assert not re.search(r"[\"'\s]/\w", text), "an absolute path"


@pytest.mark.parametrize("probe", [False, True])
def test_listed_ports_are_those_of_the_verilog(program, verilog, probe):
    listed = {item["name"]: (item["direction"], item["width"]) for item in ports(program, probe)}
    assert listed == declared_ports(verilog[probe])
    assert len(listed) == len(ports(program, probe))
    assert listed["s_axis_tdata"] == ("in", 16)
    assert listed["m_axis_tlast"] == ("out", 1)


def test_probe_ports_exist_only_when_asked_for(program, verilog):
    assert "probe" not in verilog[False]
    without, with_probes = (declared_ports(verilog[probe]) for probe in (False, True))
    more = {name: port for name, port in with_probes.items() if name not in without}
    assert set(more) == {"probe_input", "probe_layer1", "probe_layer2", "probe_readout"}
    assert {direction for direction, _ in more.values()} == {"out"}
    assert without == {name: with_probes[name] for name in without}


def test_emit_writes_verilog_ports_and_an_image_per_layer(program, verilog, tmp_path):
    paths = emit(program, tmp_path / "out")
    written = {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert written == set(paths.values())
    assert paths["verilog"].read_text() == verilog[False]
    assert json.loads(paths["ports"].read_text()) == ports(program)
    for core in program.cores:
        assert paths[f"weights of {core.name}"].read_text() == memory_image(core)


def test_images_hold_the_weights(program):
    for core in program.cores:
        lines = memory_image(core).splitlines()
        assert len(lines) == core.inputs * core.groups
        assert {len(line) for line in lines} == {-(-core.lanes * core.weight_bits // 4)}
        for source in range(core.inputs):
            for neuron in range(core.neurons):
                group, lane = divmod(neuron, core.lanes)
                word = int(lines[source * core.groups + group], 16)
                part = word >> (lane * core.weight_bits) & ((1 << core.weight_bits) - 1)
                half = 1 << (core.weight_bits - 1)
                assert (part ^ half) - half == core.sources[0].weight[neuron, source]


def test_verilog_holds_the_words_of_the_images(program, verilog):
    for core in program.cores:
        module = verilog[False].split(f"module \\accelerator.{core.name}.engine ")[1]
        body = module.split("endmodule")[0]
        words = re.findall(r"weight_memory0\[(\d+)\] = \d+'h([0-9a-f]+);", body)
        held = {int(index): int(word, 16) for index, word in words}
        assert held == dict(enumerate(weight_words(core)))


def test_another_weight_gives_another_verilog(program, verilog):
    first, *others = program.network.projections
    weight = first.weight.copy()
    weight[0, 0] ^= 1
    network = replace(program.network, projections=(replace(first, weight=weight), *others))
    changed = to_verilog(Program(network, program.lanes))
    assert changed != verilog[False]
    assert len(changed) == len(verilog[False])
