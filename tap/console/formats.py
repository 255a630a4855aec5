"""An RDB in the formats of the command `rdb`: json, protocol, diff and memory.

What `rdb --command` makes of the same file, byte for byte, where that is right. It reads RDBs up to version 9, and what
it writes there does not always say what the file holds; see callbacks.py here.
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
    """A reader of the tape that writes the RDB to *out*, in very small pieces; close it after the last byte.

    at_least: bytes, largest: a number of keys; which keys the memory format tells. only: which keys at all.
    """
    from tap.console import callbacks  # takes rdbtools along

    callback: Any
    when: Callable[[int], Any] = moment
    if form == "json":
        callback = callbacks.Json(out)
    elif form == "protocol":
        callback = callbacks.Protocol(out)
        when = _milliseconds
    elif form == "diff":
        callback = callbacks.Diff(out)
    else:
        callback = callbacks.Memory(callbacks.Rows(out, at_least, largest), 64)
    # What modules saved beside the keys belongs to no format: rdbtools' JSON and diff fail at it.
    return CallbackReader(callback, when, beside_keys=False, only=only)


def _milliseconds(at: int) -> int:
    return at
