"""The live view as it is drawn, at several sizes."""

from __future__ import annotations

import dataclasses
import io
import math
import re

import pytest

from tap.console.picture import Charts, Frame, Happening, Line, Loop, Ranking
from tap.console.screen import draw
from tap.console.terminal import Terminal
from tests.console.telling import ID, a_frame, drawn
from tests.support import ROOT, thinned

SIZES = [(80, 24), (120, 40), (200, 60), (60, 12), (40, 20), (80, 5), (20, 3)]
FLOWING = Line("10.0.0.7:6379", "main", "stream", ID, 10**12, 10**6, 0.25, full_resyncs=1, partial_resyncs=2)
RDB = Line(
    "10.0.0.7:6379",
    "main",
    "rdb",
    rdb_received=50 * 2**20,
    rdb_size=200 * 2**20,
    rdb_rate=10 * 2**20,
    rdb_left=15.0,
    beside=3 * 2**20,
    buffer_bytes=2**20,
)


def shown(frame: Frame, width: int, height: int) -> str:
    """The frame as text, having looked that it fits."""
    lines = drawn(frame, width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) <= height
    return "\n".join(lines)


def said(frame: Frame, width: int, height: int) -> str:
    """The frame as one line, so that it does not matter where sentences are wrapped."""
    return " ".join(shown(frame, width, height).split())


def many(count: int, **fields: object) -> list[Line]:
    return [
        dataclasses.replace(FLOWING, replica=f"10.0.0.{number}:6379", stream=tuple(range(500)), **fields)  # type: ignore[arg-type]
        for number in range(count)
    ]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("count", thinned([3, 0, 40, 1], 2))
@pytest.mark.parametrize("keys", thinned([True, False], 2))
def test_the_live_view_fits_its_terminal(width: int, height: int, count: int, keys: bool) -> None:
    loop = Loop("main", "10.0.0.7:6379", "output_buffer", 4, 40.0, "On the master: CONFIG SET x y", "all of it")
    for phase in ("stream", "waiting", "rdb", "loading", "gone", "no replica"):
        lines = many(count, phase=phase, since=4000.0, hint="on a replica: REPLICAOF 127.0.0.1 6400")
        frame = dataclasses.replace(
            a_frame(*lines),
            charts=Charts(tuple(range(400)), (math.nan, *range(300)), 360.0),
            chosen=count - 1 if count and keys else None,
            has_keys=keys,
        )
        text = shown(frame, width, height)
        red = dataclasses.replace(frame, recording="day_00001.pcapng", trouble="the disk is full; 5 bytes lost")
        assert "RECORDING" in shown(red, width, height).splitlines()[1]
        looping = shown(dataclasses.replace(frame, loops=(loop, loop, loop)), width, height)
        assert shown(dataclasses.replace(frame, page="help"), width, height)
        if height >= 24:
            assert "LOOP main 10.0.0.7:6379: output_buffer" in looping
            assert "1 more loop" in looping
            assert "first_sync" in text
            assert ("q quit" in text) is keys
    if height >= 24 and 0 < count < 40:
        text = shown(a_frame(*many(count)), width, height)
        assert "SET" in text
        assert "█" in text
        assert ID[:13] in text
        assert str(10**12) in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
def test_a_full_resync_shows_its_size_rate_time_left_buffers_and_what_it_waits_for(width: int, height: int) -> None:
    text = said(a_frame(RDB), width, height)
    assert "RDB 25% of 200.0 MB, 10.0 MB/s, 15.0 s left" in text
    assert "━" in text
    assert "waits for the rest of the RDB; buffered 3.0 MB in the replica, 1.0 MB in the master" in text
    held = dataclasses.replace(RDB, is_held=True, beside=None, buffer_bytes=None)
    text = said(a_frame(held), width, height)
    assert "rdb 25%, held" in text
    assert "waits for a fault, which holds bytes; buffered in the master: ? (needs --inspect)" in text
    assert "in the master: ? (it has not said)" in said(
        a_frame(dataclasses.replace(held, is_inspected=True)), width, height
    )
    watched = a_frame(dataclasses.replace(held, is_watched=True))
    assert "in the master: ? (not in packets)" in said(watched, width, height)
    blocked = dataclasses.replace(RDB, is_blocked=True)
    assert "waits for the replica, which takes no more" in shown(a_frame(blocked), width, height)
    waiting = Line("10.0.0.7:6379", "main", "waiting", since=12.0)
    assert "waiting 12 s" in shown(a_frame(waiting), width, height)
    assert "waits for the master to begin its RDB" in shown(a_frame(waiting), width, height)
    loading = Line("10.0.0.7:6379", "main", "loading", since=75.0, rdb_received=2**20)
    assert "loading 1 min 15 s" in shown(a_frame(loading), width, height)
    assert "waits for the replica to load 1.0 MB, and to acknowledge" in shown(a_frame(loading), width, height)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_an_rdb_of_unknown_size_is_measured_in_keys(width: int) -> None:
    line = dataclasses.replace(RDB, rdb_size=None, rdb_left=None)
    assert "RDB 50.0 MB, 10.0 MB/s, size unknown" in shown(a_frame(line), width, 24)
    line = dataclasses.replace(line, rdb_keys=610, rdb_announced=1000, rdb_left=7.0)
    assert "RDB 61%, 50.0 MB, 10.0 MB/s, 7.0 s left (by keys)" in shown(a_frame(line), width, 24)
    assert "rdb 61%" in shown(a_frame(line), width, 24)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_silent_side_a_lower_bound_and_a_fault_that_holds_are_seen(width: int) -> None:
    line = Line("10.0.0.7:6379", "main", "stream", ID, 10**12, 8 * 2**20, 22.0, lag_at_least=True)
    assert "≥ 8.0 MB 22.0 s" in shown(a_frame(line), width, 24)
    silent = dataclasses.replace(line, silent_side="master", silence=22.4)
    assert "master silent 22 s" in shown(a_frame(silent), width, 24)
    ends = dataclasses.replace(line, silent_side="replica", silence=7.0, timeout_in=53.0)
    assert "no ACK 7 of 60 s" in shown(a_frame(ends), width, 24)
    assert "its master ends the connection in 53.0 s" in said(a_frame(ends), width, 24)
    loading = dataclasses.replace(ends, phase="loading", timeout_in=None)
    assert "replica silent 7 s" in shown(a_frame(loading), width, 24)
    assert "stream, held" in shown(a_frame(dataclasses.replace(line, is_held=True)), width, 24)
    quiet = dataclasses.replace(line, master_silence=3.0, replica_silence=0.4)
    assert "3/0 s" in shown(a_frame(quiet), width, 24)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
def test_links_that_differ_are_told_apart_and_one_without_a_replica_has_its_row(width: int, height: int) -> None:
    names = [f"shard-orders-eu-central-production-{number}" for number in range(5)]
    lines = [Line(f"10.0.0.{number}:6379", name, "stream", ID) for number, name in enumerate(names[:4])]
    hint = "on a replica: REPLICAOF 127.0.0.1 6400"
    lines.append(Line("", names[4], "no replica", hint=hint, master="10.0.0.5:6379"))
    frame = dataclasses.replace(a_frame(*lines), routes=(("127.0.0.1:1", "a:1"), ("127.0.0.1:2", "a:2")))
    rows = shown(frame, width, height).splitlines()[2:]
    cells = {row.split()[1] for row in rows if "shard" in row or "sha" in row[:40]}
    assert len(cells) == 5
    if width >= 200:
        assert cells == set(names)
    assert f"{hint}, to follow 10.0.0.5:6379" in "\n".join(rows)
    lost = dataclasses.replace(lines[4], trouble="the master 10.0.0.5:6379 cannot be reached: refused")
    assert "cannot be reached: refused" in shown(dataclasses.replace(frame, lines=(*lines[:4], lost)), width, height)


def test_the_row_of_the_cursor_is_always_in_sight() -> None:
    frame = dataclasses.replace(a_frame(*many(60)), rows=500, first=100, has_keys=True)
    for chosen in range(60):
        text = shown(dataclasses.replace(frame, chosen=chosen), 80, 24)
        (row,) = (line for line in text.splitlines() if line.startswith("▸"))
        assert f"10.0.0.{chosen}:6379" in row
        assert " more" in text


def test_charts_appear_where_there_is_room() -> None:
    frame = dataclasses.replace(a_frame(FLOWING), charts=Charts((1.0, 2.0**20), (math.nan, 5.0), 120.0))
    assert "stream 1.0 MB/s, most 1.0 MB/s" in shown(frame, 80, 24)
    assert "lag 5 B, most 5 B, last 2 min" in shown(frame, 80, 24)
    assert "⣿" in shown(frame, 200, 60) or "⢸" in shown(frame, 200, 60)
    assert "lag" not in shown(frame, 80, 12).splitlines()[4]


def test_as_many_rankings_as_have_room_stand_side_by_side() -> None:
    third = Ranking("bytes by prefix", 100, (("session:*", 60),), of_bytes=True, at_least=True)
    frame = dataclasses.replace(a_frame(FLOWING), rankings=(*a_frame().rankings, third))
    assert "bytes by prefix" not in shown(frame, 80, 24)
    text = shown(frame, 120, 40)
    assert "bytes by prefix" in text
    assert "≥ 60 B  60%" in text


def test_events_of_several_replicas_name_them() -> None:
    assert "10.0.0.7:6379 FULL RESYNC" in shown(a_frame(*many(2)), 120, 40)
    assert "10.0.0.7:6379 FULL RESYNC" not in shown(a_frame(FLOWING), 120, 40)


def test_a_transparent_tap_shows_the_rule_and_each_master() -> None:
    routes = (("*:6400", ""),)
    empty = Line("", "transparent", "no replica", hint="on this machine, as root: iptables --to-ports 6400")
    text = shown(dataclasses.replace(a_frame(empty), routes=routes), 140, 20)
    assert "iptables --to-ports 6400" in text
    assert "*:6400 → where each connection was going" in text
    replica = Line("10.0.1.5:6379", "10.0.0.9:6379", "stream", ID, 1000)
    assert "10.0.0.9:6379" in shown(dataclasses.replace(a_frame(replica), routes=routes), 80, 24)


def test_a_recording_that_lacks_something_is_red_across_the_terminal() -> None:
    frame = dataclasses.replace(a_frame(FLOWING), recording="day.pcapng", trouble="No space left on device")
    console = Terminal(width=100, height=24, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(draw(frame, 100, 24))
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1;37;41m RECORDING day.pcapng: No space left on device" + " " * 40 in out


def test_an_ipv6_replica_is_shown_unchanged() -> None:
    assert "[fe80::1]:6379" in shown(a_frame(Line("[fe80::1]:6379", "main")), 80, 24)


def test_spare_room_goes_to_the_replication_id() -> None:
    assert ID in shown(a_frame(FLOWING), 200, 24)
    assert ID[:13] in shown(a_frame(Line("[fd00:1234:5678:9abc::1]:6379", "main", "stream", ID)), 71, 24)


def test_the_picture_in_the_guide_is_what_is_drawn() -> None:
    size, passed, rate = 88 * 2**20, 18 * 2**20, 5 * 2**20
    replica = Line(
        "127.0.0.1:6380",
        "main",
        "rdb",
        ID,
        159674879,
        full_resyncs=1,
        passed=passed,
        rate=rate,
        master_silence=0.0,
        rdb_received=passed,
        rdb_size=size,
        rdb_rate=rate,
        rdb_left=14.0,
        beside=3 * 2**19,
    )
    words = (
        "FULL RESYNC, 1c2d5997… at offset 158061415. Why: first_sync: the replica has no history yet (it asked ? -1): "
        "it needs a snapshot first"
    )
    frame = dataclasses.replace(
        a_frame(replica),
        routes=(("127.0.0.1:6400", "127.0.0.1:6379"),),
        up=6.0,
        charts=Charts((0.0, 0.0, rate * 0.9, rate, rate), (), 5.0, of_rdb=True),
        rankings=(),
        timeline=(Happening(0.0, "full_resync", "main", "127.0.0.1:6380", words),),
        chosen=0,
        has_keys=True,
    )
    lines = [line.rstrip() for line in shown(frame, 80, 24).splitlines()]
    picture = re.sub(r"\d\d:\d\d:\d\d", "17:13:29", "\n".join(line for line in lines if line))  # in any time zone
    guide = (ROOT / "docs" / "start.md").read_text()
    assert f"```\n{picture}\n```\n" in guide, picture
