"""The offset of a stream whose beginning was not captured, from acknowledgements while the master is silent.

A replica acknowledges once a second what it has applied. If it acknowledges the same offset twice, QUIET_SECONDS apart,
and the master has sent nothing in between, it has applied everything: the offset is that of the master's last byte. A
busy stream shows no such pause, and its offset stays unknown. Bytes of an unfinished command or transaction are not
applied, so the caller has to know that the stream stands between two commands.

Source: Redis 7.0 replication.c, replicationCron and replicationSendAck; networking.c, commandProcessed.
"""

from __future__ import annotations

QUIET_SECONDS = 0.9  # the period of acknowledgements is one second


class QuietOffset:
    """Takes the acknowledgements of one connection."""

    def __init__(self) -> None:
        self._first: tuple[int, int, float] | None = None

    def acknowledged(self, offset: int, position: int, at: float) -> bool:
        """Whether *offset* is the offset at *position*, which is the number of the master's bytes so far. at: seconds."""
        first = self._first
        if first is None or (offset, position) != first[:2]:
            self._first = offset, position, at
            return False
        return at - first[2] >= QUIET_SECONDS
