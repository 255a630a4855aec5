"""A server that is to be given commands, by its URL. Its name, and errors, never have the password in them."""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import Connection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from tap.errors import ConfigError, EnvironmentFailure, words

ANSWER_SECONDS = 10.0


class Target:
    """db: in the URL, None if there is none. Raises ConfigError for a URL that is none."""

    def __init__(self, url: str) -> None:
        form = "write redis://[USER:PASSWORD@]HOST:PORT, rediss:// for TLS, or unix:///PATH"
        try:
            found: dict[str, Any] = dict(parse_url(url))
            self.db: int | None = found.pop("db", None)
            self._kind: type[Any] = found.pop("connection_class", Connection)
            if self._kind is not UnixDomainSocketConnection and urlsplit(url).path not in ("", "/") and self.db is None:
                raise ValueError("the db behind the last / is a number")
            self._options = found
            connection = self._connection(None)
        except (ValueError, TypeError) as error:  # redis-py gives an option that it does not know to a constructor
            said = re.sub(r"^.*got an unexpected keyword argument", "unknown option", str(error))
            if said.startswith("Port"):  # and shows what may be the half of a password with a / in it
                said = "its port is no number (in a password, / is written %2F and @ is written %40)"
            raise ConfigError(f"the URL to send to: {said}; {form}") from None
        if isinstance(connection, UnixDomainSocketConnection):
            self.name = f"unix:{connection.path}"
        else:
            host = f"[{connection.host}]" if ":" in connection.host else connection.host
            self.name = f"{host}:{connection.port}"

    def _connection(self, db: int | None) -> Any:
        return self._kind(
            **{"socket_connect_timeout": ANSWER_SECONDS, "socket_timeout": ANSWER_SECONDS} | self._options,
            db=db or 0,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
        )

    async def connect(self, db: int | None = None) -> Any:
        """A connection of redis-py, with all that the URL says done. Raises EnvironmentFailure."""
        connection = self._connection(db)
        try:
            await connection.connect()
        except (RedisError, OSError, TimeoutError) as error:
            await connection.disconnect(nowait=True)
            if db is not None and isinstance(error, ResponseError) and not isinstance(error, AuthenticationError):
                raise EnvironmentFailure(f"{self.name}: db {db} cannot be selected: {said_by(error)}") from None
            raise EnvironmentFailure(f"{self.name}: {said_by(error)}") from None
        return connection

    async def check_db(self, db: int) -> None:
        """Raises EnvironmentFailure if it cannot be selected."""
        connection = await self.connect(db)
        await connection.disconnect(nowait=True)

    async def info(self, section: str) -> str:
        """What INFO says. Raises EnvironmentFailure."""
        connection = await self.connect()
        try:
            await connection.send_command("INFO", section)
            return bytes(await connection.read_response(disable_decoding=True)).decode("utf-8", "replace")
        except (RedisError, OSError, TimeoutError) as error:
            raise EnvironmentFailure(f"{self.name}: {said_by(error)}") from None
        finally:
            await connection.disconnect(nowait=True)

    async def keys(self) -> dict[int, int]:
        """How many there are, by db, where there are some."""
        found = re.findall(r"^db(\d+):keys=(\d+)", await self.info("keyspace"), re.MULTILINE)
        return {int(db): int(count) for db, count in found}


def said_by(error: Exception) -> str:
    """What went wrong, in a few words. redis-py puts the address and the errno into its own."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, asyncio.TimeoutError | TimeoutError) or isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_SECONDS:g} s"
    if isinstance(cause, ssl.SSLError):  # is an OSError with a number that means something else
        return f"TLS: {getattr(cause, 'verify_message', '') or cause.reason or cause}"
    if isinstance(cause, OSError) and not isinstance(error, ResponseError):
        return words(cause)
    said = str(error).removesuffix(".") or type(error).__name__
    if isinstance(error, AuthenticationError) and "required" in said:
        said += "; the URL has to give USER:PASSWORD@"
    return said
