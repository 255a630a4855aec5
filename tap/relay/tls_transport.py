"""TLS on one leg: between the bytes of its socket and those that the connection forwards.

asyncio's own TLS transport has no half-close, closes when its peer does, and hides how the socket ended, so the relay
could not keep its promises about FIN and RST. This transport keeps them:

- FIN of one peer becomes close_notify and FIN to the other, and the other direction stays open.
- close_notify and FIN from a peer both count as its end (Redis 7.0 to 8.0 and Valkey 8.1 to 9.1 close with FIN alone).
- RST remains RST.

It takes the place of the transport for the leg, and of the protocol for the socket's transport. Backpressure passes
through in both directions, and bytes are decrypted when the leg reads, so at most one read of the socket waits here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from typing import Any

from tap.relay.leg import EARLY_BYTES, Leg, pause_again
from tap.relay.setup_queue import SetupQueue
from tap.relay.tls_failure import NO_TLS, TlsFailure, failure_of
from tap.relay.tls_probe import FIRST_BYTES
from tap.replication.events import Side


@dataclass(slots=True)
class _Ahead:
    """What came before the handshake began, although nothing is read then. has_ended: FIN followed it."""

    data: bytearray = field(default_factory=bytearray)
    has_ended: bool = False


class TlsTransport(asyncio.Transport, asyncio.BufferedProtocol):
    """The leg's transport, and the protocol of the socket's transport."""

    def __init__(self, leg: Leg, context: ssl.SSLContext, setup_queue: SetupQueue, name: str | None = None) -> None:
        """name: of the master, to ask for and to verify; None towards a replica, for which the tap is the server."""
        super().__init__()
        self._leg = leg
        self._setup_queue = setup_queue
        self._waits = False  # for a turn in the handshake; the socket is not read meanwhile
        self._ended_meanwhile = False  # with FIN, while it waits: the transport read on all the same
        self._loop = asyncio.get_running_loop()
        self._socket: asyncio.Transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._name = name
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=name is None, server_hostname=name)
        self._done: asyncio.Future[bool] = self._loop.create_future()  # the handshake, and whether it succeeded
        self._ahead: _Ahead | None = _Ahead()  # until the handshake begins
        self._has_read = False
        self._is_secure = False
        self._is_called_off = False  # the leg ended before there was TLS
        self._is_paused = False
        self._failure: TlsFailure | None = None
        self._broken: ssl.SSLError | None = None  # raised after bytes that could still be read
        self._is_ended = False  # the peer has ended, and the leg knows
        self._wants_end = False  # the leg asked for the end; it is sent once everything that came has been read
        self._said_end = False

    async def handshake(self, within: float) -> bool:
        """Shake hands. Returns whether there is TLS now; if not, connection_lost() of the leg says why."""
        late = self._loop.call_later(within, self._give_up, within)
        self._socket.resume_reading()
        early, self._ahead = self._ahead, None
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
        """The name in the peer's certificate; None if there is none, or it was not verified."""
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
        """Go on with the handshake once others have had their turn."""
        if not self._waits:
            self._waits = True
            self._socket.pause_reading()
            self._setup_queue.add(self._take_turn, is_first=self._leg.owner.is_known)

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
            self._fail(failure_of(error, self._leg.side, self._name))
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
        self._flush()  # an alert, which tells the peer why
        if self._socket.get_write_buffer_size():
            self._socket.abort()  # do not wait for a peer that takes nothing
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
        if self._ahead is None:
            self._received(data)
            return
        self._ahead.data += data
        if len(self._ahead.data) > EARLY_BYTES:
            self._leg.owner.flooded(self._leg)
        else:
            pause_again(self._socket)

    def _received(self, data: bytearray | memoryview) -> None:
        if not self._has_read and data[0] not in FIRST_BYTES:
            self._fail(TlsFailure(Side.TAP, NO_TLS[self._leg.side]))
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
        elif self._ahead is not None:
            self._ahead.has_ended = True
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
        """Give the leg what came, until it pauses."""
        while not self._is_paused and not self._is_ended and not self._socket.is_closing():
            buffer = self._leg.get_buffer(-1)
            try:
                count = self._decrypt(buffer)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._fail(failure_of(error, self._leg.side, self._name))
                return
            if not count:
                self._end()
                break
            self._leg.buffer_updated(count)
        if self._wants_end and not self._socket.is_closing():
            self.write_eof()
        self._flush()

    def _decrypt(self, buffer: memoryview) -> int:
        """Fill the buffer. Returns 0 after close_notify. Raises SSLError (or SSLWantReadError) if it read no byte."""
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
        # Also before the handshake: a fault may want the replica to get no answer at all.
        if self._is_secure or self._ahead is not None:
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
        """Send close_notify and FIN, after everything before them."""
        if self._is_secure:
            # unwrap() looks for the peer's close_notify at once, and data in its place is an error to OpenSSL.
            self._wants_end = bool(self._incoming.pending or self._session.pending())
            if self._wants_end:
                return
            self._notify()
        else:
            self._is_called_off = True
            self._socket.resume_reading()
        self._socket.write_eof()

    def close(self) -> None:
        """Close without waiting for the peer's close_notify: servers send none."""
        if not self._socket.is_closing():
            if self._is_secure:
                self._notify()
            self._socket.close()

    def abort(self) -> None:
        self._socket.abort()

    def _notify(self) -> None:
        if not self._said_end:
            self._said_end = True
            with contextlib.suppress(ssl.SSLError):  # the peer's close_notify has not come, or unread data has
                self._session.unwrap()
            self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._socket.is_closing():
            self._socket.write(self._outgoing.read())
