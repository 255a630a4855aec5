"""Descriptions of a server that fails."""

from __future__ import annotations

import pytest
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as Unreachable

from tap.servers.failures import said_by


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ResponseError("unknown command."), "unknown command"),
        (AuthenticationError("Authentication required."), "Authentication required; the URL has to give USER:PASSWORD@"),
        (AuthenticationError("invalid password"), "invalid password"),
        (TimeoutError(), "no answer within 10 s"),
        (caused(Unreachable("Timeout connecting"), TimeoutError()), "no answer within 10 s"),
        (caused(Unreachable("Error 111 connecting to x"), ConnectionRefusedError(111, "Connection refused")),
         "Connection refused"),
        (RedisError(), "RedisError"),
    ],
)  # fmt: skip
def test_a_failure_is_described_in_a_few_words(error: Exception, said: str) -> None:
    assert said_by(error).lower() == said.lower()
