"""Figures of a recording that grows, on terminals of any size and as lines."""

from __future__ import annotations

import json

import pytest

from tap.console import stats_follow as module
from tap.console.stats_follow import drawn, in_lines, picture
from tap.console.terminal import Terminal
from tap.recording.batch import Batch
from tap.recording.stats import Stats
from tap.replication.heads import Head


def counted(links: int, stats: Stats | None = None, at: float = 100.0) -> Stats:
    found = stats or Stats()
    for link in range(links):
        heads: list[Head] = [
            (100 * (number + 1), 100, 0, f"NAME{number % 9}", (b"app%d:%d" % (number % 30, number),), ())
            for number in range(300)
        ]
        found.take(Batch(at, f"link-{link}", 1, None, None, heads))
    return found


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (20, 5)])
@pytest.mark.parametrize("links", [0, 1, 2, 30])
def test_the_picture_fits_the_terminal(size: tuple[int, int], links: int) -> None:
    width, height = size
    console = Terminal(width=width, height=height, no_color=True, force_terminal=False)
    with console.capture() as captured:
        console.print(picture(counted(links), width, height))
    lines = captured.get().splitlines()
    assert len(lines) <= height or height < module.SHORTEST
    assert max(map(len, lines)) <= width
    if links and width >= 80:
        assert any(line.startswith("groups of keys") for line in lines)
        assert any(line.startswith("commands") for line in lines)
    assert ("more links" in captured.get()) == (links > max(1, (height - 1) // module.SHORTEST)) or width < 80


def test_the_picture_is_drawn_and_leaves_the_terminal_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.0)
    console = Terminal(width=80, height=24, force_terminal=True)
    with console.capture() as captured, drawn(counted(1), console) as tick:
        tick()
    said = captured.get()
    assert said.index("\x1b[?1049h") < said.index("link-0") < said.index("\x1b[?1049l")


def test_lines_come_when_something_has_come(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.0)
    stats = Stats()
    with in_lines(stats) as tick:
        tick()
        counted(1, stats)
        tick()
        tick()
        counted(1, stats, at=200.0)
        tick()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["links"][0]["commands"] for one in said] == [300, 600]


def test_nothing_is_written_more_often_than_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    stats = counted(1)
    with in_lines(stats) as tick:
        for _ in range(1000):
            tick()
    assert capsys.readouterr().out == ""
