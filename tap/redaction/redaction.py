"""Applies `--redact` to a recording: to the master's bytes, and to the events in its comments."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterable

from tap.redaction.grammars import Redact
from tap.redaction.redactor import Redactor
from tap.redaction.strict import ReplyMasker
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event
from tap.replication.phase import Phase

_HIDDEN = "(redacted)"
_KEY_BYTES = 16


class Redaction:
    """The redaction of one recording. All its links share one key, which exists only in memory."""

    def __init__(self, redact: Iterable[Redact]) -> None:
        self._redact = frozenset(redact)
        self._key = secrets.token_bytes(_KEY_BYTES)

    def of(self, conversation: Conversation) -> LinkRedaction:
        return LinkRedaction(conversation, Redactor(self._key, self._redact))

    @staticmethod
    def event(event: Event) -> Event:
        """The event without text that may contain a peer's data or a fault's conditions."""
        if isinstance(event, events.FaultArmed | events.FaultExpired):
            return dataclasses.replace(event, spec=_kind(event.spec))
        if isinstance(event, events.FaultFired):
            return dataclasses.replace(event, spec=_kind(event.spec), text=_HIDDEN)
        if isinstance(event, events.FullResync) and event.reason.code == "forced_by_fault":
            return dataclasses.replace(event, reason=dataclasses.replace(event.reason, text=_HIDDEN))
        if isinstance(event, events.RdbProblem):
            return dataclasses.replace(event, key=None, text=_HIDDEN)
        if isinstance(event, events.Opaque):
            return dataclasses.replace(event, reason=_HIDDEN)
        if isinstance(event, events.ReplicaTalkedBack):
            return dataclasses.replace(event, text=_HIDDEN)
        return event


def _kind(spec: str) -> str:
    return f"{spec.partition(' ')[0]} {_HIDDEN}"


class LinkRedaction:
    """The redaction of what one master sends, except the RDB."""

    def __init__(self, conversation: Conversation, redactor: Redactor) -> None:
        self._conversation = conversation
        self._lost = False
        self._replies = ReplyMasker()
        self._redactor = redactor

    def lost(self) -> None:
        """Note that bytes were not recorded."""
        self._lost = True

    def found(self) -> None:
        """Note that after lost bytes the next recorded byte begins a command, or belongs to none."""
        self._lost = False

    def hidden(self, begin: int, end: int) -> int:
        """The position up to which the bytes begin <= i < end must be hidden entirely; the conversation has read them.

        They must be as long as they are not replication or not understood; and after lost bytes, up to where a command
        certainly begins.
        """
        stream, rdb_start = self._conversation.stream, self._conversation.rdb_start
        if stream is None:
            is_reply = self._conversation.phase not in (Phase.ORDINARY, Phase.OPAQUE, Phase.DONE)
            is_reply |= rdb_start is not None and begin < rdb_start
            said_before = self._conversation.ordinary_until or 0
            return min(max(begin, said_before), end) if is_reply and not self._lost else end
        if self._lost:
            boundary = stream.boundary
            if boundary < begin:
                return end
            self._lost = False
            return boundary
        return begin

    def mask(self, data: bytes, position: int, *, hide: bool) -> bytes:
        """The next bytes, which begin at *position*, redacted. Bytes that cannot be decided wait for the next call."""
        if hide:
            return self.flush() + b"*" * len(data)
        stream = self._conversation.stream
        start = len(data) if stream is None else min(max(stream.begins_at - position, 0), len(data))
        if not start:
            return self._redactor.feed(data)
        return self._replies.mask(data[:start]) + self._redactor.feed(data[start:])

    def flush(self) -> bytes:
        """The waiting bytes, redacted, if nothing follows them."""
        return self._redactor.flush()
