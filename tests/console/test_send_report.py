"""The result of sending a recording's commands: how many, what failed, and where to continue."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from tap.console import send_report
from tap.console.terminal import Terminal
from tap.replay.client_commands import Choice
from tap.replay.sender import ErrorTally


def sender(**more: Any) -> Any:
    settings: dict[str, Any] = {
        "commands": 2000, "replies": 2000, "seconds": 0.5, "error_count": 0, "errors": {}, "acknowledged": 777,
        "choice": Choice(), "came": 2000, "dbs": {0}, "unplaced": 0, "unfilled": 0, "progress": 0.25,
    }  # fmt: skip
    return SimpleNamespace(**{**settings, **more})


def test_success_is_one_line() -> None:
    assert send_report.report(sender(), "h:1") == (
        "2000 commands sent to h:1 in 0.5 s (4,000 a second): 2000 replies, 0 errors; up to offset 777"
    )
    brief = send_report.report(sender(seconds=0.05, acknowledged=None), "h:1")
    assert "a second" not in brief
    assert brief.endswith("2000 replies, 0 errors")


def test_errors_are_grouped_by_kind_most_frequent_first_with_their_first_places() -> None:
    errors = {"ERR unknown": ErrorTally(1, ["at offset 5"]), "WRONGTYPE": ErrorTally(9, ["at offset 1", "at offset 2"])}
    first, *lines = send_report.report(sender(error_count=10, errors=errors), "h:1").splitlines()
    assert "10 errors" in first
    assert lines == ["9 x WRONGTYPE", "    at offset 1", "    at offset 2", "1 x ERR unknown", "    at offset 5"]
    assert "1 error;" in send_report.report(sender(error_count=1), "h:1")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"commands": 0, "choice": Choice(names=frozenset({b"GET"}))}, "0 of 2000 commands match"),
        ({"commands": 0, "came": 1, "choice": Choice(names=frozenset({b"GET"}))}, "0 of 1 command matches"),
        ({"choice": Choice(dbs=frozenset({3}))}, "--db 3: no command was executed in it; its dbs: 0"),
        ({"unplaced": 4}, "4 commands were not sent: the recording does not say in which db, see --assume-db"),
        ({"unfilled": 2}, "2 commands were not sent: they bring data of another db into a chosen one"),
    ],
)
def test_unsent_commands_are_reported_with_the_reason(more: dict[str, Any], said: str) -> None:
    assert said in send_report.report(sender(**more), "h:1")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "all up to offset 777 was acknowledged; go on with --from 778"),
        (
            {"replies": 1990},
            "all up to offset 777 was acknowledged (10 commands after it were not acknowledged, and may have been "
            "executed, too); go on with --from 778",
        ),
        ({"acknowledged": None, "replies": 0}, "no command was acknowledged"),
        ({"acknowledged": None, "replies": 1}, "1 command was acknowledged"),
        ({"acknowledged": None, "replies": 2}, "2 commands were acknowledged"),
    ],
)
def test_the_end_of_a_partial_run_says_where_to_continue(more: dict[str, Any], said: str) -> None:
    assert send_report.whereabouts(sender(**more)) == said


def test_programs_get_an_object() -> None:
    errors = {"ERR": ErrorTally(2, ["at offset 5"])}
    assert send_report.as_dict(sender(errors=errors, seconds=0.12345, unplaced=1, unfilled=2)) == {
        "commands": 2000,
        "replies": 2000,
        "errors": {"ERR": {"count": 2, "first": ["at offset 5"]}},
        "unplaced": 1,
        "unfilled": 2,
        "offset": 777,
        "seconds": 0.123,
    }


def test_the_bar_shows_progress_and_counts_errors() -> None:
    out = io.StringIO()
    bar = send_report.Bar(Terminal(file=out, force_terminal=True, width=150, color_system=None), "h:1 [/x]")
    bar.update(sender(error_count=3))
    bar._progress.refresh()
    bar.close()
    assert "to h:1 [/x]" in out.getvalue()
    assert "25 % 2000 commands, 3 errors" in out.getvalue()
