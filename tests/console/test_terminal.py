"""Text from outside on its way to a terminal."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from tap.bus import Told
from tap.console import send_report
from tap.console.lines import log_line
from tap.console.stderr import say
from tap.console.terminal import Terminal
from tap.replay.client_commands import Choice
from tap.replay.sender import ErrorTally
from tap.replication.events import LinkOpened

PLANTED = "[/a] [bold]x[/bold] :smile: \x1b[2J\x1b]0;owned\x07 \u202e"


def printed(*what: object) -> str:
    out = io.StringIO()
    terminal = Terminal(file=out, force_terminal=True, color_system=None, width=200)
    for one in what:
        terminal.print(one)
    return out.getvalue()


@pytest.mark.parametrize("where", ["string", "text", "cell", "title"])
def test_no_string_controls_a_terminal_or_acts_as_markup(where: str) -> None:
    table = Table(title=PLANTED if where == "title" else None, width=150)
    table.add_column(PLANTED if where == "cell" else "")
    table.add_row(PLANTED if where == "cell" else "")
    said = printed({"string": PLANTED, "text": Text(PLANTED)}.get(where, table))
    assert "[/a] [bold]x[/bold] :smile: " in said
    assert not set(said) & {"\x1b", "\x07", "\u202e"}
    assert r"\x1b[2J" in said


def test_our_own_styles_reach_the_terminal() -> None:
    out = io.StringIO()
    Terminal(file=out, force_terminal=True, color_system="standard", width=80).print(Text("fine", "bold"))
    assert out.getvalue() == "\x1b[1mfine\x1b[0m\n"


def test_sentences_on_stderr_cannot_be_forged_and_hold_no_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["redis-tap", "show", "redis://user:hunter2@host:1"])
    say("one\n  redis-tap: two \x1b[2J", ("three:", "four\n"), "redis:/user:hunter2@host:1 is not there")
    assert capsys.readouterr().err == (
        "redis-tap: one\\n  redis-tap: two \\x1b[2J\n"
        "redis-tap: three:\n  four\\n\n"
        "redis-tap: redis:/***@host:1 is not there\n"
    )


@pytest.mark.parametrize("connection", [0, 1])
def test_names_in_a_recording_forge_no_line_of_a_log(connection: int) -> None:
    line = log_line(Told(0.0, f"main\n{PLANTED}", connection, PLANTED, LinkOpened(peer="a:1", master=PLANTED)))
    assert line is not None
    assert not set(line) & {"\n", "\x1b", "\x07", "\u202e"}


def test_keys_of_a_recording_and_errors_of_a_server_forge_nothing_in_a_report() -> None:
    errors = {"ERR": ErrorTally(1, [f"offset 5, db 0: SET {PLANTED}\nkey: ERR \x1b[2J"])}
    sender: Any = SimpleNamespace(
        errors=errors, error_count=1, commands=1, replies=1, seconds=0.0, acknowledged=5, choice=Choice(), came=1,
        dbs={0}, unplaced=0, unfilled=0,
    )  # fmt: skip
    said = send_report.report(sender, "127.0.0.1:6379")
    assert len(said.splitlines()) == 3
    assert not set(said) & {"\x1b", "\x07", "\u202e"}
