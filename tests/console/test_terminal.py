"""What reaches a terminal, of strings that somebody else has chosen."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from tap.console.stderr import say
from tap.console.terminal import Terminal

PLANTED = "[/a] [bold]x[/bold] :smile: \x1b[2J\x1b]0;owned\x07 \u202e"


def printed(*what: object) -> str:
    out = io.StringIO()
    terminal = Terminal(file=out, force_terminal=True, color_system=None, width=200)
    for one in what:
        terminal.print(one)
    return out.getvalue()


@pytest.mark.parametrize("where", ["string", "text", "cell", "title"])
def test_no_string_commands_a_terminal_or_is_markup(where: str) -> None:
    table = Table(title=PLANTED if where == "title" else None, width=150)
    table.add_column(PLANTED if where == "cell" else "")
    table.add_row(PLANTED if where == "cell" else "")
    said = printed({"string": PLANTED, "text": Text(PLANTED)}.get(where, table))
    assert "[/a] [bold]x[/bold] :smile: " in said
    assert not set(said) & {"\x1b", "\x07", "\u202e"}
    assert r"\x1b[2J" in said


def test_our_own_styles_reach_it() -> None:
    out = io.StringIO()
    Terminal(file=out, force_terminal=True, color_system="standard", width=80).print(Text("fine", "bold"))
    assert out.getvalue() == "\x1b[1mfine\x1b[0m\n"


def test_sentences_on_stderr_cannot_be_forged_and_hold_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    say("one\nredis-tap: two \x1b[2J", "three:\n  four", "redis://user:hunter2@host:1 is not there")
    assert capsys.readouterr().err == (
        "redis-tap: one\\nredis-tap: two \\x1b[2J\n"
        "redis-tap: three:\n  four\n"
        "redis-tap: redis://***@host:1 is not there\n"
    )
