"""Fixtures that several test files use."""

from collections.abc import Callable
from pathlib import Path

import onnx
import onnx.parser
import pytest

from spikeloom.compiler.operator import neuron_function

GOLDEN = Path(__file__).parent / "golden"

HEADER = '<ir_version: 10, opset_import: ["" : 21, "spikeloom" : 1]>'

# What most small graphs of the tests need: weights of a 3-2 layer, its neurons, the time axis.
INITIALIZERS = """
float[3,2] weight = {1, 2, 3, 4, 5, 6}, float[2] bias = {0.5, -0.5},
float alpha = {0}, float beta = {0.5}, float threshold = {1.5}, int64[1] time = {0}
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden texts")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with `tests/golden/<name>.txt`; `--update-golden` rewrites the file."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text + "\n", encoding="utf-8")
        assert path.exists(), f"{path} is missing; run pytest --update-golden"
        assert text + "\n" == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture(scope="session")
def parse_model() -> Callable[..., onnx.ModelProto]:
    """Make a model from ONNX text: nodes, and what differs from a 3-2 network with T = 4."""

    def parse(
        nodes: str,
        *,
        inputs: str = "float[4,N,3] spikes",
        outputs: str = "float[N,2] counts",
        initializers: str = "",
        header: str = HEADER,
    ) -> onnx.ModelProto:
        constants = INITIALIZERS + (f", {initializers}" if initializers else "")
        model = onnx.parser.parse_model(
            f"{header} net ({inputs}) => ({outputs}) <{constants}> {{ {nodes} }}"
        )
        model.functions.extend(neuron_function(recurrent) for recurrent in (False, True))
        return model

    return parse
