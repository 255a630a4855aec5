"""A tap with an API in a thread, and a client of it over real sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

from tap import Config
from tap.control.door import TOKEN
from tap.url import Address
from tests.support import WITHIN, TapThread

NOWHERE = "127.0.0.1:1"
LOOPBACK_API = "127.0.0.1:0"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of an error, which is all that its body has."""
        assert list(self.json) == ["error"], self.json
        return str(self.json["error"])


class Client:
    """One connection, which is kept alive and made again if the tap has closed it."""

    def __init__(self, address: Address, token: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        self.token = token
        if address.path:
            self.http: http.client.HTTPConnection = _Unix(address.path)
        elif tls is not None:
            self.http = http.client.HTTPSConnection(address.host, address.port, timeout=WITHIN, context=tls)
        else:
            self.http = http.client.HTTPConnection(address.host, address.port, timeout=WITHIN)

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """body: an object for JSON, or bytes."""
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None and not isinstance(body, bytes):
            sent.setdefault("Content-Type", "application/json")
            body = json.dumps(body).encode()
        self.http.request(method, path, body, sent)
        answer = self.http.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: Any = None) -> Reply:
        return self.ask("POST", path, body)

    def delete(self, path: str) -> Reply:
        return self.ask("DELETE", path)

    def close(self) -> None:
        self.http.close()


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=WITHIN)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(WITHIN)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Asked:
    """A running tap and a client of its API."""

    thread: TapThread
    client: Client

    @property
    def address(self) -> Address:
        return self.client.address

    def another(self, **options: Any) -> Client:
        return Client(self.address, **options)


@contextlib.contextmanager
def asked(
    api: str = LOOPBACK_API, *, token: str | None = None, tls: ssl.SSLContext | None = None, **options: Any
) -> Iterator[Asked]:
    """A tap with these options. token: what its environment has."""
    with contextlib.ExitStack() as stack:
        if token is not None:
            stack.enter_context(mock.patch.dict(os.environ, {TOKEN: token}))
        thread = stack.enter_context(TapThread(Config(**{"links": NOWHERE, "api": api, **options})))
        assert thread.tap.api is not None
        client = Client(thread.tap.api.address, token, tls)
        stack.callback(client.close)
        yield Asked(thread, client)
