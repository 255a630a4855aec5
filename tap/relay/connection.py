"""One replica's connection through a link, and the connection to its master: their bytes pass, and are understood.

    replica ── Leg ──┐                    ┌── Leg ── master
                     └──── Connection ────┘
                        │       │      └ performer: what faults decide      (performer.py)
                        │       └ opening: dial, TLS                        (opening.py)
                        └ closing: by whom it ended, draining, RST          (closing.py)

Write before read. A read is first written to the other leg, then understood, then recorded. The peer gets its bytes at
the earliest moment, and understanding them costs only this process's time, not the latency of that read. It also means
that nothing the conversation does can hold bytes up or change them. An exception in it is a bug of the tap; it costs the
understanding of this connection, and bytes go on to pass.

With a fault armed the order is the reverse: a fault decides by what bytes mean, so they are understood first, and go out
through the flows that performer.py empties. Once no fault concerns the connection any more, the first order is back.

Half-close. FIN from one peer is forwarded to the other after everything before it; the other direction stays open until
its own FIN. After both, the legs drain. A replica that half-closes and still reads therefore behaves as it would without
a tap. If a socket is lost instead, what its peer sent before is still delivered: an orderly end drains the other leg, an
RST is forwarded as RST. A TLS failure is neither: the socket ends in order, and the other leg is drained.

The connection ends when both sockets are gone. Then, and not before, LinkClosed is published and the place is free.
"""

from __future__ import annotations

import logging
import math
from typing import Protocol

from tap.errors import words
from tap.faults.flow_items import End
from tap.faults.link_faults import LinkFaults
from tap.faults.plan import Plan
from tap.faults.rules import Rules
from tap.relay.admission import Admitted
from tap.relay.closing import Closing
from tap.relay.leg import EARLY_BYTES, REST_SECONDS, SPLICE_FROM, Leg
from tap.relay.opening import Home, Opening
from tap.relay.outline import Outline
from tap.relay.performer import Performer
from tap.relay.share import LinkAccount
from tap.relay.sink import ConnectionSink, HostPort, Sink
from tap.relay.tls_failure import TlsFailure
from tap.relay.tls_probe import explained, is_in_question, tell_after_question, why_silent
from tap.replication import events
from tap.replication.events import Event, LinkOpened, Role, Side
from tap.replication.phase import Phase
from tap.replication.silence import Silence

log = logging.getLogger(__name__)

_UNTIMED = (None, Role.ORDINARY)  # for connections of these roles nothing is due by time


class ConnectionOwner(Home, Protocol):
    """What owns a connection: a listener."""

    plan: Plan
    splices: bool

    def add(self, connection: Connection) -> None:
        """The connection has its socket."""

    def forget(self, connection: Connection) -> None:
        """The connection has ended."""


class Connection(Outline):
    """From the moment a replica connects until both sockets are gone (closed)."""

    def __init__(self, owner: ConnectionOwner, number: int, admitted: Admitted) -> None:
        super().__init__(number)
        self.admitted = admitted
        admitted.end = self._give_way
        self.account = LinkAccount(owner.buffers.thread)
        self.replica = Leg(self, Side.REPLICA, owner.buffers)
        self.master = Leg(self, Side.MASTER, owner.buffers)
        self.replica.other = self.master
        self.master.other = self.replica
        self.sink: ConnectionSink | None = None
        self.closed = False
        self.closing = Closing(self.replica, self.master)
        self._owner = owner
        self._is_added = False
        self._ticked = 0  # bytes of the master at the last tick
        self._opening = Opening(self, owner)
        self._performer = Performer(self, owner.plan)

    @property
    def faults(self) -> LinkFaults | None:
        """The faults and rules that concern this connection; None if bytes pass untouched."""
        return self._performer.faults

    @property
    def is_held(self) -> bool:
        """Whether a fault keeps bytes for later."""
        return self.faults is not None and self.faults.is_holding

    @property
    def is_blocked(self) -> bool:
        """Whether the replica takes no more at present."""
        return self.replica.blocked

    @property
    def is_stalled(self) -> bool:
        """Whether a fault stalls the master's bytes."""
        return self.faults is not None and self.faults.lanes[Side.MASTER].flow.is_stalled

    @property
    def has_ended(self) -> bool:
        """Whether a side has sent FIN, or its socket is gone."""
        return self.replica.lost or self.replica.at_end or self.master.lost or self.master.at_end

    @property
    def tap_address(self) -> HostPort | None:
        """The tap's address on the connection to the master; None while there is none."""
        transport = self.master.transport
        return None if transport is None or self.master.lost else transport.get_extra_info("sockname")[:2]

    @property
    def buffer_bytes(self) -> int | None:
        """Bytes in the master's output buffer for this replica, by the tap's address there; None if it is not asked."""
        said = self.route.facts.memory.inspected
        return None if said is None else said.buffer(self.dials_from)

    @property
    def is_known(self) -> bool:
        """Whether the replica's address has synced through this tap before."""
        return self.admitted.is_known

    @property
    def is_dialling(self) -> bool:
        """Whether the master's leg is still being made."""
        return self._opening.is_under_way

    @property
    def dials_from(self) -> HostPort | None:
        """The tap's address on the connection to the master; None if there is none."""
        return self._opening.dials_from

    def tell(self, event: Event) -> None:
        """Publish an event of this connection."""
        if isinstance(event, events.FullResync | events.PartialResync):
            self.admitted.granted()
        elif isinstance(event, events.Identified) and event.main_connection is not None:
            self.admitted.is_granted = True  # its resync is granted on the main connection
        self._owner.bus.publish(self.name, self.number, self.conversation.replica, event)

    # ---- time ----

    @property
    def has_a_clock(self) -> bool:
        """Whether tick() could change anything. Asking first keeps the ticks of thousands of idle connections short."""
        performer = self._performer
        is_quiet = self.conversation.role in _UNTIMED and performer.faults is None and performer.refused_by is None
        return not is_quiet or performer.deserted != math.inf

    def tick(self, now: float) -> None:
        """Some time has passed. now: loop time."""
        try:
            master, conversation = self.master, self.conversation
            held_back = master.transport is not None and not master.transport.is_reading()
            has_come = conversation.from_master != self._ticked
            self._ticked = conversation.from_master
            # Not of the idle ones, of which there may be ten thousand. TLS hides how many bytes its records will be.
            is_asked = (held_back or has_come) and not self.route.tls
            conversation.tick(now, held_back=held_back, waiting=master.waiting if is_asked else 0)
            if self.silence is None:
                self.silence = Silence(conversation, self.tell, self.route.facts.pulse, now)
            if self.silence.is_due(now):
                replica = self.replica.transport
                reads_replica = replica is not None and replica.is_reading()
                self.silence.tick(now, reads_master=not held_back, reads_replica=reads_replica, is_held=self.is_held)
        except Exception:
            self._misunderstood(Side.MASTER)
        self._performer.tick(now)

    def _misunderstood(self, side: Side) -> None:
        """A bug in the conversation must cost the understanding, never the connection."""
        log.exception("link %s, connection %d: reading along failed; please report this", self.name, self.number)
        self.conversation.lost(side, "redis-tap failed to read it; this is a bug, its traceback is in the log")

    # ---- the beginning ----

    def leg_made(self, leg: Leg) -> None:
        self._status = None
        if leg is not self.replica:
            return
        try:
            if self._opening.begin() and not self._performer.is_refused():
                self.arm()
                if not self._performer.is_cut:
                    self.dial()
        except BaseException:  # a bug, or no memory: the loop reports it, and nothing of the connection may stay
            text = "redis-tap failed to begin it; this is a bug, its traceback is in the log"
            self.closing.note(Side.TAP, "error", text)
            if not self._is_added:
                self.closed = True
                self.admitted.leave()
            self.abort()
            raise

    def add(self) -> None:
        self._is_added = True
        self._owner.add(self)

    def dial(self) -> None:
        self._opening.start()

    def stop_dialling(self) -> None:
        self._opening.stop()

    def set_rules(self, rules: Rules) -> None:
        self._performer.rules = rules

    def announce(self, host: str) -> None:
        assert self._performer.rules is not None
        self._performer.rules.host = host

    def arm(self) -> None:
        """The plan of faults has changed."""
        self._performer.arm()

    # ---- bytes ----

    def received(self, leg: Leg, data: memoryview) -> None:
        """The hot path: a write, then the conversation, then the recording. See the head of this file for the order."""
        if leg.discards:
            return
        performer = self._performer
        performer.is_busy = True
        try:
            faults = performer.faults
            if faults is None:
                leg.other.write(data)
                self._read(leg, data)
                if self.sink is not None:
                    self.sink.received(leg.side, data)
                if self.conversation.is_in_rdb and leg is self.master and len(data) < min(SPLICE_FROM, leg.share.size):
                    leg.rest("small pieces", REST_SECONDS)
                return
            self._read(leg, data)
            if self.sink is not None:
                self.sink.received(leg.side, data)
            now = self._loop.time()
            try:
                passes = faults.receive(leg.side, data, now)
            except Exception:
                performer.failed(leg.side, data, now)
                passes = False
        finally:
            performer.is_busy = False
        if passes:
            leg.other.write(data)
        else:
            performer.send(leg)

    def _read(self, leg: Leg, data: memoryview) -> None:
        leg.heard = now = self._loop.time()
        try:
            if leg is self.master:
                self.conversation.receive_from_master(data, now)
            else:
                self.conversation.receive_from_replica(data, now)
        except Exception:
            self._misunderstood(leg.side)

    def unread(self, leg: Leg) -> float:
        is_watched = self._performer.faults is not None or self.sink is not None or self._performer.is_cut
        return 0 if is_watched or not self._owner.splices else self.conversation.skippable(leg.side)

    def passed(self, leg: Leg, size: int) -> None:
        leg.heard = self._loop.time()
        self.conversation.skipped(leg.side, size)

    def cannot_splice(self) -> None:
        self._owner.splices = False

    def record(self, sink: Sink) -> None:
        """Let this sink have what the connection receives from now on."""
        transport = self.replica.transport
        # The bytes of an opaque connection may be in the kernel, which moves them from socket to socket.
        is_opaque = self._is_added and self.conversation.phase is Phase.OPAQUE
        if self.closed or not self._is_added or is_opaque or transport is None or self.sink is not None:
            return
        master = None if self.master.transport is None else self.master.transport.get_extra_info("peername")
        self.sink = sink.joined(
            self.name,
            self.conversation,
            transport.get_extra_info("peername")[:2],
            transport.get_extra_info("sockname")[:2],
            master[:2] if isinstance(master, tuple) else None,
            LinkOpened(peer=self.peer, master=str(self.route.master)),
        )

    def notice_secret(self, name: bytes, position: int, words: int) -> None:
        """A command of the stream may carry passwords, and the connection may be recorded, now or later."""
        if self.sink is not None:
            self.sink.noticed(name, position, words)

    def writable(self, leg: Leg) -> None:
        if self._performer.faults is not None and not self.closed:
            self._performer.send(leg.other)

    def nowhere(self, leg: Leg, size: int) -> None:
        if not self.closing.is_noted and not self.closed:
            log.error(
                "link %s, connection %d: %d bytes for the %s are lost because it is not connected; please report this",
                self.name,
                self.number,
                size,
                leg.side.value,
            )

    def flooded(self, leg: Leg) -> None:
        text = (
            f"this event loop does not keep the {leg.side.value} waiting: {EARLY_BYTES} bytes came before the link began"
        )
        log.error("link %s, connection %d: %s; please report this", self.name, self.number, text)
        self.closing.note(Side.TAP, "error", text)
        self.abort()

    # ---- ends ----

    def ended(self, leg: Leg) -> None:
        """The leg's peer sent FIN: forward it."""
        self._status = None
        self.closing.note(leg.side, "fin", self._why_silent(leg))
        if self.sink is not None:
            self.sink.ended(leg.side, "fin")
        if self._performer.faults is None:
            self.pass_fin(leg)
        else:
            self._performer.ended(leg, End.FIN)

    def pass_fin(self, leg: Leg) -> None:
        """Forward the FIN of the leg's peer. After that of both peers, the connection is done."""
        leg.is_done = True
        leg.other.write_eof()
        if leg.other.is_done:
            self._drain()

    def lost(self, leg: Leg, error: Exception | None) -> None:
        """The leg's socket is gone: note by whom, and end the other leg accordingly."""
        self._status = None
        performer, other = self._performer, leg.other
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            self.closing.note(leg.side, "reset", self._why_silent(leg) or words(error))
            if self.sink is not None:
                self.sink.ended(leg.side, "reset")
        elif isinstance(error, TimeoutError):
            self.closing.note(leg.side, "timeout", words(error))
        elif isinstance(error, TlsFailure):
            if leg is self.master and self.conversation.phase is Phase.DONE:
                # Redis 8.0 ends an RDB channel with a close_notify that cannot be decrypted: its child process has sent
                # the RDB, and the server counts the TLS records from before that.
                self.closing.note(leg.side, "fin", "")
            else:
                self.closing.note(error.by, "tls", str(error))
            if leg is self.master and self.conversation.from_master and performer.faults is not None and not other.lost:
                leg.blocked = False  # so that the replica is read, to its end
                self.replica.let("slow peer")
                performer.ended(leg, End.FIN)  # after what the faults hold
                return
            error = None  # the socket ends in order, and so does the other
        elif error is not None:
            self.closing.note(leg.side, "error", words(error))
        if performer.is_cut:
            if other.lost or other.transport is None:
                self._closed()
        elif other.transport is None:
            self._opening.stop()
            self._closed()
        elif other.lost:
            self._closed()
        elif error is None:
            self._drain()
        elif performer.faults is None:
            other.reset()
        else:
            performer.ended(leg, End.RESET)

    def _why_silent(self, leg: Leg) -> str:
        return "" if leg is self.replica else why_silent(self.route, self.conversation)

    def _drain(self) -> None:
        self.closing.drain(self.route.drain_timeout)

    def close(self) -> None:
        """End the connection from the tap's side, after what has been read."""
        self.closing.note(Side.TAP, "fin", "")
        self._opening.stop()
        self._drain()

    def _give_way(self) -> None:
        self.closing.note(Side.TAP, "reset", "it held a place that is kept for replicas, and one needs it")
        self._loop.call_soon(self.abort)

    def abort(self) -> None:
        """End the connection at once."""
        self.closing.abort()

    def _closed(self) -> None:
        """Both sockets are gone: publish the end, and let go of everything."""
        if self.closed:
            return
        self.closed = True
        conversation, closing, performer = self.conversation, self.closing, self._performer
        performer.close()
        closing.stop()
        phase = conversation.phase  # as it was: to close a conversation decides what was still open
        offset = performer.cut_offset if performer.is_cut else conversation.offset
        try:
            conversation.close()
        except Exception:
            self._misunderstood(Side.MASTER)
        closed = closing.event(conversation, Phase.DONE if conversation.phase is Phase.DONE else phase, offset)
        if not self._owner.is_proxy and is_in_question(closed, self.route, self._loop.time()):
            asked = tell_after_question(closed, self.route, self.tell)
            self._owner.own(self._loop.create_task(asked, name=f"is it TLS {self.name}"))
        else:
            self.tell(explained(closed, self.route))
        self._owner.forget(self)
