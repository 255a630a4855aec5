"""The interface through which faults see each frame of a chunk, with its exact place, before the chunk is passed on.

Events report to people, and sometimes with a delay. A watcher is called at once, and may change a request or reply to
the request in the master's place.
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
        """A whole request. Returns the request, possibly changed: if `sent` is set, that is passed on in its place; if
        `given` is set, nothing is passed on, and the replica gets that line, stored without its end, instead of the
        master's reply.
        """

    def given(self, line: bytes, position: int) -> None:
        """The reply that request() gave is to be inserted before the master's byte *position*."""

    def reply(self, request: Request, start: int, end: int) -> None:
        """A whole reply, or the line that grants or refuses a resync."""

    def header(self, line: bytes, start: int, end: int) -> None:
        """The line `$<length>` or `$EOF:<mark>` that announces the RDB."""

    def newlines(self, side: Side, start: int, end: int) -> None:
        """Consecutive bare newlines before the stream."""

    def keys(self, keys: Sequence[Key], rdb_start: int) -> None:
        """Keys of the RDB have passed. Called only if wants_keys was true when the RDB began."""

    @property
    def wants_keys(self) -> bool: ...

    def other_channel_read(self) -> None:
        """More bytes of the RDB have arrived, on the other connection of the sync."""

    def stream_begins(self, stream: Stream) -> None:
        """Called before the first byte of the stream is read."""
