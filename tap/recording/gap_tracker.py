"""The bytes of one connection that cannot be reported: notes stretches as they begin and end, for the account."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from tap.recording.missing import MAX_KEPT, Cause, Missing
from tap.replication.events import Side

Offsets = tuple[int | None, int | None]  # before and after


@dataclass(slots=True)
class _Stretch:
    """A stretch whose end is not known yet. Fields as in Missing, but since is in nanoseconds."""

    start: int
    replid: str | None
    offset: int | None
    since: int
    reason: str = ""
    lost: int = 0


class GapTracker:
    """put: called with each stretch once it has ended; link and connection are not filled in. clock: nanoseconds."""

    def __init__(self, put: Callable[[Missing], None], clock: Callable[[], int]) -> None:
        self._put = put
        self._clock = clock
        self._open: dict[Side, _Stretch] = {}
        self._heard = dict.fromkeys((Side.MASTER, Side.REPLICA), clock())  # when their last bytes came
        self._in_replies: list[Missing] = []  # gaps in a handshake
        self._in_rdb: list[Missing] = []  # gaps in an RDB whose end has not come
        self._bad_rdb: tuple[int, str] | None = None  # the position from which it cannot be read, and why

    def heard(self, side: Side) -> None:
        """Note that bytes of a side have come."""
        self._heard[side] = self._clock()

    def is_open(self, side: Side) -> bool:
        """Whether the current bytes of a side cannot be reported."""
        return side in self._open

    def forget(self) -> None:
        """Drop what was not understood: the bytes will be read again."""
        self._open.clear()
        self._bad_rdb = None

    # ---- missing bytes ----

    def gap(self, side: Side, start: int, end: int, replid: str | None = None, offsets: Offsets = (None, None)) -> None:
        """Report a gap that makes no other bytes unreadable."""
        self._put(self._missing("gap", side, start, end, lost=end - start, replid=replid, offsets=offsets))

    def gap_in_replies(self, start: int, end: int, replid: str | None, offsets: Offsets) -> None:
        """Hold a gap in a handshake; end_replies() says whether it makes more bytes unreadable."""
        missing = self._missing("gap", Side.MASTER, start, end, lost=end - start, replid=replid, offsets=offsets)
        _hold(self._in_replies, missing, self._put)

    def end_replies(self, *, is_understood: bool) -> None:
        """End the handshake. is_understood: the bytes after its gaps; otherwise all since the first gap are lost."""
        gaps, self._in_replies = self._in_replies, []
        if is_understood:
            for gap in gaps:
                self._put(gap)
        elif gaps:
            first, lost = gaps[0], sum(gap.lost_bytes for gap in gaps)
            self._open[Side.MASTER] = _Stretch(first.start, None, None, round(first.since * 1e9), lost=lost)

    def rdb_omitted(self, start: int, end: int) -> None:
        """Report an RDB that was left out of the recording."""
        self._put(self._missing("rdb_omitted", Side.MASTER, start, end, lost=end - start, is_rdb=True))

    def gap_in_rdb(self, start: int, end: int, replid: str | None, offsets: Offsets, *, is_sure: bool) -> None:
        """Report a gap in an RDB. If not is_sure, it may reach into the stream after the RDB: end_rdb() decides.

        offsets: replication offsets of the gap's part in the stream, if it is known to have one.
        """
        missing = self._missing("gap", Side.MASTER, start, end, lost=end - start, replid=replid, offsets=offsets)
        if offsets[1] is not None:
            self._put(missing)
        elif is_sure:
            self._put(dataclasses.replace(missing, is_rdb=True))
        else:
            _hold(self._in_rdb, missing, self._put)

    def begin_gap(self, start: int, replid: str | None, offset: int | None, lost: int) -> None:
        """Begin a gap of *lost* bytes of the master. start: where the last whole command before it ended."""
        stretch = self._open.setdefault(Side.MASTER, _Stretch(start, replid, offset, self._heard[Side.MASTER]))
        stretch.lost += lost

    # ---- bytes that cannot be understood ----

    def begin_unread(
        self, side: Side, start: int, reason: str, replid: str | None = None, offset: int | None = None
    ) -> None:
        """Begin a stretch of a side that cannot be understood."""
        self._open.setdefault(side, _Stretch(start, replid, offset, self._clock(), reason))

    def end(self, side: Side, end: int, offset: int | None = None) -> None:
        """End a side's stretch: its bytes are understood again, or have ended. offset: at *end*."""
        one = self._open.pop(side, None)
        if one is None or end <= one.start:
            return
        missing = self._missing(
            "unread" if one.reason else "gap",
            side,
            one.start,
            end,
            lost=one.lost,
            replid=one.replid,
            offsets=(one.offset, None if one.offset is None else offset),
            reason=one.reason,
        )
        self._put(dataclasses.replace(missing, since=one.since / 1e9))

    # ---- an RDB ----

    def bad_rdb(self, start: int, reason: str) -> None:
        """Note that an RDB cannot be read from a position on."""
        self._bad_rdb = start, reason

    def close(self, end: int) -> None:
        """End the connection, and with it an RDB that has begun."""
        self.end_rdb(end, is_whole=False)

    def end_rdb(self, end: int, *, is_whole: bool) -> None:
        """End the RDB. is_whole: its end has been seen, so all gaps lie in the RDB."""
        for gap in self._in_rdb:
            self._put(dataclasses.replace(gap, is_rdb=is_whole))
        self._in_rdb.clear()
        bad, self._bad_rdb = self._bad_rdb, None
        if bad is not None and end > bad[0]:
            self._put(self._missing("unread", Side.MASTER, bad[0], end, is_rdb=True, reason=bad[1]))

    def _missing(
        self,
        cause: Cause,
        side: Side,
        start: int,
        end: int,
        *,
        lost: int = 0,
        is_rdb: bool = False,
        replid: str | None = None,
        offsets: Offsets = (None, None),
        reason: str = "",
    ) -> Missing:
        return Missing(
            cause=cause,
            link="",
            connection=0,
            side=side,
            start=start,
            end=end,
            lost_bytes=lost,
            is_rdb=is_rdb,
            replid=replid if offsets != (None, None) else None,
            from_offset=offsets[0],
            to_offset=offsets[1],
            since=self._heard[side] / 1e9,
            until=self._clock() / 1e9,
            reason=reason,
        )


def _hold(held: list[Missing], missing: Missing, put: Callable[[Missing], None]) -> None:
    """Hold a gap until more is known about it. Beyond the number that is reported one by one, assume the worst case."""
    if len(held) < MAX_KEPT:
        held.append(missing)
    else:
        put(missing)
