"""The log and the JSON: a line per event, and a reader that may stop reading."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import json
import os
import re
import threading
import time
from collections.abc import Callable
from typing import TextIO

import pytest

from tap.bus import Told
from tap.console.lines import ConciseLog, LineWriter, json_line, json_lines, log_line, log_lines
from tap.console.sentences import sentence
from tap.replication import events
from tap.replication.events import Event, Side
from tests.console.telling import COMMANDS, FULL, ID, told, undialled
from tests.support import WITHIN, wait_inside


def test_a_line_of_the_log_names_time_link_and_replica() -> None:
    line = log_line(told(FULL))
    assert line is not None
    at, where, replica, *_ = line.split()
    assert at.startswith("2026-09-")
    assert (where, replica) == ("main/3", "10.0.0.7:6379")
    assert log_line(told(COMMANDS)) is None


def test_an_absent_master_is_reported_once_a_minute() -> None:
    journal = ConciseLog()
    said: list[str] = []

    def tell(second: int, event: Event) -> None:
        line = journal(Told(1_790_000_000.0 + second, "main", second + 1, "10.0.0.7", event))
        if line is not None:
            said.extend(line.splitlines())

    closed = undialled(Side.MASTER, "refused", "Connection refused")
    opened = events.LinkOpened(peer="10.0.0.7:34567", master="10.0.0.5:6379")
    for second in range(100):
        tell(second, opened)
        tell(second, closed)
    assert [line.partition("main/")[2] for line in said] == [
        f"1 10.0.0.7 {sentence(opened)}",
        f"1 10.0.0.7 {sentence(closed)}",
        f"61 10.0.0.7 {sentence(closed)} (so far 61 times in vain)",
    ]
    del said[:]
    tell(100, opened)
    tell(100, dataclasses.replace(closed, text="No route to host"))
    tell(101, opened)
    assert ["No route to host" in line and "(so far 101 times in vain)" in line for line in said] == [True]
    del said[:]
    tell(101, events.Handshake(start=0, end=1, request=("PING",), reply="+PONG"))
    tell(101, FULL)
    tell(102, opened)
    assert [line.partition("main/")[2] for line in said] == [
        f"102 10.0.0.7 {sentence(opened)} (after trying 101 times in vain)",
        f"102 10.0.0.7 {sentence(FULL)}",
        f"103 10.0.0.7 {sentence(opened)}",
    ]


def test_json_lines_are_flat_objects() -> None:
    out = io.StringIO()

    async def tell() -> None:
        lines = json_lines(out)
        lines(told(FULL))
        lines(told(COMMANDS))
        lines(told(events.Command(start=0, end=1, offset=1, db=None, name="SET", args=(b"\xff",), in_transaction=False)))
        lines.close()

    asyncio.run(tell())
    full, commands, command = [json.loads(line) for line in out.getvalue().splitlines()]
    assert full["event"] == "full_resync"
    assert full["reason"] == {
        "code": "first_sync",
        "text": "it is new",
        "known_from": "wire",
        "causes": [],
        "inference": "",
    }
    assert (full["time"], full["link"], full["connection"]) == (1_790_000_000.25, "main", 3)
    assert commands["by_name"]["SET"] == {"count": 3, "bytes": 80}
    assert command["args"] == ["base64:/w=="]


def command(number: int) -> events.Command:
    return events.Command(start=0, end=1, offset=number, db=0, name="SET", args=(b"key", b"value"), in_transaction=False)


def partial_resync(number: int) -> events.PartialResync:
    return events.PartialResync(start=0, end=1, replid=ID, previous_replid=None, offset=number, bytes_behind=0)


@pytest.mark.parametrize("lines_to", [log_lines, json_lines])
def test_a_reader_that_stops_reading_delays_nothing_and_learns_what_it_lost_and_where(
    lines_to: Callable[[TextIO], LineWriter],
) -> None:
    reading, writing = os.pipe()
    got: list[str] = []
    count = 100_000

    async def tell(out: TextIO, reader: TextIO) -> None:
        lines = lines_to(out)
        for number in range(count):
            # returns at once, although the pipe is full
            lines(told(partial_resync(number) if number % 1000 == 999 else command(number)))
            if number % 100 == 0:
                await asyncio.sleep(0)
        thread = threading.Thread(target=lambda: got.extend(iter(reader.readline, "")), daemon=True)
        thread.start()
        await wait_inside(lines.inbox.empty)
        lines(told(partial_resync(count)))
        lines.close()
        out.close()
        thread.join(WITHIN)

    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as out:
        asyncio.run(tell(out, reader))
    resyncs = [*range(999, count, 1000), count]
    if lines_to is log_lines:
        found = [re.search(r"partial resync: .* after offset (\d+),", line) for line in got]
        assert [int(one[1]) for one in found if one] == resyncs
        missing = [
            int(one[1]) for line in got if (one := re.search(r"tap (\d+) events are missing here \(\1 command", line))
        ]
        assert sum(missing) == count + 1 - (len(got) - len(missing))
        return
    at = 0
    for line in map(json.loads, got):
        if line["event"] == "events_dropped":
            assert line.keys() == {"event", "time", "link", "connection", "replica", "count", "by_kind"}
            assert line["by_kind"] == {"command": line["count"]}
            at += line["count"]
        else:
            assert (line["event"], line["offset"]) == ("partial_resync" if at in resyncs else "command", at)
            at += 1
    assert at == count + 1
    assert len(got) < count


def test_at_the_end_commands_are_left_out_if_time_is_short_and_nothing_else_is() -> None:
    out = io.StringIO()
    slow = [0]

    def render(told: Told) -> str:
        slow[0] += isinstance(told.event, events.Command)
        if isinstance(told.event, events.Command):
            time.sleep(0.001)
        return json_line(told)

    async def tell() -> None:
        lines = LineWriter(out, render)
        for number in range(5000):
            lines(told(partial_resync(number) if number % 10 == 9 else command(number)))
        began = time.monotonic()
        lines.close()
        assert time.monotonic() - began < WITHIN

    asyncio.run(tell())
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [one["offset"] for one in said if one["event"] == "partial_resync"] == list(range(9, 5000, 10))
    assert slow[0] + sum(one["count"] for one in said if one["event"] == "events_dropped") == 4500
    assert 0 < slow[0] < 1000


def test_a_reader_that_never_reads_again_is_named_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()

    async def tell(out: TextIO) -> None:
        lines = json_lines(out)
        for number in range(20_000):
            lines(told(partial_resync(number)))
            if number % 100 == 0:
                await asyncio.sleep(0)
        began = time.monotonic()
        lines.close()
        assert time.monotonic() - began < WITHIN

    out = os.fdopen(writing, "w")
    try:
        asyncio.run(tell(out))
        assert re.fullmatch(r"redis-tap: the output was not read in time: .* may not be in it\n", capsys.readouterr().err)
    finally:
        os.close(reading)
        with contextlib.suppress(BrokenPipeError):
            out.close()


def test_lines_are_made_a_few_at_a_time() -> None:
    """So that the links have their turn: other calls do not wait for all lines."""
    out, written = io.StringIO(), []

    async def tell() -> None:
        lines = json_lines(out)
        for _ in range(10_000):
            lines(told(FULL))
        while not lines.inbox.empty():
            written.append(lines.inbox.qsize())
            await asyncio.sleep(0)
        lines.close()

    asyncio.run(tell())
    assert len(out.getvalue().splitlines()) == 10_000
    assert len(written) > 100


def test_a_reader_that_has_gone_ends_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    out = os.fdopen(writing, "w")

    async def tell() -> None:
        lines = log_lines(out)
        lines(told(FULL))
        lines.close()
        lines(told(FULL))

    asyncio.run(tell())
    with pytest.raises(BrokenPipeError):
        out.close()
