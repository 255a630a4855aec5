"""An RDB in the output formats of rdbtools' command `rdb`: json, protocol, diff and memory.

The output is that of `rdb --command`, byte for byte, except where that is wrong: see rdbtools_callbacks.py. rdbtools
itself reads RDBs only up to version 9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any, Literal

from tap.console.rdbtools import moment
from tap.rdb.callbacks import CallbackReader
from tap.rdb.keys import Key

Format = Literal["json", "protocol", "diff", "memory"]


def reader_for(
    form: Format,
    out: IO[bytes],
    *,
    at_least: int | None = None,
    largest: int | None = None,
    only: Callable[[Key], bool] | None = None,
) -> CallbackReader:
    """A reader of the tape that writes the RDB to *out*, in very small pieces; call close() after the last byte.

    at_least, largest: for the memory format, the smallest size in bytes and the number of keys to report. only: which
    keys to write in any format; None for all.
    """
    from tap.console import rdbtools_callbacks  # imports rdbtools, so only when needed

    callback: Any
    when: Callable[[int], Any] = moment
    if form == "json":
        callback = rdbtools_callbacks.Json(out)
    elif form == "protocol":
        callback = rdbtools_callbacks.Protocol(out)
        when = _milliseconds
    elif form == "diff":
        callback = rdbtools_callbacks.Diff(out)
    else:
        callback = rdbtools_callbacks.MemoryReport(rdbtools_callbacks.MemoryRows(out, at_least, largest), 64)
    # No format has room for what modules saved outside of keys: rdbtools' JSON and diff fail on it.
    return CallbackReader(callback, when, beside_keys=False, only=only)


def _milliseconds(at: int) -> int:
    return at
