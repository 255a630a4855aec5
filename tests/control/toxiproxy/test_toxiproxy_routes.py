"""Every route, with the answers that the original gave: statuses, members and texts."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
import urllib.request
from typing import Any

import pytest

from tests.control.asking import Client, asked
from tests.control.toxiproxy.conversation import answers
from tests.support import FIXTURES, WITHIN, wait_until

ORIGINAL: list[dict[str, Any]] = json.loads((FIXTURES / "toxiproxy" / "answers.json").read_text())


def test_each_answer_is_that_of_the_original() -> None:
    with asked(links=[]) as tap:
        found = [answer for _, answer in answers(tap.address.host, tap.address.port)]
    assert len(found) == len(ORIGINAL)
    for ours, theirs in zip(found, ORIGINAL, strict=True):
        assert ours == theirs
        assert json.dumps(ours) == json.dumps(theirs)  # the order of members, too


def test_the_original_still_answers_so() -> None:
    """With `toxiproxy-server` of 2.12 on PATH."""
    program = shutil.which("toxiproxy-server")
    if program is None:
        pytest.skip("toxiproxy-server is not on PATH")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([program, "-port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: _is_up(port))
            for (_, found), known in zip(answers("127.0.0.1", port), ORIGINAL, strict=True):
                assert found == known
        finally:
            server.terminate()


def _is_up(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/version") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_body_may_come_in_chunks_and_of_any_type() -> None:
    with asked(links=[]) as tap:
        connection = tap.client.http
        body = [b'{"name": "x", "listen":', b' "127.0.0.1:0", "upstream": "u:1"}']
        connection.request("POST", "/proxies", iter(body), {"Content-Type": "image/png"}, encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["name"]) == (201, "x")


def test_a_connection_stays_usable_after_every_kind_of_answer() -> None:
    with asked(links=[]) as tap, socket.create_connection((tap.address.host, tap.address.port), WITHIN) as sock:
        for method, path, body, status in (
            ("GET", "/proxies/nope", b"", 404),
            ("POST", "/proxies", b"{", 400),
            ("PUT", "/proxies", b"{}", 405),
            ("GET", "/proxies/", b"", 404),
            ("POST", "/reset", b"", 204),
            ("GET", "//proxies", b"", 301),
            ("GET", "/version", b"", 200),
        ):
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            sock.sendall(head.encode() + body)
            answer = http.client.HTTPResponse(sock, method=method)
            answer.begin()
            assert answer.status == status
            text = answer.read()
            assert (text == b"") == (status in (204, 301, 405))


def test_each_answer_of_a_route_has_an_id_of_its_own() -> None:
    with asked(links=[]) as tap:
        ids = {
            tap.client.get(path).headers["x-toxiproxy-request-id"] for path in ("/version", "/proxies", "/proxies/a") * 9
        }
        assert len(ids) == 27
        assert all(re.fullmatch("[a-z0-9]{20}", one) for one in ids)


def test_head_and_options_are_wrong_methods_and_there_is_no_cors() -> None:
    with asked(links=[]) as tap:
        for method in ("HEAD", "OPTIONS", "PUT"):
            reply = tap.client.ask(method, "/proxies")
            assert (reply.status, reply.body) == (405, b"")
            assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_name_with_a_slash_can_be_addressed() -> None:
    with asked(links=[]) as tap:
        client = tap.client
        assert client.post("/proxies", {"name": "a/b", "listen": "127.0.0.1:0", "upstream": "u:1"}).status == 201
        assert client.get("/proxies/a%2Fb").json["name"] == "a/b"
        assert client.post("/proxies/a%2Fb/toxics", {"type": "noop", "name": "toxics/x"}).status == 200
        assert client.get("/proxies/a%2Fb/toxics/toxics%2Fx").json["type"] == "noop"
        assert client.delete("/proxies/a%2Fb").status == 204


def test_the_layers_around_all_routes_hold_here_too() -> None:
    with asked(links=[], token="a-token-of-the-tests") as tap:
        stranger = Client(tap.address)
        assert stranger.get("/proxies").status == 401
        assert stranger.get("/version").status == 401
        stranger.close()
        assert tap.client.get("/proxies").json == {}
    with asked(links=[]) as tap:
        assert tap.client.get("/proxies", Host="evil.example").status == 403
    with asked(read_only=True) as tap:
        assert list(tap.client.get("/proxies").json) == ["main"]
        for method, path in (
            ("POST", "/proxies"),
            ("POST", "/reset"),
            ("DELETE", "/proxies/main"),
            ("PATCH", "/proxies/main"),
        ):
            assert tap.client.ask(method, path, {}).status == 403


def test_our_own_routes_are_not_touched() -> None:
    with asked(links=[]) as tap:
        assert tap.client.get("/v1/links").status == 200
        assert tap.client.get("/proxiesx").json == {"error": "no /proxiesx here; /v1/openapi.json lists all routes"}
        assert not [path for path in tap.client.get("/v1/openapi.json").json["paths"] if "prox" in path]
