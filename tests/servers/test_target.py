"""The server that a URL names, and the errors for wrong ones."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

import pytest

from tap.errors import ConfigError, EnvironmentFailure
from tap.servers.target import Target
from tests.support import WITHIN


@pytest.mark.parametrize(
    ("url", "name", "db"),
    [
        ("redis://somewhere", "somewhere:6379", None),
        ("redis://user:pass@somewhere:1/", "somewhere:1", None),
        ("redis://somewhere/3", "somewhere:6379", 3),
        ("redis://[::1]:7000/0", "[::1]:7000", 0),
        ("rediss://:pass@somewhere:1?ssl_check_hostname=no", "somewhere:1", None),
        ("rediss://somewhere?sni=redis.example&insecure=yes", "somewhere:6379", None),
        ("redis://somewhere?socket_timeout=3", "somewhere:6379", None),
        ("somewhere:1", "somewhere:1", None),
        ("unix:///run/redis.sock", "unix:/run/redis.sock", None),
        ("unix://user:pass@/run/redis.sock?db=2", "unix:/run/redis.sock", 2),
    ],
)
def test_a_url_names_a_server(url: str, name: str, db: int | None) -> None:
    target = Target(url)
    assert (target.name, target.db) == (name, db)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://user:secret@somewhere", "http:// is not the URL of a server"),
        ("redis://user:secret/x@somewhere", "in a password, / is written %2F"),
        ("redis://somewhere:secret", "its port is not a number from 0 to 65535; in a password, / is written"),
        ("redis://somewhere/x", "the db after the last / is a number"),
        ("redis://:secret@somewhere?colour=red", "the URL has an unknown option: 'colour'"),
        (
            "redis://:secret@somewhere?socket_timeout=soon",
            "the URL's option socket_timeout has",
        ),
        ("rediss://:secret@somewhere?cacert=/nowhere.pem", "/nowhere.pem: No such file or directory"),
    ],
)
def test_an_invalid_url_is_reported_without_a_possible_secret(url: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Target(url)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "says",
    [
        "-ERR unknown command 'AUTH', with args beginning with: 'ann' 'se@same'",
        "-ERR unknown command `AUTH`, with args beginning with: `ann`, `se@sa",
        "-NOAUTH se@same is wrong",
        "-ERR invalid password se@same",
    ],
)
def test_a_server_that_repeats_what_it_was_sent_repeats_no_login(says: str) -> None:
    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(says.encode() + b"\r\n")
            connection.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer)
        server.start()
        target = Target(f"redis://ann:se%40same@127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(EnvironmentFailure, match=r"127\.0\.0\.1:\d+: .*\*\*\*") as caught:
            asyncio.run(target.keys())
        server.join(WITHIN)
    assert "ann" not in str(caught.value)
    assert "se@sa" not in str(caught.value)


@pytest.mark.parametrize(
    "says",
    [":5\r\n", "*1\r\n-ERR a\r\n", "%1\r\n*0\r\n+v\r\n", "~1\r\n*0\r\n", "$-1\r\n", "HTTP/1.1 400\r\n"],
)
def test_a_server_that_omits_requested_fields_is_refused(says: str) -> None:
    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"+OK\r\n" * 2 + says.encode())
            connection.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer)
        server.start()
        with pytest.raises(EnvironmentFailure, match=r"127\.0\.0\.1:\d+: (its answer is not a reply|Protocol error)"):
            asyncio.run(Target(f"redis://127.0.0.1:{listener.getsockname()[1]}").keys())
        server.join(WITHIN)


@pytest.mark.parametrize("url", ["redis://:%ffsame@{}", "redis://:\udcffsame@{}", "redis://{}?password=%ffsame"])
def test_a_password_may_be_any_bytes(url: str) -> None:
    asked = bytearray()

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.extend(connection.recv(1000))
            connection.sendall(b"-ERR unknown command 'AUTH', with args beginning with: '\xffsame'\r\n")
            connection.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer)
        server.start()
        target = Target(url.format(f"127.0.0.1:{listener.getsockname()[1]}"))
        with pytest.raises(EnvironmentFailure) as caught:
            asyncio.run(target.keys())
        server.join(WITHIN)
    assert asked.endswith(b"AUTH\r\n$5\r\n\xffsame\r\n")
    assert "same" not in str(caught.value)


@pytest.mark.parametrize("how", ["check_db", "keys"])
def test_a_cancellation_swallowed_while_dialling_ends_the_task(how: str) -> None:
    """Otherwise a sender whose server has gone would wait for replies for ever."""

    class Swallowing:
        def __init__(self, **_: Any) -> None: ...

        async def connect(self) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)

        async def disconnect(self, nowait: bool) -> None: ...

    async def run() -> None:
        target = Target("redis://127.0.0.1:1")
        target._client._kind = Swallowing
        with pytest.raises(asyncio.CancelledError):
            await (target.check_db(1) if how == "check_db" else target.keys())

    asyncio.run(run())
