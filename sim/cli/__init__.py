"""The `spikeloom` command: one subcommand per stage, each in a module of its own.

A subcommand's module has `HELP` (one line), `add_arguments(parser)` and
`run(args, console) -> dict` (the result that `--json` prints). It imports what it needs inside
`run`, so that `--help` is instant and compiling never loads torch.
"""

import argparse
import importlib
import sys
import traceback
from importlib.metadata import version

from spikeloom.compiler.errors import SpikeloomError, ToolMissing
from spikeloom.sim.cli.console import Console

COMMANDS = (
    "demo",
    "train",
    "zoo",
    "export",
    "check",
    "compile",
    "emit",
    "simulate",
    "verify",
    "build",
    "bench",
    "boards",
    "doctor",
)

EXIT_CODES = (
    "exit codes: 0 done, 1 the input cannot be used, 2 a verification mismatch, "
    "3 a tool is missing, 130 interrupted"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # argparse says NoReturn: it raises
        raise SpikeloomError(f"{message} (see '{self.prog} --help')")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    pass


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = _Parser("spikeloom", description=__doc__.partition("\n")[0], epilog=EXIT_CODES)
    top.add_argument("--version", action="version", version=f"spikeloom {version('spikeloom')}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"spikeloom.sim.cli.{name}")
        sub = commands.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            epilog=EXIT_CODES,
            formatter_class=_HelpFormatter,
        )
        module.add_arguments(sub)
        sub.add_argument("--json", action="store_true", help="print the result as JSON")
        sub.add_argument("-v", "--verbose", action="store_true", help="print more detail")
        sub.set_defaults(run=module.run)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        args = parser().parse_args(arguments)
        console = Console(args.json, args.verbose)
        console.result(args.run(args, console))
    except SpikeloomError as error:
        for line in (f"spikeloom: error: {error}", *getattr(error, "__notes__", ())):
            print(line, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("spikeloom: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:
        # A full disk, a missing permission: nothing that we could mend.
        print(f"spikeloom: error: {error}", file=sys.stderr)
        return SpikeloomError.exit_code
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and not _is_ours(error.name):
            # Only some commands need the packages of the extras.
            print(
                f"spikeloom: error: Python package '{error.name}' is not installed; "
                "'spikeloom doctor' tells how to install it",
                file=sys.stderr,
            )
            return ToolMissing.exit_code
        traceback.print_exc()
        print("spikeloom: this is a bug; please report it with the lines above", file=sys.stderr)
        return 70
    return 0


def _is_ours(module: str | None) -> bool:
    return module is None or module.partition(".")[0] == "spikeloom"
