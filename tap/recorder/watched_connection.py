"""One connection of a recording whose bytes come from a capture: they may begin anywhere, and some may be missing.

A tap reads every byte, a capture does not. So each piece comes with its position, and what is skipped is a gap, reported
in the recording as where the disk could not follow. After a gap in the stream reading goes on in another conversation,
whose state is recorded there.

A connection that began before the capture is recorded from the first position at which its state is known: in the stream
where a command begins, because only from there on are passwords recognized. The replica's bytes are left out up to where
a request certainly begins. If a stream joined like that turns out not to be readable, the rest is left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tap.bus import Told
from tap.capture.segments import FIN, RST
from tap.recorder.filling import MASTER, REPLICA, Filling
from tap.recorder.master_secrets import MasterSecrets
from tap.recorder.recorded_connection import Keeps, RecordedConnection
from tap.recording.comments import state_json, told_json
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event, Side
from tap.replication.phase import Phase

_CERTAIN = b"*3\r\n$8\r\nREPLCONF\r\n", b"*3\r\n$5\r\nPSYNC\r\n"  # requests: after a gap, bytes are kept from one on


class WatchedConnection(RecordedConnection):
    """A tap.recording.playing.BytesSink."""

    _at: int | None = None  # when the bytes came that are being taken; None: now

    def __init__(
        self,
        filling: Filling,
        keeps: Keeps,
        report: Callable[[RecordedConnection, events.RecordingGap], None],
        tell: Callable[[Told], None],
        link: str,
        conversation: Conversation,
        replica: tuple[str, int],
        master: tuple[str, int],
        opened: events.LinkOpened,
        opened_at: int | None,
    ) -> None:
        """tell: called with the RecordingGap of what was captured before the recording could begin, if anything was.

        opened_at: nanoseconds; None: the first bytes that come are not the first of the connection."""
        super().__init__(filling, keeps, report, link, conversation, replica, master)
        self._keeps = keeps
        self._tell = tell
        self._link_opened = opened
        self._opened_at = opened_at
        if opened_at is None:
            self._beginning = None
        self._is_beginning = True  # as the conversation was after the master's last bytes
        self._is_joined = False  # the stream's first command was found in the middle of it
        self._ends: list[tuple[int, int, int]] = []  # time, side and flag of those that come after all bytes
        self._is_left_out = [False, False]  # the gap is one that the disk has caused
        self._offsets: tuple[int | None, int | None] | None = None  # around the master's gap, if known here only
        self._missed: tuple[list[Told], list[Told]] = [], []  # of each side's next gap: what the player reported of it
        self._is_blind = False  # the replica's next bytes may begin inside a request, and are left out

    def _now(self) -> int:
        return super()._now() if self._at is None else self._at

    # ---- the player calls ----

    def begin(self) -> None:
        if self._opened_at is None:
            return
        self._at = self._opened = self._opened_at
        self.dialled(self._tap)
        self._at = None

    def note(self, name: bytes, position: int, words: int) -> None:
        self._secret(name, position, words)

    def read(self, side: Side, begin: int, data: bytes, at: int | None) -> None:
        number, end = REPLICA if side is Side.REPLICA else MASTER, begin + len(data)
        if self.tcp is None and not self._begins_amid(number, begin, end):
            return
        if number == MASTER and self._is_unreadable:
            return
        if number == REPLICA and (self._is_blind or begin > self.position(REPLICA)):
            self._is_blind = not data.startswith(_CERTAIN)
            if self._is_blind:
                return
        self._at = at
        if number == MASTER:
            was_beginning, self._is_beginning = self._is_beginning, self.conversation.is_beginning
            if was_beginning and self.conversation.lacks_replica:
                self._wait_for_state()
        if begin > self.position(number):
            self._hole(number, begin)
        elif begin < self.position(number):
            data = data[self.position(number) - begin :]
        if data:
            self.move(number, end)
            self.take(number, memoryview(data), end - len(data))
        self._at = None

    def goes_on(self, conversation: Conversation) -> None:
        stream = self.conversation.stream
        self._is_joined, self._is_beginning = True, False
        if self.tcp is None:
            self._follow(conversation)
            self._begin_amid(at_boundary=False)
            return
        self._tell_omitted()
        gap, self._gaps[MASTER] = self._gaps[MASTER], None
        start = self.position(MASTER) if gap is None else gap
        self._offsets = (None if stream is None else stream.offset_at(start)), conversation.offset
        self._follow(conversation)
        if conversation.from_replica > self.position(REPLICA):
            self._hole(REPLICA, conversation.from_replica)
        if start < conversation.from_master:
            self._gaps[MASTER] = start
        self.move(MASTER, conversation.from_master)
        self._beginning = None
        self._resume(conversation.from_master)
        self._offsets = None

    def end(self, side: Side, how: str) -> None:
        number = REPLICA if side is Side.REPLICA else MASTER
        self._ends.append((self._now(), number, FIN if how == "fin" else RST))

    def close(self, from_master: int, from_replica: int) -> None:
        if self.tcp is None:
            return
        self._catch_up(from_master, from_replica)
        for at, number, flag in self._ends:
            self._at = at
            self._end(number, flag)
        self._at = None

    # ---- the recorder calls ----

    def keeps(self, event: Event) -> bool:
        """Gaps are stated where they are recorded; the first packet of a connection that began before has no opening."""
        if isinstance(event, events.LinkOpened):
            return self._opened_at is not None
        return not isinstance(event, events.RecordingGap)

    def heard(self, told: Told) -> None:
        super().heard(told)
        if isinstance(told.event, events.RecordingGap):
            self._missed[REPLICA if told.event.side is Side.REPLICA else MASTER].append(told)

    def settle(self, *, at_end: bool) -> None:
        if self._is_unreadable:
            self._catch_up(self.conversation.from_master, self.conversation.from_replica)
        super().settle(at_end=at_end)

    def closed(self, how: str) -> None:
        if self.tcp is not None:
            super().closed(how)

    # ---- where it begins ----

    def _begins_amid(self, number: int, begin: int, end: int) -> bool:
        """Begin after bytes that were not recorded, if these bytes of a side show where that is possible."""
        conversation = self.conversation
        if number == REPLICA or conversation.is_beginning or conversation.phase in (Phase.OPAQUE, Phase.ORDINARY):
            return False
        if self._boundary and self._boundary < begin:
            return False
        self._begin_amid(at_boundary=self._boundary > 0)
        return True

    def _begin_amid(self, *, at_boundary: bool) -> None:
        """Begin in the state of the conversation, as the second file of a rotation does."""
        now = self._now()
        state = self._state(now, at_boundary=at_boundary)
        self._master, self._dialled_at = self._tap, now
        self.tcp = self._new_tcp()
        self.tcp.open()
        for number, position in ((REPLICA, state.from_replica), (MASTER, state.from_master)):
            self.tcp.skip(number, position)
            self.move(number, position)
        self._is_blind, self._is_beginning = True, False
        self._secrets.forget_commands(state.from_master)
        self.comments.insert(0, state_json(state))
        if state.from_master:
            told = self.told(self.gap(MASTER, 0, state.from_master))
            self.comments.append(told_json(told))
            self._tell(told)
        self._filling.packet(self, now, REPLICA, 0)

    def _follow(self, conversation: Conversation) -> None:
        """Go on with another conversation."""
        self.conversation = conversation
        self._secrets = MasterSecrets(conversation)
        if self._keeps.redaction is not None:
            self._flush_redaction()
            self._redaction = self._keeps.redaction.of(conversation)

    # ---- what is missing ----

    @property
    def _is_unreadable(self) -> bool:
        """Whether the place at which the stream was joined was none: passwords cannot be recognized."""
        stream = self.conversation.stream
        return self._is_joined and (stream is None or stream.is_broken or self.conversation.phase is Phase.OPAQUE)

    def _hole(self, number: int, end: int) -> None:
        """The side's bytes up to this position are not in the capture."""
        is_left_out = self._gaps[number] is not None
        start = self.position(number)
        self.move(number, end)
        if number == MASTER and self._omitted is not None:
            rdb_end = self.conversation.rdb_end
            if rdb_end is None or end <= rdb_end:
                self._omitted = self._omitted[0], end
                return
            self._tell_omitted()
        if not is_left_out:
            self._gaps[number] = start
            super()._lost(number)
        if number == REPLICA:
            self._masker = type(self._masker)()
        if number == REPLICA or not is_left_out:
            self._tell_gap(number, end)

    def _wait_for_state(self) -> None:
        """Leave out the master's bytes until the state is known: of a request that they answer nothing is recorded."""
        if self._gaps[MASTER] is None:
            self._gaps[MASTER] = self.position(MASTER)
            super()._lost(MASTER)

    def _catch_up(self, from_master: int, from_replica: int) -> None:
        for number, end in ((REPLICA, from_replica), (MASTER, from_master)):
            if end > self.position(number):
                self._hole(number, end)

    def _lost(self, number: int) -> None:
        super()._lost(number)
        self._is_left_out[number] = True

    def _tell_gap(self, number: int, end: int) -> None:
        start, self._gaps[number] = self._gaps[number], None
        if start is None or start >= end:
            return
        self._skip(number, end - start, end)
        gap, missed = self.gap(number, start, end), self._missed[number]
        parts = [one.event for one in missed if isinstance(one.event, events.RecordingGap)]
        lacks = tuple(dict.fromkeys(lack for part in parts for lack in part.lacks))
        told = self.told(dataclasses.replace(gap, is_cut=any(part.is_cut for part in parts), lacks=lacks))
        if missed:
            told.time = missed[0].time
        missed.clear()
        self._filling.say(self, told_json(told))
        if self._is_left_out[number]:  # otherwise the player has reported it
            self._is_left_out[number] = False
            self._report(self, gap)

    def gap(self, number: int, start: int, end: int) -> events.RecordingGap:
        gap = super().gap(number, start, end)
        if number == MASTER and self._offsets is not None and None not in self._offsets:
            return dataclasses.replace(gap, from_offset=self._offsets[0], to_offset=self._offsets[1])
        return gap
