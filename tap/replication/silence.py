"""Which side of a connection has been silent for longer than it should be.

A server that has hung, or a network that drops packets, sends no FIN: nothing comes, and that is all there is to see. How
long nothing may come depends on the phase and on the side:

    phase            the master                                    the replica
    psync, waiting   a newline each second                         waits
    rdb              the payload                                   waits
    loading          nothing, until the replica acknowledges       a newline now and then
    stream           commands, or PING every                       REPLCONF ACK each second
                     repl-ping-replica-period

- PING's period is the master's configuration, which is not on the wire; but its PINGs are, and three of them in a row
  show it. Until then, and while a replica's newlines or a master's payload are awaited, the limits are generous: a
  quarter to a half of the default repl-timeout.
- A side that the tap does not read is not silent; the tap cannot know. That is so while the other side takes no more, or
  while a fault holds bytes up. A replica that takes no more does not acknowledge, and is silent itself.
- After repl-timeout of silence a server closes the connection. Its value is not on the wire at all; a caller that knows
  it sets Pulse.timeout.

Silence is found by comparing byte counts once a second, so bytes cost nothing, and the resolution is that second.

Sources: Redis 7.0 replication.c, replicationCron; rdb.c, rdbLoadProgressCallback. Since Redis 8.0, PING comes only after
that long without a command.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from tap.replication.conversation import Conversation
from tap.replication.events import Event, Role, Side, Silent, SilentOver
from tap.replication.lag import UNKNOWN, Lag
from tap.replication.phase import Phase

TICK_SECONDS = 1.0
UNKNOWN_PERIOD_LIMIT = 30.0  # three default periods of PING
AWAITED_LIMIT = 15.0  # for a byte that comes each second if all is well, or a payload
LOADING_LIMIT = 30.0  # a replica sends newlines between pieces of the RDB, which may be large
ACK_LIMIT = 5.0
LATE = 1.5  # periods; and one second more, for the master's timer and ours


class Pulse:
    """What is known of one master's timers. ping_period: of its PINGs, in seconds, as it has shown; None until then.

    timeout: its repl-timeout in seconds, for a caller that knows more than the wire; None if unknown.
    """

    def __init__(self) -> None:
        self.ping_period: float | None = None
        self.timeout: float | None = None


class _Beats:
    """Learns a period from three beats in a row: the shortest that two intervals had on average."""

    def __init__(self) -> None:
        self.count = 0
        self._times: deque[float] = deque(maxlen=3)

    def beat(self, count: int, at: float) -> float | None:
        """*count* beats so far. Returns the period that the last ones show, if they do."""
        more, self.count = count - self.count, count
        if more > 1:  # a backlog: they did not come when they were sent
            self._times.clear()
        elif more == 1:
            self._times.append(at)
            if len(self._times) == 3:
                return (self._times[-1] - self._times[0]) / 2
        return None

    def forget(self) -> None:
        self._times.clear()


class _Side:
    """seen: its bytes, or acknowledgements. at: when they had changed. is_silent: reported, and not over."""

    def __init__(self, side: Side, at: float) -> None:
        self.side = side
        self.seen = -1
        self.at = at
        self.is_silent = False
        self.beats = _Beats()
        self.period: float | None = None


class Silence:
    """Watches both sides of one connection. pulse: shared by all connections to one master."""

    def __init__(self, conversation: Conversation, tell: Callable[[Event], None], pulse: Pulse, at: float) -> None:
        self._conversation = conversation
        self._tell = tell
        self._pulse = pulse
        self._due = at
        self._phase: Phase | None = None
        self._master = _Side(Side.MASTER, at)
        self._replica = _Side(Side.REPLICA, at)

    def follow(self, conversation: Conversation) -> None:
        """Go on with another conversation that reads the same connection, as after a gap in a capture."""
        self._conversation = conversation

    # ---- the present state ----

    def seconds(self, side: Side, at: float) -> float | None:
        """Seconds since the side's last sign of life, where one is awaited; else None."""
        one = self._side(side)
        if self._limit(one) == math.inf:
            return None
        return 0.0 if self._count(one) != one.seen else max(0.0, at - one.at)

    @property
    def silent(self) -> Side | None:
        """The side that is silent; the master if both are; None if neither is."""
        return next((one.side for one in (self._master, self._replica) if one.is_silent), None)

    def bounded(self, lag: Lag) -> Lag:
        """The lag, as a lower bound while the master is silent: it may have written what the network does not bring."""
        is_bound = self._master.is_silent and lag.bytes is not None and lag.known_from == "wire"
        return lag._replace(at_least=True) if is_bound else lag

    def timeout_in(self, at: float) -> float | None:
        """Seconds until the master ends the connection with a silent replica; None if that is not known, or not due."""
        if not self._replica.is_silent or self._pulse.timeout is None:
            return None
        return max(0.0, self._pulse.timeout - (at - self._replica.at))

    # ---- time ----

    def is_due(self, at: float) -> bool:
        """Whether tick() has something to do. Asking first saves finding out what it wants to know."""
        return at >= self._due

    def tick(self, at: float, *, reads_master: bool, reads_replica: bool, is_held: bool) -> None:
        """To be called at least once a second.

        reads_master, reads_replica: whether the tap reads that side. is_held: a fault holds bytes of the connection.
        """
        if not self.is_due(at):
            return
        self._due = at + TICK_SECONDS
        phase = self._conversation.phase
        for one, is_read in ((self._master, reads_master), (self._replica, reads_replica)):
            count = self._count(one)
            if count != one.seen:
                self._beat(one, at)
                over, seconds = one.is_silent, at - one.at
                one.seen, one.at, one.is_silent = count, at, False
                if over:
                    self._tell(SilentOver(side=one.side, seconds=seconds))
            elif phase is not self._phase or not is_read or is_held:
                one.beats.forget()
                if not one.is_silent:
                    one.at = at
            elif not one.is_silent and at - one.at > self._limit(one):
                one.is_silent = True
                self._report(one, at)
        self._phase = phase

    def _side(self, side: Side) -> _Side:
        return self._master if side is Side.MASTER else self._replica

    def _count(self, one: _Side) -> int:
        """What grows with each sign of life of that side."""
        conversation = self._conversation
        return conversation.from_master if one.side is Side.MASTER else conversation.from_replica

    def _beat(self, one: _Side, at: float) -> None:
        """Something has come. After a silence the period is learned anew: it may have been changed."""
        stream = self._conversation.stream
        if stream is None:
            return
        if one.side is Side.REPLICA:
            period = one.beats.beat(one.beats.count + 1, at)
            if period is not None:
                one.period = period if one.period is None else min(one.period, period)
            return
        pulse, period = self._pulse, one.beats.beat(stream.pings, at)
        if one.is_silent:
            pulse.ping_period = None
        if period is not None:
            pulse.ping_period = period if pulse.ping_period is None else min(pulse.ping_period, period)

    def _report(self, one: _Side, at: float) -> None:
        conversation, stream = self._conversation, self._conversation.stream
        lag = self.bounded(UNKNOWN if stream is None else stream.lag(at))
        self._tell(
            Silent(
                side=one.side,
                seconds=at - one.at,
                period=self._pulse.ping_period if one.side is Side.MASTER and stream is not None else None,
                phase=conversation.phase.value,
                offset=conversation.offset,
                lag_bytes=lag.bytes,
                lag_at_least=lag.at_least,
                timeout_in=self.timeout_in(at),
            )
        )

    def _limit(self, one: _Side) -> float:
        """Seconds for which nothing of that side may come; infinite if nothing has to come."""
        conversation, phase = self._conversation, self._conversation.phase
        stream = conversation.stream
        if one.side is Side.MASTER:
            if phase is Phase.STREAM and stream is not None and (stream.acked is not None or conversation.rdb is None):
                period = self._pulse.ping_period
                return UNKNOWN_PERIOD_LIMIT if period is None else LATE * period + 1.0
            if stream is not None:  # the RDB flows on another connection, or has to be acknowledged first
                return math.inf
            return AWAITED_LIMIT if phase in (Phase.PSYNC, Phase.WAITING, Phase.RDB) else math.inf
        if conversation.role is not Role.REPLICA:
            return math.inf
        if phase is Phase.LOADING:
            return LOADING_LIMIT
        if phase is Phase.STREAM and stream is not None:
            return ACK_LIMIT if one.period is None else max(ACK_LIMIT, 3 * one.period)
        return math.inf
