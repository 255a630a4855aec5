"""Append-only files and recordings as data sets: the state is the one that their server had."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tap import Config, operate
from tap.errors import ConfigError, RdbError
from tap.operate import Difference
from tap.operate.comparison.restored import _commands_only, _Stream
from tests.conftest import need
from tests.relay.wire import command
from tests.support import FIXTURES, Servers, TapThread, client, follow, is_up, level, programs, thinned, wait_until

SELECT, SET = command("SELECT", "0"), command("SET", "a", "1")
MULTI, OTHER, EXEC = command("MULTI"), command("SET", "b", "2"), command("EXEC")


def compared(a: Path | str, b: Path | str, **more: object) -> tuple[bool | None, list[Difference], tuple[str, ...]]:
    found: list[Difference] = []
    done = operate.diff(a, b, found=found.append, **more)  # type: ignore[arg-type]
    return done.equal, found, done.lacking


@pytest.mark.parametrize("preamble", thinned(["yes", "no"], 2))
def test_the_files_of_a_server_hold_what_the_server_holds(
    servers: Servers, server_name: str, preamble: str, tmp_path: Path
) -> None:
    options = ["appendonly", "yes", "aof-use-rdb-preamble", preamble, "appendfsync", "always"]
    if server_name != "redis-6.2":
        options += ["aof-timestamp-enabled", "yes"]
    server = servers.start(server_name, *options)
    asked = client(server)
    asked.set("before", "x" * 1000)
    asked.bgrewriteaof()
    wait_until(lambda: not asked.info("persistence")["aof_rewrite_in_progress"])
    asked.hset("h", mapping={f"f{number}": number for number in range(50)})
    asked.set("expires", "v", ex=1000)
    asked.set("gone", "v", px=1)
    with asked.pipeline() as transaction:
        transaction.set("t1", "#TS:1\r\n")
        transaction.rpush("l", "a", "b")
        transaction.execute()
    asked.execute_command("SELECT", 9)
    asked.set("ninth", 1)
    wait_until(lambda: not client(server).exists("gone"))
    names = [path for path in server.directory.iterdir() if path.is_dir() or path.suffix == ".aof"]
    assert len(names) == 1
    kept = tmp_path / names[0].name
    (shutil.copytree if names[0].is_dir() else shutil.copy)(names[0], kept)
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    program = str(programs()[server_name])
    assert compared(kept, server.url, server=program) == (True, [], ())
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == before
    asked.set("before", 2)
    assert [one.key for one in compared(server.url, kept, server=program)[1]] == [b"before"]


def test_a_recording_at_a_moment_holds_what_the_replica_held_then(servers: Servers, tmp_path: Path) -> None:
    name = need("redis-7.0")
    master, replica = servers.start(name), servers.start(name)
    asked = client(master)
    asked.hset("h", mapping={f"f{number}": 0 for number in range(20)})
    path = tmp_path / "day.pcapng"
    with TapThread(Config(links=str(master.address), record_to=path)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        asked.set("k", 1)
        offset = level(master, replica)
        asked.save()
        shutil.copy(master.directory / "dump.rdb", tmp_path / "then.rdb")
        asked.hset("h", mapping={"f1": 1, "f2": 2, "f20": 3})
        asked.delete("k")
        level(master, replica)
    program = str(programs()[name])
    assert compared(f"{path}@{offset}", tmp_path / "then.rdb", server=program) == (True, [], ())
    assert compared(path, master.url, server=program) == (True, [], ())
    _, found, _ = compared(tmp_path / "then.rdb", path, server=program)
    assert [(one.key, one.how, one.elements) for one in found] == [(b"h", "value", 3), (b"k", "only_in_a", None)]


def test_what_a_crash_cut_off_is_told(tmp_path: Path, any_server: str) -> None:
    program = str(programs()[any_server])
    for name, data in (
        ("whole", SELECT + SET),
        ("cut", SELECT + SET + OTHER[:-3]),
        ("open", SELECT + SET + MULTI + OTHER),
    ):
        (tmp_path / f"{name}.aof").write_bytes(data)
    for name in ("cut", "open"):
        equal, found, lacking = compared(tmp_path / "whole.aof", tmp_path / f"{name}.aof", server=program)
        assert (equal, found) == (None, [])
        assert "its end is missing" in lacking[0]


def test_commands_that_the_program_refuses_are_told(tmp_path: Path, any_server: str) -> None:
    path = tmp_path / "a.aof"
    path.write_bytes(SELECT + command("NEWER", "x") + SET)
    equal, _, lacking = compared(path, path, server=str(programs()[any_server]))
    assert equal is None
    assert "refused 1 command of it" in lacking[0]


def test_what_is_no_append_only_file_is_an_error_that_says_where(tmp_path: Path, any_server: str) -> None:
    path = tmp_path / "a.aof"
    path.write_bytes(SELECT + b"what is this\r\n")
    with pytest.raises(ConfigError, match=r"a\.aof: .*: this is not an append-only file, or it is damaged"):
        compared(path, path, server=str(programs()[any_server]))
    shutil.copy(FIXTURES / "rdb" / "corrupt-lzf-short-output.rdb", path)
    with pytest.raises(RdbError, match=r"a\.aof: "):
        compared(path, path, server=str(programs()[any_server]))


def test_an_rdb_that_the_program_does_not_know_is_an_error_with_its_log(tmp_path: Path) -> None:
    path = tmp_path / "a.aof"
    shutil.copy(FIXTURES / "rdb" / "valkey-9.1.2-mixed.rdb", path)
    with pytest.raises(ConfigError, match=r"Redis 7.* does not load it; --server names another program"):
        compared(path, path, server=str(programs()[need("redis-7.0")]))


@pytest.mark.parametrize(
    ("pieces", "safe"),
    [
        ([SELECT, SET], len(SELECT + SET)),
        ([SELECT, SET[:5]], len(SELECT)),
        ([SELECT, MULTI, SET, EXEC], len(SELECT + MULTI + SET + EXEC)),
        ([SELECT, MULTI, SET], len(SELECT)),
        ([SELECT, MULTI, SET, EXEC, MULTI, OTHER], len(SELECT + MULTI + SET + EXEC)),
    ],
)
def test_what_is_whole_ends_with_a_command_outside_of_transactions(pieces: list[bytes], safe: int) -> None:
    data = b"".join(pieces)
    for step in (1, 7, len(data)):
        stream = _Stream()
        for begin in range(0, len(data), step):
            stream.feed(data[begin : begin + step])
        assert (stream.safe, stream.unfinished) == (safe, len(data) - safe)


def test_annotations_are_left_out_wherever_the_bytes_are_cut() -> None:
    tricky = command("SET", "#TS:1", "\r\n#TS:2\r\n*1\r\n")
    data = b"#TS:1\r\n" + SELECT + b"#TS:22\r\n" + tricky + b"#TS:333\r\n" + SET
    for step in (1, 2, 3, 5, 8, 1000):
        pieces = [data[begin : begin + step] for begin in range(0, len(data), step)]
        assert b"".join(_commands_only(iter(pieces))) == SELECT + tricky + SET
    assert b"".join(_commands_only(iter([SELECT, SET[:-4]]))) == SELECT + SET[:-4]
