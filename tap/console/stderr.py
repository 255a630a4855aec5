"""What a verb says beside its output: sentences on stderr, with no secret and no command to the terminal in them."""

import contextlib
import sys

from tap.printable import paragraph
from tap.url import masked


def say(*sentences: str, name: str = "redis-tap") -> None:
    """On stderr, each in a line after the command's name."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # a terminal that has gone
            for sentence in sentences:
                print(f"{name}: {masked(paragraph(sentence))}", file=sys.stderr)
