"""The Verilog that stands between the bench and the accelerator.

A simulator is asked for a signal once per clock cycle and told one, as each costs as much as a
hundred gates: all outputs are joined to `observed`, all inputs are cut from `driven`.
"""

from spikeloom.rtl.control_port import INPUTS, ControlInput
from spikeloom.rtl.emit import TOP
from spikeloom.rtl.top import CONTROL, Accelerator
from spikeloom.sim.difference import Observation

BENCH = "bench"

# What makes a signal visible to cocotb in Verilator; other simulators show all of them.
_WRITABLE = "/* verilator public_flat_rw */"
_READABLE = "/* verilator public_flat_rd */"


def wrapper_verilog(accelerator: Accelerator) -> str:
    """The module `bench` around the module `accelerator`."""
    observed = [
        name if block == "port" else f"probe_{block}"
        for block, probes in accelerator.observed().items()
        for name in ([probe.name for probe in probes] if block == "port" else [""])
    ]
    word_bits = len(accelerator.s_axis_tdata)
    inputs = {
        "clk": "clk",
        "rst": "rst",
        "s_axis_tdata": f"driven[{word_bits - 1}:0]",
        "s_axis_tvalid": f"driven[{word_bits}]",
        "s_axis_tlast": f"driven[{word_bits + 1}]",
        "m_axis_tready": f"driven[{word_bits + 2}]",
    }
    driven = word_bits + 3
    if accelerator.control is not None:
        for name, width in INPUTS.items():
            inputs[f"{CONTROL}{name}"] = f"driven[{driven + width - 1}:{driven}]"
            driven += width
    wires = "".join(
        f"  wire [{len(getattr(accelerator, name)) - 1}:0] {name};\n" for name in observed
    )
    pins = [f".{name}({source})" for name, source in inputs.items()]
    pins += [f".{name}({name})" for name in observed]
    return (
        f"module {BENCH}(\n"
        f"  input clk {_WRITABLE},\n"
        f"  input rst {_WRITABLE},\n"
        f"  input [{driven - 1}:0] driven {_WRITABLE},\n"
        f"  output [{Observation(accelerator).width - 1}:0] observed {_READABLE}\n"
        ");\n"
        f"{wires}"
        f"  {TOP} dut({', '.join(pins)});\n"
        f"  assign observed = {{{', '.join(reversed(observed))}}};\n"
        "endmodule\n"
    )


def drive_word(word: int | None, last: bool, ready: bool, word_bits: int) -> int:
    """The value of `driven` that offers a word, if any, and says whether a result is taken."""
    offer = 0 if word is None else word | 1 << word_bits | last << (word_bits + 1)
    return offer | ready << (word_bits + 2)


def drive_control(given: ControlInput, word_bits: int) -> int:
    """What is added to `driven` for the control port."""
    value, shift = 0, word_bits + 3
    named = given._asdict()
    for name, width in INPUTS.items():
        value |= int(named.get(name, 0)) << shift
        shift += width
    return value
