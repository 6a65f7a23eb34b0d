"""The errors that end a command with one line instead of a traceback.

Anything else that escapes is a bug of Spikeloom's.
"""


class SpikeloomError(Exception):
    """The user's input cannot be used: the text says what was found and what was wanted."""

    exit_code = 1


class VerificationMismatch(SpikeloomError):
    """Two rungs of the verification ladder differ."""

    exit_code = 2


class ToolMissing(SpikeloomError):
    """A program that a stage needs is not installed: the text says how to get it."""

    exit_code = 3
