"""Errors: their sentences, the system's words without Python's, and suggestions."""

from __future__ import annotations

import errno
import resource
import socket

import pytest

from tap.errors import ConfigError, EnvironmentFailure, RdbError, RecordingError, TapError, did_you_mean, words
from tap.rdb.problem import Problem


def test_each_kind_has_its_documented_exit_code() -> None:
    assert {one: one.exit_code for one in (TapError, ConfigError, RdbError, RecordingError, EnvironmentFailure)} == {
        TapError: 1,
        ConfigError: 2,
        RdbError: 2,
        RecordingError: 2,
        EnvironmentFailure: 3,
    }


def test_a_sentence_may_have_lines_below_it() -> None:
    error = ConfigError("first", ("second:", "one", "two"))
    assert str(error) == "first\nsecond:\n  one\n  two"
    assert error.sentences == ("first", ("second:", "one", "two"))


def test_the_problem_of_an_rdb_is_kept_and_reported() -> None:
    problem = Problem("damaged", 7, "odd", 0, None)
    error = RdbError(problem)
    assert error.problem is problem
    assert str(error) == "byte 7: odd"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(errno.ENOENT, "whatever", "/no"), "No such file or directory"),
        (OSError(errno.EADDRINUSE, "[Errno 98] error while attempting to bind"), "Address already in use"),
        (OSError("without a number"), "without a number"),
        (ValueError("odd"), "odd"),
        (TimeoutError(), "TimeoutError"),
        (socket.gaierror(-2, "Name or service not known"), "the name cannot be resolved (Name or service not known)"),
    ],
)
def test_the_systems_words_come_without_pythons(error: Exception, said: str) -> None:
    assert words(error) == said


def test_too_many_files_are_reported_with_the_limit_and_its_remedy() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert words(OSError(errno.EMFILE, "")) == f"Too many open files (limit {limit}); raise it with ulimit -n"


def test_a_suggestion_is_made_if_something_is_close() -> None:
    assert did_you_mean("maste", ["listen", "master"]) == " Did you mean 'master'?"
    assert did_you_mean("quux", iter(["listen", "master"])) == ""
