"""TLS on one leg: between the bytes of its socket and those that the link passes on.

asyncio's own TLS transport has no half-close, closes when its peer does, and lets no one see the socket's end; so what
the relay promises of FIN and RST would not hold. This one keeps it: FIN is passed on as close_notify and FIN, and the
peer may still speak; close_notify or FIN from the peer is its end (Redis 7.0 to 8.0 and Valkey 8.1 to 9.1 close with FIN
alone); RST is RST.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tap.errors import ConfigError
from tap.link_config import LinkConfig
from tap.relay.dial import dial
from tap.relay.handshakes import Handshakes
from tap.relay.leg import EARLY_BYTES, Leg, pause_again
from tap.replication.events import Side
from tap.url import Address

FIRST_BYTES = (0x15, 0x16)  # of a TLS record that opens a connection: an alert, a handshake

# What the option of each leg is named: its certificate, and the CA of its peer's.
_OPTIONS = {Side.MASTER: ("--cert", "--cacert"), Side.REPLICA: ("--listen-cert", "--listen-cacert")}


class TlsFailure(Exception):
    """TLS did not come about, or broke. Its text is for a person. by: who ended it."""

    def __init__(self, by: Side, text: str) -> None:
        super().__init__(text)
        self.by = by


# ---- what is asked of it ----


def master_context(link: LinkConfig, keylog: Path | None) -> ssl.SSLContext | None:
    """For the leg to the master; None: plain. Raises ConfigError naming the file that will not do."""
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
    """For the legs of replicas; None: plain. Raises ConfigError naming the file that will not do."""
    if link.listen_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # a replica resumes no session
    _load_cert(context, link.listen_cert, link.listen_key, "REDIS_TAP_LISTEN_KEY_PASSWORD")
    if link.listen_cacert is not None:
        _load_ca(context, link.listen_cacert)
        context.verify_mode = ssl.CERT_REQUIRED
    _prepare(context, keylog)
    return context


def _prepare(context: ssl.SSLContext, keylog: Path | None) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # writing never has to wait for reading
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
        if variable not in os.environ:
            raise ConfigError(f"{key or cert}: the key is encrypted; its password is taken from {variable}")
        return os.environ[variable]

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


# ---- what a master speaks ----


class _Asks(asyncio.Protocol):
    """Begins a TLS handshake, and is done with the first byte of the answer."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        out = ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
        transport.write(out.read())

    def data_received(self, data: bytes) -> None:
        self._answered(data[0] in FIRST_BYTES)

    def connection_lost(self, error: Exception | None) -> None:
        self._answered(False)

    def _answered(self, speaks: bool) -> None:
        if not self.answer.done():
            self.answer.set_result(speaks)


async def speaks_tls(master: Address, within: float) -> bool:
    """Whether it answers a TLS handshake, on a connection of its own, within so many seconds."""
    asks = _Asks()
    try:
        async with asyncio.timeout(within):
            await dial(master, asks, within, lambda sock: None)
            return await asks.answer
    except (OSError, ValueError):
        return False
    finally:
        if asks.transport is not None:
            asks.transport.abort()


# ---- one leg ----


@dataclass(slots=True)
class _Early:
    """What came before the handshake began, although nothing is read then. has_ended: with FIN behind it."""

    data: bytearray = field(default_factory=bytearray)
    has_ended: bool = False


class TlsTransport(asyncio.Transport, asyncio.BufferedProtocol):
    """To the leg its transport, to the socket's transport its protocol. Both are told of each other's backpressure.

    What was received is decrypted when the leg reads: at most one read of the socket waits here.
    """

    def __init__(self, leg: Leg, context: ssl.SSLContext, handshakes: Handshakes, name: str | None = None) -> None:
        """name: the master's, to ask for and to check; None for a replica, whose server we are."""
        super().__init__()
        self._leg = leg
        self._handshakes = handshakes
        self._waits = False  # for its turn in the handshake, and is not read meanwhile
        self._ended_meanwhile = False  # the peer did, and its transport read on all the same
        self._loop = asyncio.get_running_loop()
        self._socket: asyncio.Transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._name = name
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=name is None, server_hostname=name)
        self._done: asyncio.Future[bool] = self._loop.create_future()  # the handshake, and whether it succeeded
        self._early: _Early | None = _Early()  # until the handshake begins
        self._has_read = False
        self._is_secure = False
        self._is_called_off = False  # the leg ended before there was TLS
        self._is_paused = False
        self._failure: TlsFailure | None = None
        self._broken: ssl.SSLError | None = None  # behind bytes that could still be read
        self._is_ended = False  # the peer has, and the leg knows
        self._wants_end = False  # to be said to the peer once what it sent has been read
        self._said_end = False

    async def handshake(self, within: float) -> bool:
        """Whether there is TLS now. If not, the leg hears why when it loses the connection. within: seconds."""
        late = self._loop.call_later(within, self._give_up, within)
        self._socket.resume_reading()
        early, self._early = self._early, None
        self._wait_for_turn()
        if early is not None and early.data:
            self._received(early.data)
        if early is not None and early.has_ended:
            self.eof_received()
        try:
            return await self._done
        finally:
            late.cancel()

    @property
    def version(self) -> str:
        return self._session.version() or ""

    @property
    def cipher(self) -> str:
        cipher = self._session.cipher()
        return cipher[0] if cipher else ""

    @property
    def peer(self) -> str | None:
        """Whom the peer's certificate names; None if it was not checked, or there is none."""
        certificate: dict[str, Any] = self._session.getpeercert() or {}
        names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
        names += [value for _, value in certificate.get("subjectAltName", ())]
        return names[0] if names else None

    @property
    def is_verified(self) -> bool:
        return self._session.context.verify_mode is ssl.CERT_REQUIRED

    def _give_up(self, within: float) -> None:
        text = f"no answer to the TLS handshake within {within:g} s"
        if self._leg.side is Side.MASTER:
            text += "; a master without TLS does not answer it: is this its tls-port?"
        self._fail(TlsFailure(self._leg.side, text))

    def _wait_for_turn(self) -> None:
        """Go on with the handshake when others have had their turn."""
        if not self._waits:
            self._waits = True
            self._socket.pause_reading()
            self._handshakes.add(self._take_turn, is_first=self._leg.link.admitted.is_known)

    def _take_turn(self) -> None:
        self._waits = False
        if self._is_called_off or self._socket.is_closing():
            return
        self._shake_hands()
        if not self._is_secure:
            self._socket.resume_reading()
        if self._ended_meanwhile:
            self.eof_received()

    def _shake_hands(self) -> None:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._fail(_failure(error, self._leg.side, self._name))
            return
        self._flush()
        self._is_secure = True
        if not self._done.done():
            self._done.set_result(True)
        if self._is_paused:
            self._socket.pause_reading()
        else:
            self._loop.call_soon(self._resume)

    def _fail(self, failure: TlsFailure) -> None:
        if self._socket.is_closing():
            return
        self._failure = failure
        self._flush()  # an alert that tells the peer why
        if self._socket.get_write_buffer_size():
            self._socket.abort()  # a peer that takes nothing would have us wait
        else:
            self._socket.close()

    # ---- called by the socket's transport ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._socket = transport
        self._leg.connection_made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._leg.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        if self._is_ended or self._is_called_off:
            return
        data = self._leg.get_buffer(-1)[:nbytes]
        if self._early is None:
            self._received(data)
            return
        self._early.data += data
        if len(self._early.data) > EARLY_BYTES:
            self._leg.link.flooded(self._leg)
        else:
            pause_again(self._socket)

    def _received(self, data: bytearray | memoryview) -> None:
        if not self._has_read and data[0] not in FIRST_BYTES:
            self._fail(TlsFailure(Side.TAP, _NO_TLS[self._leg.side]))
            return
        self._has_read = True
        self._incoming.write(data)
        if self._is_secure:
            self._read()
        else:
            self._wait_for_turn()

    def eof_received(self) -> bool:
        if self._is_secure or self._is_called_off:
            self._end()
        elif self._early is not None:
            self._early.has_ended = True
        elif self._waits:
            self._ended_meanwhile = True
        else:
            self._fail(TlsFailure(self._leg.side, f"the {self._leg.side.value} closed during the TLS handshake"))
        return True

    def pause_writing(self) -> None:
        self._leg.pause_writing()

    def resume_writing(self) -> None:
        self._leg.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(False)
        self._leg.connection_lost(self._failure or error)

    # ---- what came ----

    def _read(self) -> None:
        """Give the leg what came, until it wants no more."""
        while not self._is_paused and not self._is_ended and not self._socket.is_closing():
            buffer = self._leg.get_buffer(-1)
            try:
                count = self._decrypt(buffer)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._fail(_failure(error, self._leg.side, self._name))
                return
            if not count:
                self._end()
                break
            self._leg.buffer_updated(count)
        if self._wants_end and not self._socket.is_closing():
            self.write_eof()
        self._flush()

    def _decrypt(self, buffer: memoryview) -> int:
        """Fill the buffer; 0 behind close_notify. Raises SSLError, SSLWantReadError among them, only for no byte."""
        if self._broken is not None:
            raise self._broken
        count = 0
        try:
            while count < len(buffer):
                more = int(self._session.read(len(buffer) - count, buffer[count:]))
                if not more:
                    break
                count += more
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLWantReadError:
            if not count:
                raise
        except ssl.SSLError as error:
            self._broken = error
            if not count:
                raise
        return count

    def _end(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            if not self._leg.eof_received():
                self.close()

    def _resume(self) -> None:
        if self._is_secure and not self._is_paused:
            self._read()
        if self._is_secure and not self._is_paused:
            self._socket.resume_reading()

    # ---- called by the leg ----

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket.get_extra_info(name, default)

    def is_reading(self) -> bool:
        return not self._is_paused

    def pause_reading(self) -> None:
        self._is_paused = True
        # Before the handshake, too: a fault may want the replica to hear nothing.
        if self._is_secure or self._early is not None:
            self._socket.pause_reading()

    def resume_reading(self) -> None:
        self._is_paused = False
        self._loop.call_soon(self._resume)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._socket.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._socket.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self._socket.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        left = memoryview(data)
        while left:
            left = left[self._session.write(left) :]  # a record at a time
        self._flush()

    def write_eof(self) -> None:
        """close_notify and FIN, behind everything before."""
        if self._is_secure:
            # OpenSSL looks for the peer's close_notify at once, and takes data in its place for an error.
            self._wants_end = bool(self._incoming.pending or self._session.pending())
            if self._wants_end:
                return
            self._notify()
        else:
            self._is_called_off = True
            self._socket.resume_reading()
        self._socket.write_eof()

    def close(self) -> None:
        """The peer's own close_notify is not waited for; servers send none."""
        if not self._socket.is_closing():
            if self._is_secure:
                self._notify()
            self._socket.close()

    def abort(self) -> None:
        self._socket.abort()

    def _notify(self) -> None:
        if not self._said_end:
            self._said_end = True
            with contextlib.suppress(ssl.SSLError):  # the peer's has not come, or data has that nobody will read
                self._session.unwrap()
            self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._socket.is_closing():
            self._socket.write(self._outgoing.read())


# ---- failures in words ----

_NO_TLS = {
    Side.MASTER: "the master answers without TLS: leave --tls out, or give its tls-port",
    Side.REPLICA: "the replica speaks no TLS, and this link expects it: tls-replication yes on the replica, or leave "
    "--listen-cert out",
}

# X509_V_ERR_... of OpenSSL's x509_vfy.h
_EXPIRED, _NOT_YET_VALID, _SELF_SIGNED = 10, 9, 18
_UNKNOWN_CA = (2, 19, 20, 21)
_PURPOSE = 26
_OTHER_NAME = (62, 64)


def _failure(error: ssl.SSLError, side: Side, name: str | None) -> TlsFailure:
    """What OpenSSL says of it, for whoever has to mend it."""
    peer = f"the {side.value}"
    certificate, _ = _OPTIONS[side]
    reason = error.reason or ""
    by = side if "ALERT" in reason or "UNRECOGNIZED_NAME" in reason else Side.TAP
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"{peer}'s certificate {_refused(error, side, name)}"
    elif "PEER_DID_NOT_RETURN_A_CERTIFICATE" in reason:
        text = f"{peer} gave no certificate, and --listen-cacert requires one: tls-cert-file on the replica"
    elif "CERTIFICATE_REQUIRED" in reason:
        text = f"{peer} requires a client certificate: --cert and --key"
    elif by is side and "UNKNOWN_CA" in reason:
        text = f"{peer} does not know the CA of our certificate ({certificate}): its tls-ca-cert-file has to"
    elif by is side and "CERTIFICATE_EXPIRED" in reason:
        text = f"{peer} says that our certificate ({certificate}) has expired: renew it"
    elif by is side and "CERTIFICATE" in reason:
        text = f"{peer} refuses our certificate ({certificate}): {_plain(reason)}"
    elif "PROTOCOL" in reason or "VERSION_TOO" in reason:
        text = f"no version of TLS in common: here these are 1.2 and 1.3, there those of tls-protocols ({_plain(reason)})"
    elif "CIPHER" in reason or "HANDSHAKE_FAILURE" in reason:
        text = f"no cipher in common (there: tls-ciphers, tls-ciphersuites), or no certificate ({_plain(reason)})"
    elif "UNRECOGNIZED_NAME" in reason:
        text = f"{peer} does not go by the name {name!r}: --sni NAME"
    else:
        text = f"TLS with {peer} failed: {_plain(reason) or error.strerror or error}"
    return TlsFailure(by, text)


def _refused(error: ssl.SSLCertVerificationError, side: Side, name: str | None) -> str:
    _, ca = _OPTIONS[side]
    code = error.verify_code
    if code == _EXPIRED:
        return "has expired: renew it"
    if code == _NOT_YET_VALID:
        return "is not valid yet: compare the clocks"
    if code == _SELF_SIGNED:
        return f"is self-signed: with the certificate itself as {ca} it is trusted"
    if code in _UNKNOWN_CA:
        return f"is of a CA that is not known here: give that CA's certificate with {ca}"
    if code in _OTHER_NAME:
        return f"is not for {name!r}: give a name that it is for with --sni"
    if code == _PURPOSE:
        return f"is not made for {'servers' if side is Side.MASTER else 'clients'} (its extended key usage)"
    return f"is refused: {error.verify_message}"


def _plain(reason: str) -> str:
    return reason.lower().replace("_", " ")
