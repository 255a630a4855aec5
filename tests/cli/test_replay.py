"""`redis-tap replay` as a user types it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.typed import tap
from tests.recording.support import listening
from tests.replay.support import captured, peer
from tests.support import FIXTURES, WITHIN, crossed

TAP = [sys.executable, "-m", "tap", "replay"]
ANYWHERE = ("--as-master", "127.0.0.1:0")


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return captured("redis-7.0-diskless", tmp_path / "one.pcapng")


@contextmanager
def replaying(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process, and its port once it listens."""
    command = [*TAP, *map(str, arguments), *ANYWHERE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            found = re.search(
                r"listening on 127\.0\.0\.1:(\d+) as the master of an RDB .* REPLICAOF 127\.0\.0\.1 \d+", said
            )
            assert found is not None, said
            yield process, int(found[1])
        finally:
            process.kill()


def test_with_exit_it_ends_once_the_replica_has_acknowledged_the_end(one: Path) -> None:
    with replaying(one, "--speed", "max", "--exit", "--ui", "json") as (process, port), peer(port) as replica:
        _, _, offset = replica.ask("PSYNC", "?", "-1").split()
        replica.rdb()
        replica.acknowledge(int(offset))
        replica.acknowledge(10**6)
        out, said = process.communicate(timeout=WITHIN)
    assert process.returncode == 0
    assert "played to the end: 1 replica has acknowledged offset" in said
    assert [json.loads(line)["event"] for line in out.splitlines()] == [
        *("psync_requested", "full_resync", "ack", "ack", "link_closed")
    ]


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--exit",), 130)])
def test_ctrl_c_ends_a_replay(one: Path, options: tuple[str, ...], code: int) -> None:
    with replaying(one, *options) as (process, port), peer(port) as replica:
        replica.ask("PSYNC", "?", "-1")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=WITHIN)
    assert process.returncode == code
    assert re.search(r"FULL RESYNC, \w{8}… at offset \d+\. Why: first_sync: ", out)


def test_closing_the_terminal_leaves_no_copy_of_the_data(
    one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setenv("TMPDIR", str(copies))
    with replaying(one) as (process, _):
        assert list(copies.iterdir())
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=WITHIN)
    assert process.returncode == 0
    assert not list(copies.iterdir())


def test_nohup_keeps_a_replay_running_without_its_terminal(one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "TAP", ["nohup", *TAP])
    with replaying(one) as (process, port):
        process.send_signal(signal.SIGHUP)
        with peer(port) as replica:
            assert replica.ask("PING") == b"+PONG\r\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WITHIN)


@pytest.mark.parametrize(
    ("until", "says"),
    [
        ("9999999", "is more than the highest offset in the recording, "),
        ("2100-01-01", "lies after the end of the record"),
    ],
)
def test_an_end_beyond_the_recording_is_reported(one: Path, until: str, says: str) -> None:
    command = [*TAP, str(one), *ANYWHERE, "--until", until]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert re.match(rf"redis-tap: --until {until}\S* {says}", process.stderr.readline())
        assert "listening on" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(WITHIN) == 0


def test_a_truncated_recording_is_played_as_far_as_it_goes(one: Path) -> None:
    one.write_bytes(one.read_bytes()[:-3])
    command = [*TAP, str(one), *ANYWHERE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "one.pcapng: " in process.stderr.readline()
        assert "listening on" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(WITHIN) == 2


GAP = "10.0.0.1:6379/1: 92 bytes of the stream are missing, offsets 2485 to 2577 (after "
UNREAD = "bytes of the stream cannot be read, from offset 0 on: "


PLAYED = {
    "captures/one-command-lost.pcap": (GAP, 2485),
    "compressed/redis-8.10-zstd-one-channel-disk.pcapng": (UNREAD, 0),
    "compressed/redis-8.10-zstd-rdb-channel.pcapng": (UNREAD, 0),
    "captures/replica-whole.pcap": ("", 4693),
}


@pytest.mark.parametrize(("name", "exits"), crossed(list(PLAYED), [False, True]))
def test_missing_bytes_are_reported_and_end_with_exit_code_2(name: str, exits: bool) -> None:
    says, end = PLAYED[name]
    options = ["--speed", "max", *(["--exit"] if exits else [])]
    command = [*TAP, str(FIXTURES / name), *options, *ANYWHERE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = []
        while (found := re.search(r"listening on 127\.0\.0\.1:(\d+) ", line := process.stderr.readline())) is None:
            told.append(line)
        assert all("bytes of the stream" in one for one in told)
        assert says in "".join(told)
        assert bool(told) == bool(says)
        with peer(int(found[1])) as replica:
            replica.ask("PSYNC", "?", "-1")
            replica.rdb()
            replica.acknowledge(end)
            assert f"acknowledged offset {end}\n" in process.stderr.readline()
            if not exits:
                process.send_signal(signal.SIGINT)
            assert process.wait(WITHIN) == (2 if says else 0)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "give --as-master HOST:PORT, for replicas that connect, or --to URL, for a server"),
        (
            (*ANYWHERE, "--to", "redis://127.0.0.1"),
            2,
            "--as-master is for replicas, --to for any server: give one of them",
        ),
        ((*ANYWHERE, "--db", "3"), 2, "--assume-db and --yes go with --to: a replica needs every byte"),
        ((*ANYWHERE, "--speed", "fast"), 2, "--speed 'fast': write how many times as fast, as 1, 10 or 0.5, or max"),
        ((*ANYWHERE, "--speed", "0"), 2, "--speed '0': write how many times as fast"),
        ((*ANYWHERE, "--from", "noon"), 2, "--from 'noon': write a time, as 2026-01-31T12:00:00"),
        ((*ANYWHERE, "--from", "9999999"), 2, "--from 9999999 lies after the end of the recording"),
        ((*ANYWHERE, "--link", "orders"), 2, "no link 'orders' in the recording; its links: "),
        (("--as-master", "unix:/tmp/socket"), 2, "replicas connect over TCP"),
        (("--as-master", "nowhere.invalid:1"), 3, "cannot listen on nowhere.invalid:1: "),
        ((*ANYWHERE, "--ui", "live"), 2, "--ui live draws on a terminal"),
    ],
)
def test_wrong_use_is_one_line(one: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = tap("replay", one, *arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_not_a_capture_is_one_line(tmp_path: Path) -> None:
    for name, data in (("text", b"hello, world"), ("missing", None)):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        done = tap("replay", tmp_path / name, *ANYWHERE)
        assert done.returncode == 2
        assert re.fullmatch(rf"redis-tap: {tmp_path / name}: .*\n", done.stderr)


def test_a_port_in_use_is_one_line(one: Path) -> None:
    with listening() as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = tap("replay", one, "--as-master", address)
    assert done.returncode == 3
    assert done.stderr.startswith(f"redis-tap: cannot listen on {address}: Address already in use")
    assert done.stderr.count("\n") == 1
