"""One side, read once: a server as by a replica, or by SCAN; a file. And every way in which that fails."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tap.errors import EnvironmentFailure, RdbError, RecordingError
from tap.operate.comparison.side_snapshot import Filter, Job, SideSnapshot, take
from tap.servers.client import Client
from tap.servers.embedded import LOOPBACK
from tap.url import Url
from tests.operate.comparison.digesting import KEY, digest_of
from tests.rdb.reading import fixtures
from tests.support import Servers, client

MIXED = next(one for one in fixtures("server") if one.name == "redis-8.0.6-mixed")


def taken(place: Path | Url, directory: Path, **more: object) -> SideSnapshot:
    directory.mkdir()
    return take(Job("it", place, directory, KEY, **more), lambda read, total, keys: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("compress", [lambda data: data, gzip.compress])
def test_a_file_gives_the_records_of_its_rdb(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(compress(MIXED.data))
    found = taken(path, tmp_path / "a")
    assert found.sums == digest_of(MIXED.data)[0].sums
    assert (found.keys, found.size, found.after) == (11, len(MIXED.data), b"")


@pytest.mark.parametrize(("compress", "total"), [(bytes, len(MIXED.data)), (gzip.compress, None)])
def test_only_a_file_that_is_not_compressed_has_a_known_size(
    compress: Callable[[bytes], bytes], total: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(compress(MIXED.data))
    totals: set[int | None] = set()
    take(Job("it", path, tmp_path, KEY), lambda read, total, keys: totals.add(total))
    assert totals == {total}


def test_a_file_says_what_follows_its_rdb(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(MIXED.data + b"*1\r\n")
    assert taken(path, tmp_path / "a").after == b"*"


def test_a_file_that_is_cut_is_an_error_that_says_where(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(MIXED.data[:-20])
    with pytest.raises(RdbError, match=r"^it: .*byte"):
        taken(path, tmp_path / "a")
    path.write_bytes(gzip.compress(MIXED.data)[:-30])
    with pytest.raises(RecordingError, match=r"^it: cut off"):
        taken(path, tmp_path / "b")


def test_a_filter_takes_dbs_and_patterns() -> None:
    assert Filter().function() is None
    wanted = Filter((0, 3), (b"a*", b"b?")).function()
    assert wanted is not None
    assert [wanted(*one) for one in ((0, b"ab"), (3, b"bc"), (1, b"ab"), (0, b"bcd"))] == [True, True, False, False]


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


def _answer(listening: socket.socket, answer: bytes) -> None:
    """Say OK to whatever comes before PSYNC."""
    connection, _ = listening.accept()
    with connection:
        seen = b""
        while b"PSYNC" not in seen:
            seen = connection.recv(4096)
            if not seen:
                return
            if b"PSYNC" not in seen:
                connection.sendall(b"+OK\r\n" * max(1, seen.count(b"*") or seen.count(b"\r\n")))
        connection.sendall(answer)


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
