"""A server, read once: as by a replica, or by SCAN. And every way in which that fails."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tap.errors import EnvironmentFailure
from tap.operate.comparison import server_snapshot
from tap.operate.comparison.job import Filter, Job, SideSnapshot
from tap.operate.comparison.side_snapshot import take
from tap.servers.client import Client
from tap.servers.embedded import LOOPBACK
from tap.url import Url
from tests.operate.comparison.digesting import KEY
from tests.rdb import make
from tests.support import Servers, client

PIECE_SECONDS = 0.0005  # after each piece of an answer


def taken(place: Url, directory: Path, **more: object) -> SideSnapshot:
    directory.mkdir()
    return take(Job("it", place, directory, KEY, **more), lambda read, total, keys: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_a_server_gives_the_same_records_as_a_replica_and_by_scan(
    servers: Servers, server_name: str, diskless: str, tmp_path: Path
) -> None:
    server = servers.start(server_name, "repl-diskless-sync", diskless)
    asked = client(server)
    asked.set("s", "x" * 100_000)
    asked.set("number", 42, px=10**8)
    asked.rpush("l", *range(1000))
    asked.sadd("t", *range(600), "word")
    asked.hset("h", mapping={f"f{number}": "v" * number for number in range(200)})
    asked.zadd("z", {f"m{number}": number / 3 for number in range(300)})
    asked.xadd("x", {"a": "b"})
    asked.xgroup_create("x", "g", "0")
    asked.xreadgroup("g", "c", {"x": ">"})
    asked.execute_command("SELECT", 3)
    asked.set("elsewhere", 1)
    url = Url.parse(server.url)
    synced, scanned = taken(url, tmp_path / "a"), taken(url, tmp_path / "b", scan=True)
    if server_name == "redis-6.2":  # there an expiry is computed from the time left
        found = [taken(url, tmp_path / f"{scan}", scan=scan, expiries=False) for scan in (False, True)]
        assert found[0].sums == found[1].sums
    else:
        assert synced.sums == scanned.sums
    assert synced.keys == scanned.keys == 8
    assert synced.created is not None
    some = Filter((3,), (b"else*",))
    assert taken(url, tmp_path / "c", filter=some).sums == taken(url, tmp_path / "d", filter=some, scan=True).sums


def test_a_replica_without_its_master_is_an_error_that_names_the_way_out(
    servers: Servers, any_server: str, nobody: int, tmp_path: Path
) -> None:
    replica = servers.start(any_server)
    client(replica).execute_command("REPLICAOF", LOOPBACK, str(nobody))
    with pytest.raises(EnvironmentFailure, match=r"NOMASTERLINK.*compare with --scan"):
        taken(Url.parse(replica.url), tmp_path / "a")


def test_a_user_without_the_right_is_an_error_that_names_it(servers: Servers, tmp_path: Path) -> None:
    server = servers.start("redis-7.0")
    client(server).execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+replconf", "+ping")
    url = Url.parse(f"redis://reader:pw@{server.address}")
    with pytest.raises(EnvironmentFailure, match=r"NOPERM.*give a user with \+psync"):
        taken(url, tmp_path / "a")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"+FULLRESYNC " + b"0" * 40 + b" 0\r\n\n\n$5\r\nREDIS", "ended the connection before the end of its data"),
        (b"+FULLRESYNC " + b"0" * 40 + b" 0\r\n\n+what\r\n", "refuses a full resync"),
        (b"-ERR no\r\n", "refuses a full resync"),
        (b"", "ended the connection before the end of its data"),
    ],
)
def test_a_server_that_breaks_off_is_an_error(answer: bytes, words: str, tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as listening:
        thread = threading.Thread(target=_answer, args=(listening, answer))
        thread.start()
        with pytest.raises(EnvironmentFailure, match=words):
            taken(Url.parse(f"127.0.0.1:{listening.getsockname()[1]}"), tmp_path / "a")
        thread.join()


def _answer(listening: socket.socket, *answer: bytes) -> None:
    """Say OK to whatever comes before PSYNC, then the answer in its pieces."""
    connection, _ = listening.accept()
    with connection:
        seen = b""
        while b"PSYNC" not in seen:
            seen = connection.recv(4096)
            if not seen:
                return
            if b"PSYNC" not in seen:
                connection.sendall(b"+OK\r\n" * max(1, seen.count(b"*") or seen.count(b"\r\n")))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in answer:
            connection.sendall(piece)
            time.sleep(PIECE_SECONDS)


def test_what_comes_in_small_pieces_is_read_in_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_snapshot, "GATHER_SECONDS", 0.2)
    pieces = [make.key(0, make.string(b"k%d" % number), make.string(b"v" * 16_000)) for number in range(50)]
    data = make.rdb(12, *pieces)
    answer = [
        b"+FULLRESYNC " + b"0" * 40 + b" 0\r\n$%d\r\n" % len(data),
        *(data[at : at + 16_000] for at in range(0, len(data), 16_000)),
    ]
    readings: list[int] = []
    with socket.create_server((LOOPBACK, 0)) as listening:
        thread = threading.Thread(target=_answer, args=(listening, *answer))
        thread.start()
        job = Job("it", Url.parse(f"127.0.0.1:{listening.getsockname()[1]}"), tmp_path, KEY)
        done = take(job, lambda read, total, keys: readings.append(read))
        thread.join()
    assert done.keys == len(pieces)
    assert readings[-1] == len(data)
    assert len(readings) < len(answer) / 2


def test_a_scan_that_does_not_end_is_an_error(
    servers: Servers, any_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Client.ask

    async def asked(self: Client, *words: Any, db: int | None = None) -> Any:
        return (7, []) if words[0] == "SCAN" else await ask(self, *words, db=db)

    monkeypatch.setattr(Client, "ask", asked)
    server = servers.start(any_server)
    client(server).set("k", 1)
    with pytest.raises(EnvironmentFailure, match=r"SCAN of db 0 at .* does not end: it comes to cursor 7 again"):
        taken(Url.parse(server.url), tmp_path / "a", scan=True)


def test_a_server_that_is_not_there_is_an_error(nobody: int, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=r"^it: "):
        taken(Url.parse(f"127.0.0.1:{nobody}"), tmp_path / "a")
