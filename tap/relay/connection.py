"""One replica connection with its master connection: their bytes pass, are understood, and may be hurt on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import math
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from tap.errors import words
from tap.faults.armed import Armed
from tap.faults.items import CloseLink, End
from tap.faults.link import LinkFaults
from tap.faults.rules import Rules
from tap.relay.dial import OUT_OF_FILES, dial
from tap.relay.leg import EARLY_BYTES, REST_SECONDS, SPLICE_FROM, Leg
from tap.relay.names import UNRESOLVABLE
from tap.relay.share import Account
from tap.relay.sink import LinkSink, Place
from tap.relay.tls_transport import TlsFailure, TlsTransport, speaks_tls
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event, Side
from tap.replication.phase import Phase
from tap.status import ConnectionStatus, connection_status

if TYPE_CHECKING:
    from tap.relay import admission
    from tap.relay.listener import Listener, Route

RESET_SECONDS = 5.0  # in which a peer takes none of what was sent before an RST; then it does without
RESET_POLL = 0.001
SILENT = "it ended the connection without a word"
TLS_SECONDS = 0.3  # for a master to answer the question whether it speaks TLS
FORGOTTEN_AFTER = 60.0  # seconds; Linux keeps a closed socket that waits for its peer's FIN so long (tcp_fin_timeout)

log = logging.getLogger(__name__)


class Connection:
    """Born when a replica connects; dials the master; ends when both sockets are gone.

    Bytes are written to the other side first and understood afterwards; with a fault armed it is the other way round.
    A failure to understand ends nothing but the understanding.
    """

    def __init__(self, listener: Listener, number: int, admitted: admission.Place) -> None:
        self.listener = listener
        self.admitted = admitted
        admitted.end = self._give_way
        self.number = number
        self.route: Route  # this and what follows from it is known once the replica has its socket
        self.name: str
        self.conversation: Conversation
        self._ordinal: int
        self.peer = ""
        self.account = Account(listener.buffers.thread)
        self.replica = Leg(self, Side.REPLICA, listener.buffers)
        self.master = Leg(self, Side.MASTER, listener.buffers)
        self.replica.other = self.master
        self.master.other = self.replica
        self.sink: LinkSink | None = None
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._dialling: asyncio.Task[None] | None = None
        self._dialled: socket.socket | None = None
        self._end: tuple[Side, str, str] | None = None  # by whom, how, in the system's words
        self._draining: asyncio.TimerHandle | None = None
        self._opened = self._loop.time()
        self.faults: LinkFaults | None = None  # while some concern this link, or its rules apply
        self._rules = Rules(listener.masked) if listener.masked or listener.keeps_address else None
        self._waking: asyncio.TimerHandle | None = None
        self._is_cut = False
        self._cut_offset: int | None = None
        self._deserted = math.inf  # since when no peer is there
        self._is_busy = False  # bytes or faults are in the middle of something
        self._refused_by: Armed | None = None  # the fault that leaves the replica without a master
        self._status: ConnectionStatus | None = None  # the last one made

    # ---- how it stands ----

    @property
    def phase(self) -> str:
        """ "handshake", "rdb", "stream" and so on."""
        return self.conversation.phase.value

    @property
    def role(self) -> str | None:
        """What the peer is: "replica", "rdb_channel" and so on; None while that does not show."""
        return None if self.conversation.role is None else self.conversation.role.value

    @property
    def replid(self) -> str | None:
        """The replication ID of the history that flows."""
        return self.conversation.replid

    @property
    def offset(self) -> int | None:
        """The replication offset after the last byte that was passed on; None where there is none."""
        return self.conversation.offset

    @property
    def acked(self) -> int | None:
        """The last replication offset that the replica acknowledged."""
        return None if self.conversation.stream is None else self.conversation.stream.acked

    @property
    def lag_bytes(self) -> int | None:
        """Passed on, and not acknowledged yet."""
        return None if self.conversation.stream is None else self.conversation.stream.lag_bytes

    def status(self) -> ConnectionStatus:
        """How it stands at this moment."""
        status = self._status
        if status is None or not status.is_current(self.conversation):
            self._status = status = connection_status(
                self.conversation,
                self._loop.time(),
                number=self.number,
                link=self.name,
                peer=self.peer,
                master=self.route.master,
                opened=self._opened,
            )
        return status

    def __repr__(self) -> str:
        if self.replica.transport is None and not self.peer:
            return f"<Connection {self.number}, beginning>"
        offset = "" if self.offset is None else f", offset {self.offset}"
        return (
            f"<Connection {self.number} of {self.name}: {self.conversation.replica or self.peer}, {self.phase}{offset}>"
        )

    # ---- the conversation ----

    def tell(self, event: Event) -> None:
        if isinstance(event, events.FullResync | events.PartialResync):
            self.admitted.granted()
        elif isinstance(event, events.Identified) and event.main_connection is not None:
            self.admitted.is_granted = True  # the grant is told as the main connection's
        self.listener.bus.publish(self.name, self.number, self.conversation.replica, event)

    @property
    def has_a_clock(self) -> bool:
        """Whether time changes anything for it. Without asking, thousands of idle connections make a tick a long one."""
        conversation = self.conversation
        is_quiet = conversation.stream is None and self.faults is None and self._refused_by is None
        return not is_quiet or self._deserted != math.inf

    def tick(self, now: float) -> None:
        try:
            master = self.master.transport
            self.conversation.tick(now, held_back=master is not None and not master.is_reading())
        except Exception:
            self._misunderstood(Side.MASTER)
        if self.faults is not None:
            self._awake()
        if self._refused_by is not None or (self.faults is not None and self.faults.is_stalled):
            self._notice_ends(now)
        else:
            self._deserted = math.inf

    def _notice_ends(self, now: float) -> None:
        """We hear nothing of peers that a fault keeps us from reading: the link ends when none of them is left.

        One that has sent FIN may still want what a stall holds; its kernel forgets it after a while if not.
        """
        legs = [leg for leg in (self.replica, self.master) if leg.transport is not None]
        if self._dialling is not None and not self._dialling.done():
            return
        ends = {leg.hung_up for leg in legs}
        if "" in ends:
            self._deserted = math.inf
            return
        self._deserted = min(self._deserted, now)
        if "fin" not in ends or len(legs) == 1 or now - self._deserted >= FORGOTTEN_AFTER:
            self._note_end(Side.REPLICA, self.replica.hung_up, "")
            self.abort()

    def _misunderstood(self, side: Side) -> None:
        """A bug of ours must cost the understanding, never the link."""
        log.exception("link %s, connection %d: reading along failed; please report this", self.name, self.number)
        self.conversation.lost(side, "redis-tap failed to read it; this is a bug, its traceback is in the log")

    # ---- called by the legs ----

    def leg_made(self, leg: Leg) -> None:
        if leg is not self.replica:
            return
        try:
            self._begin(leg)
        except BaseException:  # a bug, or no memory: the loop says so, and nothing of the link may stay
            self._note_end(Side.TAP, "error", "redis-tap failed to begin it; this is a bug, its traceback is in the log")
            if self not in self.listener.links:
                self.closed = True
                self.admitted.leave()
            self.abort()
            raise

    def _begin(self, leg: Leg) -> None:
        """The replica has its socket: find out where it goes, and dial."""
        assert leg.transport is not None
        self.route = self.listener.route(leg.transport.get_extra_info("socket"))
        self.name = self.route.name
        self._ordinal = next(self.route.ordinals)
        self.conversation = Conversation(
            self.tell,
            memory=self.route.memory,
            connection=self.number,
            every_command=self.listener.every_command,
            every_key=self.listener.every_key,
            wants=self.listener.bus.takes,
            opaque=self.listener.opaque,
        )
        self.listener.add(self)
        host, port = leg.transport.get_extra_info("peername")[:2]
        self.peer = shown((host, port))
        self.conversation.peer_host, self.conversation.peer_port = host, port
        astray = self._astray((host, port))
        if astray:
            self.tell(events.LinkOpened(peer=self.peer, master=""))
            self._note_end(Side.TAP, "error", astray)
            self.replica.close()
            return
        if self.listener.sink is not None:
            self.sink = self.listener.sink.opened(
                self.name, self.conversation, (host, port), leg.transport.get_extra_info("sockname")[:2]
            )
        self.tell(events.LinkOpened(peer=self.peer, master=str(self.route.master)))
        if self._is_refused():
            return
        self.arm()
        if not self._is_cut:
            self.dial()

    def _astray(self, place: Place) -> str:
        """Why the connection from there has no master to go to; "" if it has one."""
        if self.route.master is None:
            return (
                "it was not redirected by this machine: --transparent takes what goes to a master's own address, and is "
                "sent on to the tap by iptables or nftables here"
            )
        if self.listener.config.transparent and self.listener.is_own(place):
            return (
                f"the tap's own connection to {self.route.master} is redirected back to it: run it as another user than "
                "the replica, and redirect only what that one opens (iptables: -m owner --uid-owner redis)"
            )
        return ""

    @property
    def dials_from(self) -> Place | None:
        """Our address on the master's connection; None if there is none."""
        sock = self._dialled
        return None if sock is None or sock.fileno() < 0 else sock.getsockname()[:2]

    def _dials(self, sock: socket.socket) -> None:
        self._dialled = sock

    def _is_refused(self) -> bool:
        """Whether a fault keeps the replica out."""
        armed = self.listener.plan.refusal(self.name)
        if armed is None:
            return False
        if armed.fault.what.keeps_out == "blackhole":
            self._refused_by = armed
            armed.at_work += 1
            # whoever hears of it may end the fault: arm() then dials
            self.listener.plan.refuse(armed, "blackhole", self.tell)
        else:
            self._is_cut = True
            self.listener.plan.refuse(armed, "close", self.tell)
            self._note_end(Side.TAP, "fin", f"refused by fault {armed.name}")
            self.replica.say_goodbye()
        return True

    def _let_in(self) -> None:
        if self._refused_by is not None:
            self._refused_by.at_work -= 1
            self._refused_by = None

    def dial(self) -> None:
        self._dialling = self._loop.create_task(self._dial(), name=f"dial {self.name} {self.number}")
        self.listener.own(self._dialling)

    def received(self, leg: Leg, data: memoryview) -> None:
        if leg.discards:
            return
        self._is_busy = True
        try:
            if self.faults is None:
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
                passes = self.faults.receive(leg.side, data, now)
            except Exception:
                self._fault_failed()
                self.faults.catch_up(leg.side, data, now)
                passes = False
        finally:
            self._is_busy = False
        if passes:
            leg.other.write(data)
        else:
            self._send(leg)

    def unread(self, leg: Leg) -> float:
        """So many of the next bytes of the leg's peer nobody looks at: the kernel can pass them on."""
        is_watched = self.faults is not None or self.sink is not None or self._is_cut
        return 0 if is_watched or not self.listener.splices else self.conversation.skippable(leg.side)

    def passed(self, leg: Leg, size: int) -> None:
        """They went on unread."""
        self.conversation.skipped(leg.side, size)

    def _read(self, leg: Leg, data: memoryview) -> None:
        try:
            if leg is self.master:
                self.conversation.receive_from_master(data, self._loop.time())
            else:
                self.conversation.receive_from_replica(data, self._loop.time())
        except Exception:
            self._misunderstood(leg.side)

    def ended(self, leg: Leg) -> None:
        """The leg's peer sent FIN: pass it on; when both have, the link is done."""
        self._note_end(leg.side, "fin", self._why_silent(leg))
        if self.sink is not None:
            self.sink.ended(leg.side, "fin")
        if self.faults is None:
            self._pass_fin(leg)
        else:
            self.faults.ended(leg.side, End.FIN, self._loop.time())
            self._send(leg)

    def _pass_fin(self, leg: Leg) -> None:
        leg.is_done = True
        leg.other.write_eof()
        if leg.other.is_done:
            self._drain()

    def lost(self, leg: Leg, error: Exception | None) -> None:
        """The leg's socket is gone."""
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            self._note_end(leg.side, "reset", self._why_silent(leg) or words(error))
            if self.sink is not None:
                self.sink.ended(leg.side, "reset")
        elif isinstance(error, TimeoutError):
            self._note_end(leg.side, "timeout", words(error))
        elif isinstance(error, TlsFailure):
            if leg is self.master and self.conversation.phase is Phase.DONE:
                # Redis 8.0 ends an RDB channel with a close_notify that nobody can read: its child has sent the RDB, and
                # the server counts the records of before.
                self._note_end(leg.side, "fin", "")
            else:
                self._note_end(error.by, "tls", str(error))
            if leg is self.master and self.conversation.from_master and self.faults is not None and not leg.other.lost:
                leg.blocked = False  # and so the replica is read, to its end
                self.replica.let("slow peer")
                self.faults.ended(leg.side, End.FIN, self._loop.time())  # behind what they hold
                self._send(leg)
                return
            error = None  # the socket ends in order, and so does the other
        elif error is not None:
            self._note_end(leg.side, "error", words(error))
        other = leg.other
        if self._is_cut:
            if other.lost or other.transport is None:
                self._closed()
        elif other.transport is None:
            if self._dialling is not None:
                self._dialling.cancel()
            self._closed()
        elif other.lost:
            self._closed()
        elif error is None:
            self._drain()
        elif self.faults is None:
            other.reset()
        else:
            self.faults.ended(leg.side, End.RESET, self._loop.time())
            self._send(leg)

    def _why_silent(self, leg: Leg) -> str:
        """What to say of a master that ends before its first word, without a reason; "" for any other end."""
        if leg is self.replica or self.conversation.from_master or not self.conversation.from_replica:
            return ""
        config = self.listener.config
        if not config.tls:
            return SILENT
        if config.cert is not None:
            return ""
        return f"{SILENT}; it may require a client certificate: --cert and --key"

    def nowhere(self, leg: Leg, size: int) -> None:
        """Bytes for a peer to which there is no connection."""
        if self._end is None and not self.closed:
            log.error(
                "link %s, connection %d: %d bytes for the %s are lost, for it is not connected; please report this",
                self.name,
                self.number,
                size,
                leg.side.value,
            )

    def flooded(self, leg: Leg) -> None:
        """The leg's transport reads on, although it is paused, and the other leg is not there."""
        text = (
            f"this event loop does not keep the {leg.side.value} waiting: {EARLY_BYTES} bytes came before the link began"
        )
        log.error("link %s, connection %d: %s; please report this", self.name, self.number, text)
        self._note_end(Side.TAP, "error", text)
        self.abort()

    def writable(self, leg: Leg) -> None:
        """The leg's peer takes bytes again."""
        if self.faults is not None and not self.closed:
            self._send(leg.other)

    # ---- faults ----

    def arm(self) -> None:
        """The plan has changed. If an observer did that while we told it something, it has to wait."""
        if self._is_cut or self.closed:
            return
        if self._is_busy:
            self._loop.call_soon(self.arm)
            return
        if self._refused_by is not None:
            if not self._refused_by.is_over:
                return
            self._let_in()
            self.dial()
        now = self._loop.time()
        if self.faults is not None:
            with self._faulty():
                self.faults.refresh(now)
            self._awake()
        elif self.listener.plan.armed or self._rules is not None:
            self._is_busy = True
            try:
                self.faults = LinkFaults(
                    self.listener.plan,
                    self.conversation,
                    self.tell,
                    link=self.name,
                    ordinal=self._ordinal,
                    opened=self._opened,
                    now=now,
                    rules=self._rules,
                )
            finally:
                self._is_busy = False
            self._awake()

    @contextlib.contextmanager
    def _faulty(self) -> Iterator[None]:
        """A bug in a fault must cost the faults, never the link."""
        was_busy, self._is_busy = self._is_busy, True
        try:
            yield
        except Exception:
            self._fault_failed()
        finally:
            self._is_busy = was_busy

    def _fault_failed(self) -> None:
        log.exception("link %s, connection %d: a fault failed; please report this", self.name, self.number)
        assert self.faults is not None
        self.faults.give_up(self._loop.time())

    def _awake(self) -> None:
        """Time has passed, or the plan has changed: send what is due."""
        if self.faults is None or self.closed:
            return
        with self._faulty():
            self.faults.tick(self._loop.time())
        self._send(self.master)
        if self.faults is not None:
            self._send(self.replica)
        if self.faults is not None and self.faults.is_idle:
            self.conversation.watcher = None
            self.faults = None

    def _send(self, source: Leg) -> None:
        """Send what the faults let out of what *source* sent; read on from it unless they hold enough."""
        faults, target = self.faults, source.other
        assert faults is not None
        flow, now = faults.lanes[source.side].flow, self._loop.time()
        if faults.cut_now is not None:
            self._cut_now(faults, faults.cut_now)
            return
        flow.settle(now)
        while not target.blocked and (target.transport or flow.is_cut) and (item := flow.take(now)) is not None:
            if isinstance(item, CloseLink):
                self._cut(item)
                return
            if item is End.FIN:
                self._pass_fin(source)
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

    def _set_alarm(self, wakes: float) -> None:
        if self._waking is not None and (self._waking.when() != wakes or self._waking.cancelled()):
            self._waking.cancel()
            self._waking = None
        if wakes < math.inf and self._waking is None:
            self._waking = self._loop.call_at(wakes, self._alarm)

    def _alarm(self) -> None:
        self._waking = None
        self._awake()

    def _cut_now(self, faults: LinkFaults, cut: CloseLink) -> None:
        """Behind what is due, also where a peer has yet to take it."""
        for leg in (self.master, self.replica):
            flow = faults.lanes[leg.side].flow
            flow.keep()
            while (item := flow.take(self._loop.time())) is not None:
                if isinstance(item, bytes):
                    leg.other.write(item)
        self._cut(cut)

    def _cut(self, cut: CloseLink) -> None:
        """End the link as a fault wants it."""
        self._is_cut = True
        if self.faults is not None:
            self._cut_offset = self.faults.offset
            self.faults.close()
        self.faults = None
        self.conversation.watcher = None
        self._set_alarm(math.inf)
        self._note_end(Side.TAP, "reset" if cut.reset else "fin", f"cut by fault {cut.name}")
        if self._dialling is not None:
            self._dialling.cancel()
        for leg, name in ((self.replica, "replica"), (self.master, "master")):
            leg.discards = True
            if cut.legs not in ("both", name):
                leg.let_all()
            elif cut.reset:
                self._reset(leg, leg.unsent, self._loop.time() + RESET_SECONDS)
            else:
                leg.say_goodbye()
        if cut.legs == "both":
            self._draining = self._loop.call_later(self.listener.drain_timeout, self.abort)

    def _reset(self, leg: Leg, left: int, give_up: float) -> None:
        """RST once the peer has what was sent before: it would lose it otherwise. left: bytes, at last sight."""
        unsent, now = leg.unsent, self._loop.time()
        if unsent < left:
            give_up = now + RESET_SECONDS
        if unsent and now < give_up:
            leg.hold("cut")
            self._loop.call_later(RESET_POLL, self._reset, leg, unsent, give_up)
        else:
            leg.reset()

    # ---- the end ----

    def _drain(self) -> None:
        """End both sides once what they have not been sent yet is sent; not later than the timeout."""
        if self._draining is None:
            self._draining = self._loop.call_later(self.listener.drain_timeout, self.abort)
        self.replica.close()
        self.master.close()

    async def _dial(self) -> None:
        """Connect to the master, each step within the timeout; the replica's bytes wait in its socket."""
        within = self.listener.connect_timeout
        by, how, text = Side.MASTER, "refused", ""
        try:
            master = self.route.master
            assert master is not None
            await self.listener.buffers.handshakes.turn(is_first=self.admitted.is_known)
            if not await self._is_secured(self.replica):
                return
            await dial(master, self.listener.to_master(self.master, master), within, self._dials)
            if not await self._is_secured(self.master):
                return
        except TimeoutError:
            how, text = "timeout", f"no connection within {within:g} s"
        except OSError as error:
            text = words(error)
            if error.errno in OUT_OF_FILES:
                by, how = Side.TAP, "error"
        except ValueError:
            text = UNRESOLVABLE
        except Exception as error:
            log.exception("link %s, connection %d: dialling failed; please report this", self.name, self.number)
            by, how, text = Side.TAP, "error", words(error)
        if text:
            self._note_end(by, how, text)
            self.replica.reset()  # what comes nearest to a connection that is refused
            return
        if self.replica.is_over:
            self.master.close()
            return
        assert self.replica.transport is not None
        assert self.master.transport is not None
        if self.sink is not None:
            place: Place | None = self.master.transport.get_extra_info("peername")[:2] or None
            self.sink.dialled(place)
        if self._rules is not None and self.listener.keeps_address:
            self._rules.host = host_to_announce(
                self.conversation.peer_host, self.master.transport.get_extra_info("peername")
            )
        self.replica.begin()
        self.master.begin()

    async def _is_secured(self, leg: Leg) -> bool:
        """Whether bytes may pass: there is TLS, or none was wanted. If not, lost() hears why."""
        tls = leg.transport
        if not isinstance(tls, TlsTransport):
            return True
        if not await tls.handshake(self.listener.connect_timeout):
            return False
        self.tell(
            events.Secured(
                side=leg.side, version=tls.version, cipher=tls.cipher, certificate=tls.peer, verified=tls.is_verified
            )
        )
        return True

    def close(self) -> None:
        """End the link from our side, after what has been read."""
        self._note_end(Side.TAP, "fin", "")
        if self._dialling is not None:
            self._dialling.cancel()
        self._drain()

    def _give_way(self) -> None:
        self._note_end(Side.TAP, "reset", "it held a place that is kept for replicas, and one needs it")
        self._loop.call_soon(self.abort)

    def abort(self) -> None:
        """End the link at once."""
        self.replica.abort()
        self.master.abort()

    def _note_end(self, by: Side, how: str, text: str) -> None:
        if self._end is None:
            self._end = (by, how, text)

    def _closed(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._let_in()
        self._set_alarm(math.inf)
        if self.faults is not None:
            self.faults.close()
        if self._draining is not None:
            self._draining.cancel()
        phase = self.conversation.phase  # as it was: to close a conversation decides what was still open
        offset = self._cut_offset if self._is_cut else self.conversation.offset
        try:
            self.conversation.close(self._loop.time())
        except Exception:
            self._misunderstood(Side.MASTER)
        by, how, text = self._end or (Side.TAP, "fin", "")
        closed = events.LinkClosed(
            by=by,
            how=how,
            text=text,
            role=self.conversation.role,
            phase=Phase.DONE.value if self.conversation.phase is Phase.DONE else phase.value,
            offset=offset,
            bytes_from_master=self.conversation.from_master,
            bytes_from_replica=self.conversation.from_replica,
        )
        if self.conversation.from_master:
            self.route.speaks_tls = False
        if text == SILENT and self.route.is_worth_asking(self._loop.time()):
            self.listener.own(self._loop.create_task(self._close_knowing(closed), name=f"is it TLS {self.name}"))
        else:
            self._tell_closed(closed)
        self.listener.forget(self)

    async def _close_knowing(self, closed: events.LinkClosed) -> None:
        """Find out whether the master was silent because it speaks TLS: servers reset a connection that does not."""
        assert self.route.master is not None
        try:
            self.route.speaks_tls = await speaks_tls(self.route.master, TLS_SECONDS) or None
        finally:
            self._tell_closed(closed)

    def _tell_closed(self, closed: events.LinkClosed) -> None:
        if closed.text == SILENT and self.route.speaks_tls:
            closed = dataclasses.replace(closed, text=f"{SILENT}, for it speaks TLS: --tls")
        self.tell(closed)


def shown(place: tuple[Any, ...]) -> str:
    """An address as the system gives it, as text."""
    host, port = place[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_to_announce(replica: str, master: object) -> str:
    """The replica's source address, if it is its address to the master, too; else "".

    master: the name of its socket, a tuple but for a Unix socket. A replica that reaches us over loopback is on our
    machine; a master elsewhere sees the address of that.
    """
    is_near = not isinstance(master, tuple) or ip_address(master[0]).is_loopback
    return replica if is_near or not ip_address(replica).is_loopback else ""
