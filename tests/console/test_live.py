"""The live view: what it follows, and what it costs."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import socket
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tap import Address, Config, LinkConfig, Tap
from tap.console.live import MAX_REPLICAS, LiveView
from tap.console.screen import Line, draw
from tap.console.terminal import Terminal
from tap.replication import events
from tests.console.telling import COMMANDS, FULL, ID, a_frame, drawn, told
from tests.support import WITHIN, Servers, TapThread, client, is_up, level, master_offset, wait_inside, wait_until


def test_the_live_view_leaves_observers_trouble_on_the_terminal() -> None:
    view = view_of(nothing())
    view(told(events.ObserverTrouble(observer="script alert.py", text="was too slow: it has lost 7 events")))
    assert view.summary().splitlines()[1:] == ["  script alert.py: was too slow: it has lost 7 events"]


def test_the_live_view_shows_an_rdb_on_its_way() -> None:
    line = Line("10.0.0.7:6379", "main", "rdb", rdb_received=50 * 2**20, rdb_size=200 * 2**20, rate=10 * 2**20)
    assert "RDB 25% of 200.0 MB, 15.0 s left" in "\n".join(drawn(a_frame(line), 80, 24))
    line.rdb_size = None
    assert "RDB 50.0 MB, size unknown" in "\n".join(drawn(a_frame(line), 80, 24))
    line.rdb_keys, line.rdb_announced, line.beside = 610, 1000, 3 * 2**20
    assert "RDB 61%, 3.0 MB beside it, 610 of 1000 keys, 50.0 MB" in "\n".join(drawn(a_frame(line), 180, 24))
    assert "RDB 61%, 3.0 MB beside it" in "\n".join(drawn(a_frame(line), 120, 24))


def test_the_live_view_of_a_transparent_tap_shows_the_rule_and_each_master() -> None:
    routes = [("*:6400", "")]
    empty = "\n".join(drawn(dataclasses.replace(a_frame(), routes=routes), 140, 20))
    assert "--dport 6379 -j REDIRECT --to-ports 6400" in empty
    assert "*:6400 → where each connection was going" in empty
    replica = Line("10.0.1.5:6379", "10.0.0.9:6379", "stream", ID, 1000)
    assert "10.0.0.9:6379" in "\n".join(drawn(dataclasses.replace(a_frame(replica), routes=routes), 80, 24))


def test_a_recording_that_lacks_something_stays_red(tmp_path: Path) -> None:
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


def test_an_ipv6_replica_is_shown_unchanged() -> None:
    assert "[fe80::1]:6379" in "\n".join(drawn(a_frame(Line("[fe80::1]:6379", "main")), 80, 24))


def test_the_live_view_follows_a_replica_over_its_connections(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    with TapThread(Config(links=(LinkConfig(master=Address("127.0.0.1", master.port)),))) as tap:
        view = LiveView(tap.tap, Terminal(width=80, height=24, file=io.StringIO()))
        tap.tap.bus.subscribe(view)
        replica = servers.start(any_server, "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: is_up(replica))
        writer = client(master)
        for number in range(100):
            writer.set(f"key:{number}", "value")
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


def test_clients_without_a_port_have_a_line_each() -> None:
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
    """However many there are: some are shown, frames take no longer, and they make room for one that stays."""
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


def test_a_long_error_costs_the_live_view_little() -> None:
    view = view_of(nothing())
    view(told(events.ResyncRefused(start=0, end=1, reply="-ERR " + "x" * 60_000)))
    (happened,) = view.frame(0.0).timeline
    assert len(happened.words) < 600
    assert happened.words.endswith("x...")


def test_trouble_of_the_tap_is_in_the_live_views_timeline() -> None:
    view = view_of(nothing())
    view.complain("cannot accept")
    view.complain("cannot accept")
    (one,) = view.frame(time.time()).timeline
    assert (one.words, one.times, one.alarming) == ("cannot accept", 2, True)


def test_a_failing_live_view_says_so_on_a_restored_terminal(
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


def test_output_below_a_live_view_goes_to_the_file_that_stderr_is(monkeypatch: pytest.MonkeyPatch) -> None:
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
