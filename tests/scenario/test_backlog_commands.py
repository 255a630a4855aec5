"""The master's stream, split without the tap's reader."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tap.scenario.backlog_commands import BacklogCommands, commands, read
from tap.scenario.pair import Pair
from tests.relay.wire import command
from tests.scenario.nodes import Node
from tests.scenario.support import on_pair

STREAM = (
    command("SELECT", "0")
    + command("set", "a", b"\r\n*1\r\n" * 100)
    + command("MULTI")
    + command("INCR", "b")
    + command("EXEC")
    + command("PING")
)


def test_commands_and_their_ends_are_found() -> None:
    found = list(commands(STREAM))
    assert [name for name, _ in found] == ["SELECT", "SET", "MULTI", "INCR", "EXEC", "PING"]
    assert found[-1][1] == len(STREAM)
    assert STREAM[: found[3][1]].endswith(command("INCR", "b"))


@pytest.mark.parametrize("data", [STREAM[:-1], STREAM[1:], b"PING\r\n", b"*1\r\n:5\r\n", b"*x\r\n"])
def test_anything_but_a_stream_of_whole_commands_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"byte|whole|literal"):
        list(commands(data))


def test_a_record_knows_its_offsets() -> None:
    record = BacklogCommands(100, "new", "old", 150)
    record.add(STREAM)
    _, after_set, after_multi, after_incr, after_exec, end = record.ends
    assert record.end == end == 100 + len(STREAM)
    assert record.between(100, after_set) == ["SELECT", "SET"]
    assert record.between(after_set, after_exec - 1) == ["MULTI", "INCR"]
    assert record.is_end(100)
    assert record.is_end(after_incr)
    assert not record.is_end(after_incr + 1)
    assert not record.is_end(end + 1)
    assert [record.stop_before(offset) for offset in (99, 100, after_set, after_multi, after_incr, after_exec)] == [
        100,
        100,
        after_set,
        after_set,
        after_set,
        after_exec,
    ]
    assert record.is_of("new", end)
    assert record.is_of("old", 150)
    assert not record.is_of("old", 151)
    assert not record.is_of("new", 99)
    assert not record.is_of(None, 100)


@pytest.mark.parametrize(
    ("known", "info", "asked"),
    [
        ({"new": [150, 120, 200]}, {}, ("new", 120, 300)),
        ({"new": [99, 98]}, {}, ("new", 99, 300)),  # one before the first byte that it holds
        ({"new": [98, 301]}, {}, None),
        ({"new": [300]}, {}, ("new", 300, 300)),
        ({"old": [199, 130]}, {}, ("new", 130, 300)),
        ({"old": [200, 250]}, {}, None),  # by then it was the new history
        ({"old": [200, 199]}, {}, ("new", 199, 300)),
        ({"other": [150]}, {}, None),
        ({}, {}, None),
        ({"new": [150]}, {"repl_backlog_active": 0}, None),
        ({"new": [150]}, {"master_replid2": None, "second_repl_offset": None}, ("new", 150, 300)),
        ({"": [150]}, {"master_replid2": None, "second_repl_offset": None}, None),
        ({"new": [0, -1]}, {"repl_backlog_first_byte_offset": None}, ("new", -1, 300)),
        ({"new": [0, -2]}, {"repl_backlog_first_byte_offset": None}, ("new", 0, 300)),
    ],
)
def test_a_backlog_is_read_from_the_first_offset_that_it_holds(
    known: dict[str, list[int]], info: dict[str, Any], asked: tuple[str, int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    has = {
        "master_replid": "new", "master_repl_offset": 300, "master_replid2": "old", "second_repl_offset": 200,
        "repl_backlog_active": 1, "repl_backlog_first_byte_offset": 100, **info,
    }  # fmt: skip
    node = Node("master", {name: value for name, value in has.items() if value is not None})
    calls: list[tuple[str, int, int]] = []

    async def backlog(client: object, replid: str, begin: int, end: int) -> bytes:
        assert client is node
        calls.append((replid, begin, end))
        return STREAM

    monkeypatch.setattr("tap.scenario.backlog_commands.backlog", backlog)
    client: Any = node
    record = asyncio.run(read(client, known))
    assert calls == ([] if asked is None else [asked])
    if asked is None:
        assert record is None
    else:
        assert record is not None
        assert (record.begin, record.end) == (asked[1], asked[1] + len(STREAM))
        later = info.get("master_replid2", "old"), info.get("second_repl_offset", 200)
        assert (record.replid, record.before, record.until) == ("new", later[0] or "", (later[1] or 0) - 1)


def test_a_backlog_of_more_bytes_than_memory_is_not_read() -> None:
    node: Any = Node("master", {
        "master_replid": "new", "master_repl_offset": 2**62, "repl_backlog_active": 1,
        "repl_backlog_first_byte_offset": 100,
    })  # fmt: skip
    with pytest.raises(ValueError, match="has 4611686018427387754 bytes in its backlog"):
        asyncio.run(read(node, {"new": [150]}))


def test_transactions_go_on_where_more_bytes_come() -> None:
    record = BacklogCommands(0)
    assert (record.end, record.is_end(0), record.stop_before(9)) == (0, True, 0)
    for data in (command("SET", "a", "b"), command("MULTI"), command("INCR", "a"), command("DISCARD"), command("PING")):
        record.add(data)
    assert record.open == [False, True, True, False, False]
    assert record.stop_before(record.ends[2]) == record.ends[0]
    assert record.stop_before(record.ends[3] + 1) == record.ends[3]
    assert not record.is_of("", -1)
    assert record.is_of("", record.end)


def test_a_backlog_is_read_from_a_known_offset_on_and_costs_no_full_resync(server_name: str, tmp_path: Path) -> None:
    async def job(pair: Pair) -> None:
        assert await read(pair.master.client, {}) is None
        await pair.replica.follow(pair.master.address)
        while (await pair.replica.client.replication()).master_link_status != "up":
            pass
        client = pair.master.client
        info = await client.replication()
        known = {info.master_replid: [info.master_repl_offset, 10**12], "other": [5]}
        before = (await pair.replica.client.info("commandstats")).commandstats
        for number in range(100):
            await client.ask("SET", f"key:{number}", b"\r\n" * number)
        await client.ask("RPUSH", "list", *range(5000))
        record = await read(client, known)
        assert record is not None
        written = [name for name in record.names if name not in ("SELECT", "PING")]
        assert written == ["SET"] * 100 + ["RPUSH"]
        assert record.end <= (await client.replication()).master_repl_offset
        assert (await client.info("stats")).stats.sync_full == 1
        while (after := (await pair.replica.client.info("commandstats")).commandstats)["RPUSH"] == 0:
            pass
        assert after["SET"] - before["SET"] == 100

    on_pair(server_name, tmp_path, job)
