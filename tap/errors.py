"""The exceptions for users. What a peer does is never an exception but an event.

TapError            the base of those below; its text is one sentence for a person
    ConfigError     an argument or a file asks for something impossible (exit code 2)
    RdbError        an RDB cannot be read to its end (exit code 2)
    RecordingError  a file is not a capture, or cannot be read to its end (exit code 2)
    EnvironmentFailure  the request is valid, but cannot be carried out: a port is taken, no server (exit code 3)
"""

import difflib
import errno
import os
import re
import resource
import socket
from collections.abc import Iterable

__all__ = ["ConfigError", "EnvironmentFailure", "RdbError", "RecordingError", "TapError"]
Sentence = str | tuple[str, ...]  # a tuple: a sentence with lines below it, for example a list of alternatives


class TapError(Exception):
    """The base of everything redis-tap raises for a user to read. sentences: one for each problem."""

    exit_code = 1

    def __init__(self, *sentences: Sentence) -> None:
        super().__init__("\n".join(one if isinstance(one, str) else "\n  ".join(one) for one in sentences))
        self.sentences = sentences


class ConfigError(TapError):
    """The user asks for something impossible: wrong use or bad input."""

    exit_code = 2


class EnvironmentFailure(TapError):
    """The machine, the network or a server prevents what was asked."""

    exit_code = 3


class RecordingError(TapError):
    """A file is not a capture, or cannot be read to its end."""

    exit_code = 2


def words(error: Exception) -> str:
    """The system's text for an error, without Python's additions, and with a remedy if there is one."""
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved ({error.strerror})"
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f"{os.strerror(errno.EMFILE)} (limit {limit}); raise it with ulimit -n"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def expected(said: str) -> str:
    """pydantic's message about a number, in the words of our own messages."""
    said = re.sub("Input should be a valid integer.*", "a whole number is expected", said)
    said = re.sub(r"Input should be greater than or equal to (\S+)", r"\1 or more is expected", said)
    return re.sub(r"Input should be less than or equal to (\S+)", r"\1 or less is expected", said)


LONGEST_WORD = 100  # characters; to compare longer ones takes time, and none is a misspelt name


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ " Did you mean ...?", or "" if nothing known is similar."""
    if len(word) > LONGEST_WORD:
        return ""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class RdbError(TapError):
    """An RDB is damaged, cut off or of an unknown kind; problem says where."""

    exit_code = 2

    def __init__(self, problem: object) -> None:
        super().__init__(str(problem))
        self.problem = problem
