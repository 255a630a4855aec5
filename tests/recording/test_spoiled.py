"""Changes by other processes to the file of a recording while it is written."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tap.recorder import recorder, writer
from tap.replication import events
from tests.recording.support import comments, config, linked, listening, packets, segments, tap_process
from tests.recording.wires import files, lines, shown
from tests.relay.wire import BASE, GRANT, asks, command, receive
from tests.support import WITHIN, TapThread, wait_until

FIRST = b"".join(command("SET", f"first:{number}", "v" * 500) for number in range(20))
LATER = b"".join(command("SET", f"later:{number}", "v" * 500) for number in range(20))


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SYNC_SECONDS", 0.02)


def deleted(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("mine")
    other.replace(path)


def cut(path: Path) -> None:
    os.truncate(path, 100)


SPOILS: list[tuple[Callable[[Path], None], str]] = [
    (deleted, "was deleted"),
    (replaced, "was replaced by another file"),
    (cut, "was cut to 100 bytes"),
]


def recorded(
    tmp_path: Path, name: str, does: Callable[[Path], None], *, spoils: bool, **options: Any
) -> tuple[Path, TapThread]:
    """A recording of FIRST, then of LATER, with *does* applied to its file between them. Returns that file."""
    with listening() as listener, TapThread(config(listener.getsockname()[1], tmp_path / name, **options)) as tap:
        with linked(tap, listener) as (replica, master):
            replica.sendall(asks(BASE))
            assert master.recv(1000)
            master.sendall(GRANT + FIRST)
            receive(replica, len(GRANT + FIRST))
            assert tap.tap.recorder is not None
            path = tap.tap.recorder.path
            wait_until(lambda: tap.tap.recorder is not None and tap.tap.recorder.waiting == 0)
            size = path.stat().st_size
            assert size > 100
            does(path)
            if spoils:
                tap.wait_for(events.RecordingStopped)
                wait_until(
                    lambda: (tap.tap.recorder is not None and tap.tap.recorder.path != path) or path_is_new(path, size)
                )
            master.sendall(LATER)
            receive(replica, len(LATER))
    return path, tap


def path_is_new(path: Path, size: int) -> bool:
    return path.exists() and 100 < path.stat().st_size < size


def stops(tap: TapThread) -> list[str]:
    return [one.event.text for one in tap.told if isinstance(one.event, events.RecordingStopped)]


@pytest.mark.parametrize(("does", "what"), SPOILS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("sync", ["none", "interval"])
def test_a_spoiled_file_is_reported_and_a_new_one_begun(
    tmp_path: Path, does: Callable[[Path], None], what: str, sync: str
) -> None:
    path, tap = recorded(tmp_path, "one.pcapng", does, spoils=True, record_sync=sync)
    assert stops(tap) == [f"one.pcapng {what} while it was written; what it held is lost"]
    assert tap.tap.recorder is not None
    new = tap.tap.recorder.path
    assert (new == path) is (does is deleted)
    told = [line[6][0] for found in lines(shown([new])).values() for line in found]
    assert told == [f"later:{number}".encode() for number in range(20)]
    assert tap.tap.recorder.lost_bytes > len(FIRST)
    assert f"{what} while it was written" in tap.tap.recorder.trouble_so_far
    if does is replaced:
        assert path.read_text() == "mine"


@pytest.mark.parametrize(("does", "what"), SPOILS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("name", ["day.pcapng", "day.pcapng.zst"])
def test_a_rotation_continues_and_foreign_files_stay(
    tmp_path: Path, does: Callable[[Path], None], what: str, name: str
) -> None:
    limits: dict[str, Any] = {"record_rotate": ("1gb",), "record_keep": ("1kb",)}
    path, tap = recorded(tmp_path, name, does, spoils=True, **limits)
    assert stops(tap) == [f"{path.name} {what} while it was written; what it held is lost"]
    assert tap.tap.recorder is not None
    assert tap.tap.recorder.lost_bytes > 100
    new = tap.tap.recorder.path
    assert "_00002_" in new.name
    told = [line[6][0] for found in lines(shown([new])).values() for line in found]
    assert told == [f"later:{number}".encode() for number in range(20)]
    if does is replaced:
        assert path.read_text() == "mine"
        assert [one.name for one in files(tmp_path)] == sorted([path.name, new.name])


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def linked_twice(path: Path) -> None:
    os.link(path, path.with_name("elsewhere"))


def copied(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))


@pytest.mark.parametrize("does", [moved, linked_twice, copied])
def test_a_file_that_still_holds_everything_is_continued(tmp_path: Path, does: Callable[[Path], None]) -> None:
    path, tap = recorded(tmp_path, "one.pcapng", does, spoils=False)
    assert stops(tap) == []
    assert tap.tap.recorder is not None
    assert tap.tap.recorder.trouble_so_far == ""
    whole = path.with_name("elsewhere") if does is moved else path
    data = b"".join(one.data for one in segments(whole))
    assert GRANT + FIRST + LATER in data


def test_a_file_deleted_just_before_the_end_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SYNC_SECONDS", 1000.0)
    path, tap = recorded(tmp_path, "one.pcapng", deleted, spoils=False)
    assert tap.tap.recorder is not None
    assert "one.pcapng was deleted while it was written" in tap.tap.recorder.trouble_so_far
    assert tap.tap.recorder.lost_bytes > len(FIRST + LATER)
    assert not path.exists()


def test_if_no_new_file_can_be_made_the_bytes_are_reported_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "NEXT_RETRY_SECONDS", 0.05)
    directory = tmp_path / "here"
    directory.mkdir()
    with listening() as listener, TapThread(config(listener.getsockname()[1], directory / "one.pcapng")) as tap:
        with linked(tap, listener) as (replica, master):
            replica.sendall(asks(BASE))
            assert master.recv(1000)
            master.sendall(GRANT + FIRST)
            receive(replica, len(GRANT + FIRST))
            shutil.rmtree(directory)
            wait_until(lambda: any("cannot be made" in text for text in stops(tap)))
            master.sendall(LATER)
            receive(replica, len(LATER))
            directory.mkdir()

            def goes_on() -> bool:
                master.sendall(command("PING"))
                receive(replica, len(command("PING")))
                return (directory / "one.pcapng").exists()

            wait_until(goes_on)
    assert next(text for text in stops(tap) if "cannot be made" in text).endswith("what comes until it can be is lost")
    assert packets(directory / "one.pcapng")
    assert tap.tap.recorder is not None
    assert tap.tap.recorder.lost_bytes > len(FIRST + LATER)


def test_the_tap_ends_with_exit_code_3(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    with tap_process("-w", str(path)) as (process, replica, master):
        master.sendall(GRANT + FIRST)
        receive(replica, len(GRANT + FIRST))
        wait_until(lambda: path.stat().st_size > len(FIRST))
        path.unlink()
        wait_until(path.exists)
        master.sendall(LATER)
        receive(replica, len(LATER))
        process.send_signal(signal.SIGINT)
        said, complaint = process.communicate(timeout=WITHIN)
    assert process.returncode == 3
    assert "one.pcapng was deleted while it was written; what it held is lost" in said
    assert "one.pcapng was deleted while it was written" in complaint
    assert " 0 bytes" not in complaint
    assert next(one["event"] for one in comments(path)) in ("recording_stopped", "link_state")
