"""redis-py's connection to the server of a URL: options, TLS, and a login that neither errors nor reprs show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.asyncio.connection import (
    URL_QUERY_ARGUMENT_PARSERS,
    AbstractConnection,
    Connection,
    DefaultParser,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from tap.errors import ConfigError
from tap.replication.passwords import hidden_reply
from tap.servers.failures import ANSWER_SECONDS, NO_REPLY, InvalidReply
from tap.servers.reply_sizes import ReplySizes
from tap.url import Url

_ERRORS = "surrogateescape"  # a password of any bytes, as Url has it


class _Login(CredentialProvider):
    """The login as a credential provider: older releases of redis-py show plain arguments in warnings."""

    def __init__(self, url: Url) -> None:
        self._words = (url.username, url.password) if url.username else (url.password,)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        return self._words

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self._words

    def hide(self, error: RedisError) -> None:
        """Remove the login from an error. A server whose AUTH was renamed quotes the arguments of the unknown command."""
        words = [word.encode(errors=_ERRORS) for word in self._words]
        replaced = [word.decode(errors="replace").encode() for word in words]  # as redis-py may have read them
        said = f"-{error}".encode(errors=_ERRORS)
        for one in (words, replaced):
            said = hidden_reply([b"AUTH", *one], said)
        error.args = (said.decode(errors=_ERRORS)[1:],)


class _CheckedStream:
    """A stream whose replies ReplySizes has checked before the parser reads them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._announced = ReplySizes()

    async def read(self, size: int) -> bytes:
        data: bytes = await self._stream.read(size)
        self._announced.feed(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Parser(DefaultParser):  # type: ignore[misc, valid-type]
    def on_connect(self, connection: Any) -> None:
        super().on_connect(connection)
        self._stream: Any = _CheckedStream(connection._reader)


class _Discreet(AbstractConnection):
    """A connection whose errors never show its login and are RedisError or OSError, whatever bytes the server sends."""

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except RedisError as error:
            if isinstance(self.credential_provider, _Login):
                self.credential_provider.hide(error)
            raise
        except (OSError, TimeoutError):
            raise
        except Exception:  # hiredis: TypeError for a map as the key of a map
            raise InvalidReply(NO_REPLY) from None


class _Plain(_Discreet, Connection):
    pass


class _Unix(_Discreet, UnixDomainSocketConnection):
    pass


class _Secured(_Discreet, SSLConnection):
    pass


class _Named(_Secured):
    """A TLS connection that asks for, and verifies, another server name than the host it dials."""

    def __init__(self, sni: str, **options: Any) -> None:
        super().__init__(**options)
        self._sni = sni

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "server_hostname": self._sni}


def connection_to(url: Url) -> tuple[type[Any], dict[str, Any]]:
    """Return redis-py's connection class for that server and its arguments, all but the db.

    The connection never retries: the caller reports a failure, or has caused it on purpose. Raises ConfigError for
    options that redis-py does not know and for TLS files that cannot be read.
    """
    kind: type[Any] = _Plain
    options: dict[str, Any] = {"socket_connect_timeout": ANSWER_SECONDS, "socket_timeout": ANSWER_SECONDS}
    for name, value in url.options.items():
        try:
            options[name] = URL_QUERY_ARGUMENT_PARSERS.get(name, str)(value)
        except (TypeError, ValueError):
            raise ConfigError(f"the URL's option {name} has an invalid value") from None
    options |= {"parser_class": _Parser, "protocol": 2, "retry": Retry(NoBackoff(), 0)}
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
    except TypeError as error:  # redis-py passes unknown options on to a constructor
        unknown = re.search(r"unexpected keyword argument ('\w+')", str(error))
        raise ConfigError(f"the URL has an unknown option: {unknown[1] if unknown else error}") from None
    except RedisError as error:
        raise ConfigError(f"the URL has an invalid option: {error}") from None
    return kind, options


def _readable(path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return path
