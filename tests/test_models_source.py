from pathlib import Path

import pytest
from torch import nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.source import load_module

MODEL = """
from torch import nn
import sizes

def build():
    return nn.Linear(sizes.INPUTS, 3)

def number():
    return 3

def broken():
    raise ValueError("no such size\\nat all")

def leaves():
    raise SystemExit(1)

text = "not callable"
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "sizes.py").write_text("INPUTS = 6\n")
    path = tmp_path / "mymodel.py"
    path.write_text(MODEL)
    return path


def test_module_is_built_and_its_folder_stays_clean(model: Path) -> None:
    module = load_module(f"{model}:build")
    assert isinstance(module, nn.Linear)
    assert module.in_features == 6
    assert {path.name for path in model.parent.iterdir()} == {"sizes.py", "mymodel.py"}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("absent", "has no 'absent'"),
        ("number", "gives a 'int'; wanted a torch.nn.Module"),
        ("broken", r"raises ValueError: no such size \(mymodel.py, line 12\)"),
        ("leaves", r"raises SystemExit: 1 \(mymodel.py, line 15\)"),
        ("text", "raises TypeError: 'str' object is not callable"),
    ],
)
def test_functions_that_give_no_module_are_refused(
    model: Path, function: str, message: str
) -> None:
    with pytest.raises(SpikeloomError, match=message) as caught:
        load_module(f"{model}:{function}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.py", "x = (\n", r"raises SyntaxError: .* \(bad.py, line 1\)"),
        ("bad.py", "\nimport no_such_package_\n", r"ModuleNotFoundError: .* \(bad.py, line 2\)"),
        ("bad.txt", "", "is not a Python file"),
    ],
)
def test_files_that_do_not_run_are_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SpikeloomError, match=message):
        load_module(f"{tmp_path / name}:build")


def test_missing_file_and_missing_function_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpikeloomError, match=r"nothing.py' does not exist"):
        load_module(f"{tmp_path / 'nothing.py'}:build")
    with pytest.raises(SpikeloomError, match="names no function"):
        load_module("mymodel.py")
