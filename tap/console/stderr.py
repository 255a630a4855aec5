"""Sentences on stderr, beside a verb's output, free of secrets and of control sequences for the terminal."""

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
    """Write each sentence on a line of stderr, after the name of the command."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that has gone
            for sentence in sentences:
                lines = (sentence,) if isinstance(sentence, str) else sentence
                first, *more = (without_logins(line, sys.argv[1:]) for line in lines)
                print(f"{name}: {paragraph(first, *more)}", file=sys.stderr)


# ---- what Python itself would write there ----

# The last line of a traceback is a sentence of Python, of a library or of a server, which may quote a value. Values from
# the relayed bytes appear as bytes, or as quoted text if they were decoded. An apostrophe within a word is not a quote.
_VALUE = re.compile(r"""(\bb|(?<!\w))(?:'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|`[^`]*`?)""", re.DOTALL)
_BYTES = re.compile(r"""\b(b)(?:'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?)""", re.DOTALL)
_FRAME = re.compile(r'[ |]*File "')  # of a traceback: a place, and a line of the source, whose quotes hold no data


def report(said: str, error: BaseException | None, trace: TracebackType | None = None) -> None:
    """Say a sentence, with the traceback of an error below. Bytes and quoted text are hidden: they may be a password."""
    parts = [said]
    if error is not None:
        for part in traceback.format_exception(type(error), error, trace or error.__traceback__):
            # The part of an exception group has several sentences.
            parts += part.splitlines() if re.match(" *[|+]", part) else [part]
    shown = [(_BYTES if _FRAME.match(part) else _VALUE).sub(r"\1'...'", part) for part in parts]
    first, *more = [line for part in shown for line in part.splitlines()] or [""]
    say((first, *more))


class _Handler(logging.Handler):
    """Handles the records of all loggers, those of asyncio and other libraries included."""

    def emit(self, record: logging.LogRecord) -> None:
        report(record.getMessage(), record.exc_info[1] if record.exc_info else None)


def _thread_failed(of: threading.ExceptHookArgs) -> None:
    if not isinstance(of.exc_value, SystemExit):  # SystemExit ends a thread quietly
        report(f"thread {of.thread and of.thread.name} failed; {_BUG}", of.exc_value)


def take_over() -> None:
    """Pass everything that Python itself writes to stderr through report(): logs, warnings and uncaught exceptions."""
    logging.lastResort = _Handler(logging.WARNING)
    sys.excepthook = lambda kind, error, trace: report(f"failed; {_BUG}", error, trace)
    threading.excepthook = _thread_failed
    sys.unraisablehook = lambda of: report(f"{of.err_msg or 'ignored'}; {_BUG}", of.exc_value)
    warnings.showwarning = lambda message, kind, *where, **more: report(f"{kind.__name__}: {message}", None)


_BUG = "this is a bug in redis-tap, please report it"
