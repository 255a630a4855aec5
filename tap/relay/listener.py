"""Where the replicas of one link arrive: it listens, admits, and owns the connections until they have ended.

What a peer costs before it is admitted is a socket and a few microseconds: it is refused before a connection is made of
it. A crowd is accepted a few at a time, so that established connections have their turn in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import logging
import math
import os
import socket
import sys
import time
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Collection, Iterable
from typing import Any

from tap.bus import Bus
from tap.config import Config, LinkConfig
from tap.errors import EnvironmentFailure
from tap.faults.plan import Plan
from tap.listening import BACKLOG, listening
from tap.relay.admission import Admission, Refused
from tap.relay.buffers import Buffers
from tap.relay.connection import Connection
from tap.relay.leg import Leg
from tap.relay.refusals import Refusals
from tap.relay.route import Route
from tap.relay.sink import HostPort, Sink
from tap.relay.sockets import shown
from tap.relay.tls_contexts import master_context, replica_context
from tap.relay.tls_transport import TlsTransport
from tap.relay.transparent import original_destination
from tap.replication import events
from tap.replication.events import Event
from tap.replication.inspected import Inspected
from tap.replication.memory import Memory
from tap.replication.phase import Phase
from tap.status import ConnectionStatus, Distribution, LinkStatus
from tap.url import Address

ACCEPTED_AT_ONCE = 4  # of a crowd, before established connections have their turn
MAX_ROUTES = 1024  # masters that a transparent listener remembers

# What Redis says: a replica's log then quotes it, where a connection that is only closed would leave one guessing.
FULL = b"-ERR max number of clients reached\r\n"

# The settings of a link that its connections have nothing to do with. Its other settings hold from a connection's start,
# so connections end when one of those changes, and replicas come back.
NOT_OF_CONNECTIONS = ("name", "listen", "enabled", "alerts", "inspect")

log = logging.getLogger(__name__)


class _Accepted(asyncio.Protocol):
    """The protocol of an accepted socket until its peer is admitted or refused."""

    def __init__(self, arrived: Callable[[asyncio.Transport], None]) -> None:
        self._arrived = arrived

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._arrived(transport)


class _Leaving:
    """Connections that are to end. done: set once all have."""

    def __init__(self, connections: Iterable[Connection]) -> None:
        self.left = set(connections)
        self.done = asyncio.Event()
        if not self.left:
            self.done.set()

    def gone(self, connection: Connection) -> None:
        self.left.discard(connection)
        if not self.left:
            self.done.set()


class Listener:
    """Accepts the replicas of one configured link, and owns their connections.

    is_proxy: it serves any clients, not just replicas. If the master cannot be reached, they see an ordinary end and no
    reset; and a master that ends a connection without a word is not asked whether it speaks TLS.

    Raises ConfigError for a certificate or key that cannot be used.
    """

    def __init__(
        self,
        config: LinkConfig,
        tap: Config,
        bus: Bus,
        plan: Plan,
        buffers: Buffers,
        numbers: itertools.count[int],
        admission: Admission,
        sink: Sink | None = None,
        beside: Memory | None = None,
    ) -> None:
        """beside: what another link remembers."""
        self.config = config
        self.sink = sink
        self.may_record = tap.api is not None  # recordings may start at any time
        self.bus = bus
        self.plan = plan
        self.buffers = buffers
        self._master_tls = master_context(config, tap.keylog)
        self._replica_tls = replica_context(config, tap.keylog)
        self.splices = hasattr(os, "splice") and self._master_tls is None and self._replica_tls is None
        self.address = config.listen  # with the port the system chose, once open
        self.connections: list[Connection] = []
        self.is_proxy = False
        self._route = Route.of(config, tap, beside)
        self._routes: dict[Address, Route] = {}  # of a transparent link, least recently used first
        self._numbers = numbers
        self._admission = admission
        self._refusals = Refusals(lambda event: self.bus.publish(self.config.name, 0, "", event))
        self._refuses = False  # a fault has closed the port
        self._reopening: asyncio.Task[None] | None = None
        self._complaint = ""  # the last one logged
        self._is_closed = False
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving: list[_Leaving] = []

    @property
    def memory(self) -> Memory:
        """What the link's connections remember of each other."""
        return self._route.facts.memory

    async def open(self) -> None:
        """Listen on every address of the host, unless the link is disabled. Raises EnvironmentFailure if that fails."""
        if self.config.enabled:
            await self._serve(*await _sockets(self.config, self.address))

    async def change(self, config: LinkConfig, tap: Config, within: float) -> None:
        """Take other settings, and end the connections that they concern; see NOT_OF_CONNECTIONS.

        The port stays open, unless it is another one or the link is disabled. A port that the system chose stays the
        same. Raises ConfigError, or EnvironmentFailure if the new port cannot be opened: then nothing has changed.
        """
        before, master_tls, replica_tls = (
            self.config,
            master_context(config, tap.keylog),
            replica_context(config, tap.keylog),
        )
        if self._reopening is not None:
            await asyncio.wait({self._reopening})
        moves = config.listen != before.listen
        address = config.listen if moves else self.address
        opened = None
        if config.enabled and not self._refuses and (moves or not before.enabled):
            opened = await self._moved(config, address)
        ends = config.enabled < before.enabled or _of_connections(config) != _of_connections(before)
        self.config, self._master_tls, self._replica_tls = config, master_tls, replica_tls
        self.splices = hasattr(os, "splice") and master_tls is None and replica_tls is None
        if ends:
            route = Route.of(config, tap, self.memory)
            if config.master == before.master:
                route = dataclasses.replace(route, facts=self._route.facts)
            self._route = route
            self._routes.clear()
        old, self.address = self.address, address
        if opened is not None or not config.enabled:
            await self._leave_port()
        if ends:
            await self._end(tuple(self.connections), within)
        if before.enabled and not config.enabled:
            self._over(old, "disabled")
        elif before.enabled and opened is not None:
            self._over(old, "moved")
        if opened is not None:
            await self._serve(*opened)
            self.follow_plan()

    async def _moved(self, config: LinkConfig, address: Address) -> tuple[list[socket.socket], Address]:
        """Sockets for another address; of the same port, only after the old ones are closed."""
        try:
            return await _sockets(config, address)
        except EnvironmentFailure:
            if not self._servers or address.port != self.address.port:
                raise
        await self._leave_port()
        try:
            return await _sockets(config, address)
        except EnvironmentFailure:
            await self._serve(*await _sockets(self.config, self.address))
            raise

    async def _serve(self, sockets: list[socket.socket], address: Address) -> None:
        """Accept replicas on these sockets, which listen on this address."""
        self.address = address
        loop = asyncio.get_running_loop()
        for sock in sockets:
            # asyncio accepts as many at once as its backlog says; the kernel queues as many as the last listen() says.
            self._servers.append(await loop.create_server(self._accept, sock=sock, backlog=ACCEPTED_AT_ONCE))
            sock.listen(BACKLOG)
        self.bus.publish(
            self.config.name,
            0,
            "",
            events.Listening(
                address=str(self.address),
                host=self.address.host,
                port=self.address.port,
                master=None if self.config.master is None else str(self.config.master),
            ),
        )

    def follow_plan(self) -> None:
        """The plan has changed, or time has passed: a fault may want the port closed, or open again."""
        if self._is_closed:
            return
        self._refusals.settle(asyncio.get_running_loop().time())
        if not self.config.enabled:
            self._refuses = False
            return
        armed = self.plan.closes(self.config.name)
        if armed is not None and not self._refuses and self._servers:
            self._refuses = True
            self._stop_listening()
            self.plan.refuse(armed, "refuse", self._tell_soon)
        elif armed is None and self._refuses:
            self._refuses = False
            task = asyncio.get_running_loop().create_task(self._listen_again(), name=f"listen {self.config.name}")
            self._reopening = task
            self.own(task)

    async def _listen_again(self) -> None:
        try:
            await self.open()
            self._complaint = ""
        except EnvironmentFailure as failure:
            if self._complaint != str(failure):
                self._complaint = str(failure)
                log.error("%s; trying again", failure)
            self._refuses = True

    def _accept(self) -> asyncio.Protocol:
        return _Accepted(self._arrived)

    def _arrived(self, transport: asyncio.Transport) -> None:
        """A peer has connected: make a connection of it, or refuse it before it costs anything."""
        place = transport.get_extra_info("peername")
        admitted = self._admission.enter(place[0])
        if isinstance(admitted, Refused):
            self._refusals.add(admitted, shown(place), asyncio.get_running_loop().time())
            if self._replica_tls is None:
                transport.write(FULL)
            transport.close()
            return
        try:
            leg = Connection(self, next(self._numbers), admitted).replica
            tls = self._replica_tls
            protocol = leg if tls is None else TlsTransport(leg, tls, self.buffers.setup_queue)
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
        except BaseException:  # a bug, or no memory: the loop reports it, and the place is not lost for good
            admitted.leave()
            transport.set_protocol(asyncio.Protocol())  # no connection is there to be called at the end
            transport.abort()
            raise

    def to_master(self, leg: Leg, master: Address) -> asyncio.BufferedProtocol:
        """The protocol for the leg's socket. Raises ValueError for a host that cannot be a name."""
        if self._master_tls is None:
            return leg
        host, _, _ = master.host.partition("%")  # the zone of an IPv6 address
        return TlsTransport(leg, self._master_tls, self.buffers.setup_queue, self.config.sni or host)

    def route(self, sock: TransportSocket) -> Route:
        """Where the connection goes that arrived on this socket."""
        master = original_destination(sock) if self.config.transparent else None
        if master is None:
            return self._route
        route = self._routes.pop(master, None) or self._route.to(master)
        self._routes[master] = route
        if len(self._routes) > MAX_ROUTES:
            del self._routes[next(iter(self._routes))]
        return route

    def is_own(self, place: HostPort) -> bool:
        """Whether one of these connections dials its master from there."""
        return any(one.dials_from == place for one in self.connections)

    def status(self, most: int | None = None) -> LinkStatus:
        """How the link and its connections stand at this moment. most: see Tap.status()."""
        shown, ordinary = self.connections, 0
        if most is not None:
            shown = [one for one in shown if one.conversation.phase is not Phase.ORDINARY]
            ordinary = len(self.connections) - len(shown)
        omitted = 0 if most is None else max(0, len(shown) - most)
        return self._status(tuple([one.status() for one in shown[:most]]), ordinary, omitted)

    @property
    def own_status(self) -> LinkStatus:
        """How the link stands, without its connections: takes microseconds, however many there are."""
        return self._status((), 0, len(self.connections))

    def _status(self, connections: tuple[ConnectionStatus, ...], ordinary: int, omitted: int) -> LinkStatus:
        said = self.memory.inspected
        now = time.monotonic()  # the clock of event loops; a status may be read from any thread
        return LinkStatus(
            self.config.name,
            self.address,
            self.config.master,
            connections,
            said,
            None if said is None else now - said.at,
            ordinary,
            omitted,
            self.config.enabled,
            Distribution.of(self.memory.ack_times),
            Distribution.of(self.memory.load_times),
        )

    @property
    def is_listening(self) -> bool:
        """Whether replicas may connect at present; a fault may have closed the port."""
        return bool(self._servers)

    def learn(self, inspected: Inspected) -> None:
        """Take what the master says of itself."""
        self._route.facts.learn(inspected)

    def add(self, connection: Connection) -> None:
        """The connection has its socket. Sooner would be wrong: asyncio forgets one that arrives while we close."""
        self.connections.append(connection)

    def own(self, task: asyncio.Task[None]) -> None:
        """Keep a connection's task until it is done; close() waits for it."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, connection: Connection) -> None:
        self.connections.remove(connection)
        connection.admitted.leave()
        for leaving in self._leaving:
            leaving.gone(connection)

    async def close(self, within: float, how: str = "") -> None:
        """Stop listening, end the connections, and abort those that are not gone after *within* seconds.

        how: report the end of the link as this.
        """
        self._is_closed = True
        self._refusals.settle(math.inf)
        if self._reopening is not None:
            await asyncio.wait({self._reopening}, timeout=within)
        await self._leave_port()
        await self._end(tuple(self.connections), within)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if how:
            self._over(self.address, how)

    def _over(self, address: Address, how: str) -> None:
        self.bus.publish(self.config.name, 0, "", events.ListeningOver(address=str(address), how=how))

    async def _end(self, connections: Collection[Connection], within: float) -> None:
        """End these connections, and abort those that are not gone after *within* seconds."""
        leaving = _Leaving(connections)
        self._leaving.append(leaving)
        try:
            for one in connections:
                one.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(leaving.done.wait(), within)
            for one in tuple(leaving.left):
                one.abort()
            await leaving.done.wait()
        finally:
            self._leaving.remove(leaving)

    def _tell_soon(self, event: Event) -> None:
        """Publish the event once what it says is true."""
        asyncio.get_running_loop().call_soon(self.bus.publish, self.config.name, 0, "", event)

    async def _leave_port(self) -> None:
        """Stop listening, and wait for what has been accepted until now."""
        self._stop_listening()
        await asyncio.sleep(0)  # it has its socket
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # and its connection

    def _stop_listening(self) -> None:
        """Take first what has been accepted: asyncio forgets a connection whose server closes before its first step."""
        loop = asyncio.get_running_loop()
        for server in self._servers:
            for sock in server.sockets:
                loop.remove_reader(sock)
            loop.call_soon(server.close)
        self._servers.clear()


def _of_connections(config: LinkConfig) -> list[Any]:
    """The settings that hold from a connection's start."""
    return [getattr(config, one.name) for one in dataclasses.fields(config) if one.name not in NOT_OF_CONNECTIONS]


async def _sockets(config: LinkConfig, address: Address) -> tuple[list[socket.socket], Address]:
    """Listening sockets for this link, and their address. Raises EnvironmentFailure."""
    if config.transparent and sys.platform != "linux":
        raise EnvironmentFailure(
            f"link {config.name}: only Linux tells where a redirected connection was going; without --transparent, a "
            "replica is pointed at the tap with REPLICAOF"
        )
    try:
        return await listening(address)
    except EnvironmentFailure as failure:
        raise EnvironmentFailure(f"link {config.name}: {failure}") from None
