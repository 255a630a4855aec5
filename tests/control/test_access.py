"""Who may ask what: Host, Origin, token, --read-only, and the size of a body."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import time

import pytest

from tap.control import access
from tap.control.access import BASIC
from tests.control.asking import Client, asked
from tests.support import WITHIN

SECRET = "a-token-of-the-tests"
ROUTES = ["/v1/links", "/v1/links/main", "/readyz", "/v1/openapi.json", "/nowhere", "/"]


def test_without_the_token_all_but_healthz_is_refused() -> None:
    with asked(token=SECRET) as tap:
        stranger = tap.another()
        for path in ROUTES:
            reply = stranger.get(path)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, BASIC if path == "/" else "Bearer")
            assert "REDIS_TAP_API_TOKEN" in reply.error
        assert stranger.post("/v1/links").status == 401
        assert stranger.get("/healthz").json == {"status": "ok"}
        assert stranger.get("/healthz", Host="any.name").status == 200
        for wrong in (f"Bearer {SECRET}x", f"Bearer {SECRET[:-1]}", f"Basic {SECRET}", SECRET, "Bearer", "Bearer é"):
            assert stranger.get("/v1/links", Authorization=wrong).status == 401
        assert tap.client.get("/v1/links").status == 200
        assert tap.client.get("/v1/links", Authorization=f"bearer {SECRET}", Host="tap.internal").status == 200
        stranger.close()


def test_the_token_may_be_the_password_that_a_browser_asks_for() -> None:
    with asked(token=SECRET) as tap:
        stranger = tap.another()
        for said, status in (
            (f"anyone:{SECRET}", 200),
            (f":{SECRET}", 200),
            (SECRET, 401),
            (f"{SECRET}:", 401),
            (f":{SECRET}x", 401),
        ):
            authorization = f"Basic {base64.b64encode(said.encode()).decode()}"
            assert stranger.get("/", Authorization=authorization).status == status
            assert stranger.get("/v1/links", Authorization=authorization).status == status
        assert stranger.get("/", Authorization="Basic no base64!").status == 401
        stranger.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8474", "localhost", "LOCALHOST:1", "[::1]:80", "10.0.0.7"])
def test_an_address_is_never_a_rebound_name(host: str) -> None:
    with asked() as tap:
        assert tap.client.get("/healthz", Host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "a@127.0.0.1", "[::1", "127.0.0.1:x"])
def test_a_name_that_leads_here_by_rebinding_is_refused(host: str) -> None:
    with asked() as tap:
        reply = tap.client.get("/v1/links", Host=host)
        assert reply.status == 403
        assert reply.error.startswith(f"the Host header is {host!r}, which is not this API")


def test_the_name_in_the_option_is_accepted() -> None:
    with asked("localhost:0") as tap:
        assert tap.client.get("/healthz", Host=f"localhost:{tap.address.port}").status == 200


def test_a_page_of_another_origin_is_refused_and_gets_no_cors() -> None:
    with asked() as tap:
        own = f"http://127.0.0.1:{tap.address.port}"
        reply = tap.client.get("/v1/links", Origin="https://evil.example")
        assert (reply.status, reply.error) == (403, "a page of https://evil.example may not use this API")
        assert tap.client.get("/v1/links", Origin="null").status == 403
        reply = tap.client.get("/v1/links", Origin=own)
        assert reply.status == 200
        assert not [name for name in reply.headers if name.startswith("access-control")]
        reply = tap.client.ask("OPTIONS", "/v1/links", headers={"Origin": own, "Access-Control-Request-Method": "POST"})
        assert (reply.status, reply.error) == (405, "OPTIONS is not for /v1/links")


def test_a_read_only_tap_answers_readers_alone() -> None:
    with asked(read_only=True) as tap:
        assert tap.client.get("/v1/links").status == 200
        assert tap.client.ask("HEAD", "/healthz").status != 403
        for method in ("POST", "DELETE", "PUT", "PATCH"):
            reply = tap.client.ask(method, "/v1/links/main")
            assert (reply.status, reply.error) == (
                403,
                f"this tap is read-only: {method} /v1/links/main would change something",
            )


def test_an_announced_body_that_is_too_large_is_refused_before_it_comes() -> None:
    with asked() as tap, socket.create_connection((tap.address.host, tap.address.port), WITHIN) as sock:
        sock.sendall(b"POST /v1/links HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.status == 413
        assert answer.getheader("connection") == "close"
        assert json.loads(answer.read()) == {"error": "the body has 1073741824 bytes; at most 1048576 are accepted"}
        assert sock.recv(1) == b""
        assert tap.client.get("/healthz").status == 200


def test_a_body_without_a_length_is_cut_off_where_it_is_too_large() -> None:
    with asked() as tap, socket.create_connection((tap.address.host, tap.address.port), WITHIN) as sock:
        sock.sendall(b"POST /v1/links HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 64 * 2**20:
                sock.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                sent += 0x10000
        assert 2**20 <= sent < 64 * 2**20
        assert tap.client.get("/healthz").status == 200


def test_a_body_that_does_not_come_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "BODY_SECONDS", 0.2)
    with asked() as tap:
        client = tap.another()
        client.http.putrequest("POST", "/v1/links")
        client.http.putheader("Content-Length", "10")
        client.http.endheaders(b"half")
        began = time.monotonic()
        answer = client.http.getresponse()
        assert (answer.status, json.loads(answer.read())) == (408, {"error": "the body did not arrive within 0.2 s"})
        assert time.monotonic() - began < 5
        client.close()


def test_bodies_of_many_requests_share_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MAX_BODIES", 100_000)
    with asked() as tap:
        slow = [tap.another() for _ in range(2)]
        for client in slow:
            client.http.putrequest("POST", "/v1/links")
            client.http.putheader("Content-Length", "60001")
            client.http.endheaders(b"x" * 60_000)
        answers = {_status(client) for client in slow[1:]}
        assert answers <= {503}
        for client in slow:
            client.close()
        assert tap.client.post("/v1/links", b"x" * 50_000).status == 405


def _status(client: Client) -> int:
    return client.http.getresponse().status
