"""Recordings in many files: each readable alone, all together as one, and a disk that fails."""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tap import Address, Config, LinkConfig
from tap.capture import pcapng, rotation
from tap.capture.output import Output
from tap.capture.pcapng import Packet, PcapngReader
from tap.capture.rotation import Rotation
from tap.capture.segments import PUSH
from tap.errors import ConfigError
from tap.recorder import filling, recorder, writer
from tap.recording.history import index
from tap.replication import events
from tap.units import Limits
from tests.recording.packed import state_of
from tests.recording.support import (
    config,
    content,
    exchange,
    kill_while_it_records,
    linked,
    listening,
    packets,
    segment,
    tshark,
)
from tests.recording.wires import as_live_from_any_file, files, lines, plays, same, shown
from tests.relay.wire import BASE, BLOCK, GRANT, asks, command
from tests.support import WITHIN, Servers, TapThread, client, follow, is_up, level, wait_until

# ---- real servers ----


def writes(port: int, stop: threading.Event) -> None:
    """Writes until stopped: several dbs, transactions, values of many sizes."""
    dice = random.Random(port)
    clients = [client(port) for _ in range(2)]
    for db, one in enumerate(clients):
        one.select(db)
    number = 0
    while not stop.wait(0.002):
        one = dice.choice(clients)
        with one.pipeline(transaction=dice.random() < 0.5) as pipeline:
            for _ in range(dice.randrange(1, 30)):
                number += 1
                pipeline.set(f"key:{number % 1000}", dice.randbytes(dice.choice((1, 50, 500, 2000))))
            pipeline.execute()


def test_a_pair_can_be_read_from_any_file_on(tmp_path: Path, servers: Servers, server_name: str) -> None:
    master, replicas = servers.start(server_name), [servers.start(server_name) for _ in range(2)]
    filling = client(master)
    for number in range(60):
        filling.set(f"before:{number}", random.Random(number).randbytes(5_000))
    wanted = config(master.port, tmp_path / "day.pcapng.zst", every_command=True, record_rotate=("16kb",))
    stop = threading.Event()
    with TapThread(wanted) as tap:
        writer = threading.Thread(target=writes, args=(master.port, stop))
        writer.start()
        for replica in replicas:
            follow(replica, tap.port)
        wait_until(lambda: all(is_up(replica) for replica in replicas))
        wait_until(lambda: len(files(tmp_path)) > 15)
        tap.cut()
        tap.wait_for(events.PartialResync, 2)
        more = len(files(tmp_path)) + 10
        wait_until(lambda: len(files(tmp_path)) > more)
        stop.set()
        writer.join(WITHIN)
        level(master, *replicas)
    found = files(tmp_path)
    assert all(one.stat().st_mode & 0o777 == 0o600 for one in found)
    as_live_from_any_file(tap.told, found)


def test_an_omitted_rdb_can_be_read_from_any_file_on(tmp_path: Path, servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    client(master).set("in-the-snapshot", "x" * 3_000_000)
    path = tmp_path / "day.pcapng"
    wanted = config(master.port, path, every_command=True, record_rotate=("20kb",), record_without_rdb=True)
    with TapThread(wanted) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        writer = client(master)
        for number in range(100):
            writer.set(f"key:{number}", "v" * 1000)
        level(master, replica)
    found = files(tmp_path)
    assert len(found) > 3
    as_live_from_any_file(tap.told, found)


@pytest.mark.parametrize("cut", [3, 11])
def test_a_redacted_link_can_be_read_from_any_file_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    """Bytes that redaction holds when a file ends are in the next file."""
    monkeypatch.setattr(filling.Filling, "is_file_full", lambda self, more: True)
    pieces = [(side, data[at : at + cut]) for side, data in dialogue() for at in range(0, len(data), cut)]
    path = tmp_path / "day.pcapng"
    with listening() as listener:
        wanted = config(listener.getsockname()[1], path, every_command=True, record_rotate=("1gb",), record_sync="none")
        with TapThread(dataclasses.replace(wanted, record_redact=("values",))) as tap:
            in_turn(tap, listener, pieces)
    found = files(tmp_path)
    whole = lines(shown(found))[1]
    assert [line[1:5] for line in whole] == [line[1:5] for line in lines(tap.told)[1]]
    assert b"that-is-longer" not in b"".join(content(path) for path in found)
    assert b"v" * 3 not in b"".join(content(path) for path in found)
    for first in sorted({*random.Random(cut).sample(range(1, len(found)), 12), 1}):
        ours = lines(shown(found[first:])).get(1, [])
        assert ours == whole[len(whole) - len(ours) :]


def test_tshark_finds_no_error_in_any_file(tmp_path: Path) -> None:
    with listening() as listener:
        wanted = config(listener.getsockname()[1], tmp_path / "day.pcapng", record_rotate=("20kb",))
        with TapThread(wanted) as tap:
            in_turn(
                tap,
                listener,
                [(0, asks(BASE)), (1, GRANT), *((1, BLOCK[at : at + 9001]) for at in range(0, 270_000, 9001))],
            )
    found = files(tmp_path)
    assert len(found) > 2
    wrong = "_ws.malformed || tcp.checksum.status==0 || tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment"
    for path in [*found[::4], found[-1]]:  # each takes a fifth of a second
        assert tshark(path, "-o", "tcp.check_checksum:TRUE", "-Y", wrong) == ""
    said = tshark(found[1], "-Y", 'frame.comment contains "link_state"', "-T", "fields", "-e", "frame.number")
    assert said.split() == ["1"]


# ---- any boundary ----


def dialogue() -> list[tuple[int, bytes]]:
    """A diskless full resync whose mark occurs twice, and a stream with every kind of state."""
    mark = b"0123456789" * 4
    rdb = b"REDIS0011\xfa\x09redis-ver\x057.2.0\xfe\x00\x00\x01k\x28" + mark + b"\xff" + bytes(8)
    stream = [
        command("SELECT", "0"),
        command("SET", "a", "1"),
        command("SELECT", "12"),
        command("MULTI"),
        command("SET", "b", "x" * 120),
        command("SELECT", "3"),
        command("LPUSH", "c", "1", "2"),
        command("EXEC"),
        command("a-name-that-is-longer-than-forty-eight-bytes-are-in-all", "d"),
        b"\r\n\n",
        command("SET", "", ""),
        *(command("SET", f"key:{number}", "v" * number) for number in range(4)),
    ]
    return [
        (0, command("PING")),
        (1, b"+PONG\r\n"),
        (0, command("REPLCONF", "listening-port", "7777")),
        (1, b"+OK\r\n"),
        (0, command("PSYNC", "?", "-1")),
        (1, b"+FULLRESYNC " + b"a" * 40 + b" 1000\r\n"),
        (1, b"\n"),
        (1, b"$EOF:" + mark + b"\r\n" + rdb + mark),
        (0, command("REPLCONF", "ACK", "1000")),
        (1, b"".join(stream)),
        (0, command("REPLCONF", "ACK", "1200")),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 3, 11])
def test_a_file_may_begin_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    """Each read of the link goes into a file of its own, and has this many bytes."""
    monkeypatch.setattr(filling.Filling, "is_file_full", lambda self, more: True)
    pieces = [(side, data[at : at + cut]) for side, data in dialogue() for at in range(0, len(data), cut)]
    path = tmp_path / "day.pcapng"
    with listening() as listener:
        wanted = config(listener.getsockname()[1], path, every_command=True, record_rotate=("1gb",), record_sync="none")
        with TapThread(wanted) as tap:
            in_turn(tap, listener, pieces)
    found = files(tmp_path)
    assert len(found) > len(pieces) // 2
    same(tap.told, shown(found))
    whole = lines(tap.told)[1]
    counts = []
    dice = random.Random(cut)
    for first in sorted([*dice.sample(range(1, len(found)), 6), 1]):
        ours = lines(shown(found[first:])).get(1, [])
        assert ours == whole[len(whole) - len(ours) :]
        counts.append(len(ours))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == len(whole)
    inside = [number for number, path in enumerate(found) if any(in_rdb(packet) for packet in packets(path))]
    assert len(index(partial(plays, found)).rdbs) == 1
    for number in inside[:: max(1, len(inside) // 4)]:
        assert not index(partial(plays, found[number:])).rdbs


def in_rdb(packet: Packet) -> bool:
    said = [state_of(comment) for comment in packet.comments]
    return any(one is not None and one.standing is not None and one.standing.phase == "rdb" for one in said)


def test_missing_files_are_a_gap_of_known_offsets(tmp_path: Path) -> None:
    with listening() as listener:
        wanted = config(listener.getsockname()[1], tmp_path / "day.pcapng", every_command=True, record_rotate=("20kb",))
        with TapThread(wanted) as tap:
            pieces = [(1, BLOCK[at : at + 9001]) for at in range(0, 270_000, 9001)]
            in_turn(tap, listener, [(0, asks(BASE)), (1, GRANT), *pieces])
    found = files(tmp_path)
    heard = shown([*found[:2], *found[4:]])
    (gap,) = [one.event for one in heard if isinstance(one.event, events.RecordingGap)]
    assert (gap.from_offset, gap.to_offset) == (BASE + gap.start - len(GRANT), BASE + gap.end - len(GRANT))
    whole = lines(tap.told)[1]
    assert lines(heard)[1] == [one for one in whole if not gap.start <= one[1] < gap.end]


def in_turn(tap: TapThread, listener: socket.socket, pieces: list[tuple[int, bytes]]) -> None:
    """Send each piece once the previous one has come through."""
    with linked(tap, listener) as (replica, master):
        master.settimeout(WITHIN)
        for side, piece in pieces:
            (replica, master)[side].sendall(piece)
            left = len(piece)
            while left:
                left -= len((master, replica)[side].recv(left))
    tap.wait_for(events.LinkClosed)


# ---- names, and what is kept ----


def test_numbers_continue_after_existing_ones(tmp_path: Path) -> None:
    names = [
        "day_00007_20260101T000000Z.pcapng",
        "day_00012_20260101T000000Z.pcapng.zst",
        "day_9_x.pcapng",
        "other.pcapng",
    ]
    for name in names:
        (tmp_path / name).write_text("mine")
    with listening() as listener:
        wanted = config(listener.getsockname()[1], tmp_path / "day.pcapng", record_rotate=("1h",))
        with TapThread(wanted) as tap:
            assert tap.tap.recorder is not None
            assert re.fullmatch(r"day_00013_\d{8}T\d{6}Z\.pcapng", tap.tap.recorder.path.name)
    assert all((tmp_path / name).read_text() == "mine" for name in names)


def test_a_directory_gets_files_of_its_own_name(tmp_path: Path) -> None:
    with listening() as listener, TapThread(config(listener.getsockname()[1], tmp_path)):
        pass
    assert [path.name[:16] for path in tmp_path.iterdir()] == ["redis-tap_00001_"]


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (Limits(size=350), [3, 4]),
        (Limits(size=10), []),
        (Limits(seconds=250), [3, 4]),
        (Limits(size=250, seconds=350), [4]),
        (Limits(), [1, 2, 3, 4]),
    ],
)
def test_the_oldest_files_are_deleted(tmp_path: Path, keep: Limits, left: list[int]) -> None:
    now = time.time()
    for number in (1, 2, 3, 4):
        path = tmp_path / f"day_0000{number}_20260101T000000Z.pcapng"
        path.write_bytes(b"x" * 100)
        os.utime(path, (now, now - 500 + number * 100))
    others = [tmp_path / name for name in ("day.pcapng", "days_00001_20260101T000000Z.pcapng", "day_00001.pcapng")]
    for path in others:
        path.write_text("mine")
    kept = Rotation(tmp_path / "day.pcapng", Limits(size=1), keep)
    kept.look()
    while (path := kept.overdue(100)) is not None:  # type: ignore[assignment]
        path.unlink()
    assert [int(path.name[4:9]) for path in files(tmp_path) if path not in others] == left
    assert all(path.exists() for path in others)


class Clocks:
    """Both clocks, as a test sets them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.elapsed = 1_800_000_000.0, 5000.0
        monkeypatch.setattr(time, "time", lambda: self.wall)
        monkeypatch.setattr(rotation, "elapsed", lambda: self.elapsed)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def of_before(directory: Path, *written: float) -> None:
    """Files of an earlier run, numbered from 1 on, and when each was last written."""
    for number, at in enumerate(written, 1):
        path = directory / f"day_{number:05}_20260101T000000Z.pcapng"
        path.write_bytes(b"x")
        os.utime(path, (at, at))


def left_by(rotation: Rotation, directory: Path) -> list[int]:
    """The numbers of the files that remain after all deletions."""
    while (path := rotation.overdue(0)) is not None:
        path.unlink()
    return [int(path.name[4:9]) for path in files(directory)]


NONE, TIME = Limits(), r"\d{8}T\d{6}Z"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("day.pcapng", rf"day_#_{TIME}\.pcapng"),
        ("day.pcapng.zst", rf"day_#_{TIME}\.pcapng\.zst"),
        ("day.2.pcapng", rf"day\.2_#_{TIME}\.pcapng"),
        ("day.2.pcapng.zst", rf"day\.2_#_{TIME}\.pcapng\.zst"),
        ("day", rf"day_#_{TIME}"),
        (".", rf"redis-tap_#_{TIME}\.pcapng"),
    ],
)
def test_the_names_of_a_rotation_are_made_from_its_path(tmp_path: Path, given: str, names: str) -> None:
    made = Rotation(tmp_path / given, Limits(size=1), NONE)
    made.look()
    for number in (1, 2):
        path = made.next()
        assert path.parent == tmp_path
        assert re.fullmatch(names.replace("#", f"0000{number}"), path.name)
        stamp = time.mktime(time.strptime(re.findall(TIME, path.name)[0], "%Y%m%dT%H%M%SZ")) - time.timezone
        assert abs(stamp - time.time()) < 60
    beyond = path.with_name(path.name.replace("_00002_", "_123456_"))
    beyond.touch()
    again = Rotation(tmp_path / given, Limits(size=1), NONE)
    again.look()
    assert "_123457_" in again.next().name


def test_only_files_of_the_rotation_are_counted(tmp_path: Path) -> None:
    stamp = "20260101T000000Z"
    ours = [f"day_00001_{stamp}.pcapng", f"day_00002_{stamp}.pcapng.zst", f"day_00010_{stamp}.pcapng"]
    others = [
        f"day_0003_{stamp}.pcapng", f"days_00003_{stamp}.pcapng", f"day_00011_{stamp}.pcap", "day_00011_x.pcapng",
        f"day_00011_{stamp[:-1]}.pcapng", f"day_00011_{stamp}.pcapng.gz", f"a_day_00011_{stamp}.pcapng", "day.pcapng",
    ]  # fmt: skip
    for name in [*ours, *others]:
        (tmp_path / name).write_bytes(bytes(10))
    for given in ("day.pcapng", "day.pcapng.zst"):
        kept = Rotation(tmp_path / given, Limits(size=1), Limits(size=25))
        kept.look()
        assert "_00011_" in kept.next().name
        assert [kept.overdue(0), kept.overdue(0)] == [tmp_path / ours[0], None]
        assert [kept.overdue(5), kept.overdue(6)] == [None, tmp_path / ours[1]]
        assert [kept.overdue(15), kept.overdue(16), kept.overdue(99)] == [None, tmp_path / ours[2], None]
        kept.finished(tmp_path / "next", 20)
        assert [kept.overdue(5), kept.overdue(6), kept.overdue(99)] == [None, tmp_path / "next", None]


def test_a_recording_in_one_file_goes_on_in_another_only_if_its_name_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "day.pcapng"
    one = Rotation(path, NONE, NONE)
    assert one.limits == NONE
    assert one.next() == one.next() == path
    path.touch()
    assert re.fullmatch(rf"day_00001_{TIME}\.pcapng", one.next().name)
    path.unlink()  # as logrotate moves it away
    assert one.next() == path
    assert not rotation.is_rotation(path, NONE)


def test_a_directory_and_a_limit_make_a_rotation(tmp_path: Path) -> None:
    assert rotation.is_rotation(tmp_path, NONE)
    assert rotation.is_rotation(tmp_path / "day.pcapng", Limits(seconds=5))
    assert Rotation(tmp_path, NONE, NONE).limits == rotation.DEFAULT == Limits(size=2**30)
    assert Rotation(tmp_path, Limits(seconds=5), NONE).limits == Limits(seconds=5)


def test_a_file_is_kept_for_its_time_and_no_longer(tmp_path: Path, clocks: Clocks) -> None:
    kept = Rotation(tmp_path / "day.pcapng", Limits(size=1), Limits(seconds=100))
    kept.finished(tmp_path / "one", 1)
    clocks.passes(100)
    assert kept.overdue(10**9) is None
    clocks.passes(0.5)
    assert [kept.overdue(0), kept.overdue(0)] == [tmp_path / "one", None]
    forever = Rotation(tmp_path / "day.pcapng", Limits(size=1), NONE)
    forever.finished(tmp_path / "one", 10**12)
    clocks.passes(10**9)
    assert forever.overdue(10**12) is None


def test_time_that_passes_is_measured_by_a_clock_that_cannot_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert abs(rotation.elapsed() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert abs(rotation.elapsed() - time.monotonic()) < 5


@pytest.mark.parametrize("jump", [3600 * 5, -3600 * 5, 10**9])
def test_a_clock_that_jumps_deletes_no_file(tmp_path: Path, clocks: Clocks, jump: float) -> None:
    """Neither files of this run nor of an earlier one."""
    of_before(tmp_path, clocks.wall - 1800)
    kept = Rotation(tmp_path / "day.pcapng", Limits(size=1), Limits(seconds=3600))
    kept.look()
    path = kept.next()
    path.write_bytes(b"x")
    kept.finished(path, 1)
    clocks.wall += jump
    clocks.passes(60)
    assert left_by(kept, tmp_path) == [1, 2]
    clocks.passes(1800)
    assert left_by(kept, tmp_path) == [2]
    clocks.passes(1800)
    assert left_by(kept, tmp_path) == []


def test_files_that_are_too_old_are_deleted_at_the_start(tmp_path: Path, clocks: Clocks) -> None:
    of_before(tmp_path, *(clocks.wall - age for age in (7300, 5000, 3000, 100)))
    kept = Rotation(tmp_path / "day.pcapng", Limits(size=1), Limits(seconds=3600))
    kept.look()
    assert left_by(kept, tmp_path) == [3, 4]


@pytest.mark.parametrize("away", [4000, 10**6, 10**9])
def test_if_even_the_newest_file_would_go_only_the_time_of_this_run_counts(
    tmp_path: Path, clocks: Clocks, away: float
) -> None:
    of_before(tmp_path, *(clocks.wall - away - age for age in (3700, 3000, 0)))
    kept = Rotation(tmp_path / "day.pcapng", Limits(size=1), Limits(seconds=3600))
    kept.look()
    assert left_by(kept, tmp_path) == [2, 3]
    clocks.passes(700)
    assert left_by(kept, tmp_path) == [3]
    clocks.passes(3000)
    assert left_by(kept, tmp_path) == []


def test_files_from_the_future_and_out_of_order_are_not_older_than_earlier_ones(tmp_path: Path, clocks: Clocks) -> None:
    of_before(tmp_path, clocks.wall - 100, clocks.wall + 10**6, clocks.wall - 3590)
    kept = Rotation(tmp_path / "day.pcapng", Limits(size=1), Limits(seconds=3600))
    kept.look()
    clocks.passes(3510)
    assert left_by(kept, tmp_path) == [2, 3]
    clocks.passes(80)
    assert left_by(kept, tmp_path) == [2, 3]
    clocks.passes(20)
    assert left_by(kept, tmp_path) == []


def test_old_files_are_deleted_while_recording(tmp_path: Path) -> None:
    with listening() as listener:
        limits: dict[str, Any] = {"record_rotate": ("20kb",), "record_keep": ("100kb",)}
        with TapThread(config(listener.getsockname()[1], tmp_path / "day.pcapng", **limits)) as tap:
            in_turn(
                tap,
                listener,
                [(0, asks(BASE)), (1, GRANT), *((1, BLOCK[at : at + 9001]) for at in range(0, 270_000, 9001))],
            )
    found = files(tmp_path)
    assert "_00001_" not in found[0].name
    assert sum(path.stat().st_size for path in found) <= 100 * 1024
    assert sum(map(len, lines(shown(found)).values())) > 300


def test_the_next_file_comes_in_time(tmp_path: Path) -> None:
    with listening() as listener:
        path = tmp_path / "day.pcapng"
        with TapThread(config(listener.getsockname()[1], path, record_rotate=("0.1s",))) as tap:
            with linked(tap, listener) as (replica, master):
                replica.sendall(asks(BASE))
                assert master.recv(1000)
                master.sendall(GRANT)

                def comes() -> bool:
                    master.sendall(command("PING"))
                    return len(files(tmp_path)) > 2

                wait_until(comes)
    assert "PING" in [line[5] for line in lines(shown(files(tmp_path)[1:]))[1]]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"record_rotate": ("1gb", "2gb")}, "a second size"),
        ({"record_rotate": ("1m", "1h")}, "a second time"),
        ({"record_rotate": ("10",)}, "neither a size"),
        ({"record_rotate": ("0mb",)}, "a limit must be greater than 0"),
        ({"record_rotate": ("1xb",)}, "neither a size"),
        ({"record_rotate": ("1b",)}, "give 4096b or more"),
        ({"record_keep": ("1gb",)}, "give --rotate"),
        ({"record_to": None, "record_rotate": ("1gb",)}, "-w FILE.pcapng is missing"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Config(links=(LinkConfig(master=Address("127.0.0.1", 1)),), **{"record_to": Path("day.pcapng"), **options})


# ---- the disk ----


def test_a_next_file_that_cannot_be_made_is_reported_and_the_old_one_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "NEXT_RETRY_SECONDS", 0.0)
    directory = tmp_path / "gone"
    directory.mkdir()
    with listening() as listener:
        wanted = config(listener.getsockname()[1], directory / "day.pcapng", every_command=True, record_rotate=("20kb",))
        with TapThread(wanted) as tap:
            with linked(tap, listener) as (replica, master):
                replica.sendall(asks(BASE))
                assert master.recv(1000)
                assert tap.tap.recorder is not None
                # The writer's thread forces the directory to the disk first: a busy machine begins it late.
                wait_until(lambda: tap.tap.recorder.waiting == 0)  # type: ignore[union-attr]
                directory.rename(tmp_path / "there")
                master.sendall(GRANT + BLOCK)
                told = tap.wait_for(events.RecordingStopped)
                assert "the next file cannot be made: No such file or directory; going on in day_00001" in told.text
                (tmp_path / "there").rename(directory)
                wait_until(lambda: master.sendall(BLOCK[:1000]) or len(files(directory)) > 1)  # type: ignore[func-returns-value]
                drained = threading.Thread(target=replica.recv, args=(1,))
                drained.start()
                drained.join(WITHIN)
    heard = shown(files(directory))
    assert [line[3:7] for line in lines(heard)[1]] == [line[3:7] for line in lines(tap.told)[1]]
    assert tap.tap.recorder is not None
    assert tap.tap.recorder.trouble


@pytest.mark.parametrize("name", ["one.pcapng", "one.pcapng.zst"])
def test_bytes_that_the_disk_refused_are_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A disk that takes some bytes, then none, then all."""
    output = Output(tmp_path / name, pcapng.heading("test"))
    first, second = os.urandom(500) * 4, b"abc" * 900
    output.append(output.encode(first))
    size = output.size
    encoded = output.encode(second)
    write = os.write
    dice = iter([5, None, None])

    def full(file: int, data: memoryview) -> int:
        count = next(dice, 0)
        if count is None:
            raise OSError(28, "No space left on device")
        return write(file, data[: count or len(data)])

    monkeypatch.setattr(os, "write", full)
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            output.append(encoded)
        assert output.path.stat().st_size == output.size == size
    output.append(encoded)
    output.close(sync=True)
    assert content(output.path).endswith(first + second)


def test_a_compressed_file_ends_well_without_the_bytes_that_were_given_up(tmp_path: Path) -> None:
    output = Output(tmp_path / "one.pcapng.zst", pcapng.heading("test"))
    output.append(output.encode(b"first" * 100))
    output.encode(b"second" * 100)
    output.close(sync=False)
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    assert decompressor.decompress(output.path.read_bytes()).endswith(b"first")
    assert decompressor.eof


def test_a_full_disk_loses_nothing_silently_in_a_compressed_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk refuses every other write; the links go on, and in the end everything is there."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.001)
    append = Output.append
    refused = itertools.cycle((True, False))

    def refuses(self: Output, encoded: bytes) -> None:
        if next(refused):
            raise OSError(28, "No space left on device")
        append(self, encoded)

    with listening() as listener:
        path = tmp_path / "day.pcapng.zst"
        wanted = config(listener.getsockname()[1], path, every_command=True, record_rotate=("5kb",))
        with TapThread(wanted) as tap:
            monkeypatch.setattr(Output, "append", refuses)
            exchange(tap, listener, [(0, asks(BASE)), (1, GRANT), *((1, BLOCK) for _ in range(5))])
            tap.wait_for(events.RecordingStopped)
            monkeypatch.setattr(Output, "append", append)
    assert tap.events(events.RecordingStopped)
    assert not tap.events(events.RecordingGap)
    assert not [one for one in shown(files(tmp_path)) if isinstance(one.event, events.RecordingGap)]
    assert [line[3:7] for line in lines(shown(files(tmp_path)))[1]] == [line[3:7] for line in lines(tap.told)[1]]


def test_a_killed_tap_leaves_files_that_can_be_read(tmp_path: Path) -> None:
    """Everything older than a moment is there, in whole files and a truncated one."""
    dice = random.Random(7)
    for number in range(2):
        directory = tmp_path / str(number)
        directory.mkdir()
        options = ["-w", str(directory / "day.pcapng.zst"), "--rotate", "50kb"]
        kill_while_it_records(options, partial(is_written, directory), dice.random() * 0.3)
        assert GRANT + BLOCK in b"".join(flowed(files(directory)))


def is_written(directory: Path) -> bool:
    """The beginning, with nothing after it."""
    return GRANT + BLOCK in b"".join(flowed(files(directory)))


def flowed(paths: list[Path]) -> Iterator[bytes]:
    """The bytes of the master in files of which the last may be truncated, and the one before lack its end."""
    for path in paths:
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        reader = PcapngReader()
        found = [*reader.feed(decompressor.decompress(path.read_bytes())), *reader.close()]
        # The next file is created before the previous one is ended.
        assert path in paths[-2:] or decompressor.eof
        assert path == paths[-1] or not reader.problems
        assert all("cut off" in problem for problem in reader.problems)
        for packet in found:
            one = segment(packet.data)
            if one.flags & PUSH and not one.data.startswith(b"*3\r\n$5\r\nPSYNC"):
                yield one.data
