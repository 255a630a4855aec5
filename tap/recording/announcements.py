"""What a tap's comments announce about one connection, kept until the packet that they describe.

A tap writes a comment before the packet whose bytes made it report the event. When the bytes are read again, the
announced event completes the one made from them: the tap knew about faults and time, and the bytes do not.
"""

from __future__ import annotations

import dataclasses

from tap.recording.comments import RDB_OMITTED, Comment
from tap.recording.gap_tracker import Offsets
from tap.replication import events
from tap.replication.events import Event

_COMPLETED = (events.FullResync.kind, events.PartialResync.kind)


class Announcements:
    """The announcements about one connection that have not been used yet."""

    def __init__(self) -> None:
        self._events: dict[str, Event | None] = {}  # by their kind; handshakes by their position as well
        self._omits_rdb = False
        self._gap_offsets: Offsets = (None, None)

    def hear(self, comment: Comment) -> None:
        if comment.kind in _COMPLETED:
            self._events[comment.kind] = comment.event
        elif comment.kind == events.Handshake.kind:
            self._events[f"{comment.kind} {comment.fields.get('start')}"] = comment.event
        elif comment.kind == RDB_OMITTED:
            self._omits_rdb = True
        elif (offsets := comment.gap_offsets) is not None:
            self._gap_offsets = offsets

    def completed(self, event: Event) -> Event:
        """The event made from the bytes, with what the tap announced about it."""
        if not self._events:  # most events are commands, which no tap announces
            return event
        if isinstance(event, events.FullResync):
            then = self._events.pop(event.kind, None)
            if isinstance(then, events.FullResync):
                return dataclasses.replace(event, reason=then.reason)
        elif isinstance(event, events.PartialResync):
            then = self._events.pop(event.kind, None)
            if isinstance(then, events.PartialResync):
                return dataclasses.replace(event, bytes_behind_at_least=then.bytes_behind_at_least)
        elif isinstance(event, events.Handshake):
            then = self._events.pop(f"{event.kind} {event.start}", None)
            if isinstance(then, events.Handshake):
                return dataclasses.replace(event, sent=then.sent)
        return event

    def take_gap(self) -> tuple[bool, Offsets]:
        """For the master's next missing bytes: whether they are an omitted RDB, and the replication offsets before and
        after them.
        """
        found = self._omits_rdb, self._gap_offsets
        self._omits_rdb, self._gap_offsets = False, (None, None)
        return found
