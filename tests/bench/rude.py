"""A peer that sends what is most expensive to read: `python -m tests.bench.rude KIND TAP_PORT MASTER_PORT RATE`.

It is both ends of a link: a master that listens on MASTER_PORT, and a replica or client that connects to the tap on
TAP_PORT. RATE: bytes a second, 0 for as many as the connection takes. Ends when it is killed.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable

from .sink import ACK, CONTINUE, PSYNC, take_sockets

PIECE = 2**18  # bytes of one write
TICK = 0.01  # seconds between the writes of a flood with a rate
REPLID = "0" * 40
FULL = f"+FULLRESYNC {REPLID} 1\r\n".encode()
MARK = b"x" * 40
CROWD = 3_000  # connections at once
HALF_OPEN = 1_000

Send = Callable[[bytes], None]  # sends a piece over and over, at the rate


def errors(master: Flood) -> None:
    """Errors that no request asked for."""
    master.sends(b"-\n")


def replies(master: Flood) -> None:
    """A client that pipelines PINGs, and one-byte answers to them."""
    master.is_asked(b"PING\r\n")
    master.sends(b"+\n")


def unknown_requests(master: Flood) -> None:
    """A client that pipelines the smallest request there is, and is answered in the smallest way."""
    master.is_asked(b"*1\r\n$1\r\nX\r\n")
    master.sends(b"+\n")


def newlines(master: Flood) -> None:
    """Keepalives, as while a master writes its RDB."""
    master.is_asked_once(PSYNC)
    master.begins(FULL)
    master.sends(b"\n")


def aux_fields(master: Flood) -> None:
    """An RDB of nothing but the smallest AUX fields."""
    master.is_asked_once(PSYNC)
    master.begins(FULL + b"$EOF:" + MARK + b"\r\nREDIS0011")
    master.sends(b"\xfa\x01a\x01b")


def small_keys(master: Flood) -> None:
    """An RDB of the smallest keys."""
    master.is_asked_once(PSYNC)
    master.begins(FULL + b"$EOF:" + MARK + b"\r\nREDIS0011\xfe\x00")
    master.sends(b"\x00\x01a\x01b")


def empty_commands(master: Flood) -> None:
    """A stream of commands without a word."""
    master.is_asked_once(PSYNC)
    master.begins(CONTINUE)
    master.sends(b"*0\r\n")


def small_commands(master: Flood) -> None:
    """A stream of the smallest commands, each with a name of its own."""
    master.is_asked_once(PSYNC)
    master.begins(CONTINUE)
    master.sends(b"".join(b"*1\r\n$4\r\n%04x\r\n" % number for number in range(4096)))


def acknowledgements(master: Flood) -> None:
    """A replica that acknowledges all the time, with newlines between."""
    master.is_asked_once(PSYNC)
    master.is_asked(ACK + b"\n")
    master.begins(CONTINUE)


KINDS = {
    "errors": errors,
    "replies": replies,
    "requests": unknown_requests,
    "newlines": newlines,
    "aux-fields": aux_fields,
    "small-keys": small_keys,
    "empty-commands": empty_commands,
    "small-commands": small_commands,
    "acks": acknowledgements,
}


class Flood:
    """What both ends of a link send: first something once, then something over and over."""

    def __init__(self, kind: str) -> None:
        self.request, self.requests, self.answer, self.answers = b"", b"", b"", b""
        KINDS[kind](self)

    def is_asked_once(self, request: bytes) -> None:
        self.request = request

    def is_asked(self, requests: bytes) -> None:
        self.requests = requests

    def begins(self, answer: bytes) -> None:
        self.answer = answer

    def sends(self, answers: bytes) -> None:
        self.answers = answers


def main(kind: str, tap: int, master: int, rate: int) -> None:
    take_sockets()
    if kind in CROWDS:
        with socket.create_server(("127.0.0.1", master), backlog=4096) as listener:
            threading.Thread(target=accept_all, args=(listener,), daemon=True).start()
            CROWDS[kind](tap)
    flood = Flood(kind)
    with socket.create_server(("127.0.0.1", master)) as listener:
        threading.Thread(target=be_replica, args=(flood, tap, rate), daemon=True).start()
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=be_master, args=(flood, connection, rate), daemon=True).start()


def be_replica(flood: Flood, tap: int, rate: int) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", tap)) as connection:
            threading.Thread(target=drain, args=(connection,), daemon=True).start()
            connection.sendall(flood.request)
            send(connection, flood.requests, rate)


def be_master(flood: Flood, connection: socket.socket, rate: int) -> None:
    with contextlib.suppress(OSError), connection:
        if flood.request or flood.requests:
            connection.recv(1)
        threading.Thread(target=drain, args=(connection,), daemon=True).start()
        connection.sendall(flood.answer)
        send(connection, flood.answers, rate)


def send(connection: socket.socket, words: bytes, rate: int) -> None:
    if not words:
        threading.Event().wait()  # the other end has the word
    size = PIECE if not rate else max(1, int(rate * TICK))
    piece = words * max(1, size // len(words))
    begin, sent = time.perf_counter(), 0
    while True:
        connection.sendall(piece)
        sent += len(piece)
        if rate:
            time.sleep(max(0.0, begin + sent / rate - time.perf_counter()))


def drain(connection: socket.socket) -> None:
    buffer = bytearray(PIECE)
    with contextlib.suppress(OSError):
        while connection.recv_into(buffer):
            pass


# ---- crowds ----


def accept_all(listener: socket.socket) -> None:
    """Answer the first bytes of every connection with PONG, and keep it until the other end closes."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=be_polite, args=(connection,), daemon=True).start()


def be_polite(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        while connection.recv(4096):
            connection.sendall(b"+PONG\r\n")


def connects(tap: int) -> None:
    """Thousands of connections at once, again and again."""
    while True:
        crowd = []
        for _ in range(CROWD):
            sock = socket.socket()
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(("127.0.0.1", tap))
            crowd.append(sock)
        time.sleep(1.0)
        for sock in crowd:
            sock.close()


def half_handshakes(tap: int) -> None:
    """Connections that send the first bytes of a TLS handshake, and no more."""
    hello = client_hello()
    while True:
        crowd = []
        for _ in range(HALF_OPEN):
            sock = socket.create_connection(("127.0.0.1", tap))
            sock.sendall(hello)
            crowd.append(sock)
        time.sleep(1.0)
        for sock in crowd:
            sock.close()


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def names(tap: int) -> None:
    """One client that announces a new name with each connection."""
    for port in itertools.cycle(range(1, 65536)):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", tap)) as sock:
            word = str(port).encode()
            sock.sendall(b"*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$%d\r\n%s\r\n" % (len(word), word))
            sock.recv(64)


CROWDS = {"connects": connects, "half-handshakes": half_handshakes, "names": names}


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
