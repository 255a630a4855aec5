"""The end of a verb's output when stdout takes no more."""

import os
import sys


def leave_stdout() -> None:
    """Discard what is still in the buffer of stdout: the interpreter would fail to write it at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
