"""Connections to the API: half-open ones, garbage, and the end of the tap."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time

import pytest

from tap.control import server
from tap.control.server import Exchange
from tests.control.asking import asked
from tests.support import WITHIN, wait_until

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), WITHIN)


def test_a_thousand_half_open_connections_keep_nobody_out() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with asked() as tap, contextlib.ExitStack() as stack:
        for number in range(1000):
            sock = stack.enter_context(connect(tap.address.port))
            sock.sendall(HEAD[: number % len(HEAD)])
            if number % 100 == 0:
                began = time.monotonic()
                with contextlib.closing(tap.another()) as other:
                    assert other.get("/healthz").status == 200
                assert time.monotonic() - began < 5
        assert tap.client.get("/healthz").status == 200
        assert len(tap.thread.tap.api._server._open) <= server.MAX_CONNECTIONS  # type: ignore[union-attr]


def test_a_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    with asked() as tap:
        for begun in (b"", HEAD, HEAD[:5]):
            with connect(tap.address.port) as sock:
                sock.sendall(begun)
                with contextlib.suppress(ConnectionResetError):
                    assert sock.recv(100) == b""
        with connect(tap.address.port) as sock:  # after a whole request, too
            sock.sendall(HEAD + b"\r\n")
            said = b""
            while not said.endswith(b"}"):
                said += sock.recv(1000)
            sock.sendall(HEAD)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100) == b""


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00" * 50, b"PING\r\n\r\n", b"GET\r\n\r\n", b"\0" * 1000, b"x" * 10**6]
)
def test_garbage_is_answered_once_and_closed(garbage: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with asked() as tap:
        with connect(tap.address.port) as sock, contextlib.suppress(ConnectionError):
            sock.sendall(garbage)
            sock.shutdown(socket.SHUT_WR)
            said = b""
            while more := sock.recv(1000):
                said += more
            assert said.startswith(b"HTTP/1.1 400")
            assert said.endswith(b'{"error":"this is not an HTTP request"}')
        assert tap.client.get("/healthz").status == 200
    assert capfd.readouterr().err == ""


def test_pipelined_requests_are_answered_in_order() -> None:
    with asked() as tap, connect(tap.address.port) as sock:
        sock.sendall((HEAD + b"\r\n") * 20)
        said = b""
        while said.count(b"200 OK") < 20:
            more = sock.recv(10_000)
            assert more
            said += more


def test_an_answer_waits_for_no_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = []

    def made(exchange: Exchange, transport: asyncio.Transport) -> None:
        accepted.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        before(exchange, transport)

    before = Exchange.connection_made
    monkeypatch.setattr(Exchange, "connection_made", made)
    with asked() as tap:
        assert tap.client.get("/healthz").status == 200
    assert accepted == [1]


def test_a_tap_ends_within_a_second_whatever_its_clients_do() -> None:
    with contextlib.ExitStack() as stack, asked() as tap:
        for begun in (
            b"",
            HEAD,
            HEAD + b"\r\n",
            b"POST /v1/links HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nx",
        ):
            stack.enter_context(connect(tap.address.port)).sendall(begun)
        assert tap.client.get("/healthz").status == 200
        wait_until(lambda: tap.thread.tap.api._server.connections == 5)  # type: ignore[union-attr]
        began = time.monotonic()
        assert tap.thread.end()
        assert time.monotonic() - began < 1
