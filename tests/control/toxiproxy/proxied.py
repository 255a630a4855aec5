"""A proxy made over the API, its clients, and the server they reach: all of them real sockets."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

from tests.control.asking import Asked, Client, Reply, asked
from tests.support import WITHIN


class Proxied:
    """name: of the proxy. upstream: the socket that the server listens on."""

    def __init__(self, api: Client, upstream: socket.socket, name: str = "it") -> None:
        self.api = api
        self.upstream = upstream
        self.name = name
        self.path = f"/proxies/{name}"
        self.address = upstream.getsockname()
        to = f"127.0.0.1:{self.address[1]}"
        reply = api.post("/proxies", {"name": name, "listen": "127.0.0.1:0", "upstream": to})
        assert reply.status == 201, reply.body
        self.port = int(reply.json["listen"].rpartition(":")[2])
        self._sockets: list[socket.socket] = []

    def another(self) -> Proxied:
        """Another proxy in front of the same server."""
        other = Proxied(self.api, self.upstream, "other")
        other._sockets = self._sockets
        return other

    def listen_again(self) -> None:
        """The server has closed its port, and opens it again."""
        self.upstream = socket.create_server(self.address)
        self.upstream.settimeout(WITHIN)
        self._sockets.append(self.upstream)

    def client(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), WITHIN)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets.append(sock)
        return sock

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """A client, and the server's side of its connection."""
        client = self.client()
        server, _ = self.upstream.accept()
        server.settimeout(WITHIN)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets.append(server)
        return client, server

    def toxic(self, kind: str, stream: str = "downstream", **attributes: Any) -> Reply:
        """Add a toxic, named after its kind. toxicity: given like an attribute."""
        toxicity = attributes.pop("toxicity", 1)
        body = {"name": kind, "type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        reply = self.api.post(f"{self.path}/toxics", body)
        assert reply.status == 200, reply.body
        return reply

    def change_toxic(self, name: str, **attributes: Any) -> None:
        reply = self.api.ask("PATCH", f"{self.path}/toxics/{name}", {"attributes": attributes})
        assert reply.status == 200, reply.body

    def remove_toxic(self, name: str) -> None:
        assert self.api.delete(f"{self.path}/toxics/{name}").status == 204

    def change(self, **fields: Any) -> Reply:
        return self.api.ask("PATCH", self.path, fields)

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


@contextlib.contextmanager
def proxied(**options: Any) -> Iterator[tuple[Asked, Proxied]]:
    """A tap with an API and no links of its own, and one proxy."""
    with asked(links=[], **options) as tap, socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(WITHIN)
        proxy = Proxied(tap.client, upstream)
        yield tap, proxy
        proxy.close()


def passes(client: socket.socket, server: socket.socket) -> bool:
    """Whether bytes pass both ways."""
    client.sendall(b"ping")
    assert read(server, 4) == b"ping"
    server.sendall(b"pong")
    assert read(client, 4) == b"pong"
    return True


def read(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece, f"ended after {data!r}"
        data += piece
    return data


def rest(sock: socket.socket) -> bytes:
    """Everything until the end."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def is_silent(sock: socket.socket, within: float = 0.15) -> bool:
    """Whether nothing comes, not even an end."""
    sock.settimeout(within)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(WITHIN)
    return False


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), WITHIN).close()
    except ConnectionRefusedError:
        return True
    return False


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Stopwatch:
    """The seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began
