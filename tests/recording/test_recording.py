"""The Python API: the links, events and commands of a recording, as often as they are asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import tap
from tap import recording
from tap.capture.segments import FIN
from tap.errors import RecordingError
from tap.replication import events
from tap.replication.events import Role
from tests.recording.support import config, exchange, listening
from tests.recording.wires import STREAM, Wire, file, streamed
from tests.relay.wire import BASE, GRANT, REPLID, asks
from tests.support import FIXTURES, TapThread


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return file(tmp_path / "capture.pcapng", streamed(STREAM).packets, "pcapng")


def offset(number: int) -> int:
    """The offset after that command."""
    return BASE + sum(len(one) for one in STREAM[: number + 1])


def test_every_call_reads_again(capture: Path) -> None:
    with recording.open(capture) as opened:
        commands = list(opened.commands())
        assert [one.offset for one in commands] == [offset(number) for number in range(61)]
        assert list(opened.commands()) == commands
        told = list(opened.events(commands=True))
        assert [one.event for one in told if isinstance(one.event, events.Command)] == [one.event for one in commands]
        assert not any(isinstance(one.event, events.Command) for one in opened.events())
        assert [one.event.kind for one in opened.events()][:2] == ["link_opened", "identified"]
        assert opened.problems == []


def test_a_command_knows_its_content_and_place(capture: Path) -> None:
    *_, last = tap.recording.open(str(capture)).commands()
    assert (last.link, last.connection, last.db, last.name) == ("127.0.0.1:6379", 1, 3, "SET")
    assert (last.args, last.keys) == ((b"key:59", b"v" * 413), [b"key:59"])
    assert 0 < last.time - 10**9 < 1


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"command": "set"}, 60),
        ({"command": ["select", "SET"]}, 61),
        ({"key": "key:5?"}, 10),
        ({"key": b"key:5?"}, 10),
        ({"key": ("key:1", b"key:2")}, 2),
        ({"db": 3, "command": {"set"}}, 60),
        ({"db": 0}, 0),
        ({"db": [0, 3]}, 61),
        ({"link": "127.0.0.1:6379/1"}, 61),
        ({"link": ["other"]}, 0),
        ({"from_": offset(50), "until": offset(52)}, 3),
        ({"from_": datetime(2001, 9, 9, 1, 46, 41, tzinfo=UTC)}, 0),
        ({"until": datetime(2001, 9, 9, 1, 46, 41, tzinfo=UTC)}, 61),
    ],
)
def test_filters_select_commands(capture: Path, wanted: dict[str, Any], count: int) -> None:
    assert len(list(recording.open(capture).commands(**wanted))) == count


def test_leaving_ends_running_iterations(capture: Path) -> None:
    with recording.open(capture) as opened:
        running = opened.events()
        next(running)
    assert list(running) == []


# ---- links ----


def test_the_links_are_those_of_the_tap(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    stream = b"".join(STREAM)
    with listening() as listener, TapThread(config(listener.getsockname()[1], path)) as running:
        exchange(running, listener, [(0, asks(BASE)), (1, GRANT + stream)])
        exchange(running, listener, [(0, asks(BASE)), (1, GRANT)])
    links = recording.open(path).links
    opened = [one for one in running.told if isinstance(one.event, events.LinkOpened)]
    closed = [one for one in running.told if isinstance(one.event, events.LinkClosed)]
    assert len(links) == len(opened) == len(closed) == 2
    for link, begin, end in zip(links, opened, closed, strict=True):
        assert isinstance(begin.event, events.LinkOpened)
        assert isinstance(end.event, events.LinkClosed)
        assert (link.name, link.connection, link.replica) == (end.link, end.connection, end.replica)
        assert (link.peer, link.master) == (begin.event.peer, begin.event.master)
        assert link.closed == end.time
        assert link.opened == pytest.approx(begin.time, abs=0.1)
        assert (link.role, link.last_offset) == (end.event.role, end.event.offset)
        assert link.bytes_from_master == end.event.bytes_from_master
        assert link.bytes_from_replica == end.event.bytes_from_replica
    assert (links[0].replid, links[0].first_offset, links[0].last_offset) == (REPLID, BASE, BASE + len(stream))
    assert (links[0].full_resyncs, links[0].partial_resyncs) == (0, 1)


def test_the_opening_of_an_older_link_is_unknown(tmp_path: Path) -> None:
    wire = streamed(STREAM)
    wire.send(1, flags=FIN)
    wire.send(0, flags=FIN)
    web = Wire(40000)
    web.open()
    path = file(tmp_path / "middle.pcapng", [*wire.packets[9:], *web.packets], "pcapng")
    (link,) = recording.open(path).links
    assert (link.peer, link.master, link.role) == ("127.0.0.1:50000", "127.0.0.1:6379", Role.REPLICA)
    assert (link.opened, link.closed) == (None, wire.now / 1e9)
    assert (link.replid, link.first_offset, link.last_offset) == (None, None, None)
    assert link.bytes_from_master == sum(len(one) for one in STREAM[2:])


def test_an_open_link_has_not_been_closed(capture: Path) -> None:
    (link,) = recording.open(capture).links
    assert link.opened is not None
    assert link.closed is None
    assert link.last_offset == offset(60)


def test_a_link_that_continues_in_the_next_file_is_one(tmp_path: Path) -> None:
    packets = streamed(STREAM).packets
    file(tmp_path / "link_00001_20010909T014640Z.pcapng", packets[:40], "pcapng")
    file(tmp_path / "link_00002_20010909T014641Z.pcapng", packets[40:], "pcapng")
    opened = recording.open(tmp_path)
    (link,) = opened.links
    assert link.last_offset == offset(60)
    assert len(list(opened.commands())) == 61


# ---- unreadable files ----


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.write_text("some text\n"), "it is not a capture"),
        (lambda path: path.write_bytes(b""), "it is empty"),
        (Path.mkdir, "no capture in this directory"),
    ],
)
def test_a_file_that_is_not_a_capture_is_refused_at_once(
    tmp_path: Path, capture: Path, make: Callable[[Path], Any], says: str
) -> None:
    path = tmp_path / "spoilt"
    make(path)
    with pytest.raises(RecordingError, match=f"{path}: {says}"):
        recording.open([capture, path])


def test_damage_is_among_the_problems_and_the_rest_is_reported(tmp_path: Path) -> None:
    data = file(tmp_path / "link_00001_20010909T014640Z.pcapng", streamed(STREAM).packets, "pcapng").read_bytes()
    (tmp_path / "link_00001_20010909T014640Z.pcapng").write_bytes(data[:-7])
    (tmp_path / "link_00002_20010909T014641Z.pcapng").write_bytes(b"")
    opened = recording.open(tmp_path)
    for _ in range(2):
        assert len(list(opened.commands())) == 61
        cut, empty = opened.problems
        assert "cut off" in cut
        assert "it is empty" in empty


def test_other_traffic_is_a_problem(tmp_path: Path) -> None:
    web = Wire(40000)
    web.open()
    path = file(tmp_path / "web.pcapng", web.packets, "pcapng")
    opened = recording.open(path)
    assert opened.links == []
    assert opened.problems == [f"{path}: no replication in it: 1 TCP connection"]


def test_a_pipe_is_not_read_before_an_iteration(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    recording.open(path)


def test_a_tap_that_reads_no_recording_does_not_load_its_reader() -> None:
    code = (
        "import sys, tap; tap.recording; print([name for name in sys.modules if name.endswith(('reader', 'zstandard'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


# ---- what is missing ----

LOST = FIXTURES / "captures" / "one-command-lost.pcap"


def test_what_is_missing_is_known_after_the_whole_reading() -> None:
    opened = recording.open(LOST)
    assert opened.missing == []
    assert len(list(opened.commands())) == 40
    (gap,) = opened.missing
    assert isinstance(gap, recording.Missing)
    assert (gap.cause, gap.link, gap.connection, gap.bytes, gap.from_offset, gap.to_offset) == (
        *("gap", "10.0.0.1:6379", 1, 92),
        *(2485, 2577),
    )
    assert opened.problems == []
    for iteration in (
        opened.events(),
        opened.commands(key="nothing"),
        opened.events(commands=True, link="10.0.0.1:6379"),
    ):
        list(iteration)
        assert opened.missing == [gap]
    assert opened.links
    assert opened.missing == [gap]


def test_bytes_outside_the_selection_are_not_missing() -> None:
    opened = recording.open(LOST)
    for iteration in (opened.commands(until=2485), opened.events(from_=2578), opened.commands(link="another")):
        list(iteration)
        assert opened.missing == []


def test_unreadable_bytes_are_missing() -> None:
    opened = recording.open(FIXTURES / "compressed" / "redis-8.10-zstd-rdb-channel.pcapng")
    assert list(opened.commands()) == []
    assert [(one.cause, one.from_offset, one.to_offset) for one in opened.missing] == [
        ("unread", 0, None),
        ("unread", 1679, None),
    ]


def test_a_remark_makes_nothing_incomplete() -> None:
    opened = recording.open(FIXTURES / "captures" / "only-from-master.pcap")
    assert len(list(opened.commands())) == 41
    assert "only what the master sent was captured" in opened.remarks[0]
    assert (opened.problems, opened.missing) == ([], [])
