"""What the kernel is asked about a TCP socket, beyond what asyncio offers."""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import struct
import sys
import termios
from asyncio.trsock import TransportSocket

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: close sends RST and discards unsent bytes
_FIN = getattr(select, "POLLRDHUP", 0)  # other systems report POLLHUP, which is always asked for


def tune(sock: socket.socket) -> None:
    """No delay for small writes, and a peer that vanished is noticed within two minutes if it owes us no ACK.

    Bytes on their way to it are retransmitted for as long as the kernel tries, a quarter of an hour on Linux; the
    servers' repl-timeout ends the connection before. TCP_USER_TIMEOUT would not help: it also ends the connection of a
    peer that is there and does not read for that long (seen on Linux 6.18), which the servers would have kept.
    """
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "darwin":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPALIVE, 60)
    else:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


def unacknowledged(sock: socket.socket | TransportSocket) -> int:
    """Bytes that the peer's kernel has not acknowledged; 0 if the system does not say."""
    if not sys.platform.startswith("linux") or sock.family == socket.AF_UNIX:
        return 0
    answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


def unread(sock: socket.socket | TransportSocket) -> int:
    """Bytes that have come and wait to be read."""
    answer = fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


def hung_up(sock: socket.socket | TransportSocket) -> str:
    """How the peer ended, even if its bytes are not read: "fin", "reset", or "" if it has not."""
    poll = select.poll()
    poll.register(sock.fileno(), _FIN)
    found = poll.poll(0)
    if not found:
        return ""
    return "reset" if found[0][1] & select.POLLERR else "fin"


def reset_on_close(sock: socket.socket | TransportSocket) -> None:
    """Make close() send RST rather than FIN."""
    if sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # it is closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def shown(place: tuple[object, ...]) -> str:
    """An address as text, from one as the system gives it."""
    host, port = place[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
