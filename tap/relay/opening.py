"""How a connection begins: a master is dialled for a replica that has arrived, TLS is agreed, and both legs are let go.

A dial and each TLS handshake, with the replica as with the master, may take Route.connect_timeout.

The dial is a task, so a slow master delays nobody but its own replica. Until it is done the replica's leg is not read:
its bytes wait in the kernel, as they would for a slow server.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from asyncio.trsock import TransportSocket
from ipaddress import ip_address
from typing import Protocol

from tap.bus import Bus
from tap.errors import words
from tap.faults.rules import Rules
from tap.relay.buffers import Buffers
from tap.relay.connection_interface import ConnectionInterface
from tap.relay.dial import OUT_OF_FILES, dial
from tap.relay.leg import Leg
from tap.relay.name_lookup import UNRESOLVABLE
from tap.relay.route import Route
from tap.relay.sink import HostPort, Sink
from tap.relay.sockets import shown
from tap.relay.tls_transport import TlsTransport
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Side
from tap.url import Address

log = logging.getLogger(__name__)


class Home(Protocol):
    """Where a connection arrives, as far as its beginning needs that. may_record: a sink may come later."""

    bus: Bus
    buffers: Buffers
    sink: Sink | None
    is_proxy: bool  # see Listener
    may_record: bool

    def route(self, sock: TransportSocket) -> Route:
        """Where the connection on this socket goes."""

    def is_own(self, place: HostPort) -> bool:
        """Whether a connection of the tap dials its master from there."""

    def to_master(self, leg: Leg, master: Address) -> asyncio.BufferedProtocol:
        """The protocol for the leg's socket. Raises ValueError for a host that cannot be a name."""

    def own(self, task: asyncio.Task[None]) -> None:
        """Keep the task until it is done."""


class Opening:
    """The beginning of one connection, and its way to the master."""

    def __init__(self, of: ConnectionInterface, home: Home) -> None:
        self._of = of
        self._home = home
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None

    @property
    def is_under_way(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def dials_from(self) -> HostPort | None:
        """The tap's address on the connection to the master; None if there is none."""
        sock = self._socket
        return None if sock is None or sock.fileno() < 0 else sock.getsockname()[:2]

    def begin(self) -> bool:
        """The replica's leg has its socket: find out where the connection goes, and announce it.

        Returns False, and ends the connection, if it has no master to go to.
        """
        of, home, leg = self._of, self._home, self._of.replica
        assert leg.transport is not None
        of.route = route = home.route(leg.transport.get_extra_info("socket"))
        of.name = route.name
        of.ordinal = next(route.facts.ordinals)
        if route.masked or route.keeps_address:
            of.set_rules(Rules(route.masked))
        host, port = leg.transport.get_extra_info("peername")[:2]
        of.conversation = Conversation(
            of.tell,
            memory=route.facts.memory,
            connection=of.number,
            peer_host=host,
            peer_port=port,
            every_command=route.every_command,
            every_key=route.every_key,
            wants=home.bus.takes,
            opaque=route.opaque,
        )
        of.conversation.samples = home.bus.samples
        if home.may_record:
            of.conversation.notices_secret = of.notice_secret
        of.peer = shown((host, port))
        of.add()
        astray = self._astray((host, port))
        if astray:
            of.tell(events.LinkOpened(peer=of.peer, master=""))
            of.closing.note(Side.TAP, "error", astray)
            leg.close()
            return False
        if home.sink is not None:
            place = leg.transport.get_extra_info("sockname")[:2]
            of.sink = home.sink.opened(of.name, of.conversation, (host, port), place)
        of.tell(events.LinkOpened(peer=of.peer, master=str(route.master)))
        return True

    def _astray(self, place: HostPort) -> str:
        """Why a connection from there has no master to go to; "" if it has one."""
        route = self._of.route
        if route.master is None:
            return (
                "it was not redirected by this machine: --transparent takes what goes to a master's own address, and is "
                "sent on to the tap by iptables or nftables here"
            )
        if route.is_transparent and self._home.is_own(place):
            return (
                f"the tap's own connection to {route.master} is redirected back to it: run it as another user than "
                "the replica, and redirect only what that one opens (iptables: -m owner --uid-owner redis)"
            )
        return ""

    def start(self) -> None:
        """Dial the master."""
        of = self._of
        self._task = asyncio.get_running_loop().create_task(self._open(), name=f"dial {of.name} {of.number}")
        self._home.own(self._task)

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _opened(self, sock: socket.socket) -> None:
        self._socket = sock

    async def _open(self) -> None:
        """Connect to the master, each step within the timeout; then let both legs begin."""
        of = self._of
        within = of.route.connect_timeout
        by, how, text = Side.MASTER, "refused", ""
        try:
            master = of.route.master
            assert master is not None
            await self._home.buffers.setup_queue.turn(is_first=of.is_known)
            if not await self._is_secured(of.replica):
                return
            await dial(master, self._home.to_master(of.master, master), within, self._opened)
            if not await self._is_secured(of.master):
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
            log.exception("link %s, connection %d: dialling failed; please report this", of.name, of.number)
            by, how, text = Side.TAP, "error", words(error)
        if text:
            of.closing.note(by, how, text)
            if self._home.is_proxy:
                of.closing.limit(of.route.drain_timeout)
                of.replica.say_goodbye()
            else:
                of.replica.reset()  # the closest there is to a refused connection
            return
        if of.replica.is_over:
            of.master.close()
            return
        assert of.master.transport is not None
        if of.sink is not None:
            place: HostPort | None = of.master.transport.get_extra_info("peername")[:2] or None
            of.sink.dialled(place)
        if of.route.keeps_address:
            of.announce(host_to_announce(of.conversation.peer_host, of.master.transport.get_extra_info("peername")))
        of.replica.begin()
        of.master.begin()

    async def _is_secured(self, leg: Leg) -> bool:
        """Whether bytes may pass: TLS is agreed, or was not wanted. If not, the leg's owner hears why in lost()."""
        tls = leg.transport
        if not isinstance(tls, TlsTransport):
            return True
        if not await tls.handshake(self._of.route.connect_timeout):
            return False
        self._of.tell(
            events.Secured(
                side=leg.side, version=tls.version, cipher=tls.cipher, certificate=tls.peer, verified=tls.is_verified
            )
        )
        return True


def host_to_announce(replica: str, master: object) -> str:
    """The replica's source address, if the master would see the same one without a tap; else "".

    master: the name of its socket, a tuple except for a Unix socket. A replica that reaches the tap over loopback is on
    the tap's machine, and a master elsewhere sees the address of that machine.
    """
    is_near = not isinstance(master, tuple) or ip_address(master[0]).is_loopback
    return replica if is_near or not ip_address(replica).is_loopback else ""
