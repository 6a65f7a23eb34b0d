"""A user's own model: a Python file and the name of a function that builds a module."""

import importlib.util
import sys
import traceback
from pathlib import Path

import torch
from torch import nn

from spikeloom.compiler.errors import SpikeloomError

_NOT_THE_USERS = (
    str(Path(torch.__file__).parent),
    str(Path(__file__).resolve().parent),
    str(Path(__file__).parent),
    "<frozen",
)


def load_module(source: str) -> nn.Module:
    """The module that `path/to/file.py:function` builds.

    Runs the file, with its folder importable, and calls the function without arguments.

    Raises
    ------
    SpikeloomError
        If the file or the function is missing, if either raises (the text names the exception and
        the user's line), or if the function gives something else than a module.
    """
    name, colon, function = source.rpartition(":")
    if not colon or not name or not function:
        raise SpikeloomError(f"model '{source}' names no function; wanted path/to/file.py:function")
    path = Path(name)
    if not path.is_file():
        raise SpikeloomError(f"model file '{path}' does not exist")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SpikeloomError(
            f"model file '{path}' is not a Python file; wanted a name ending in .py"
        )
    imported = importlib.util.module_from_spec(spec)
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(imported)
        if not hasattr(imported, function):
            raise SpikeloomError(f"model file '{path}' has no '{function}'")
        module = getattr(imported, function)()
    except SpikeloomError:
        raise
    except (Exception, SystemExit) as error:
        raise SpikeloomError(f"model '{source}' raises {describe_error(error)}") from error
    finally:
        sys.path.pop(0)
        sys.dont_write_bytecode = writes_bytecode
    if not isinstance(module, nn.Module):
        raise SpikeloomError(
            f"'{source}' gives a '{type(module).__name__}'; wanted a torch.nn.Module"
        )
    return module


def describe_error(error: BaseException) -> str:
    """An exception's type, first line, and where in the user's code it arose, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = type(error).__name__ + (f": {lines[0]}" if lines else "")
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({Path(error.filename).name}, line {error.lineno})"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_NOT_THE_USERS)
    ]
    if not frames:
        return text
    return f"{text} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
