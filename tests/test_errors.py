"""Errors: their sentences, the system's words without Python's, and guesses at what was meant."""

from __future__ import annotations

import errno
import resource
import socket

import pytest

from tap.errors import ConfigError, EnvironmentFailure, RdbError, RecordingError, TapError, did_you_mean, words
from tap.rdb.problem import Problem


def test_each_kind_has_the_exit_code_that_is_documented() -> None:
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


def test_what_is_wrong_with_an_rdb_is_kept_and_said() -> None:
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
def test_the_systems_words_are_said_without_pythons(error: Exception, said: str) -> None:
    assert words(error) == said


def test_of_too_many_files_the_limit_is_said_with_what_raises_it() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert words(OSError(errno.EMFILE, "")) == f"Too many open files (limit {limit}); raise it with ulimit -n"


def test_a_guess_is_made_where_something_is_close() -> None:
    assert did_you_mean("maste", ["listen", "master"]) == " Did you mean 'master'?"
    assert did_you_mean("quux", iter(["listen", "master"])) == ""
