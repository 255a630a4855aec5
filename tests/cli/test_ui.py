"""The meaning of `--ui` on a terminal, in a pipe, and on a terminal that cannot be drawn on."""

from __future__ import annotations

import io

import pytest

from tap.cli.ui import chosen
from tap.config.config import Ui
from tap.console.terminal import Terminal
from tap.errors import ConfigError


def console(kind: str) -> Terminal:
    environment = {"TERM": "dumb" if kind == "dumb" else "xterm"}
    return Terminal(file=io.StringIO(), force_terminal=kind != "pipe", _environ=environment)


@pytest.mark.parametrize(
    ("ui", "kind", "becomes"),
    [
        ("auto", "terminal", "live"),
        ("auto", "pipe", "log"),
        ("auto", "dumb", "log"),
        ("live", "terminal", "live"),
        ("json", "terminal", "json"),
        ("none", "pipe", "none"),
        ("log", "terminal", "log"),
    ],
)
def test_auto_is_drawn_where_possible_and_a_choice_is_obeyed(ui: Ui, kind: str, becomes: str) -> None:
    assert chosen(ui, console(kind)) == becomes


@pytest.mark.parametrize("kind", ["pipe", "dumb"])
def test_live_is_refused_where_nothing_can_be_drawn(kind: str) -> None:
    with pytest.raises(ConfigError, match="stdout is not one that can be drawn on; use --ui log"):
        chosen("live", console(kind))
