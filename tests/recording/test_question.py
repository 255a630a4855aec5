"""Questions put to a recording: what of it is wanted, and what the answer lacks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tap.bus import Told
from tap.recording.filters import Filters
from tap.recording.missing import Cause, Missing
from tap.recording.question import EventQuestion, FigureQuestion, Question
from tap.recording.reader import nothing, read
from tap.replication.events import Command, RecordingGap, Side
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


def stretch(cause: Cause, side: Side, *, is_rdb: bool) -> Missing:
    return Missing(
        cause=cause, link="main", connection=1, side=side, start=0, end=9, lost_bytes=0, is_rdb=is_rdb, replid=None,
        from_offset=None, to_offset=None, since=1.0, until=2.0, reason="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("missing", "events", "figures"),
    [
        (stretch("gap", Side.MASTER, is_rdb=False), True, True),
        (stretch("gap", Side.MASTER, is_rdb=True), True, True),
        (stretch("gap", Side.REPLICA, is_rdb=False), True, False),
        (stretch("unread", Side.MASTER, is_rdb=False), True, True),
        (stretch("unread", Side.MASTER, is_rdb=True), True, False),
        (stretch("unread", Side.REPLICA, is_rdb=False), True, False),
        (stretch("rdb_omitted", Side.MASTER, is_rdb=True), False, False),
    ],
)
@pytest.mark.parametrize("link", ["main", "other"])
def test_missing_bytes_concern_a_question_by_what_they_may_have_held(
    missing: Missing, events: bool, figures: bool, link: str
) -> None:
    keys = about_events(Filters(links=[link]), [], rdb_keys=True)
    questions = about_events(Filters(links=[link]), []), FigureQuestion(Filters(links=[link]), once=False), keys
    for question, concerns in zip(questions, (events, figures, True), strict=True):
        question.player.account.lacks(missing)
        assert sum(line.startswith("main/1: ") for line in question.lacking) == (concerns and link == "main")


def test_figures_count_the_events_of_the_links_that_were_asked_for() -> None:
    question = FigureQuestion(Filters(links=["main"]), once=False)
    lost = RecordingGap(start=0, end=9, side=Side.MASTER, bytes=9, from_offset=None, to_offset=None)
    for link in ("main", "other"):
        question.player.tell(Told(1.0, link, 1, "", lost))
    assert {name: link.missing_bytes for name, link in question.so_far.links.items()} == {"main": 9}


@pytest.mark.parametrize(("count", "said"), [(12, "9 kind-11"), (13, "9 kind-11, and 1 more kinds")])
def test_many_kinds_of_unread_packets_are_counted(count: int, said: str) -> None:
    unread = {f"kind-{number}": 9 for number in range(count)}
    player: Any = SimpleNamespace(replicating=0, recorded=0, packets=5, connections=1, tls="", cuts="", unread=unread)
    assert str(nothing(player)).endswith(f", {said}")
