"""The level of a log line, for journald and for a reader."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tap.console.levels import ERROR, INFO, WARNING, level
from tap.console.lines import log_lines
from tap.replication import events
from tap.replication.events import Event
from tests.console.telling import FULL, told

UNREACHABLE = events.MasterUnreachable(master="10.0.0.5:6379", text="Connection refused")
TROUBLE = events.ObserverTrouble(observer="pager", text="event() failed", traceback="Traceback:\n  a line\nKeyError")


@pytest.mark.parametrize(
    ("event", "is_of"),
    [(FULL, INFO), (UNREACHABLE, WARNING), (TROUBLE, ERROR), (events.RecordingStopped(text="disk full"), ERROR)],
)
def test_what_the_tap_fails_to_do_is_an_error_and_what_it_sees_a_warning(event: Event, is_of: int) -> None:
    assert level(event) == is_of


@pytest.mark.parametrize("is_journal", [True, False])
def test_journald_gets_a_number_on_every_line_and_a_reader_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_journal: bool
) -> None:
    with (tmp_path / "out").open("w") as out:
        there = os.fstat(out.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino + (not is_journal)}")

        async def write() -> None:
            lines = log_lines(out)
            for event in (FULL, UNREACHABLE, TROUBLE):
                lines(told(event))
            lines.close()

        asyncio.run(write())
    said = (tmp_path / "out").read_text().splitlines()
    if is_journal:
        assert {line[:3] for line in said} == {"<6>", "<4>", "<3>"}
        assert sum(line.startswith("<3>") for line in said) == 4  # one for each line of the traceback, too
    else:
        assert [line.split()[1] for line in said if line[0] == "2"] == ["main/3", "WARNING", "ERROR"]
