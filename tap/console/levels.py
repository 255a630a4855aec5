"""The level of a log line: how much it deserves attention.

journald takes the level from "<N>" at the beginning of a line (sd-daemon(3)), so that `journalctl -p warning` finds the
line. It connects a service's output to itself and says so in JOURNAL_STREAM, as the device and inode of that output; an
output that is another file has a word for the reader instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TextIO

from tap.bus import Told
from tap.console.sentences import is_alarming
from tap.replication import events

ERROR, WARNING, INFO = 3, 4, 6  # of syslog(3)
_WORDS = {ERROR: "ERROR", WARNING: "WARNING"}
# What the tap fails to do; what it sees others do is a warning at most.
_ERRORS = (events.RecordingStopped, events.RecordingGap, events.HandOverTrouble, events.ObserverTrouble)

Render = Callable[[Told], str | None]


def level(event: events.Event) -> int:
    if isinstance(event, _ERRORS):
        return ERROR
    return WARNING if is_alarming(event) else INFO


def is_journal(out: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether journald reads this output."""
    try:
        there = os.fstat(out.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


def for_journal(number: int, text: str) -> str:
    """The text with its level before each of its lines."""
    return "\n".join(f"<{number}>{line}" for line in text.splitlines())


def with_word(number: int, text: str) -> str:
    """The line with a word for its level after the time; none for INFO."""
    at, _, rest = text.partition(" ")
    return f"{at} {_WORDS[number]} {rest}" if number in _WORDS else text
