"""What a replica sends after the resync, apart from newlines and acknowledgements.

A writable replica, or one with a bug, replies to the commands of the stream (github.com/redis/redis/issues/5962). The
master reads such a line as a client's inline command (Redis 7.0 networking.c, processInlineBuffer), and so does this
module.
"""

from __future__ import annotations

from collections.abc import Callable

from tap.replication.events import Event, ReplicaTalkedBack
from tap.replication.requests import Request, masked

MAX_TEXT = 100  # characters of a line

_REPLY_TYPES = b"+-:$_,#(!=%~>|"


class TalkBack:
    """One connection. Each kind is reported with its 1st, 10th, 100th line and so on, and when the connection ends."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._counts: dict[str, int] = {}
        self._reported: dict[str, int] = {}  # by kind, the count at its last report
        self._last: dict[str, Request] = {}
        self._body = 0  # bytes of the bulk reply whose header was the previous line

    def heard(self, request: Request) -> None:
        body, self._body = self._body, 0
        size = request.end - request.start
        if request.inline and body and body < size <= body + 2:
            return
        what = _what(request)
        heading = request.args[0][1:] if request.inline and request.args[0].startswith(b"$") else b""
        self._body = int(heading) if heading.isdigit() and len(heading) < 12 else 0
        self._last[what] = request
        self._counts[what] = count = self._counts.get(what, 0) + 1
        if count == max(1, 10 * self._reported.get(what, 0)):
            self._tell_last(what)

    def close(self) -> None:
        for what, count in self._counts.items():
            if count > self._reported[what]:
                self._tell_last(what)

    def _tell_last(self, what: str) -> None:
        request, count = self._last[what], self._counts[what]
        text = " ".join(masked(request))[:MAX_TEXT]
        more = count - self._reported.get(what, 0)
        self._reported[what] = count
        self._tell(ReplicaTalkedBack(start=request.start, end=request.end, what=what, text=text, count=more))


def _what(request: Request) -> str:
    first = request.args[0][0] if request.inline else 0
    if first not in _REPLY_TYPES:
        return "command"
    return "error" if first == 0x2D else "reply"
