"""What TLS on each leg is asked to do: certificates, keys and CAs from the configuration, checked at once."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from tap.config import LinkConfig
from tap.errors import ConfigError
from tap.secret import secret


def master_context(link: LinkConfig, keylog: Path | None) -> ssl.SSLContext | None:
    """For the leg to the master; None without TLS. Raises ConfigError that names the file with the problem."""
    if not link.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificates and names
    if link.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif link.cacert is None:
        context.load_default_certs()
    if link.cacert is not None:
        _load_ca(context, link.cacert)
    if link.cert is not None:
        _load_cert(context, link.cert, link.key, "REDIS_TAP_KEY_PASSWORD")
    _prepare(context, keylog)
    return context


def replica_context(link: LinkConfig, keylog: Path | None) -> ssl.SSLContext | None:
    """For the legs to replicas; None without TLS. Raises ConfigError that names the file with the problem."""
    if link.listen_cert is None:
        return None
    return serving_context(
        link.listen_cert, link.listen_key, link.listen_cacert, keylog, variable="REDIS_TAP_LISTEN_KEY_PASSWORD"
    )


def serving_context(
    cert: Path, key: Path | None, cacert: Path | None, keylog: Path | None, *, variable: str
) -> ssl.SSLContext:
    """For a side that accepts connections. cacert: of the certificates that clients have to show; None: they need none.

    variable: of the environment, with the key's password. Raises ConfigError that names the file with the problem.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # replicas do not resume sessions
    _load_cert(context, cert, key, variable)
    if cacert is not None:
        _load_ca(context, cacert)
        context.verify_mode = ssl.CERT_REQUIRED
    _prepare(context, keylog)
    return context


def _prepare(context: ssl.SSLContext, keylog: Path | None) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # so writing never waits for reading
    if keylog is None:
        return
    try:
        os.close(os.open(keylog, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        context.keylog_filename = str(keylog)
    except OSError as error:
        raise ConfigError(f"{keylog}: cannot be written ({error.strerror})") from None


def _load_ca(context: ssl.SSLContext, path: Path) -> None:
    _check_readable(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigError(f"{path}: no certificate in it (a PEM file is wanted)") from None


def _load_cert(context: ssl.SSLContext, cert: Path, key: Path | None, variable: str) -> None:
    was_asked = False

    def password() -> str:
        nonlocal was_asked
        was_asked = True
        # Asked only for a key that is encrypted; without this OpenSSL would ask on the terminal.
        word = secret(variable)
        if word is None:
            raise ConfigError(f"{key or cert}: the key is encrypted; its password is taken from {variable}")
        return word

    for path in filter(None, (cert, key)):
        _check_readable(path)
    try:
        context.load_cert_chain(cert, key, password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{key or cert}: the key is not that of the certificate in {cert}") from None
        if was_asked:
            raise ConfigError(f"{key or cert}: the password in {variable} does not open the key") from None
        raise ConfigError(
            f"{cert}: no certificate, or no key {f'in {key}' if key else 'beside it'} (PEM files are wanted)"
        ) from None


def _check_readable(path: Path) -> None:
    try:
        open(path, "rb").close()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
