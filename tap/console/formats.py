"""An RDB in the formats of the command `rdb`, written by rdbtools' own callbacks.

json, protocol, diff and memory are what `rdb --command` makes of the same file, byte for byte, where its parser can
read that: it stops at RDB 9, and at what modules saved beside the keys. What newer RDBs become: tap/rdb/callbacks.py.
"""

from __future__ import annotations

import datetime
import functools
import importlib
import sys
import types
from collections.abc import Callable
from typing import IO, Any, Literal

from tap.rdb.callbacks import CallbackReader
from tap.rdb.keys import Key

Format = Literal["json", "protocol", "diff", "memory"]

EPOCH = datetime.datetime(1970, 1, 1)  # rdbtools' times are UTC and do not say so
LAST_SECOND = 221925052800  # in the year 9002; what is later, rdbtools tells as that


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
    tools = rdbtools()
    callback: Any
    if form == "json":
        callback = tools.JSONCallback(out)
    elif form == "protocol":
        callback = tools.ProtocolCallback(out)
    elif form == "diff":
        callback = tools.DiffCallback(out)
    else:
        callback = tools.MemoryCallback(tools.PrintAllKeys(out, at_least, largest), 64)
    # What modules saved beside the keys belongs to no format: rdbtools' JSON and diff fail at it.
    return CallbackReader(callback, moment, beside_keys=False, only=only)


def moment(ms: int) -> datetime.datetime:
    """Unix milliseconds as rdbtools tells a time."""
    seconds, rest = divmod(ms, 1000)
    return EPOCH + datetime.timedelta(seconds=min(seconds, LAST_SECOND), milliseconds=rest)


@functools.cache
def _strict_version(text: str) -> tuple[int, ...]:
    """All that rdbtools needs of distutils: to compare "5.0" with "3.2", once or more for each element."""
    return tuple(map(int, text.split(".")))


def rdbtools() -> Any:
    """The package. Its memory profiler imports distutils, which Python 3.12 has no more, and which warns before."""
    if "rdbtools" in sys.modules:
        return sys.modules["rdbtools"]
    version: Any = types.ModuleType("distutils.version")
    version.StrictVersion = _strict_version
    names = {"distutils": types.ModuleType("distutils"), "distutils.version": version}
    before = {name: sys.modules[name] for name in names if name in sys.modules}
    sys.modules.update(names)
    try:
        return importlib.import_module("rdbtools")
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(before)
