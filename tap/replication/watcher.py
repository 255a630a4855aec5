"""What a fault is asked and shown before a chunk is passed on: where exactly in it each frame is.

Events report to people what was said, sometimes later. A watcher learns at once where the frames are, and may change a
request, or reply to it in the master's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tap.rdb.keys import Key
from tap.replication.events import Side
from tap.replication.requests import Request
from tap.replication.stream import Stream


class Watcher(Protocol):
    """Positions count the bytes of a direction from the first of the connection."""

    def request(self, request: Request) -> Request:
        """A whole request. Returns it with what becomes of it: `sent` is passed on in its place, or nothing is, and the
        replica gets the line `given`, without its end, instead of the master's reply.
        """

    def given(self, line: bytes, position: int) -> None:
        """The line that request() gave belongs before byte *position* of what the master sends."""

    def reply(self, request: Request, start: int, end: int) -> None:
        """A whole reply, or the line that grants or refuses a resync."""

    def header(self, line: bytes, start: int, end: int) -> None:
        """The line `$<length>` or `$EOF:<mark>` that announces the RDB."""

    def newlines(self, side: Side, start: int, end: int) -> None:
        """A row of bare newlines, before the stream."""

    def keys(self, keys: Sequence[Key], rdb_start: int) -> None:
        """Keys of the RDB have passed, if wants_keys was true when it began."""

    @property
    def wants_keys(self) -> bool: ...

    def other_channel_read(self) -> None:
        """More of the RDB has come, on the other connection of the sync."""

    def stream_begins(self, stream: Stream) -> None:
        """Before its first byte is read."""
