"""What a verb says beside its output: sentences on stderr, with no secret and no command to the terminal in them."""

import contextlib
import logging
import re
import sys
import threading
import traceback
import warnings
from types import TracebackType

from tap.errors import Sentence
from tap.printable import paragraph
from tap.url import without_logins

NAME = "redis-tap"


def say(*sentences: Sentence, name: str = NAME) -> None:
    """On stderr, each in a line after the command's name."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that has gone
            for sentence in sentences:
                lines = (sentence,) if isinstance(sentence, str) else sentence
                first, *more = (without_logins(line, sys.argv[1:]) for line in lines)
                print(f"{name}: {paragraph(first, *more)}", file=sys.stderr)


# ---- what Python itself would write there ----

# What a traceback ends with is a sentence of Python, of a library or of a server, which may repeat a value. Of what flows
# that is bytes, or text between quotes where it has been decoded. An apostrophe within a word is no quote.
_VALUE = re.compile(r"""(\bb|(?<!\w))(?:'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|`[^`]*`?)""", re.DOTALL)
_BYTES = re.compile(r"""\b(b)(?:'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?)""", re.DOTALL)
_FRAME = re.compile(r'[ |]*File "')  # as traceback has it: a place, and a line of the source, where quotes hold no data


def report(said: str, error: BaseException | None, trace: TracebackType | None = None) -> None:
    """Say it, with the traceback of an error below. Bytes and quoted text are not shown: they may be a password."""
    parts = [said]
    if error is not None:
        for part in traceback.format_exception(type(error), error, trace or error.__traceback__):
            # Of an exception group several sentences are one part.
            parts += part.splitlines() if re.match(" *[|+]", part) else [part]
    shown = [(_BYTES if _FRAME.match(part) else _VALUE).sub(r"\1'...'", part) for part in parts]
    first, *more = [line for part in shown for line in part.splitlines()] or [""]
    say((first, *more))


class _Handler(logging.Handler):
    """Of all loggers, those of asyncio and other libraries included."""

    def emit(self, record: logging.LogRecord) -> None:
        report(record.getMessage(), record.exc_info[1] if record.exc_info else None)


def _thread_failed(of: threading.ExceptHookArgs) -> None:
    if not isinstance(of.exc_value, SystemExit):  # that ends a thread quietly
        report(f"thread {of.thread and of.thread.name} failed; {_BUG}", of.exc_value)


def take_over() -> None:
    """From here on all that Python writes to stderr by itself is said here: logs, warnings and what nobody caught."""
    logging.lastResort = _Handler(logging.WARNING)
    sys.excepthook = lambda kind, error, trace: report(f"failed; {_BUG}", error, trace)
    threading.excepthook = _thread_failed
    sys.unraisablehook = lambda of: report(f"{of.err_msg or 'ignored'}; {_BUG}", of.exc_value)
    warnings.showwarning = lambda message, kind, *where, **more: report(f"{kind.__name__}: {message}", None)


_BUG = "this is a bug in redis-tap, please report it"
