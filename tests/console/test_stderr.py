"""Sentences on stderr: their prefix, hidden logins, and what Python itself would have written there."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from types import SimpleNamespace

import pytest

from tap.console import stderr


@pytest.fixture
def taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name in (
        (sys, "excepthook"),
        (sys, "unraisablehook"),
        (threading, "excepthook"),
        (warnings, "showwarning"),
        (logging, "lastResort"),
    ):
        monkeypatch.setattr(place, name, getattr(place, name))
    stderr.take_over()


def test_each_sentence_is_a_line_after_the_name_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    stderr.say("one", ("two:", "below", "\x1b[31m"), name="ctl")
    assert capsys.readouterr().err == "ctl: one\nctl: two:\n  below\n  \\x1b[31m\n"


def test_a_typed_login_is_not_repeated(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["redis-tap", "--master", "redis://ann:sesame@h:1"])
    stderr.say("redis://ann:sesame@h:1 is wrong")
    assert capsys.readouterr().err == "redis-tap: redis://***@h:1 is wrong\n"


def test_an_unreadable_stderr_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_: str) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", None)
    stderr.say("to nobody")
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=write))
    stderr.say("to a terminal that has gone")


def test_a_traceback_shows_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise KeyError(b'it\'s a "secret"')
    except KeyError as error:
        stderr.report("the link failed", error)
    said = capsys.readouterr().err
    assert said.startswith("redis-tap: the link failed\n  Traceback (most recent call last):\n")
    assert said.endswith("  KeyError: b'...'\n")
    assert "secret" not in said.replace("raise KeyError(b'...')", "")


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (KeyError("the sesame's"), "KeyError: '...'"),
        (ValueError("invalid literal for int() with base 10: 'sesame'"), "with base 10: '...'"),
        (ValueError("it can't be 'sesame' or \"sesame\", which isn't one"), "can't be '...' or '...', which isn't one"),
        (RuntimeError("unknown command `AUTH`, with args beginning with: `sesame`, `ses"), "with: '...', '...'"),
        (RuntimeError("two lines: 'ses\name'"), "two lines: '...'"),
        (ExceptionGroup("both", [KeyError("sesame"), KeyError(b"sesame")]), "+------------------------------------"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no start"), "codec can't decode byte 0xff in position 0: no start"),
    ],
)
def test_a_traceback_shows_no_text_of_a_value(error: Exception, ends: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise error

    try:
        fails()
    except Exception as raised:
        stderr.report("<Task exception=KeyError('sesame')> failed", raised)
    said = capsys.readouterr().err
    assert said.startswith("redis-tap: <Task exception=KeyError('...')> failed\n  ")
    assert "Traceback (most recent call last):\n" in said
    assert f'File "{__file__}", line' in said
    assert said.endswith(f"{ends}\n")
    assert "sesame" not in said
    assert "ses" not in said.rsplit("raise error", 1)[1]


@pytest.mark.usefixtures("taken_over")
def test_an_uncaught_exception_is_reported_as_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    error = ZeroDivisionError("division by zero")
    sys.excepthook(ZeroDivisionError, error, None)
    threading.excepthook(threading.ExceptHookArgs([ZeroDivisionError, error, None, threading.current_thread()]))
    sys.unraisablehook(SimpleNamespace(exc_type=type(error), exc_value=error, err_msg=None, object=None))
    first, second, third = [line for line in capsys.readouterr().err.splitlines() if line.startswith("redis-tap: ")]
    bug = "this is a bug in redis-tap, please report it"
    assert (first, second, third) == (
        f"redis-tap: failed; {bug}",
        f"redis-tap: thread {threading.current_thread().name} failed; {bug}",
        f"redis-tap: ignored; {bug}",
    )


@pytest.mark.usefixtures("taken_over")
def test_a_thread_that_exits_is_not_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    threading.excepthook(threading.ExceptHookArgs([SystemExit, SystemExit(1), None, threading.current_thread()]))
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("taken_over")
def test_warnings_and_logs_of_libraries_are_reported_here(capsys: pytest.CaptureFixture[str]) -> None:
    warnings.showwarning(DeprecationWarning("old"), DeprecationWarning, "x.py", 1)
    assert logging.lastResort is not None
    record = logging.LogRecord("asyncio", logging.WARNING, "x.py", 1, "slow: %s", ("b'sesame'",), None)
    logging.lastResort.handle(record)
    assert capsys.readouterr().err == "redis-tap: DeprecationWarning: old\nredis-tap: slow: b'...'\n"
    assert logging.lastResort.level == logging.WARNING
