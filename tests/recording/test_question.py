"""Questions put to a recording: what of it is wanted, and what the answer lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tap.bus import Told
from tap.recording.filters import Filters
from tap.recording.question import EventQuestion, FigureQuestion, Question
from tap.recording.reader import read
from tap.replication.events import Command
from tests.recording.wires import STREAM, Wire, file, streamed

COMMANDS = len(STREAM)


def put(question: Question, *paths: Path) -> None:
    for _ in read(paths, question.player):
        pass


def about_events(wanted: Filters, told: list[Told], **options: bool) -> EventQuestion:
    return EventQuestion(wanted, told.append, **{"commands": False, "rdb_keys": False, "once": False} | options)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return file(tmp_path / "capture.pcapng", streamed(STREAM).packets, "pcapng")


@pytest.mark.parametrize(
    ("filters", "options", "commands", "total"),
    [
        ({}, {}, 0, 0),
        ({}, {"commands": True}, COMMANDS, COMMANDS),
        ({"globs": ["key:1?"]}, {}, 10, COMMANDS),
        ({"globs": ["key:1?"], "links": ["none"]}, {}, 0, 0),
    ],
)
def test_wanted_events_come_one_by_one(
    capture: Path, filters: dict[str, Any], options: dict[str, bool], commands: int, total: int
) -> None:
    told: list[Told] = []
    question = about_events(Filters(**filters), told, **options)
    put(question, capture)
    assert sum(isinstance(one.event, Command) for one in told) == commands
    assert (question.count, question.total) == (commands, total)
    assert all(isinstance(one.event, Command) for one in told) == bool(filters)


def test_figures_count_what_events_show(capture: Path) -> None:
    question = FigureQuestion(Filters(globs=["key:1?"]), once=False)
    put(question, capture)
    assert question.has_answer
    assert (question.count, question.total, question.lacking) == (10, COMMANDS, [])
    (link,) = question.answer().as_dict()["links"]
    assert link["commands"] == 10


@pytest.mark.parametrize("figures", [False, True])
def test_a_filter_that_nothing_matches_is_named(capture: Path, figures: bool) -> None:
    wanted = Filters(names=["GET"])
    question: Question = FigureQuestion(wanted, once=False) if figures else about_events(wanted, [])
    put(question, capture)
    (said,) = question.mismatches(grows=False)
    assert said.startswith(f"0 of {COMMANDS} commands match --command GET")


@pytest.mark.parametrize("figures", [False, True])
def test_without_replication_there_is_no_answer_and_one_reason(tmp_path: Path, figures: bool) -> None:
    wire = Wire()
    wire.open()
    wire.send(0, b"GET / HTTP/1.1\r\n\r\n")
    wanted = Filters(names=["GET"])
    question: Question = FigureQuestion(wanted, once=False) if figures else about_events(wanted, [])
    put(question, file(tmp_path / "web.pcapng", wire.packets, "pcapng"))
    assert not question.has_answer
    assert question.mismatches(grows=False) == []
    (said,) = question.lacking
    assert "no replication in it" in said
