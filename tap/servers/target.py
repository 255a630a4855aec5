"""A server that we are a client of, by its URL. Its name, and errors, never have the password in them."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.asyncio.connection import (
    URL_QUERY_ARGUMENT_PARSERS,
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError, InvalidResponse, RedisError, ResponseError

from tap.errors import ConfigError, EnvironmentFailure, words
from tap.replication.passwords import hidden_reply
from tap.servers.checkpoint import checkpoint
from tap.url import Url

NO_REPLY = "what it says is no reply of Redis"
ANSWER_SECONDS = 10.0  # a replica that reads half a line from its master is frozen for up to 5 s

_ERRORS = "surrogateescape"  # a password of any bytes, as Url has it


class _Login(CredentialProvider):
    """In place of two arguments, which older releases of redis-py show in warnings."""

    def __init__(self, url: Url) -> None:
        self._words = (url.username, url.password) if url.username else (url.password,)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        return self._words

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self._words

    def hide(self, error: RedisError) -> None:
        """A server that has AUTH by another name only repeats what it was sent."""
        words = [word.encode(errors=_ERRORS) for word in self._words]
        replaced = [word.decode(errors="replace").encode() for word in words]  # as redis-py may have read them
        said = f"-{error}".encode(errors=_ERRORS)
        for one in (words, replaced):
            said = hidden_reply([b"AUTH", *one], said)
        error.args = (said.decode(errors=_ERRORS)[1:],)


class _Discreet(AbstractConnection):
    """One whose errors never repeat its login, and are RedisError or OSError whatever the server says."""

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except RedisError as error:
            if isinstance(self.credential_provider, _Login):
                self.credential_provider.hide(error)
            raise
        except (OSError, TimeoutError):
            raise
        except Exception:  # of hiredis: MemoryError for an array of 2**31, TypeError for a map whose key is one
            raise InvalidResponse(NO_REPLY) from None


class _Plain(_Discreet, Connection):
    pass


class _Unix(_Discreet, UnixDomainSocketConnection):
    pass


class _Secured(_Discreet, SSLConnection):
    pass


class _Named(_Secured):
    """One whose server is known by another name than the host that is dialled."""

    def __init__(self, sni: str, **options: Any) -> None:
        super().__init__(**options)
        self._sni = sni

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "server_hostname": self._sni}


def connection_to(url: Url) -> tuple[type[Any], dict[str, Any]]:
    """The class of redis-py's connections to that server, and their arguments but for the db.

    Without another try: what fails is told, or is the experiment. Raises ConfigError for options that it does not have,
    and for files of TLS that cannot be read.
    """
    kind: type[Any] = _Plain
    options: dict[str, Any] = {"socket_connect_timeout": ANSWER_SECONDS, "socket_timeout": ANSWER_SECONDS}
    for name, value in url.options.items():
        try:
            options[name] = URL_QUERY_ARGUMENT_PARSERS.get(name, str)(value)
        except (TypeError, ValueError):
            raise ConfigError(f"the URL's option {name} cannot be what it is given as") from None
    options |= {"protocol": 2, "retry": Retry(NoBackoff(), 0)}
    options.setdefault("encoding_errors", _ERRORS)
    if url.username or url.password:
        options["credential_provider"] = _Login(url)
    if url.address.path:
        kind = _Unix
        options["path"] = url.address.path
    else:
        options |= {"host": url.address.host, "port": url.address.port}
    if url.tls:
        kind = _Secured
        for ours, theirs in (("cacert", "ssl_ca_certs"), ("cert", "ssl_certfile"), ("key", "ssl_keyfile")):
            if ours in url.tls_options:
                options[theirs] = str(_readable(url.tls_options[ours]))
        if "cert" in url.tls_options:
            options.setdefault("ssl_keyfile", options["ssl_certfile"])
        if "insecure" in url.tls_options:
            options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
        if "sni" in url.tls_options:
            kind = _Named
            options["sni"] = url.tls_options["sni"]
    try:
        kind(**options)
    except TypeError as error:  # redis-py gives an option that it does not know to a constructor
        unknown = re.search(r"unexpected keyword argument ('\w+')", str(error))
        raise ConfigError(f"the URL has an option that is not known: {unknown[1] if unknown else error}") from None
    except RedisError as error:
        raise ConfigError(f"the URL has an option that cannot be: {error}") from None
    return kind, options


def _readable(path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return path


class Target:
    """A server that is to be given commands. db: in the URL, None if there is none."""

    def __init__(self, url: str | Url) -> None:
        """Raises ConfigError for a URL that is not one."""
        url = Url.parse(url) if isinstance(url, str) else url
        self.name = str(url.address)
        self.db = url.db
        self._kind, self._options = connection_to(url)

    async def connect(self, db: int | None = None) -> Any:
        """A connection of redis-py, with all that the URL says done. Raises EnvironmentFailure."""
        connection = self._kind(**self._options, db=db or 0)
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
        checkpoint()

    async def info(self, section: str) -> str:
        """What INFO says. Raises EnvironmentFailure."""
        connection = await self.connect()
        try:
            await connection.send_command("INFO", section)
            said = await connection.read_response(disable_decoding=True)
            checkpoint()
            if not isinstance(said, bytes):
                raise InvalidResponse(NO_REPLY)
            return said.decode("utf-8", "replace")
        except (RedisError, OSError, TimeoutError) as error:
            raise EnvironmentFailure(f"{self.name}: {said_by(error)}") from None
        finally:
            await connection.disconnect(nowait=True)

    async def keys(self) -> dict[int, int]:
        """How many there are, by db, where there are some."""
        found = re.findall(r"^db(\d{1,9}):keys=(\d{1,18})", await self.info("keyspace"), re.MULTILINE)
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
