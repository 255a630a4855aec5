"""What of one connection cannot be told: stretches of its bytes, as they begin and end, for the account."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from tap.recording.missing import MAX_KEPT, Cause, Missing
from tap.replication.events import Side

Offsets = tuple[int | None, int | None]  # before and after


@dataclass(slots=True)
class _Stretch:
    """From a position of a side on, of which the end is not known yet. The rest as of Missing; since: nanoseconds."""

    start: int
    replid: str | None
    offset: int | None
    since: int
    reason: str = ""
    lost: int = 0


class GapTracker:
    """put: gets each stretch once it has ended, without the names of link and connection. clock: tells nanoseconds."""

    def __init__(self, put: Callable[[Missing], None], clock: Callable[[], int]) -> None:
        self._put = put
        self._clock = clock
        self._open: dict[Side, _Stretch] = {}
        self._heard = dict.fromkeys((Side.MASTER, Side.REPLICA), clock())  # when their last bytes came
        self._in_replies: list[Missing] = []  # gaps in a handshake
        self._in_rdb: list[Missing] = []  # gaps in an RDB of which the end has not come
        self._bad_rdb: tuple[int, str] | None = None  # where it cannot be read on from, and why

    def heard(self, side: Side) -> None:
        """Bytes of a side have come."""
        self._heard[side] = self._clock()

    def is_open(self, side: Side) -> bool:
        """Whether what comes of a side cannot be told."""
        return side in self._open

    def forget(self) -> None:
        """What was not understood will be read once more."""
        self._open.clear()
        self._bad_rdb = None

    # ---- bytes that are not there ----

    def gap(self, side: Side, start: int, end: int, replid: str | None = None, offsets: Offsets = (None, None)) -> None:
        """These bytes are lost, and no others with them."""
        self._put(self._missing("gap", side, start, end, lost=end - start, replid=replid, offsets=offsets))

    def gap_in_replies(self, start: int, end: int, replid: str | None, offsets: Offsets) -> None:
        """These bytes are lost of a handshake; whether more is with them, end_replies() tells."""
        missing = self._missing("gap", Side.MASTER, start, end, lost=end - start, replid=replid, offsets=offsets)
        _hold(self._in_replies, missing, self._put)

    def end_replies(self, *, is_understood: bool) -> None:
        """What stood behind its gaps was understood, or else all since the first one was not."""
        gaps, self._in_replies = self._in_replies, []
        if is_understood:
            for gap in gaps:
                self._put(gap)
        elif gaps:
            first, lost = gaps[0], sum(gap.lost_bytes for gap in gaps)
            self._open[Side.MASTER] = _Stretch(first.start, None, None, round(first.since * 1e9), lost=lost)

    def rdb_omitted(self, start: int, end: int) -> None:
        """An RDB was left out of the recording."""
        self._put(self._missing("rdb_omitted", Side.MASTER, start, end, lost=end - start, is_rdb=True))

    def gap_in_rdb(self, start: int, end: int, replid: str | None, offsets: Offsets, *, is_sure: bool) -> None:
        """These bytes are lost of an RDB. If that is not sure, perhaps of the stream behind it, too: end_rdb() tells.

        offsets: those of the stream among them, where it is known that there are some.
        """
        missing = self._missing("gap", Side.MASTER, start, end, lost=end - start, replid=replid, offsets=offsets)
        if offsets[1] is not None:
            self._put(missing)
        elif is_sure:
            self._put(dataclasses.replace(missing, is_rdb=True))
        else:
            _hold(self._in_rdb, missing, self._put)

    def begin_gap(self, start: int, replid: str | None, offset: int | None, lost: int) -> None:
        """So many bytes of the master are lost, and with them all from *start* on, where the last whole command ended."""
        stretch = self._open.setdefault(Side.MASTER, _Stretch(start, replid, offset, self._heard[Side.MASTER]))
        stretch.lost += lost

    # ---- bytes that are not understood ----

    def begin_unread(
        self, side: Side, start: int, reason: str, replid: str | None = None, offset: int | None = None
    ) -> None:
        """What comes of a side from there on is not understood."""
        self._open.setdefault(side, _Stretch(start, replid, offset, self._clock(), reason))

    def end(self, side: Side, end: int, offset: int | None = None) -> None:
        """From there on it is understood again, or there is nothing more. offset: there."""
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
        """It cannot be read on from there."""
        self._bad_rdb = start, reason

    def close(self, end: int) -> None:
        """Nothing more comes of the master: an RDB that has begun stops there."""
        self.end_rdb(end, is_whole=False)

    def end_rdb(self, end: int, *, is_whole: bool) -> None:
        """The RDB ends there. is_whole: its end has been seen, so all gaps lie in the RDB."""
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
    """Until more is known of it; but of more than anybody tells one by one, as what it may be at worst."""
    if len(held) < MAX_KEPT:
        held.append(missing)
    else:
        put(missing)
