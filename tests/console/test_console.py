"""What a person reads: figures, sentences, lines, and the live view at two sizes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import io
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import pytest

from tap import Address, Config, LinkConfig, Tap
from tap.bus import Told
from tap.console.figures import seconds, size, sparkline
from tap.console.lines import Journal, LineWriter, json_line, json_lines, log_line, log_lines
from tap.console.live import MAX_REPLICAS, LiveView
from tap.console.screen import Frame, Happening, Line, Ranking, draw
from tap.console.sentences import is_alarming, sentence
from tap.console.terminal import Terminal
from tap.console.trouble import Trouble
from tap.replication import events
from tap.replication.events import Event, Reason, Role, Side, Transfer
from tests.support import WITHIN, Servers, TapThread, client, is_up, level, master_offset, wait_inside, wait_until

ID = "8371a4ee67df5dfc0e22c0d4ab19dcd9e6a2b0c1"
FULL = events.FullResync(start=0, end=9, replid=ID, offset=7, reason=Reason(code="first_sync", text="it is new"))
COMMANDS = events.Commands(
    start=0,
    end=100,
    offset=107,
    count=4,
    bytes=100,
    by_name={"SET": events.Share(count=3, bytes=80), "PING": events.Share(count=1, bytes=20)},
    db=0,
    in_transaction=False,
)


def undialled(by: Side, how: str, text: str) -> events.LinkClosed:
    """The end of a link that never got to its master."""
    return events.LinkClosed(
        by=by,
        how=how,
        text=text,
        role=None,
        phase="connect",
        offset=None,
        bytes_from_master=0,
        bytes_from_replica=0,
    )


def told(event: Event) -> Told:
    return Told(1_790_000_000.25, "main", 3, "10.0.0.7:6379", event)


def test_figures() -> None:
    assert [size(n) for n in (0, 1023, 1536, 5 * 2**30)] == ["0 B", "1023 B", "1.5 KB", "5.0 GB"]
    assert [seconds(s) for s in (0.00042, 0.5, 59.9, 75, 7260)] == [
        "0.4 ms",
        "0.5 s",
        "59.9 s",
        "1 min 15 s",
        "2 h 1 min",
    ]
    assert sparkline([0, 0.1, 4, 8], 4) == "▁▂▄█"
    assert sparkline([0, 0], 10) == "▁▁"
    assert sparkline([], 10) == ""


def rdb_finished(**changes: Any) -> events.RdbFinished:
    whole = events.RdbFinished(
        start=0,
        end=1,
        transfer=Transfer.DISK,
        bytes=176,
        seconds=0.0009,
        keys=1,
        expiring=0,
        functions=0,
        by_type={"hash": events.TypeShare(keys=1, bytes=9, elements=2)},
        largest=(events.LargeKey(db=0, key=b"k", type="hash", serialized_bytes=9, elements=2),),
        checksum="ok",
    )
    return dataclasses.replace(whole, **changes)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (FULL, "FULL RESYNC, 8371a4ee… at offset 7. Why: first_sync: it is new"),
        (
            events.PartialResync(start=0, end=1, replid=ID, previous_replid="b" * 40, offset=5, bytes_behind=9),
            "partial resync: goes on with 8371a4ee… (until now bbbbbbbb…) after offset 5, 9 bytes behind",
        ),
        (
            rdb_finished(bytes=2**20, seconds=0.5),
            "RDB through: 1.0 MB in 0.5 s, 2.0 MB/s; 1 key (1 hash 9 B); largest k (hash, 9 B); checksum ok",
        ),
        (
            rdb_finished(keys=0, by_type={}, largest=(), checksum="wrong"),
            "RDB through: 176 B; 0 keys; checksum WRONG",
        ),
        (
            events.RdbProblem(start=0, end=0, problem="unknown", text="type 99", position=70, keys=3, db=1, key=b"a b"),
            'the RDB cannot be read on from byte 70, in key "a b" of db 1 (after 3 keys): type 99. Bytes still flow',
        ),
        (
            events.RdbStarted(
                start=0,
                end=0,
                transfer=Transfer.DISK,
                size=176,
                version=80,
                aux={"valkey-ver": "9.1.2", "used-mem": "2048"},
            ),
            "RDB begins (176 B, RDB 80 by Valkey 9.1.2, 2.0 KB in use there)",
        ),
        (
            events.Opaque(start=12, end=12, side=Side.MASTER, reason="nonsense"),
            "no longer understood: byte 12 from the master: nonsense. Bytes still flow",
        ),
        (
            events.Handshake(start=0, end=1, request=("AUTH", "***"), reply="-WRONGPASS no"),
            "AUTH ***: the master answered -WRONGPASS no",
        ),
        (events.Handshake(start=0, end=1, request=("PING",), reply="+PONG"), None),
        (
            events.Handshake(start=0, end=1, request=("A", "b", "c"), reply="+OK", sent=("A", "b")),
            "A b c, sent to the master as A b",
        ),
        (
            events.Handshake(start=0, end=1, request=("A", "b", "c"), reply="-ERR no", sent=("A", "b")),
            "A b c, sent to the master as A b: the master answered -ERR no",
        ),
        (
            events.Command(
                start=0, end=1, offset=50, db=0, name="SET", args=(b"k", b"a b", b"\x00"), in_transaction=False
            ),
            '50 db0 SET k "a b" "\\x00"',
        ),
        (COMMANDS, None),
    ],
)
def test_an_event_in_words(event: Event, words: str | None) -> None:
    assert sentence(event) == words


def test_trouble_in_the_event_loop_is_said_once_in_a_while() -> None:
    said: list[str] = []
    loop = asyncio.new_event_loop()
    now = 100.0
    loop.time = lambda: now  # type: ignore[method-assign]
    loop.set_exception_handler(Trouble(said.append))
    accept = {"message": "socket.accept() out of system resource", "exception": OSError(errno.ENFILE, "no")}
    for _ in range(3):
        loop.call_exception_handler(accept)
    assert said == ["cannot accept another replica: Too many open files in system"]
    now += 11
    loop.call_exception_handler(accept)
    assert len(said) == 2
    loop.close()


def test_a_listener_that_closes_while_asyncio_is_out_of_files_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    async def close_before_accepting_again() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(Trouble(lambda said: None))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            loop.call_soon(loop._start_serving, asyncio.Protocol, listening)  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    asyncio.run(close_before_accepting_again())
    assert not caplog.records


def test_other_trouble_is_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(Trouble(lambda said: None))
    for _ in range(3):
        loop.call_exception_handler({"message": "a bug", "exception": ValueError("of ours")})
    loop.call_exception_handler({"message": "another", "exception": KeyError("of ours")})
    assert [record.getMessage() for record in caplog.records] == ["a bug", "another"]
    loop.close()


def test_a_line_of_the_log_names_time_link_and_replica() -> None:
    line = log_line(told(FULL))
    assert line is not None
    at, where, replica, *_ = line.split()
    assert at.startswith("2026-09-")
    assert (where, replica) == ("main/3", "10.0.0.7:6379")
    assert log_line(told(COMMANDS)) is None


def test_a_master_that_is_away_is_told_once_a_minute() -> None:
    journal = Journal()
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
    assert full["reason"] == {"code": "first_sync", "text": "it is new"}
    assert (full["time"], full["link"], full["connection"]) == (1_790_000_000.25, "main", 3)
    assert commands["by_name"]["SET"] == {"count": 3, "bytes": 80}
    assert command["args"] == ["base64:/w=="]


def command(number: int) -> events.Command:
    return events.Command(start=0, end=1, offset=number, db=0, name="SET", args=(b"key", b"value"), in_transaction=False)


def partial_resync(number: int) -> events.PartialResync:
    return events.PartialResync(start=0, end=1, replid=ID, previous_replid=None, offset=number, bytes_behind=0)


@pytest.mark.parametrize("lines_to", [log_lines, json_lines])
def test_a_reader_that_stands_still_delays_nobody_and_is_told_what_it_lost_and_where(
    lines_to: Callable[[TextIO], LineWriter],
) -> None:
    reading, writing = os.pipe()
    got: list[str] = []
    count = 100_000

    async def tell(out: TextIO, reader: TextIO) -> None:
        lines = lines_to(out)
        for number in range(count):
            # returns at once, though the pipe is full
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


def test_at_the_end_commands_are_left_out_where_there_is_no_time_for_all_and_nothing_else_is() -> None:
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
        assert time.monotonic() - began < 5

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
        assert time.monotonic() - began < 5

    out = os.fdopen(writing, "w")
    try:
        asyncio.run(tell(out))
        assert re.fullmatch(r"redis-tap: the output was not read in time: .* may not be in it\n", capsys.readouterr().err)
    finally:
        os.close(reading)
        with contextlib.suppress(BrokenPipeError):
            out.close()


def test_lines_are_made_a_few_at_a_time() -> None:
    """So that the links have their turn: what is called in between does not wait for all of them."""
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


def test_the_live_view_leaves_trouble_of_observers_on_the_terminal() -> None:
    view = view_of(nothing())
    view(told(events.ObserverTrouble(observer="script alert.py", text="was too slow: it has lost 7 events")))
    assert view.summary().splitlines()[1:] == ["  script alert.py: was too slow: it has lost 7 events"]


def drawn(frame: Frame, width: int, height: int) -> list[str]:
    console = Terminal(width=width, height=height, file=io.StringIO(), record=True, color_system=None)
    console.print(draw(frame, width, height))
    return console.export_text().splitlines()


def a_frame(*lines: Line) -> Frame:
    said = tuple(
        Happening(1_790_000_000.0 + number, "10.0.0.7:6379", sentence(FULL) or "", False) for number in range(50)
    )
    ranking = Ranking(4, [("SET", 3), ("PING", 1)])
    return Frame([("127.0.0.1:6400", "10.0.0.5:6379")], 12.5, 0, list(lines), ranking, ranking, said)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 30), (200, 60), (60, 12), (40, 20), (80, 5)])
@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_the_live_view_fits_its_terminal(width: int, height: int, count: int) -> None:
    replicas = [
        Line(f"10.0.0.{number}:6379", "main", "stream", ID, 10**12, 10**6, 0.25, rates=tuple(range(500)))
        for number in range(count)
    ]
    lines = drawn(a_frame(*replicas), width, height)
    text = "\n".join(lines)
    assert max(len(line) for line in lines) <= width
    if height >= 12:
        assert len(lines) <= height
    red = dataclasses.replace(a_frame(*replicas), recording="day_00001.pcapng", trouble="the disk is full; 5 bytes lost")
    lines = drawn(red, width, height)
    assert max(len(line) for line in lines) <= width
    assert "RECORDING" in lines[1]
    if height >= 12:
        assert len(lines) <= height
    waiting = [dataclasses.replace(one, phase="waiting", waited=4000.0) for one in replicas]
    assert max(len(line) for line in drawn(a_frame(*waiting), width, height)) <= width
    if height >= 24:
        assert "first_sync" in text
        if 0 < count < 40:
            assert "SET" in text
            assert "█" in text
            assert str(10**12) in text
            assert ID[:13] in text


def test_the_live_view_shows_an_rdb_on_its_way() -> None:
    line = Line("10.0.0.7:6379", "main", "rdb", rdb_received=50 * 2**20, rdb_size=200 * 2**20, rate=10 * 2**20)
    assert "RDB 25% of 200.0 MB, 15.0 s left" in "\n".join(drawn(a_frame(line), 80, 24))
    line.rdb_size = None
    assert "RDB 50.0 MB, size unknown" in "\n".join(drawn(a_frame(line), 80, 24))
    line.rdb_keys, line.rdb_announced, line.beside = 610, 1000, 3 * 2**20
    assert "RDB 61%, 3.0 MB beside it, 610 of 1000 keys, 50.0 MB" in "\n".join(drawn(a_frame(line), 180, 24))
    assert "RDB 61%, 3.0 MB beside it" in "\n".join(drawn(a_frame(line), 120, 24))


def test_the_live_view_of_a_transparent_tap_tells_the_rule_and_each_master() -> None:
    routes = [("*:6400", "")]
    empty = "\n".join(drawn(dataclasses.replace(a_frame(), routes=routes), 140, 20))
    assert "--dport 6379 -j REDIRECT --to-ports 6400" in empty
    assert "*:6400 → where each connection was going" in empty
    replica = Line("10.0.1.5:6379", "10.0.0.9:6379", "stream", ID, 1000)
    assert "10.0.0.9:6379" in "\n".join(drawn(dataclasses.replace(a_frame(replica), routes=routes), 80, 24))


def test_a_recording_that_lacks_something_is_red_from_then_on(tmp_path: Path) -> None:
    config = Config(links=(LinkConfig(master=Address("127.0.0.1", 1)),), record_to=tmp_path / "day.pcapng")
    with TapThread(config) as tap:
        view = LiveView(tap.tap, Terminal(width=80, height=24, file=io.StringIO()))
        before = view.frame(time.time())
        assert tap.tap.recorder is not None
        tap.call(partial(tap.tap.recorder._trouble, "No space left on device"))
        tap.tap.recorder.lost_bytes = 7
        after = view.frame(time.time() + 3600)
    assert "recording day.pcapng" in drawn(before, 100, 24)[0]
    assert "No space left on device; 7 bytes are not in the recording" in drawn(after, 100, 24)[1]
    console = Terminal(width=100, height=24, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(draw(after, 100, 24))
    assert "\x1b[1;37;41m RECORDING day.pcapng" in console.file.getvalue()  # type: ignore[attr-defined]


def test_room_that_is_left_goes_to_the_replication_id() -> None:
    line = Line("10.0.0.7:6379", "main", "stream", ID, 10**12, 10**6, 0.25)
    assert ID in "\n".join(drawn(a_frame(line), 110, 24))
    assert ID[:13] in "\n".join(drawn(a_frame(Line("[fd00:1234:5678:9abc::1]:6379", "main", replid=ID)), 71, 24))


def test_an_ipv6_replica_is_shown_as_it_is() -> None:
    assert "[fe80::1]:6379" in "\n".join(drawn(a_frame(Line("[fe80::1]:6379", "main")), 80, 24))


def test_the_live_view_follows_a_replica_over_its_connections(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    with TapThread(Config(links=(LinkConfig(master=Address("127.0.0.1", master.port)),))) as tap:
        view = LiveView(tap.tap, Terminal(width=80, height=24, file=io.StringIO()))
        tap.tap.bus.subscribe(view)
        replica = servers.start(any_server, "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: is_up(replica))
        for number in range(100):
            client(master).set(f"key:{number}", "value")
        tap.cut()
        level(master, replica)
        tap.wait_for(events.PartialResync)
        wait_until(lambda: master_offset(master) in [ack.offset for ack in tap.events(events.Ack)])
        (line,) = view.frame(time.time()).lines
        assert (line.replica, line.full_resyncs, line.partial_resyncs) == (f"127.0.0.1:{replica.port}", 1, 1)
        assert line.offset == master_offset(master)
        assert dict(view.frame(time.time()).by_count.first)["SET"] == 100
        replica.stop()
        wait_until(lambda: not tap.tap.links)
        assert [line.phase for line in view.frame(time.time()).lines] == ["gone"]
        assert not view.frame(time.time() + 61).lines


def view_of(tap: Tap) -> LiveView:
    return LiveView(tap, Terminal(width=80, height=24, file=io.StringIO(), force_terminal=True))


def nothing() -> Tap:
    return Tap(Config(links=(LinkConfig(master=Address("127.0.0.1", 1)),)))


def test_clients_that_announce_no_port_have_a_line_each() -> None:
    with socket.create_server(("127.0.0.1", 0)) as master, contextlib.ExitStack() as stack:
        config = Config(links=(LinkConfig(master=Address(*master.getsockname())),))
        tap = stack.enter_context(TapThread(config))
        view = view_of(tap.tap)
        for _ in range(2):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", tap.port), WITHIN))
            one.sendall(b"SYNC\r\n")
        tap.wait_for(events.Identified, 2)
        assert [line.replica for line in view.frame(time.time()).lines] == ["127.0.0.1", "127.0.0.1"]
        tap.cut()
        wait_until(lambda: not tap.tap.links)
        assert not view.frame(time.time()).lines


def test_the_live_view_shows_how_long_a_replica_waits_for_its_rdb() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = Config(links=(LinkConfig(master=Address(*listener.getsockname())),))
        with TapThread(config) as tap, socket.create_connection(("127.0.0.1", tap.port), WITHIN) as replica:
            listener.settimeout(WITHIN)
            master, _ = listener.accept()
            with master:
                view = view_of(tap.tap)
                master.settimeout(WITHIN)
                replica.sendall(b"REPLCONF listening-port 7000\r\n")
                assert master.recv(100)
                master.sendall(b"+OK\r\n")
                tap.wait_for(events.Handshake)
                replica.sendall(b"PSYNC ? -1\r\n")
                tap.wait_for(events.PsyncRequested)
                assert "waiting" not in "\n".join(drawn(view.frame(900.0), 80, 24))
                master.sendall(f"+FULLRESYNC {ID} 7\r\n".encode())
                tap.wait_for(events.FullResync)
                assert "waiting 0 s" in "\n".join(drawn(view.frame(1000.0), 80, 24))
                assert "waiting 12 s" in "\n".join(drawn(view.frame(1012.0), 80, 24))
                assert "waiting 1 min 15 s" in "\n".join(drawn(view.frame(1075.0), 80, 24))
                master.sendall(b"$100\r\nREDIS0011\xfe\x00")
                tap.wait_for(events.RdbStarted)
                assert "waiting" not in "\n".join(drawn(view.frame(1080.0), 80, 24))


def test_invented_command_names_cost_the_live_view_no_memory() -> None:
    view = view_of(nothing())
    for number in range(3000):
        one = events.Share(count=1, bytes=10)
        view(told(dataclasses.replace(COMMANDS, count=1, bytes=10, by_name={f"NAME{number}": one})))
    frame = view.frame(time.time())
    assert (frame.by_count.total, frame.by_bytes.total) == (3000, 30_000)
    assert frame.by_count.first[0] == ("(other)", 2000)


def test_invented_replica_names_cost_the_live_view_little() -> None:
    """However many there are: some are shown, a frame is as soon made, and they make room for one that stays."""
    view = view_of(nothing())
    for round_ in range(3):
        for number in range(3000):
            view(dataclasses.replace(told(FULL), replica=f"10.0.0.9:{number}", connection=number))
        assert len(view.frame(1000.0 + round_).lines) == MAX_REPLICAS
    view(dataclasses.replace(told(FULL), replica="10.0.0.1:6379"))
    lines = view.frame(1004.0).lines
    assert len(lines) == MAX_REPLICAS
    assert "10.0.0.1:6379" in {line.replica for line in lines}
    assert not view.frame(1066.0).lines


def test_trouble_of_the_tap_is_in_the_live_views_timeline() -> None:
    view = view_of(nothing())
    view.complain("cannot accept")
    view.complain("cannot accept")
    (one,) = view.frame(time.time()).timeline
    assert (one.words, one.times, one.alarming) == ("cannot accept", 2, True)


def test_a_live_view_that_fails_says_so_on_a_terminal_as_it_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("tap.console.live.draw", failing)
    out = io.StringIO()
    view = LiveView(nothing(), Terminal(width=80, height=24, file=out, force_terminal=True))

    async def show() -> None:
        view.start()
        await wait_inside(lambda: caplog.records)
        view.stop()

    asyncio.run(show())
    assert "the live view failed" in caplog.text
    assert "a bug" in caplog.text
    assert out.getvalue().endswith("\x1b[?1049l")


def test_what_is_printed_below_a_live_view_goes_to_the_file_that_stderr_is(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stderr", err)
    view = LiveView(nothing(), Terminal(width=80, height=24, file=out, force_terminal=True))

    async def show() -> None:
        view.start()
        await wait_inside(lambda: "redis-tap" in out.getvalue())
        print("printed", file=sys.stderr)
        view.stop()

    asyncio.run(show())
    assert err.getvalue() == "printed\n"


def test_what_failed_at_the_tap_is_not_blamed_on_the_master() -> None:
    closed = undialled(Side.TAP, "error", "Too many open files (limit 16); raise it with ulimit -n")
    assert sentence(closed) == (
        "cannot dial the master: Too many open files (limit 16); raise it with ulimit -n; the connection is closed, "
        "the replica will try again"
    )
    assert is_alarming(closed)


def test_every_event_can_be_told() -> None:
    """No sentence fails on a field that is None."""
    closed = undialled(Side.MASTER, "refused", "no")
    for event in [
        closed,
        events.FullResync(start=0, end=0, replid=None, offset=None, reason=Reason(code="legacy_sync", text="x")),
        events.StreamStarted(start=0, end=0, replid=None, offset=None, db=None, buffered=5),
        events.RdbStarted(start=0, end=0, transfer=Transfer.DISKLESS, size=None, version=None, aux={}),
        events.Identified(start=0, end=0, role=Role.RDB_CLIENT, replica="x", text="a client"),
        events.PsyncRequested(start=0, end=0, replid=None, offset=-1),
        events.SyncRequested(start=0, end=0, inline=True),
    ]:
        assert sentence(event)
