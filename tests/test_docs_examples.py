import re
import subprocess
import sys
from pathlib import Path

from spikeloom.compiler.onnx_import import examine, load_model
from spikeloom.models import cards

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLE = DOCS / "examples/train_your_own.py"


def test_example_trains_a_network_that_can_be_compiled(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    done = subprocess.run(
        [sys.executable, EXAMPLE, path], capture_output=True, text=True, check=True
    )
    accuracy = re.fullmatch(r"validation accuracy (\d+\.\d)%, epoch \d+\n", done.stdout)
    assert accuracy is not None and float(accuracy[1]) > 85
    assert all(verdict.ok for verdict in examine(load_model(path)).verdicts)


def test_example_is_short_and_stands_in_the_documentation() -> None:
    code = EXAMPLE.read_text()
    assert len(code.splitlines()) <= 35
    assert f"```python\n{code}```" in (DOCS / "training.md").read_text()


def test_results_in_the_documentation_are_those_of_the_cards() -> None:
    found = [cards.read(name) for name in cards.names()]
    assert cards.table(found) in (DOCS / "training.md").read_text()
    few = cards.table(found, ("network", "T", "floats, %", "8 bits, %", "4 bits, %"))
    assert few in (DOCS.parent / "README.md").read_text()
