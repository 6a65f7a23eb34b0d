"""What the file says of the input's numbers."""

import json
from collections.abc import Callable

import onnx
import pytest

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Events
from spikeloom.compiler.onnx_events import INPUT_KEY, read_events, write_events
from spikeloom.compiler.onnx_import import import_network

Parse = Callable[..., onnx.ModelProto]

NODES = """
    current = MatMul (spikes, weight)
    lif, v = spikeloom.Neuron (current, alpha, beta, threshold)
    counts = ReduceSum <keepdims = 0> (lif, time)
"""


@pytest.mark.parametrize(
    "events", [Events(), Events(-1, 1), Events(-14, 90, 1 / 32, True), Events(-(2**15), 0, 4.0)]
)
def test_entry_survives_the_file(events: Events, parse_model: Parse) -> None:
    model = parse_model(NODES)
    onnx.helper.set_model_props(model, {INPUT_KEY: write_events(events)})
    assert import_network(model, "net").events == events


def test_file_without_an_entry_takes_spikes(parse_model: Parse) -> None:
    assert import_network(parse_model(NODES), "net").events == Events(0, 1, 1.0, False)


GOOD = {"lowest": 0, "highest": 1, "step": 1.0, "constant": False}

WRONG = {
    "[1, 2]": "it holds list; wanted lowest, highest, step, constant",
    "{}": "it holds nothing; wanted lowest, highest, step, constant",
    "{": "it is not JSON: Expecting property name",
    json.dumps({**GOOD, "more": 1}): "it holds lowest, highest, step, constant, more; wanted",
    json.dumps({**GOOD, "lowest": 0.5}): "its lowest is 0.5; wanted a whole number",
    json.dumps({**GOOD, "highest": True}): "its highest is True; wanted a whole number",
    json.dumps({**GOOD, "step": "1"}): "its step is '1'; wanted a number",
    json.dumps({**GOOD, "constant": 1}): "its constant is 1; wanted true or false",
    json.dumps({**GOOD, "lowest": 2}): "events of 2 .. 1 are no range around 0, which is no event",
    json.dumps({**GOOD, "lowest": 1, "highest": 2}): "events of 1 .. 2 are no range around 0",
    json.dumps({**GOOD, "lowest": -2, "highest": -1}): "events of -2 .. -1 are no range around 0",
    json.dumps({**GOOD, "highest": 0}): "events of 0 .. 0 are no range around 0",
    json.dumps({**GOOD, "highest": 32768}): "events of 0 .. 32768 do not fit 16 bits (-32768 .. ",
    json.dumps({**GOOD, "step": 0.3}): "events in steps of 0.3; wanted a power of two",
    json.dumps({**GOOD, "step": 0}): "events in steps of 0; wanted a power of two",
    json.dumps({**GOOD, "step": -1}): "events in steps of -1; wanted a power of two",
    json.dumps({**GOOD, "step": float("inf")}): "events in steps of inf; wanted a power of two",
    json.dumps({**GOOD, "step": 10**400}): "events in steps of inf; wanted a power of two",
}


@pytest.mark.parametrize(("entry", "text"), WRONG.items(), ids=range(len(WRONG)))
def test_damaged_entry_is_refused(entry: str, text: str, parse_model: Parse) -> None:
    model = parse_model(NODES)
    onnx.helper.set_model_props(model, {INPUT_KEY: entry})
    with pytest.raises(SpikeloomError) as raised:
        import_network(model, "net")
    assert str(raised.value).startswith(f"graph metadata 'spikeloom.input': {text}")


def test_events_that_cannot_be_are_not_written() -> None:
    with pytest.raises(SpikeloomError, match="do not fit 16 bits"):
        write_events(Events(0, 90000, 2.0**-15))
    assert read_events({}) == Events()
