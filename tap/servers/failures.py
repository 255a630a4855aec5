"""What can go wrong when talking to a server, and how to say it."""

from __future__ import annotations

import asyncio
import ssl

from redis.exceptions import AuthenticationError
from redis.exceptions import InvalidResponse as InvalidReply
from redis.exceptions import RedisError as ServerFailure
from redis.exceptions import ResponseError as ErrorReply

from tap.errors import words

__all__ = [
    "ANSWER_SECONDS",
    "FAILURES",
    "NO_REPLY",
    "AuthenticationError",
    "ErrorReply",
    "InvalidReply",
    "ServerFailure",
    "said_by",
]

# Everything that Client raises: ErrorReply when the server refuses a command, InvalidReply when its bytes make no sense,
# another ServerFailure or an OSError when it cannot be reached. TimeoutError is an OSError.
FAILURES = (ServerFailure, OSError)

NO_REPLY = "its answer is not a reply of Redis"
ANSWER_SECONDS = 10.0  # a replica that has read half a command from its master can block for up to 5 s


def said_by(error: Exception) -> str:
    """Describe one of FAILURES in a few words, without the address and errno that redis-py puts into its messages."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, asyncio.TimeoutError | TimeoutError) or isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_SECONDS:g} s"
    if isinstance(cause, ssl.SSLError):  # an OSError, but its errno is OpenSSL's
        return f"TLS: {getattr(cause, 'verify_message', '') or cause.reason or cause}"
    if isinstance(cause, OSError) and not isinstance(error, ErrorReply):
        return words(cause)
    said = str(error).removesuffix(".") or type(error).__name__
    if isinstance(error, AuthenticationError) and "required" in said:
        said += "; the URL has to give USER:PASSWORD@"
    return said
