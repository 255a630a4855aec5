"""Faults with during=: they begin and end at the first byte of a phase, however TCP split the bytes."""

from __future__ import annotations

from collections.abc import Sequence

from tap.faults.work import FaultedConnection, Work
from tap.replication.conversation import Conversation
from tap.replication.events import Side
from tap.replication.phase import Phase


class Phases:
    """works: the faults of one connection with during=."""

    def __init__(self, link: FaultedConnection) -> None:
        self._link = link
        self.works: list[Work]

    def refresh(self, works: Sequence[Work]) -> None:
        self.works = [work for work in works if work.when.during is not None]

    def mark(self) -> None:
        """Mark where the phases begin and end among the master's bytes, as far as these have been read."""
        lane = self._link.lanes[Side.MASTER]
        for work in self.works:
            if not work.is_known_on_channel:
                continue
            begin, end = borders(work.when.during, self._link.conversation)
            for is_begin, position, act in ((True, begin, work.enter_phase), (False, end, work.leave_phase)):
                if position is None or (is_begin, position) in work.borders:
                    continue
                work.borders.add((is_begin, position))
                if position >= lane.out:
                    lane.mark(position, act)

    def follow(self) -> None:
        """Begin and end the faults of phases whose borders are not at a byte of the master."""
        phase = self._link.conversation.phase
        for work in self.works:
            during = work.when.during
            if not work.is_known_on_channel:
                continue
            if during == phase.value or (during == "handshake" and phase in (Phase.CONNECT, Phase.PSYNC)):
                work.enter_phase()
            else:
                work.leave_phase()


def borders(phase: str | None, conversation: Conversation) -> tuple[int | None, int | None]:
    """Positions where the phase begins and ends; None where unknown, or not at a byte of the master."""
    stream = None if conversation.stream is None else conversation.stream.begins_at
    if phase == "handshake":
        return None, stream if conversation.waiting_from is None else conversation.waiting_from
    if phase == "waiting":
        return conversation.waiting_from, conversation.rdb_start
    if phase == "rdb":
        return conversation.rdb_start, conversation.rdb_end
    if phase == "loading":
        return conversation.rdb_end, None
    return (stream if conversation.waiting_from is None else None), None
