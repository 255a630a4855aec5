"""Carries out what the faults of one connection decide.

faults/ says at which byte what happens and when; it never waits, writes or reads a clock. Here that becomes writes, waits
and ends of sockets. The two meet in the *flow* of each direction: bytes that faults let out, in their order, with cuts
and ends between them. send() takes from a flow what is due and gives it to the socket, for as long as the peer takes it.
There are four occasions: bytes came, a peer takes bytes again, time has passed, the plan has changed.

While an event is published, an observer may change the plan in the middle of a read. So a change waits until the read is
over (is_busy).

A bug in a fault costs the faults of its connection, never the connection: they are given up, what they hold goes out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Iterator

from tap.faults.armed import Armed
from tap.faults.flow_items import CloseLink, End
from tap.faults.link_faults import LinkFaults
from tap.faults.plan import Plan
from tap.faults.rules import Rules
from tap.relay.connection_interface import ConnectionInterface
from tap.relay.leg import Leg
from tap.replication.events import Side

FORGOTTEN_AFTER = 60.0  # seconds for which Linux keeps a closed socket that waits for its peer's FIN (tcp_fin_timeout)

log = logging.getLogger(__name__)


class Performer:
    """The faults of one connection at work.

    faults: those that concern it, or its link's rules; None if bytes pass untouched. rules: what the link changes of the
        replica's requests. is_cut: a fault has ended the connection. cut_offset: the replication offset of that.
    refused_by: the fault that keeps the replica without a master. deserted: loop time since which both peers are gone,
        infinite if they are not. is_busy: in the middle of a read.
    """

    def __init__(self, of: ConnectionInterface, plan: Plan) -> None:
        self.faults: LinkFaults | None = None
        self.rules: Rules | None = None
        self.is_cut = False
        self.cut_offset: int | None = None
        self.refused_by: Armed | None = None
        self.deserted = math.inf
        self.is_busy = False
        self._of = of
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._waking: asyncio.TimerHandle | None = None

    # ---- the plan ----

    def is_refused(self) -> bool:
        """Whether a fault keeps the replica out."""
        armed = self._plan.refusal(self._of.name)
        if armed is None:
            return False
        if armed.fault.what.keeps_out == "blackhole":
            self.refused_by = armed
            armed.at_work += 1
            # An observer of the event may end the fault at once: arm() then dials.
            self._plan.refuse(armed, "blackhole", self._of.tell)
        else:
            self.is_cut = True
            self._plan.refuse(armed, "close", self._of.tell)
            self._of.closing.note(Side.TAP, "fin", f"refused by fault {armed.name}")
            self._of.replica.say_goodbye()
        return True

    def _let_in(self) -> None:
        if self.refused_by is not None:
            self.refused_by.at_work -= 1
            self.refused_by = None

    def arm(self) -> None:
        """Take over a change of the plan; after the read that is under way, if there is one."""
        of = self._of
        if self.is_cut or of.closed:
            return
        if self.is_busy:
            self._loop.call_soon(self.arm)
            return
        if self.refused_by is not None:
            if not self.refused_by.is_over:
                return
            self._let_in()
            of.dial()
        now = self._loop.time()
        if self.faults is not None:
            with self._guarded():
                self.faults.refresh(now)
            self.awake()
        elif self._plan.armed or self.rules is not None:
            self.is_busy = True
            try:
                self.faults = LinkFaults(
                    self._plan,
                    of.conversation,
                    of.tell,
                    link=of.name,
                    ordinal=of.ordinal,
                    opened=of.opened,
                    now=now,
                    rules=self.rules,
                )
            finally:
                self.is_busy = False
            self.awake()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Busy meanwhile, and an exception gives the faults up."""
        was_busy, self.is_busy = self.is_busy, True
        try:
            yield
        except Exception:
            self._failed()
        finally:
            self.is_busy = was_busy

    def failed(self, side: Side, data: memoryview, now: float) -> None:
        """An exception came while the faults received these bytes: give the faults up, and forward the bytes."""
        assert self.faults is not None
        self._failed()
        self.faults.catch_up(side, data, now)

    def _failed(self) -> None:
        log.exception("link %s, connection %d: a fault failed; please report this", self._of.name, self._of.number)
        assert self.faults is not None
        self.faults.give_up(self._loop.time())

    # ---- time ----

    def tick(self, now: float) -> None:
        """Some time has passed."""
        if self.faults is not None:
            self.awake()
        if self.refused_by is not None or (self.faults is not None and self.faults.is_stalled):
            self._notice_ends(now)
        else:
            self.deserted = math.inf

    def _notice_ends(self, now: float) -> None:
        """End the connection once both peers are gone, although a fault keeps the tap from reading them.

        A peer that has sent FIN may still want what a stall holds back. If not, its kernel forgets it after a while.
        """
        of = self._of
        legs = [leg for leg in (of.replica, of.master) if leg.transport is not None]
        if of.is_dialling:
            return
        ends = {leg.hung_up for leg in legs}
        if "" in ends:
            self.deserted = math.inf
            return
        self.deserted = min(self.deserted, now)
        if "fin" not in ends or len(legs) == 1 or now - self.deserted >= FORGOTTEN_AFTER:
            of.closing.note(Side.REPLICA, of.replica.hung_up, "")
            of.closing.abort()

    def awake(self) -> None:
        """Send what is due now."""
        of = self._of
        if self.faults is None or of.closed:
            return
        with self._guarded():
            self.faults.tick(self._loop.time())
        self.send(of.master)
        if self.faults is not None:
            self.send(of.replica)
        if self.faults is not None and self.faults.is_idle:
            of.conversation.watcher = None
            self.faults = None

    def _set_alarm(self, wakes: float) -> None:
        """wakes: loop time of the next awake(); infinite for none."""
        if self._waking is not None and (self._waking.when() != wakes or self._waking.cancelled()):
            self._waking.cancel()
            self._waking = None
        if wakes < math.inf and self._waking is None:
            self._waking = self._loop.call_at(wakes, self._alarm)

    def _alarm(self) -> None:
        self._waking = None
        self.awake()

    # ---- bytes ----

    def ended(self, leg: Leg, how: End) -> None:
        """The leg's peer has ended, which is forwarded after everything that faults hold."""
        assert self.faults is not None
        self.faults.ended(leg.side, how, self._loop.time())
        self.send(leg)

    def send(self, source: Leg) -> None:
        """Send what the faults let out of what *source* sent. Read on from *source* unless they hold enough."""
        faults, target = self.faults, source.other
        assert faults is not None
        flow, now = faults.lanes[source.side].flow, self._loop.time()
        if faults.cut_now is not None:
            self._cut_now(faults, faults.cut_now)
            return
        if not flow.is_plain:
            flow.settle(now)
            while not target.blocked and (target.transport or flow.is_cut) and (item := flow.take(now)) is not None:
                if isinstance(item, CloseLink):
                    self.cut(item)
                    return
                if item is End.FIN:
                    self._of.pass_fin(source)
                elif item is End.RESET:
                    target.reset()
                else:
                    assert isinstance(item, bytes | memoryview)
                    target.write(item)
            flow.keep()
        if flow.is_full:
            source.hold("fault")
        else:
            source.let("fault")
        self._set_alarm(faults.wakes)

    # ---- ends ----

    def _cut_now(self, faults: LinkFaults, cut: CloseLink) -> None:
        """Cut after what is due, even if a peer has yet to take it."""
        for leg in (self._of.master, self._of.replica):
            flow = faults.lanes[leg.side].flow
            flow.keep()
            while (item := flow.take(self._loop.time())) is not None:
                if isinstance(item, bytes):
                    leg.other.write(item)
        self.cut(cut)

    def cut(self, cut: CloseLink) -> None:
        """End the connection as a fault wants it."""
        of = self._of
        self.is_cut = True
        if self.faults is not None:
            self.cut_offset = self.faults.offset
            self.faults.close()
        self.faults = None
        of.conversation.watcher = None
        self._set_alarm(math.inf)
        of.closing.note(Side.TAP, "reset" if cut.reset else "fin", f"cut by fault {cut.name}")
        of.stop_dialling()
        for leg, name in ((of.replica, "replica"), (of.master, "master")):
            leg.discards = True
            if cut.legs not in ("both", name):
                leg.let_all()
            elif cut.reset:
                of.closing.reset(leg)
            else:
                leg.say_goodbye()
        if cut.legs == "both":
            of.closing.limit(of.route.drain_timeout)

    def close(self) -> None:
        """Both sockets are gone: let go of the faults, and of the alarm."""
        self._let_in()
        self._set_alarm(math.inf)
        if self.faults is not None:
            self.faults.close()
