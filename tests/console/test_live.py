"""The live view: what it follows, and what it costs."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import os
import pty
import re
import socket
import sys
import termios
import time
from functools import partial
from pathlib import Path

import pytest

from tap import Address, Config, LinkConfig, Tap
from tap.bus import Told
from tap.console.key_ranking import KeyRanking
from tap.console.keyboard import Keyboard
from tap.console.live import MAX_CONNECTIONS, MAX_REPLICAS, LiveView
from tap.console.picture import EVENTS, FAULTS, LINK, Frame
from tap.console.terminal import Terminal
from tap.replication import events
from tap.replication.events import Role
from tap.replication.head_samples import HeadSamples
from tests.console.telling import COMMANDS, FULL, ID, drawn, told, verdict
from tests.planted import made
from tests.support import WITHIN, Servers, TapThread, client, is_up, level, master_offset, wait_inside, wait_until


def test_the_live_view_leaves_observers_trouble_on_the_terminal() -> None:
    view = view_of(nothing())
    view(told(events.ObserverTrouble(observer="script alert.py", text="was too slow: it has lost 7 events")))
    assert view.summary().splitlines()[1:] == ["  script alert.py: was too slow: it has lost 7 events"]


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
        assert dict(view.frame(time.time()).rankings[0].first)["SET"] == 100
        said = f"    replica 127.0.0.1:{replica.port}: 1 full and 1 partial resync, "
        assert any(one.startswith(said) and one.endswith("last in phase stream") for one in view.summary().splitlines())
        replica.stop()
        wait_until(lambda: not tap.tap.links)
        assert [line.phase for line in view.frame(time.time()).lines] == ["gone"]
        (line,) = view.frame(time.time() + 61).lines
        assert (line.replica, line.phase) == ("", "no replica")
        route, resync = view.summary().splitlines()[1:]
        assert route == f"  link main, 127.0.0.1:{tap.port} to 127.0.0.1:{master.port}: no replica"
        assert resync.startswith(f"  127.0.0.1:{replica.port}: FULL RESYNC")


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
        assert [line.replica for line in view.frame(time.time()).lines] == [""]


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


def test_keys_are_ranked_before_commands(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    with TapThread(Config(links=(LinkConfig(master=Address("127.0.0.1", master.port)),))) as tap:
        keys = KeyRanking(tap.tap.bus.samples)
        view = LiveView(tap.tap, Terminal(width=80, height=24, file=io.StringIO()), keys=keys)
        tap.tap.bus.subscribe(view)
        replica = servers.start(any_server, "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: is_up(replica))
        writer = client(master)
        for number in range(100):
            writer.set(f"user:{number}:{'cart' if number % 2 else 'name'}", "value" * 10)
        level(master, replica)
        frame = view.frame(time.time())
    assert [one.title for one in frame.rankings] == ["keys by bytes", "commands by count", "commands by bytes"]
    assert [name for name, _ in frame.rankings[0].first] == ["user:*", " user:*:cart", " user:*:name"]
    text = "\n".join(drawn(frame, 120, 40))
    assert re.search(r"user:\*:cart +\d\.\d KB", text)


def test_invented_command_names_cost_the_live_view_no_memory() -> None:
    view = view_of(nothing())
    for number in range(3000):
        one = events.Share(count=1, bytes=10)
        view(told(dataclasses.replace(COMMANDS, count=1, bytes=10, by_name={f"NAME{number}": one})))
    frame = view.frame(time.time())
    assert [ranking.total for ranking in frame.rankings] == [3000, 30_000]
    assert frame.rankings[0].first[0] == ("(other)", 2000)


def test_invented_replica_names_cost_the_live_view_little() -> None:
    """However many there are: some are shown, frames take no longer, and they make room for one that stays."""
    view = view_of(nothing())
    for round_ in range(3):
        for number in range(3000):
            view(dataclasses.replace(told(FULL), replica=f"10.0.0.9:{number}", connection=number))
        assert view.frame(1000.0 + round_).rows == MAX_REPLICAS
    view(dataclasses.replace(told(FULL), replica="10.0.0.1:6379"))
    assert view.frame(1004.0).rows == MAX_REPLICAS
    assert ("main", "10.0.0.1:6379", None) in view._replicas
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


def moment(number: float, event: events.Event, connection: int = 3, replica: str = "10.0.0.7:6379") -> Told:
    return dataclasses.replace(told(event), time=number, connection=connection, replica=replica)


def test_a_replica_keeps_its_handshake_its_phases_and_how_each_connection_ended() -> None:
    view = view_of(nothing())
    opened = events.LinkOpened(peer="10.0.0.7:51234", master="10.0.0.5:6379")
    asks = events.Handshake(start=0, end=9, request=("REPLCONF", "listening-port", "6379"), reply="+OK")
    closed = made(events.LinkClosed, plant="")
    for number in (1, 2):
        view(moment(number * 100, opened, number, "10.0.0.7"))
        view(moment(number * 100 + 1, asks, number))
        view(moment(number * 100 + 2, events.PsyncRequested(start=0, end=9, replid=None, offset=-1), number))
        answer = events.Handshake(start=0, end=9, request=("PSYNC", "?", "-1"), reply="+RDBCHANNELSYNC 5")
        view(moment(number * 100 + 2, answer, number))
        view(moment(number * 100 + 3, FULL, number))
        if number == 1:
            view(moment(110, dataclasses.replace(closed, role=Role.REPLICA, how="reset", phase="waiting"), number))
    view._walk.press("enter", [("main", "10.0.0.7:6379", None)], 1)
    detail = view._picture(210.0).detail
    assert detail is not None
    first, second = detail.attempts
    assert first.steps == [("connect", 100), ("handshake", 101), ("psync", 102), ("waiting", 103)]
    assert first.ended == 110
    assert "in phase waiting" in first.how
    assert second.handshake == ["REPLCONF listening-port 6379  +OK", "PSYNC ? -1  +RDBCHANNELSYNC 5"]
    text = "\n".join(drawn(view._picture(210.0), 120, 40))
    assert "connect 1.0 s → handshake 1.0 s → psync 1.0 s → waiting 7.0 s" in text
    assert "connection 2, from 10.0.0.7:51234" in text
    assert "resync full, first_sync" in text
    assert "connections before" in text


def test_the_row_of_a_replica_that_is_refused_says_so() -> None:
    view = view_of(nothing())
    closed = dataclasses.replace(made(events.LinkClosed, plant=""), role=Role.REPLICA, how="fin", phase="handshake")
    view(moment(1.0, events.LinkOpened(peer="10.0.0.7:51234", master="10.0.0.5:6379")))
    view(moment(2.0, events.ResyncRefused(start=0, end=9, reply="-NOAUTH Authentication required.")))
    view(moment(3.0, closed))
    (line,) = view.frame(4.0).lines
    assert line.ended == "refused: -NOAUTH Authentication required."
    assert "   refused: -NOAUTH Authentication required." in "\n".join(drawn(view.frame(4.0), 80, 24))


def test_a_loop_an_alert_and_an_unreachable_master_stay_until_they_are_over() -> None:
    view = view_of(nothing())
    view(told(FULL))
    found = dataclasses.replace(verdict(), text="the limit is too small")
    view(told(found))
    alert = made(events.Alert, plant="lag")
    view(told(alert))
    (line,) = view._picture(0.0).lines
    assert (line.loop, line.alerts, line.severity) == ("output_buffer", 1, 0)
    (loop,) = view._picture(0.0).loops
    assert loop.remedy == 'On the master: CONFIG SET client-output-buffer-limit "replica 310mb 310mb 60"'
    view(told(dataclasses.replace(found, count=9)))
    assert [one.count for one in view._picture(0.0).loops] == [9]
    view(told(events.VerdictOver(cause="output_buffer", count=9, seconds=1.0)))
    view(told(made(events.AlertOver, plant="lag")))
    (line,) = view._picture(0.0).lines
    assert (line.loop, line.alerts) == ("", 0)
    assert not view._picture(0.0).loops


def test_an_unreachable_master_is_said_in_the_row_of_its_link() -> None:
    config = Config(links=(LinkConfig(master=Address("127.0.0.1", 1), name="orders"),))
    with TapThread(config) as tap:
        view = view_of(tap.tap)
        view(dataclasses.replace(told(events.MasterUnreachable(master="127.0.0.1:1", text="refused")), link="orders"))
        (line,) = view.frame(time.time()).lines
        assert (line.replica, line.phase) == ("", "no replica")
        assert line.trouble == "the master 127.0.0.1:1 cannot be reached: refused"
        assert line.hint == f"on a replica: REPLICAOF 127.0.0.1 {tap.port}"


def test_faults_are_listed_while_they_are_armed_and_afterwards() -> None:
    config = Config(links=(LinkConfig(master=Address("127.0.0.1", 1)),), faults=("cut at=rdb:50% name=half",))
    with TapThread(config) as tap:
        view = LiveView(tap.tap, Terminal(width=80, height=24, file=io.StringIO()), plan=tap.tap.faults)
        (fault,) = view.frame(0.0).faults
        assert (fault.name, fault.state, fault.fired) == ("half", "armed", 0)
        tap.call(partial(tap.tap.faults.remove, "half"))
        view(told(events.FaultExpired(fault="half", spec=fault.spec, fired=0, bytes=0)))
        view._walk.press("f", (), 0)
        frame = view.frame(0.0)
        assert frame.page == FAULTS
        assert [one.state for one in frame.faults] == ["over"]
        assert "half: " in "\n".join(drawn(frame, 80, 24))


def test_the_page_of_events_shows_what_the_timeline_leaves_out() -> None:
    view = view_of(nothing())
    view(moment(1.0, events.LinkOpened(peer="10.0.0.7:51234", master="10.0.0.5:6379")))
    view._walk.press("e", (), 0)
    frame = view._picture(2.0)
    assert frame.page == EVENTS
    assert not frame.timeline
    assert "connected from 10.0.0.7:51234" in "\n".join(drawn(frame, 80, 24))


def test_a_frame_copies_only_what_the_terminal_has_room_for() -> None:
    view = view_of(nothing())
    for number in range(MAX_REPLICAS):
        view(dataclasses.replace(told(FULL), replica=f"10.0.0.9:{number}", connection=number))
    view._walk.key = ("main", "10.0.0.9:250", None)
    frame = view._picture(1.0)
    assert len(frame.lines) == 24
    assert frame.rows == MAX_REPLICAS
    assert "10.0.0.9:250" in {line.replica for line in frame.lines}


def test_many_connections_cost_the_live_view_little_memory() -> None:
    view = view_of(nothing())
    for number in range(3000):
        view(moment(1.0, events.LinkOpened(peer="10.0.0.7:1", master="a:1"), number, "10.0.0.7"))
    assert len(view._attempts) == MAX_CONNECTIONS
    view(moment(2.0, made(events.LinkClosed, plant=""), 2999))
    assert len(view._attempts) == MAX_CONNECTIONS - 1


def test_the_page_of_a_row_that_has_gone_gives_way_to_the_overview() -> None:
    view = view_of(nothing())
    view(told(FULL))
    view._walk.press("enter", [("main", "10.0.0.7:6379", None)], 1)
    assert view._picture(1.0).page == LINK
    view._replicas.clear()
    assert view._picture(1.0).page == "overview"


def test_a_view_that_has_failed_gives_the_keyboard_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("tap.console.live.draw", failing)
    person, process = pty.openpty()

    async def show() -> None:
        view = LiveView(nothing(), Terminal(width=80, height=24, file=io.StringIO(), force_terminal=True), lambda: None)
        view._keyboard = Keyboard(view._pressed, process)
        view.start()
        await wait_inside(lambda: view._keyboard is not None and not view._keyboard.is_read)
        assert termios.tcgetattr(process) == before
        view.stop()

    before = termios.tcgetattr(process)
    asyncio.run(show())
    os.close(person)
    os.close(process)


def test_of_many_connections_a_limited_number_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap.console.live.MAX_DESCRIBED", 2)
    with socket.create_server(("127.0.0.1", 0)) as master, contextlib.ExitStack() as stack:
        config = Config(links=(LinkConfig(master=Address(*master.getsockname())),))
        tap = stack.enter_context(TapThread(config))
        for request in (b"SYNC\r\n", b"SYNC\r\n", b"SYNC\r\n", b"GET key\r\n"):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", tap.port), WITHIN))
            one.sendall(request)
        tap.wait_for(events.Identified, 3)
        wait_until(lambda: view_of(tap.tap).frame(0.0).ordinary == 1)
        frame = view_of(tap.tap).frame(0.0)
        assert (len(frame.lines), frame.omitted) == (2, 1)
        assert "1 more connections, 1 ordinary" in "\n".join(drawn(frame, 120, 24))


def test_an_onlooker_is_shown_without_routes_and_ends_without_a_question() -> None:
    ended: list[str] = []
    console = Terminal(width=80, height=24, file=io.StringIO())
    view = LiveView(nothing(), console, lambda: ended.append("ended"), watched="port 6379 on eth0")
    text = "\n".join(drawn(view.frame(0.0), 80, 24))
    assert "port 6379 on eth0" in text
    assert "no replica yet; one is seen when it acknowledges" in text
    view(told(FULL))

    async def press() -> None:
        view._pressed(["q"])

    asyncio.run(press())
    assert ended


def test_a_pasted_text_neither_costs_the_loop_much_nor_ends_the_tap() -> None:
    """A megabyte comes as hundreds of reads; frames for it take their share of the loop's time, as all others do."""
    ended: list[str] = []
    view = LiveView(nothing(), Terminal(width=80, height=24, file=io.StringIO()), lambda: ended.append("ended"))
    drawings: list[float] = []
    picture = view._picture

    def slow(now: float) -> Frame:
        drawings.append(now)
        time.sleep(0.01)
        return picture(now)

    view._picture = slow  # type: ignore[method-assign]

    async def paste() -> None:
        for _ in range(300):
            view._pressed(list("quick q") * 500)
            await asyncio.sleep(0)
        assert view._redrawing is None
        for _ in range(300):
            view._pressed(["down"])
            await asyncio.sleep(0)
        assert len(drawings) <= 2
        await wait_inside(lambda: len(drawings) == 2)
        assert view._redrawing is None

    asyncio.run(paste())
    assert not ended


def test_keys_do_not_rank_anew() -> None:
    samples = HeadSamples()
    view = LiveView(nothing(), Terminal(width=80, height=24, file=io.StringIO()), keys=KeyRanking(samples))
    assert samples.take is not None
    view.frame(1.0)
    samples.take([(0, 100, 0, "SET", (b"a:1",), ())])
    assert view._picture(1.1).rankings[0].total == 0
    assert view.frame(1.5).rankings[0].total == 100
