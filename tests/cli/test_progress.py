"""A progress bar: only on a terminal, and only for a long reading."""

from __future__ import annotations

import io

import pytest
from rich.progress import Progress

from tap.cli.progress import LONG, STEP, progress


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def advanced(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the bar receives."""
    found: list[float] = []
    monkeypatch.setattr(Progress, "advance", lambda bar, task, count=1: found.append(count))
    monkeypatch.setenv("TERM", "xterm")
    return found


def read(size: int, *pieces: int, is_compressed: bool = False) -> None:
    with progress(size, is_compressed=is_compressed) as advance:
        for piece in pieces:
            advance(piece)


def test_a_terminal_shows_the_progress_of_a_long_reading(advanced: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    read(LONG, STEP, 1, STEP // 2, STEP // 2 + 1)
    assert advanced == [STEP + 1, STEP + 1], "a sign a step, and no byte left out"
    assert "reading" in screen.getvalue()


def test_a_compressed_file_has_no_known_end(advanced: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    totals: list[object] = []
    monkeypatch.setattr("sys.stderr", Screen())
    monkeypatch.setattr(Progress, "add_task", lambda bar, text, total: totals.append(total))
    read(LONG, is_compressed=True)
    read(LONG + 5)
    assert totals == [None, LONG + 5]


@pytest.mark.parametrize(("size", "stderr"), [(LONG - 1, Screen()), (10 * LONG, io.StringIO())])
def test_a_short_reading_and_a_program_get_no_bar(
    size: int, stderr: io.StringIO, advanced: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", stderr)
    read(size, 2 * STEP)
    assert (advanced, stderr.getvalue()) == ([], "")


def test_what_is_printed_meanwhile_goes_where_stdout_goes(advanced: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    screen, file = Screen(), io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("sys.stdout", file)
    with progress(LONG) as advance:
        advance(2 * STEP)
        print("a key")
    assert file.getvalue() == "a key\n"
    assert "a key" not in screen.getvalue()
