"""Accepts HTTP connections for the application, limits them, and ends them with the tap.

uvicorn's protocol class speaks HTTP; what stands around it there (signals, a loop of its own, logging) is left out, and
the accepting is ours, because connections to the API must never harm a link:

    how many       MAX_CONNECTIONS, fewer if the limit of open files is low. One more ends the connection that has been
                   idle longest: half-open, in a TLS handshake, or kept alive. A request in progress is never ended.
    how fast       ACCEPTED_AT_ONCE for each turn of the event loop, as for links.
    how long       HANDSHAKE_SECONDS for TLS, HEAD_SECONDS from the first byte of a request to the end of its header,
                   KEEP_ALIVE_SECONDS between two requests. access.py limits the body.
    how large      a header of 16 KiB (h11), a body of access.MAX_BODY. What a client does not read waits in 64 KiB.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
import ssl
from functools import partial
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tap.control.json_answers import JSON, refused
from tap.relay.sockets import tune

MAX_CONNECTIONS = 256
ACCEPTED_AT_ONCE = 4
HANDSHAKE_SECONDS = 5.0
HEAD_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 30
RETRY_SECONDS = 1.0  # after an accept that failed, for lack of files
FILES_SHARE = 8  # one part in this many of the process's files

log = logging.getLogger(__name__)


class Exchange(H11Protocol):
    """One connection of a client. is_idle: no request is in progress."""

    def __init__(self, server: ApiServer, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config, state, {"cut_off": self.end}, asyncio.get_running_loop())
        self._api_server = server
        self._head_timer: asyncio.TimerHandle | None = None
        self.beginning: asyncio.Task[None] | None = None  # until the connection is made

    @property
    def is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._time_the_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_the_timer()
        self._unset_keepalive_if_required()
        self._api_server.forget(self)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.is_idle:
            self._time_the_head()
        else:
            self._stop_the_timer()

    def end(self) -> None:
        """End the connection now, whatever state it is in."""
        if self.beginning is not None:
            self.beginning.cancel()
        if self.transport is not None:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, in the form of all errors."""
        body = bytes(refused(400, "this is not an HTTP request").body)
        head = [("content-type", JSON), ("content-length", str(len(body))), ("connection", "close")]
        with contextlib.suppress(h11.LocalProtocolError):  # garbage follows a request whose answer has begun
            self.transport.write(self.conn.send(h11.Response(status_code=400, headers=head)) or b"")
            self.transport.write(self.conn.send(h11.Data(data=body)) or b"")
        self.transport.close()

    def _time_the_head(self) -> None:
        if self._head_timer is None and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_the_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class ApiServer:
    """Serves an application on sockets that listen, from serve() to close()."""

    def __init__(self, app: ASGIApp, tls: ssl.SSLContext | None = None) -> None:
        self._config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",  # not of garbage from clients; the application logs its own failures
            access_log=False,
            http=H11Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        self._tls = tls
        self._state = ServerState()
        self._sockets: list[socket.socket] = []
        self._open: dict[Exchange, None] = {}  # oldest first
        self._most = most_connections()
        self._gone = asyncio.Event()
        self._retries: set[asyncio.TimerHandle] = set()

    @property
    def connections(self) -> int:
        return len(self._open)

    def serve(self, sockets: list[socket.socket]) -> None:
        """Accept from these sockets, which listen and do not block."""
        self._sockets = sockets
        for one in sockets:
            self._listen(one)

    async def close(self, within: float) -> None:
        """Stop listening, let requests end for *within* seconds, and cut off what is left."""
        for timer in self._retries:
            timer.cancel()
        for one in self._sockets:
            asyncio.get_running_loop().remove_reader(one)
            one.close()
        self._sockets = []
        for exchange in tuple(self._open):
            if exchange.transport is None:
                exchange.end()
            else:
                exchange.shutdown()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._emptied(), within)
        tasks = tuple(self._state.tasks)
        for exchange in tuple(self._open):
            exchange.end()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def forget(self, exchange: Exchange) -> None:
        self._open.pop(exchange, None)
        if not self._open:
            self._gone.set()

    async def _emptied(self) -> None:
        while self._open:
            self._gone.clear()
            await self._gone.wait()

    # ---- accepting ----

    def _listen(self, sock: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(sock, self._accept, sock)

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, _ = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no file left: a socket that stays readable would keep the loop busy
                log.warning("the API cannot accept a connection: %s", os.strerror(error.errno or errno.EIO))
                self._pause(sock)
                return
            accepted.setblocking(False)
            # asyncio does this only for sockets with a protocol number, and these have 0. An answer is two writes, so its
            # body would wait for the ACK of its head, which a client may delay by 40 ms.
            tune(accepted)
            if len(self._open) >= self._most:
                self._make_room()
            if len(self._open) >= self._most:
                accepted.close()
                continue
            exchange = Exchange(self, self._config, self._state)
            self._open[exchange] = None
            exchange.beginning = asyncio.create_task(self._begin(accepted, exchange), name="API connection")

    def _pause(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(sock)

        def go_on() -> None:
            self._retries.discard(timer)
            self._listen(sock)

        timer = loop.call_later(RETRY_SECONDS, go_on)
        self._retries.add(timer)

    def _make_room(self) -> None:
        """End the oldest connection without a request, if there is one."""
        oldest = next((one for one in self._open if one.is_idle), None)
        if oldest is not None:
            oldest.end()
            self.forget(oldest)

    async def _begin(self, accepted: socket.socket, exchange: Exchange) -> None:
        more: dict[str, Any] = {} if self._tls is None else {"ssl_handshake_timeout": HANDSHAKE_SECONDS}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(_made, exchange), accepted, ssl=self._tls, **more
            )
        except (OSError, ssl.SSLError):  # the client has gone, or speaks no TLS
            accepted.close()
            self.forget(exchange)
        except asyncio.CancelledError:
            accepted.close()
            self.forget(exchange)
            raise
        finally:
            exchange.beginning = None


def _made(exchange: Exchange) -> Exchange:
    return exchange


def most_connections() -> int:
    """How many connections are open at once: the links need files, too."""
    return share_of_files(MAX_CONNECTIONS)


def share_of_files(most: int) -> int:
    """The lesser of *most* and one part in FILES_SHARE of the files that this process may open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return most
    return max(1, min(most, limit // FILES_SHARE))
