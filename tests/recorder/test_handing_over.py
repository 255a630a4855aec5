"""Finished files of a recording go to a command: each at least once, whatever fails, and no link waits for it."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tap import Config
from tap.errors import ConfigError
from tap.recorder import handing_over
from tap.recorder.handing_over import HandingOver
from tap.replication.events import Event, HandOverResumed, HandOverTrouble
from tests.recording.support import config, linked, listening, tap_process
from tests.recording.wires import files, shown
from tests.relay.wire import BASE, GRANT, asks, command, receive
from tests.support import WITHIN, TapThread, wait_until

STREAM = [command("SET", f"key:{number}", "v" * 500) for number in range(40)]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing_over, "PAUSE_SECONDS", 0.02)


@contextmanager
def desk(tmp_path: Path, shell: str, *found: Path) -> Iterator[tuple[HandingOver, list[Event]]]:
    heard: list[Event] = []
    one = HandingOver(shell, tmp_path / "day.handed", heard.append)
    one.start(found)
    try:
        yield one, heard
    finally:
        one.close(WITHIN)


def finished(tmp_path: Path, *names: str) -> list[Path]:
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.write_text(path.name)
    return paths


def passes(replica: socket.socket, master: socket.socket, *pieces: bytes) -> None:
    for piece in pieces:
        master.sendall(piece)
        receive(replica, len(piece))


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize(
    "shell",
    [
        "cat",
        'cat "$1"',
        'cat "${1}"',
        'cat "$@"',
        'cat "$REDIS_TAP_FILE"',
        'test -n "${REDIS_TAP_FILE}" && cat "${REDIS_TAP_FILE}"',
    ],
)
def test_a_command_gets_the_path_as_argument_and_as_variable(tmp_path: Path, shell: str) -> None:
    taken = tmp_path / "taken"
    script = shell.replace("cat", f"cat >>{taken}", 1) if shell.startswith("cat") else f"({shell}) >>{taken}"
    with desk(tmp_path, script) as (one, _):
        for path in finished(tmp_path, "a b.pcapng", "c'$1.pcapng"):
            one.finished(path)
        wait_until(lambda: taken.exists() and taken.read_text().endswith("c'$1.pcapng"))
    assert taken.read_text() == "a b.pcapngc'$1.pcapng"
    assert lines(tmp_path / "day.handed") == ["a b.pcapng", "c'$1.pcapng"]


def test_a_file_is_tried_again_until_the_command_takes_it_and_does_not_hold_up_others(tmp_path: Path) -> None:
    bad, good = finished(tmp_path, "bad.pcapng", "good.pcapng")
    ready = tmp_path / "ready"
    script = f'case "$1" in *bad*) test -e {ready} || {{ echo a; echo no such bucket >&2; exit 7; }};; esac'
    with desk(tmp_path, script) as (one, heard):
        one.finished(bad)
        one.finished(good)
        wait_until(lambda: lines(tmp_path / "day.handed") == ["good.pcapng"])
        wait_until(lambda: len(heard) >= 3)
        assert one.is_waiting(bad)
        assert not one.is_waiting(good)
        ready.touch()
        wait_until(lambda: isinstance(heard[-1], HandOverResumed))
    assert not one.is_waiting(bad)
    first = heard[0]
    assert isinstance(first, HandOverTrouble)
    assert (first.file, first.text, first.attempts) == ("bad.pcapng", "it ended with 7: no such bucket", 1)
    assert (first.waiting, first.waiting_bytes, first.retry_seconds) == (2, len("bad.pcapnggood.pcapng"), 0.02)
    assert lines(tmp_path / "day.handed") == ["good.pcapng", "bad.pcapng"]


def test_the_pause_doubles_while_everything_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing_over, "MAX_PAUSE_SECONDS", 0.05)
    with desk(tmp_path, "kill -9 $$; :", *finished(tmp_path, "a.pcapng")) as (one, heard):
        wait_until(lambda: len(heard) >= 4)
        assert one.close(0.1) == [tmp_path / "a.pcapng"]
    troubles = [event for event in heard if isinstance(event, HandOverTrouble)]
    assert [event.retry_seconds for event in troubles[:4]] == [0.02, 0.04, 0.05, 0.05]
    assert troubles[0].text == "signal 9 ended it"


def test_a_later_run_hands_over_what_an_earlier_one_could_not(tmp_path: Path) -> None:
    old = finished(tmp_path, "1.pcapng", "2.pcapng")
    with desk(tmp_path, 'case "$1" in *2.pcapng) exit 1;; esac', *old) as (one, _):
        wait_until(lambda: lines(tmp_path / "day.handed") == ["1.pcapng"])
        assert one.close(0.1) == [old[1]]
    (tmp_path / "1.pcapng").unlink()
    taken = tmp_path / "taken"
    with desk(tmp_path, f'echo "$1" >>{taken}', old[1], *finished(tmp_path, "3.pcapng")):
        wait_until(lambda: len(lines(taken)) == 2)
    assert lines(taken) == [str(old[1]), str(tmp_path / "3.pcapng")]
    assert lines(tmp_path / "day.handed") == ["2.pcapng", "3.pcapng"]  # of the first, nothing is left to remember


def test_a_file_that_somebody_took_away_is_not_waited_for(tmp_path: Path) -> None:
    with desk(tmp_path, "false") as (one, heard):
        one.finished(tmp_path / "gone.pcapng")
        wait_until(lambda: one.waiting == [])
    assert heard == []


def test_files_that_come_faster_than_the_command_ends_are_reported_once(tmp_path: Path) -> None:
    goes_on = tmp_path / "goes on"
    script = f"while ! test -e '{goes_on}'; do sleep 0.01; done; :"
    with desk(tmp_path, script) as (one, heard):
        for path in finished(tmp_path, *"abcdef"):
            one.finished(path)
            wait_until(lambda: one._running is not None)
        (trouble,) = heard
        assert isinstance(trouble, HandOverTrouble)
        assert (trouble.file, trouble.waiting, trouble.retry_seconds) == ("a", 4, None)
        assert trouble.text.startswith("files come faster than it ends")
        goes_on.touch()
        wait_until(lambda: isinstance(heard[-1], HandOverResumed))


def test_a_recording_hands_over_every_file_the_last_one_at_its_end(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    with listening() as listener:
        wanted = config(
            listener.getsockname()[1],
            tmp_path / "day.pcapng",
            record_rotate=("4kb",),
            record_on_rotate=f"cp --target-directory {away}",
        )
        with TapThread(wanted) as tap, linked(tap, listener) as (replica, master):
            replica.sendall(asks(BASE))
            assert master.recv(1000)
            passes(replica, master, GRANT, *STREAM)
    here = files(tmp_path)
    assert len(here) > 3
    assert [path.name for path in sorted(away.iterdir())] == [path.name for path in here]
    assert [path.read_bytes() for path in sorted(away.iterdir())] == [path.read_bytes() for path in here]


def test_a_command_that_hangs_delays_neither_the_link_nor_the_recording(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(handing_over, "END_SECONDS", 0.1)
    with listening() as listener:
        wanted = config(
            listener.getsockname()[1],
            tmp_path / "day.pcapng",
            record_rotate=("4kb",),
            record_keep=("8kb",),
            record_on_rotate="sleep 5; true",
        )
        with TapThread(wanted) as tap, linked(tap, listener) as (replica, master):
            replica.sendall(asks(BASE))
            assert master.recv(1000)
            began = time.monotonic()
            passes(replica, master, GRANT, *STREAM)
            assert time.monotonic() - began < 4
            trouble = tap.wait_for(HandOverTrouble)
    assert trouble.waiting >= 1
    here = files(tmp_path)
    assert sum(path.stat().st_size for path in here) > sum(
        map(len, STREAM)
    )  # --keep deletes nothing that was not handed over
    assert tap.tap.recorder is not None
    (complaint,) = tap.tap.recorder.complaints
    assert complaint.startswith(f"--on-rotate: {len(here)} files were not handed over by the end: {here[0].name}")


def test_what_has_been_handed_over_is_deleted_as_ever(tmp_path: Path) -> None:
    with listening() as listener:
        wanted = config(
            listener.getsockname()[1],
            tmp_path / "day.pcapng",
            record_rotate=("4kb",),
            record_keep=("8kb",),
            record_on_rotate="true",
        )
        with TapThread(wanted) as tap, linked(tap, listener) as (replica, master):
            replica.sendall(asks(BASE))
            assert master.recv(1000)
            passes(replica, master, GRANT)

            def is_tidy() -> bool:
                passes(replica, master, *STREAM)
                return len(files(tmp_path)) < 5 and files(tmp_path)[-1].name > "day_00012_"

            wait_until(is_tidy)


def test_a_killed_tap_hands_its_last_file_over_when_it_starts_again(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    options = ["-w", str(tmp_path / "day.pcapng"), "--rotate", "4kb", "--ui", "none", "--on-rotate"]
    with tap_process(*options, f'test -e {tmp_path}/open && echo "$1" >>{taken}') as (process, replica, master):
        passes(replica, master, GRANT, *STREAM)
        wait_until(lambda: len(files(tmp_path)) > 3)
        process.kill()
        process.wait()
    left = files(tmp_path)
    assert not taken.exists()
    with tap_process(*options, f'echo "$1" >>{taken}') as (process, _, _):
        wait_until(lambda: len(lines(taken)) >= len(left))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=WITHIN)
        assert process.returncode == 0, said
    assert lines(taken) == [str(path) for path in files(tmp_path)]
    assert len(files(tmp_path)) == len(left) + 1
    assert shown(left)


def test_files_that_were_not_handed_over_by_the_end_are_an_error(tmp_path: Path) -> None:
    options = ["-w", str(tmp_path / "one.pcapng"), "--ui", "none", "--on-rotate", "echo sorry; false"]
    with tap_process(*options) as (process, replica, master):
        passes(replica, master, GRANT)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=WITHIN)
    assert process.returncode == 3
    assert "--on-rotate: 1 file was not handed over by the end: one.pcapng" in said


def test_a_journal_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "day.handed").mkdir()
    with pytest.raises(IsADirectoryError):
        HandingOver("true", tmp_path / "day.handed", lambda event: None).start([])


def test_it_needs_a_recording() -> None:
    with pytest.raises(ConfigError, match="--on-rotate takes the files of a recording, but -w"):
        Config(record_on_rotate="true")
