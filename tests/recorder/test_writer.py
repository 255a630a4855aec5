"""The recorder's thread: what it forces to the disk and when, how it handles a failing disk, when it polls."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from tap.capture import pcapng
from tap.capture.output import Output
from tap.capture.packets import Blocks, TcpFlow
from tap.capture.rotation import Rotation
from tap.capture.segments import PUSH, Endpoint
from tap.recorder import writer
from tap.recorder.intake import Gathering
from tap.recorder.writer import Sync, Writer
from tap.units import Limits
from tests.support import WITHIN, wait_inside

HEADING = pcapng.heading("test", "a comment")
FULL = OSError(28, "No space left on device")


class Desk:
    """A writer, and what it reported."""

    def __init__(self, path: Path, *, sync: Any = "none", rotate: Limits = Limits(), keep: Limits = Limits()) -> None:  # noqa: B008
        self.troubles: list[str] = []
        self.no_next: list[str] = []
        self.spoiled: list[str] = []
        self.lost: list[int] = []
        self.given_up: list[int] = []
        self.asked: list[float] = []  # when the gathered packets were asked for
        self.gathering = Gathering(lambda: self.asked.append(time.monotonic()))
        self.rotation = Rotation(path, rotate, keep)
        self.flow = TcpFlow(Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2), (1, 1))
        self.output = Output(path if not rotate else self.rotation.next(), HEADING)
        self.writer = Writer(
            self.output,
            HEADING,
            self.rotation,
            sync,
            troubled=self.troubles.append,
            no_next=self.no_next.append,
            spoiled=self.spoiled.append,
            lost=self.lost.append,
            given_up=self._give_up,
            gathering=self.gathering,
        )

    def _give_up(self, left: Sequence[Blocks]) -> Blocks:
        self.given_up.append(len(left))
        return self.block(b"instead")

    def block(self, data: bytes) -> Blocks:
        blocks = self.writer.blocks()
        self.flow.write(blocks, 10**18, 1, PUSH, data, b"")
        return blocks

    async def put(self, data: bytes) -> None:
        """Put a block, and wait until it is in the file."""
        blocks = self.block(data)
        size, before = blocks.size, self.writer.taken
        self.writer.put(blocks)
        await wait_inside(lambda: self.writer.taken == before + size)


def running(job: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(job(), WITHIN))


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was forced to the disk: "file" or "names"."""
    found: list[str] = []
    monkeypatch.setattr(Output, "sync", _noting(Output.sync, found, "file"))
    monkeypatch.setattr(writer, "sync_directory", lambda path: found.append("names"))
    return found


def _noting(sync: Callable[[Output], None], found: list[str], what: str) -> Callable[[Output], None]:
    def noting(self: Output) -> None:
        found.append(what)
        sync(self)

    return noting


@pytest.mark.parametrize("sync", get_args(Sync))
def test_the_end_of_a_file_is_forced_to_the_disk_unless_that_is_unwanted(
    tmp_path: Path, synced: list[str], sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_end = {"none": [], "interval": ["file", "names"], "always": ["file", "names"]}[sync]

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng", sync=sync)
        await desk.put(b"first")
        await wait_inside(lambda: sync == "none" or desk.output.unsynced == 0)
        desk.writer._sync_at = time.monotonic() + 3600
        monkeypatch.setattr(writer, "SYNC_SECONDS", 3600.0)
        await desk.put(b"second")
        await wait_inside(lambda: sync != "always" or desk.output.unsynced == 0)
        if sync == "interval":
            synced.clear()
        assert await desk.writer.close() == []
        assert (desk.output.unsynced == 0) == (sync != "none")

    running(job)
    assert sorted(set(synced)) == at_end


def test_in_between_a_file_is_forced_after_a_time_and_after_a_number_of_bytes(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SYNC_BYTES", 1000)
    monkeypatch.setattr(writer, "SYNC_SECONDS", 3600.0)

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng", sync="interval")
        await desk.put(b"x")
        await wait_inside(lambda: "file" in synced)  # the first is due at once
        synced.clear()
        await desk.put(b"y" * 100)
        assert "file" not in synced
        await desk.put(b"y" * 1000)
        await wait_inside(lambda: synced.count("file") == 1)
        desk.writer._sync_at = 0.0
        await desk.put(b"z")
        await wait_inside(lambda: synced.count("file") == 2)
        await desk.writer.close()

    running(job)


def test_a_file_is_forced_and_checked_at_the_very_moment_it_is_due(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng", sync="interval")
        at = time.monotonic() + 100
        monkeypatch.setattr(writer, "time", SimpleNamespace(monotonic=lambda: at))
        await desk.put(b"x")
        await wait_inside(lambda: desk.writer._look_at == desk.writer._sync_at == at + writer.SYNC_SECONDS)
        synced.clear()
        desk.output.path.unlink()
        desk.writer._look_at = desk.writer._sync_at = at
        await desk.put(b"y")
        await wait_inside(lambda: desk.spoiled and "file" in synced)
        await desk.writer.close()

    running(job)


def test_between_two_blocks_a_file_is_forced_although_more_waits(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def job() -> None:
        idle = SimpleNamespace(start=lambda: None)
        monkeypatch.setattr(writer, "threading", SimpleNamespace(Thread=lambda **_: idle, Event=threading.Event))
        desk = Desk(tmp_path / "a.pcapng", sync="always")
        for number in range(3):
            desk.writer.put(desk.block(b"data"))
            desk.writer.put(desk.block(b"more"))
            assert desk.writer._write_next()
            assert synced.count("file") == number + 1
            assert desk.writer._queue
        desk.output.close(sync=False)

    running(job)


@pytest.mark.parametrize(
    ("left", "refusals", "is_written"),
    [(0.0, 0, True), (-0.001, 0, False), (1.5, 2, True), (1.499, 2, False), (1.499, 0, True)],
)
def test_what_waits_is_written_up_to_the_last_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: float, refusals: int, is_written: bool
) -> None:
    """And a disk that refuses is tried again up to half of the time before it. Without the thread."""
    at = 1_000_000.0
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.001)
    append = Output.append

    def refuse(self: Output, encoded: bytes) -> None:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise FULL
        append(self, encoded)

    async def job() -> None:
        idle = SimpleNamespace(start=lambda: None)
        monkeypatch.setattr(writer, "threading", SimpleNamespace(Thread=lambda **_: idle, Event=threading.Event))
        monkeypatch.setattr(writer, "time", SimpleNamespace(monotonic=lambda: at))
        desk = Desk(tmp_path / "a.pcapng")
        monkeypatch.setattr(Output, "append", refuse)
        desk.writer._closing_at = at + left
        desk.writer.put(desk.block(b"data"))
        assert desk.writer._write_next() == is_written
        assert desk.writer._has_given_up != is_written
        assert (desk.writer.taken > 0) == is_written
        desk.output.close(sync=False)

    assert writer.CLOSE_SECONDS == 3.0
    running(job)


def test_a_failing_disk_is_reported_once_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.01)
    tries = 0
    append = Output.append

    def refuse(self: Output, encoded: bytes) -> None:
        nonlocal tries
        tries += 1
        raise FULL

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng")
        monkeypatch.setattr(Output, "append", refuse)
        desk.writer.put(desk.block(b"first"))
        desk.writer.put(desk.block(b"second"))
        await wait_inside(lambda: tries > 3)
        assert desk.troubles == ["No space left on device"]
        assert desk.writer.taken == 0
        monkeypatch.setattr(Output, "append", append)
        await wait_inside(lambda: desk.writer.taken > 0)
        monkeypatch.setattr(Output, "append", refuse)
        desk.writer.put(desk.block(b"third"))
        await wait_inside(lambda: len(desk.troubles) == 2)  # it had succeeded in between
        monkeypatch.setattr(Output, "append", append)
        assert await desk.writer.close() == []
        assert desk.given_up == []
        data = desk.output.path.read_bytes()
        assert data.index(b"first") < data.index(b"second") < data.index(b"third")

    running(job)


def test_bytes_that_the_disk_never_takes_are_replaced_by_something_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(writer, "CLOSE_SECONDS", 0.2)
    append = Output.append

    def refuse_large(self: Output, encoded: bytes) -> None:
        if len(encoded) > 1000:
            raise FULL
        append(self, encoded)

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng")
        monkeypatch.setattr(Output, "append", refuse_large)
        for _ in range(3):
            desk.writer.put(desk.block(bytes(2000)))
        began = time.monotonic()
        left = await desk.writer.close()
        assert time.monotonic() - began < WITHIN / 2
        assert len(left) == 3
        assert desk.given_up == [3]
        assert b"instead" in desk.output.path.read_bytes()

    running(job)


@pytest.mark.parametrize(("left", "gives_up"), [(0.55, False), (0.45, True)])
def test_a_disk_that_refuses_at_the_end_is_retried_for_half_of_the_remaining_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: float, gives_up: bool
) -> None:
    """The other half is for what is written instead."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(writer, "CLOSE_SECONDS", 1000.0)
    tries = 0

    def refuse(self: Output, encoded: bytes) -> None:
        nonlocal tries
        tries += 1
        raise FULL

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng")
        with monkeypatch.context() as patched:
            patched.setattr(Output, "append", refuse)
            desk.writer._closing_at = time.monotonic() + 1000 * left
            desk.writer.put(desk.block(b"x"))
            await wait_inside(lambda: desk.given_up or tries > 5)
        assert desk.given_up == [1] * gives_up
        assert len(await desk.writer.close()) == gives_up

    running(job)


def test_the_thread_rests_between_retries_even_if_woken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY_SECONDS", 10 * WITHIN)
    tries = 0

    def refuse(self: Output, encoded: bytes) -> None:
        nonlocal tries
        tries += 1
        raise FULL

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng")
        with monkeypatch.context() as patched:
            patched.setattr(Output, "append", refuse)
            desk.writer.put(desk.block(b"x"))
            await wait_inside(lambda: tries == 1)
            desk.writer._wake.set()
            await wait_inside(lambda: tries >= 2)
            await asyncio.sleep(0.02)
            assert tries == 2
        assert await desk.writer.close() == []

    running(job)


def test_a_next_file_begins_with_its_head_and_old_ones_may_go(tmp_path: Path) -> None:
    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng", rotate=Limits(size=10**6), keep=Limits(size=1))
        await desk.put(b"first")
        old = desk.writer.path
        desk.writer.next_file(desk.block(b"head of the next"))
        await desk.put(b"second")
        await desk.writer.close()
        new = desk.writer.path
        assert new != old
        data = new.read_bytes()
        assert data.index(b"head of the next") < data.index(b"second")
        assert b"first" not in data
        assert not old.exists()
        assert desk.no_next == desk.troubles == []

    running(job)


def test_a_next_file_that_cannot_be_made_is_reported_and_the_old_one_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng", rotate=Limits(size=10**6))
        old = desk.writer.path
        init = Output.__init__

        def refuse(self: Output, path: Path, heading: bytes) -> None:
            raise FULL

        monkeypatch.setattr(Output, "__init__", refuse)
        desk.writer.next_file(desk.block(b"head of the next"))
        await wait_inside(lambda: desk.no_next)
        assert desk.no_next == [f"the next file cannot be made: No space left on device; going on in {old.name}"]
        monkeypatch.setattr(Output, "__init__", init)
        await desk.put(b"behind it")
        await desk.writer.close()
        assert b"behind it" in old.read_bytes()
        assert b"head of the next" not in old.read_bytes()

    running(job)


def test_a_next_file_that_cannot_be_made_at_the_end_takes_nothing_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Output, path: Path, heading: bytes) -> None:
        raise FULL

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng", rotate=Limits(size=10**6))
        monkeypatch.setattr(Output, "__init__", refuse)
        desk.writer._closing_at = time.monotonic() + 3600
        desk.writer.next_file(desk.block(b"head of the next"))
        desk.writer.put(desk.block(b"behind it"))
        assert await desk.writer.close() == []
        assert b"behind it" in desk.output.path.read_bytes()

    running(job)


def test_a_file_is_full_by_its_bytes_on_the_disk(tmp_path: Path) -> None:
    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng", rotate=Limits(size=10_000))
        assert desk.writer.full_at == 10_000
        for size in (5000, 100):
            await desk.put(bytes(size))
            assert desk.writer.full_at == 10_000 * desk.writer.taken / desk.output.size
        await desk.writer.close()
        plain = Desk(tmp_path / "b.pcapng")
        assert plain.writer.full_at == float("inf")
        await plain.writer.close()

    running(job)


def test_at_the_end_the_file_is_checked_for_changes(tmp_path: Path) -> None:
    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng")
        await desk.put(b"first")
        size = desk.output.size
        os.unlink(desk.output.path)
        await desk.writer.close()
        await wait_inside(lambda: desk.lost)
        assert desk.spoiled == ["a.pcapng was deleted while it was written"]
        assert desk.lost == [size]

    running(job)


def test_a_file_that_cannot_be_deleted_is_reported_and_not_tried_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted")

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng", rotate=Limits(size=10**6), keep=Limits(size=1))
        old = desk.writer.path
        monkeypatch.setattr(Path, "unlink", refuse)
        desk.writer.next_file(desk.block(b"head"))
        await wait_inside(lambda: desk.troubles)
        monkeypatch.undo()
        await desk.put(b"x")
        await desk.writer.close()
        assert desk.troubles == [f"{old.name} cannot be deleted: Operation not permitted"]

    running(job)


def test_blocks_are_reused_empty(tmp_path: Path) -> None:
    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng")
        blocks = desk.block(b"first")
        desk.writer.put(blocks)
        await wait_inside(lambda: desk.writer._spare)
        again = desk.writer.blocks()
        assert again is blocks
        assert again.size == 0
        await desk.writer.close()

    running(job)


def test_a_limited_number_of_blocks_is_kept_for_reuse(tmp_path: Path) -> None:
    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng")
        some = [desk.block(b"x") for _ in range(writer.MAX_SPARE + 3)]
        for blocks in some:
            desk.writer.put(blocks)
        await desk.writer.close()
        assert len(desk.writer._spare) == writer.MAX_SPARE
        assert all(blocks.size == 0 for blocks in desk.writer._spare)

    running(job)


def test_an_idle_thread_asks_for_gathered_packets_and_sleeps_until_something_is_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SYNC_SECONDS", 10 * WITHIN)

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng")
        await wait_inside(lambda: desk.asked)
        assert desk.gathering.wants
        assert desk.writer._is_idle
        desk.writer.put(desk.block(b"x"))
        assert not desk.gathering.wants
        assert not desk.writer._is_idle
        await wait_inside(lambda: desk.writer.taken > 0)
        await wait_inside(lambda: len(desk.asked) == 2)
        await desk.writer.close()
        assert len(desk.asked) == 2  # once in each silence

    running(job)


def test_the_thread_looks_once_more_before_it_sleeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While traffic flows, it needs no wakeup."""
    monkeypatch.setattr(writer, "GATHER_SECONDS", 10 * WITHIN)

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng")
        for data in (b"first", b"second"):
            await wait_inside(lambda: desk.gathering.wants)
            await asyncio.sleep(0.01)
            assert not desk.writer._is_idle
            desk.writer.put(desk.block(data))
            desk.writer._wake.set()
        await desk.writer.close()
        assert desk.asked == []

    running(job)


def test_changes_by_another_process_are_reported_once_and_the_bytes_are_lost_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng", rotate=Limits(size=10**6), keep=Limits(size=1))
        await desk.put(b"first")
        old, size = desk.output.path, desk.output.size
        old.unlink()
        old.write_bytes(b"another's")
        desk.writer._look_at = 0.0
        await desk.put(b"second")
        await wait_inside(lambda: desk.spoiled)
        desk.writer._look_at = 0.0
        await desk.put(b"third")
        assert len(desk.spoiled) == 1
        assert desk.lost == []
        assert desk.output.size > size
        desk.writer.next_file(desk.block(b"head"))
        await wait_inside(lambda: desk.lost)
        await desk.put(b"fourth")
        await desk.writer.close()
        assert desk.lost == [desk.output.size]
        assert old.read_bytes() == b"another's"  # it is not ours to delete
        assert len(desk.spoiled) == 1

    running(job)


def test_nothing_continues_if_a_spoiled_file_has_no_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Output, path: Path, heading: bytes) -> None:
        raise FULL

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng")
        desk.output.path.unlink()
        desk.writer._look_at = 0.0
        await desk.put(b"first")
        await wait_inside(lambda: desk.spoiled)
        monkeypatch.setattr(Output, "__init__", refuse)
        desk.writer.next_file(desk.block(b"head"))
        await wait_inside(lambda: desk.no_next)
        assert desk.no_next == [
            "the next file cannot be made: No space left on device; what comes until it can be is lost"
        ]
        await desk.writer.close()

    running(job)


def test_a_name_taken_by_another_process_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = tmp_path / "taken.pcapng", tmp_path / "free.pcapng"
    taken.write_bytes(b"another's")

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng", rotate=Limits(size=10**6))
        names = iter([taken, free])
        monkeypatch.setattr(desk.rotation, "next", lambda: next(names))
        head = desk.block(b"head")
        size = head.size
        desk.writer.next_file(head)
        await wait_inside(lambda: desk.writer.path == free)
        await desk.put(bytes(1000))
        filed = size + desk.writer.taken
        assert desk.writer.full_at == 10**6 * filed / desk.writer._output.size
        await desk.writer.close()
        assert taken.read_bytes() == b"another's"

    running(job)


@pytest.mark.parametrize("what", ["what_became_of_it", "sync", "close"])
def test_a_file_that_cannot_be_checked_synced_or_closed_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def refuse(self: Output, **_: Any) -> None:
        raise OSError(5, "Input/output error")

    async def job() -> None:
        desk = Desk(tmp_path / "a.pcapng", sync="always")
        monkeypatch.setattr(Output, what, refuse)
        desk.writer._look_at = 0.0
        await desk.put(b"first")
        await desk.writer.close()
        await wait_inside(lambda: desk.troubles)
        assert set(desk.troubles) == {"Input/output error"}  # told again after a write that went well
        monkeypatch.undo()
        if what == "close":
            desk.output.close(sync=False)

    running(job)


def test_a_directory_that_cannot_be_synced_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        assert path == tmp_path
        raise OSError(5, "Input/output error")

    async def job() -> None:
        monkeypatch.setattr(writer, "sync_directory", refuse)
        desk = Desk(tmp_path / "a.pcapng", sync="interval")
        await wait_inside(lambda: desk.troubles)
        await desk.writer.close()
        assert desk.troubles == ["Input/output error"]

    running(job)
