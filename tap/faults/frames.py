"""Faults on the frames before the stream: requests, replies, bare newlines and the line that announces the RDB.

Frames are small: each waits in its lane until it is complete. The link's rules change a request before any fault does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tap.faults.kind import Watch
from tap.faults.request_words import encoded
from tap.faults.rules import Rules
from tap.faults.site import HandshakeFrame
from tap.faults.work import FaultedConnection, Work
from tap.replication.events import Side
from tap.replication.phase import Phase
from tap.replication.requests import Request

MAX_REPLY = 64 * 1024  # bytes held back until a reply is complete; a longer reply is left alone

_HANDSHAKE = (Phase.CONNECT, Phase.HANDSHAKE, Phase.PSYNC, Phase.WAITING)


class FrameFaults:
    """The frames of one connection. rules: the link's, until the handshake is over."""

    def __init__(self, link: FaultedConnection, rules: Rules | None) -> None:
        self._link = link
        self.rules = rules
        self._works: Sequence[Work]
        self._holds_requests: bool
        self._holds_replies: bool

    def refresh(self, works: Sequence[Work]) -> None:
        """From the next byte on, look for the frames that these faults match."""
        self._works = works
        self._holds_requests = any(
            work.when.request or work.watches in (Watch.REQUESTS, Watch.ACKS, Watch.NEWLINES) for work in works
        )
        self._holds_replies = any(work.when.reply or work.watches in (Watch.HEADER, Watch.NEWLINES) for work in works)

    def decided(self, side: Side) -> int:
        """Position after the last decided byte; of the master's bytes, for those before the stream."""
        conversation = self._link.conversation
        if side is Side.REPLICA:
            holds = self._holds_requests or self.rules is not None
            return conversation.undecided_from_replica if holds else conversation.from_replica
        undecided = conversation.undecided_from_master if self._holds_replies else conversation.from_master
        is_endless = conversation.from_master - undecided > MAX_REPLY
        return conversation.from_master if is_endless else undecided

    def end_rules(self) -> bool:
        """Drop the rules once the replica has finished its handshake; True if this call did."""
        if self.rules is None or self._is_shaking_hands:
            return False
        self.rules = None
        return True

    @property
    def _is_shaking_hands(self) -> bool:
        conversation = self._link.conversation
        return conversation.is_followed or (conversation.stream is None and conversation.phase in _HANDSHAKE)

    # ---- see replication.watcher.Watcher ----

    def request(self, request: Request) -> Request:
        lane = self._link.lanes[Side.REPLICA]
        if request.start < lane.out:
            return request
        is_ack = request.name == b"REPLCONF" and len(request.args) > 1 and request.args[1].upper() == b"ACK"
        says_so = any(option.lower() == b"rdb-channel" for option in request.args[1::2])
        works = [work for work in self._works if work.is_on_channel(is_rdb_channel=says_so)]
        for work in works:
            fits = work.watches is Watch.ACKS if is_ack else work.when.request == request.name
            if fits and work.matched():
                frame = HandshakeFrame(Side.REPLICA, request.name, request.start, request.end)
                return dataclasses.replace(request, given=work.what.take_frame(work, frame))
        return self._rewritten(request, [work for work in works if work.watches is Watch.REQUESTS])

    def _rewritten(self, request: Request, works: list[Work]) -> Request:
        """Apply the rules and then each fault, each to the result of the one before."""
        changed = request
        if self.rules is not None and self._is_shaking_hands:
            changed = dataclasses.replace(request, args=self.rules.applied(request))
        for work in works:
            rewritten = work.what.rewritten(work, changed)
            if rewritten is None or not work.matched():
                continue
            words, text = rewritten
            changed = dataclasses.replace(changed, args=tuple(words))
            work.fires_in(HandshakeFrame(Side.REPLICA, request.name, request.start, request.end), text)
            if request.name == b"PSYNC" and words[1:] == [b"?", b"-1"]:
                self._link.conversation.forced = f"fault {work.armed.name} did: {text}"
        if changed.args == request.args:
            return request
        self._link.lanes[Side.REPLICA].replace(request.start, request.end, encoded(changed.args))
        return dataclasses.replace(request, sent=changed.args)

    def reply(self, request: Request, start: int, end: int) -> None:
        if start < self._link.lanes[Side.MASTER].out or end - start > MAX_REPLY:
            return
        for work in self._works:
            if work.when.reply == request.name and work.is_on_channel() and work.matched():
                work.what.take_frame(work, HandshakeFrame(Side.MASTER, request.name, start, end))
                return

    def header(self, line: bytes, start: int, end: int) -> None:
        for work in self._works:
            if work.watches is Watch.HEADER and work.is_on_channel():
                work.what.header(work, line, start, end)

    def newlines(self, side: Side, start: int, end: int) -> None:
        works = [
            work for work in self._works if work.watches is Watch.NEWLINES and side in work.sides and work.is_on_channel()
        ]
        if not works:
            return
        for position in range(max(start, self._link.lanes[side].out), end):
            for work in works:
                if work.matched():
                    work.what.take_frame(work, HandshakeFrame(side, b"", position, position + 1))
                    break
