"""Where the output of a verb goes, when it can go there no more."""

import os
import sys


def leave_stdout() -> None:
    """What is still in its buffer can go nowhere, and the interpreter would complain of that at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
