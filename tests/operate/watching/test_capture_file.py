"""Files and pipes that another program writes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tap.errors import ConfigError
from tap.operate.watching.capture_file import CaptureFile
from tap.operate.watching.onlooker import Onlooker
from tap.replication import events
from tests.operate.watching.watched import configured, pour, told
from tests.recording.wires import STREAM, file, of, streamed
from tests.support import WITHIN, wait_inside


def test_a_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; watch reads a capture while another program writes it"):
        CaptureFile(tmp_path / "none.pcap")


def test_its_name_is_shown(tmp_path: Path) -> None:
    path = file(tmp_path / "one.pcapng", [], "pcapng")
    assert [(one.name, one.is_pipe) for one in (CaptureFile(path), CaptureFile(Path("-")))] == [
        (str(path), False),
        ("stdin", True),
    ]


@pytest.mark.parametrize("size", [1, 7, 2**20])
def test_a_pipe_is_read_to_its_end_however_it_is_cut(size: int, tmp_path: Path) -> None:
    data = file(tmp_path / "one.pcapng", streamed(STREAM[:20]).packets, "pcapng").read_bytes()
    thread = pour(tmp_path / "pipe", data, size)
    heard, onlooker = asyncio.run(told(CaptureFile(tmp_path / "pipe"), every_command=True))
    thread.join(WITHIN)
    assert [one.args for one in of(heard, events.Command)][:2] == [(b"3",), (b"key:0", b"")]
    assert len(of(heard, events.Command)) == 20
    assert onlooker.lacks == []


def test_a_file_is_read_as_it_grows(tmp_path: Path) -> None:
    data = file(tmp_path / "whole.pcap", streamed(STREAM[:20]).packets, "<us").read_bytes()
    path = tmp_path / "grows.pcap"
    path.write_bytes(data[: len(data) // 2])

    async def watch() -> None:
        offsets: list[int | None] = []
        onlooker = Onlooker(CaptureFile(path), configured(every_command=True))
        onlooker.bus.subscribe(
            lambda told: offsets.append(told.event.offset) if isinstance(told.event, events.Command) else None
        )
        async with onlooker:
            await wait_inside(lambda: len(offsets) > 3)
            before = len(offsets)
            with path.open("ab") as out:
                out.write(data[len(data) // 2 :])
            await wait_inside(lambda: len(offsets) == 20)
            assert before < 20
            (status,) = onlooker.status().connections
            assert (status.offset, status.acked, status.lag_bytes) == (offsets[-1], offsets[-1], 0)

    asyncio.run(watch())


def test_what_is_no_capture_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no capture at all")
    heard, onlooker = asyncio.run(told(CaptureFile(path)))
    assert [one.event.kind for one in heard] == ["watching"]
    assert [line.split(": ")[1][:20] for line in onlooker.lacks] == ["it is not a capture,"]
