"""Where replicas of one configured link arrive."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import os
import sys
from asyncio.trsock import TransportSocket
from collections.abc import Callable

from tap.bus import Bus
from tap.config import Config
from tap.errors import EnvironmentFailure
from tap.faults.plan import Plan
from tap.link_config import CAPA, LinkConfig
from tap.listening import BACKLOG, listening
from tap.relay.admission import Admission, Refused
from tap.relay.connection import Connection, shown
from tap.relay.leg import Buffers, Leg
from tap.relay.sink import Place, Sink
from tap.relay.tls_transport import TlsTransport, master_context, replica_context
from tap.relay.transparent import original_destination
from tap.replication import events
from tap.replication.events import Event
from tap.replication.memory import Memory
from tap.status import LinkStatus
from tap.url import Address

ACCEPTED_AT_ONCE = 4  # of a crowd, before the links have their turn again
MAX_ROUTES = 1024  # masters that a transparent listener remembers
ASK_AGAIN_SECONDS = 60.0
SUMMED_SECONDS = 10.0  # between two events that count the connections which were not let in

# What Redis says: a replica's log then quotes it, where a connection that is only closed would leave one guessing.
FULL = b"-ERR max number of clients reached\r\n"

log = logging.getLogger(__name__)


class Route:
    """What the connections to one master share. name: of the link. master: None where nobody knows it.

    beside: what another link remembers.
    """

    def __init__(self, name: str, master: Address | None, beside: Memory | None) -> None:
        self.name = name
        self.master = master
        self.memory = Memory(name, beside)
        self.ordinals = itertools.count(1)  # of its connections
        self.speaks_tls: bool | None = None  # the master, to whom we do not; None while nobody knows
        self._asked = -math.inf  # when it was, in the loop's time

    def is_worth_asking(self, now: float) -> bool:
        """Whether to ask the master if it speaks TLS; if so, this counts as asked."""
        if self.speaks_tls is not None or now - self._asked < ASK_AGAIN_SECONDS:
            return False
        self._asked = now
        return True


class _Arrival(asyncio.Protocol):
    """Of a socket that was accepted, until it is known whether its peer is let in."""

    def __init__(self, arrived: Callable[[asyncio.Transport], None]) -> None:
        self._arrived = arrived

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._arrived(transport)


class _Refusals:
    """Connections that were not let in: the first one is told at once, then once in a while how many."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._counts: dict[Refused, tuple[int, str]] = {}  # since the last event, and the last one's peer
        self._told = -math.inf

    def add(self, refused: Refused, peer: str, now: float) -> None:
        count, _ = self._counts.get(refused, (0, ""))
        self._counts[refused] = count + 1, peer
        self.settle(now)

    def settle(self, now: float) -> None:
        if self._counts and now - self._told >= SUMMED_SECONDS:
            self._told = now
            counts, self._counts = self._counts, {}
            for refused, (count, peer) in counts.items():
                self._tell(events.ConnectionsRefused(count=count, peer=peer, limit=refused.limit, most=refused.most))


class Listener:
    """Accepts replicas of one configured link, and owns the links they become.

    Raises ConfigError for certificates that will not do.
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
        self.bus = bus
        self.plan = plan
        self.buffers = buffers
        self.keeps_address = (config.announce or tap.announce) == "keep"
        mask = tap.mask if config.mask is None else config.mask
        self.masked = [one.removeprefix(CAPA) for one in mask]
        self.every_command = tap.every_command
        self.every_key = tap.every_key
        self.opaque = tap.opaque
        self.connect_timeout = tap.connect_timeout
        self.drain_timeout = tap.drain_timeout
        self._master_tls = master_context(config, tap.keylog)
        self._replica_tls = replica_context(config, tap.keylog)
        self.splices = hasattr(os, "splice") and self._master_tls is None and self._replica_tls is None
        self.address = config.listen  # with the port the system chose, once open
        self.links: list[Connection] = []
        self._route = Route(config.name, config.master, beside)
        self.memory = self._route.memory
        self._routes: dict[Address, Route] = {}  # of a transparent listener, the last one used last
        self._numbers = numbers
        self._admission = admission
        self._refusals = _Refusals(lambda event: self.bus.publish(self.config.name, 0, "", event))
        self._refuses = False  # by a fault
        self._reopening: asyncio.Task[None] | None = None
        self._complaint = ""  # the last one
        self._is_closed = False
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    async def open(self) -> None:
        """Listen on every address of the host, also again after close(). Raises EnvironmentFailure if that cannot be."""
        if self.config.transparent and sys.platform != "linux":
            raise EnvironmentFailure(
                f"link {self.config.name}: only Linux tells where a redirected connection was going; without "
                "--transparent, a replica is pointed at the tap with REPLICAOF"
            )
        try:
            sockets, self.address = await listening(self.address)
        except EnvironmentFailure as failure:
            raise EnvironmentFailure(f"link {self.config.name}: {failure}") from None
        loop = asyncio.get_running_loop()
        for sock in sockets:
            # asyncio accepts up to the backlog at once; the kernel keeps as many as the last listen() says.
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
        """The plan has changed, or time has passed: a fault may want nobody to connect, or no longer."""
        if self._is_closed:
            return
        self._refusals.settle(asyncio.get_running_loop().time())
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
        return _Arrival(self._arrived)

    def _arrived(self, transport: asyncio.Transport) -> None:
        """Somebody has connected: make a link of it, or refuse it before it costs anything."""
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
            protocol = leg if self._replica_tls is None else TlsTransport(leg, self._replica_tls, self.buffers.handshakes)
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
        except BaseException:  # a bug, or no memory: the loop says so, and it must cost no place for good
            admitted.leave()
            transport.set_protocol(asyncio.Protocol())  # there is no link to hear of the end
            transport.abort()
            raise

    def to_master(self, leg: Leg, master: Address) -> asyncio.BufferedProtocol:
        """What the leg's socket talks to. Raises ValueError for a host that cannot be a name."""
        if self._master_tls is None:
            return leg
        host, _, _ = master.host.partition("%")  # the zone of an IPv6 address
        return TlsTransport(leg, self._master_tls, self.buffers.handshakes, self.config.sni or host)

    def route(self, sock: TransportSocket) -> Route:
        """Where the connection goes that arrived on this socket."""
        master = original_destination(sock) if self.config.transparent else None
        if master is None:
            return self._route
        route = self._routes.pop(master, None) or Route(str(master), master, self.memory)
        self._routes[master] = route
        if len(self._routes) > MAX_ROUTES:
            del self._routes[next(iter(self._routes))]
        return route

    def is_own(self, place: Place) -> bool:
        """Whether one of our links dials its master from there."""
        return any(link.dials_from == place for link in self.links)

    def status(self) -> LinkStatus:
        """How the link and its connections stand at this moment."""
        return LinkStatus(
            self.config.name, self.address, self.config.master, tuple([link.status() for link in self.links])
        )

    def add(self, link: Connection) -> None:
        """The link has its socket. Not sooner: of one that arrives while we close, asyncio never tells again."""
        self.links.append(link)
        self._empty.clear()

    def own(self, task: asyncio.Task[None]) -> None:
        """Keep a link's task until it is done; close() waits for it."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, link: Connection) -> None:
        self.links.remove(link)
        link.admitted.leave()
        if not self.links:
            self._empty.set()

    async def close(self, within: float) -> None:
        """Stop listening, end the links, and cut those that are not gone after *within* seconds."""
        self._is_closed = True
        self._refusals.settle(math.inf)
        if self._reopening is not None:
            await asyncio.wait({self._reopening}, timeout=within)
        self._stop_listening()
        await asyncio.sleep(0)  # what was accepted until now has its socket
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # and its link
        for link in tuple(self.links):
            link.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), within)
        for link in tuple(self.links):
            link.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._empty.wait()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # those that links began at their end

    def _tell_soon(self, event: Event) -> None:
        """Once what it says is true."""
        asyncio.get_running_loop().call_soon(self.bus.publish, self.config.name, 0, "", event)

    def _stop_listening(self) -> None:
        """Take first what has been accepted: asyncio forgets a connection whose server closes before its first step."""
        loop = asyncio.get_running_loop()
        for server in self._servers:
            for sock in server.sockets:
                loop.remove_reader(sock)
            loop.call_soon(server.close)
        self._servers.clear()
