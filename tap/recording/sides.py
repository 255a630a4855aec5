"""The sides of a connection: which end is the replica, how that is known, and whether the connection replicates at all.

If the first packet was captured, the end that opened the connection is the replica, if there is one. Otherwise
role_evidence.py decides, by bytes that only a replica or its master sends. A verdict is only evidence: the following
bytes must confirm it (proves, confirms). If they refute it (refutes), the search begins again.
"""

from __future__ import annotations

from collections.abc import Sequence

from tap.recording.role_evidence import (
    ENOUGH_ACKS,
    Missed,
    RoleEvidence,
    RoleVerdict,
    Undecided,
    is_acknowledging,
    may_be_a_replica,
)
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event, Role, Side, Transfer

_CHANNELS = ("+RDBCHANNELSYNC", "+DUALCHANNELSYNC")


class Sides:
    """replica: the end that is the replica, or another client; None while undecided.

    evidence: what decided this; None if the beginning was captured, or a tap recorded the fact.
    """

    def __init__(self, *, is_known: bool) -> None:
        """is_known: the end that opened the connection is the replica."""
        self.replica: int | None = 0 if is_known else None
        self.evidence: RoleEvidence | None = None
        self._undecided = None if is_known else Undecided()
        self._ack_segments = 0
        self._has_spoken = [False, False]
        self._late: int | None = None

    @property
    def is_undecided(self) -> bool:
        return self._undecided is not None

    def side(self, end: int) -> Side:
        """The side of an end; only once decided."""
        return Side.REPLICA if end == self.replica else Side.MASTER

    @property
    def master(self) -> int:
        assert self.replica is not None
        return 1 - self.replica

    def is_late(self, end: int, *, is_late: bool) -> bool:
        """Note that an end sent bytes. Returns whether all of its bytes come after all of the other end's.

        is_late: packets that were captured long after these bytes came before them.
        """
        if is_late and not self._has_spoken[end] and self._has_spoken[1 - end] and self._undecided is None:
            self._late = end
        self._has_spoken[end] = self._has_spoken[end] or end != self._late
        return end == self._late

    # ---- while undecided ----

    def heard(self, end: int, data: bytes) -> RoleVerdict | None:
        """Take the next bytes of an end."""
        assert self._undecided is not None
        return self._undecided.heard(end, data)

    def missing(self, end: int, missed: Missed) -> RoleVerdict | None:
        """Note that the next bytes of an end are not in the capture."""
        assert self._undecided is not None
        return self._undecided.missing(end, missed)

    def decide(self, verdict: RoleVerdict) -> Undecided:
        """Accept a verdict. Returns the bytes of both ends so far, to be read now."""
        assert self._undecided is not None
        undecided, self._undecided = self._undecided, None
        self.replica, self.evidence = verdict.replica, verdict.evidence
        return undecided

    # ---- whether the verdict was right ----

    def reconsider(self, positions: Sequence[int]) -> None:
        """The verdict was wrong, or is obsolete: begin again at these positions of the two ends."""
        self._undecided = Undecided()
        self._undecided.skipped = list(positions)
        self.evidence = None
        self._ack_segments = 0

    def settle(self) -> None:
        """A tap recorded that the end that opened the connection is the replica."""
        self.replica = 0
        self._undecided = None

    def proves(self, event: Event, conversation: Conversation) -> bool:
        """Whether an event proves that the connection replicates."""
        if self.evidence is None:
            return isinstance(event, events.Identified) and event.role is not Role.ORDINARY
        if isinstance(event, events.Handshake):
            return self.evidence is RoleEvidence.REQUEST and event.reply is not None and event.reply.startswith(_CHANNELS)
        if isinstance(event, events.RdbStarted):  # a value may look like an RDB, too
            is_granted = conversation.replid is not None or event.transfer is Transfer.DISKLESS
            return is_granted and event.version is not None
        return isinstance(event, events.PartialResync) and event.replid is not None

    def confirms(self, data: bytes) -> bool:
        """Count the replica's bytes. Returns whether it has acknowledged often enough to be a replica."""
        self._ack_segments += is_acknowledging(data)
        return self._ack_segments >= ENOUGH_ACKS

    def refutes(self, end: int, data: bytes) -> bool:
        """Whether the end that was taken for a replica sends what no replica sends.

        After several acknowledgements it may send anything, because some replicas reply to their masters' commands.
        """
        if self.evidence is None or end != self.replica or self._ack_segments >= ENOUGH_ACKS:
            return False
        return not may_be_a_replica(data)
