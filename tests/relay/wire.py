"""Helpers for tests of faults on the wire: peers made of sockets, a packet capture, writers, and a link for them."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hiredis
import pytest

from tap import Address, Config, LinkConfig
from tap.faults import Armed
from tap.relay.connection import Connection
from tests.support import WITHIN, TapThread, wait_until

if TYPE_CHECKING:
    from tests.relay.certificates import Peer

LOCALHOST = "127.0.0.1"
REPLID = "8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb"
BASE = 1000  # replication offset where the streams of made-up masters begin
GRANT = b"+CONTINUE\r\n"
RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: close() sends RST


def in_front_of(port: int, *faults: str, **options: Any) -> Config:
    return Config(links=(LinkConfig(master=Address(LOCALHOST, port)),), faults=faults, **options)


def command(*words: bytes | str) -> bytes:
    """As a RESP array."""
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def asks(offset: int, replid: str = REPLID) -> bytes:
    """A replica that has everything up to *offset*."""
    return command("PSYNC", replid, str(offset + 1))


def receive(sock: socket.socket | Peer, count: int) -> bytes:
    """Exactly that many bytes."""
    data = bytearray()
    while len(data) < count:
        piece = sock.recv(min(count - len(data), 2**20))
        assert piece, f"ended after {len(data)} of {count} bytes"
        data += piece
    return bytes(data)


def all_of(sock: socket.socket) -> bytes:
    """Everything up to the FIN."""
    data = bytearray()
    while piece := sock.recv(2**20):
        data += piece
    return bytes(data)


def add(tap: TapThread, spec: str) -> Armed:
    """Arm a fault in the tap's own thread."""
    armed: list[Armed] = []
    tap.call(lambda: armed.append(tap.tap.faults.add(spec)))
    return armed[0]


def remove(tap: TapThread, armed: Armed) -> None:
    """Disarm it, unless it is over anyway."""
    tap.call(lambda: None if armed.is_over else tap.tap.faults.remove(armed.name))


def refuses(port: int) -> bool:
    """Whether no socket listens there.

    A connection that the kernel had accepted for a socket that closes meanwhile is reset: that one still listened.
    """
    try:
        socket.create_connection((LOCALHOST, port), WITHIN).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False
    return False


def only_link(tap: TapThread) -> Connection:
    return wait_until(lambda: tap.tap.links, what="a link")[0]


def fill(tap: TapThread, master: socket.socket) -> int:
    """Send from the master until it blocks, and the tap waits for its replica. Returns the number of bytes sent."""
    sent = 0
    leg = only_link(tap).master
    master.setblocking(False)

    def is_full() -> bool:
        nonlocal sent
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += master.send(bytes(2**16))
                assert sent < 64 * 2**20  # the kernel's buffers of four sockets
        return leg.transport is not None and not leg.transport.is_reading()

    wait_until(lambda: is_full() and is_full())
    master.settimeout(WITHIN)
    return sent


# ---- peers ----

BLOCK = b"".join(command("SET", f"key:{number:06}", "v" * (number % 90)) for number in range(5_000))


class Flood(threading.Thread):
    """A master that grants a partial resync, then sends BLOCK over and over until the other side ends or it is stopped.

    sent: bytes behind the grant. how: how the other side ended, "fin" or "reset".
    """

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(name="flood")
        self.sent = 0
        self.how = ""
        self.port = 0  # of the tap's end
        self._listener = listener
        self._done = threading.Event()

    def run(self) -> None:
        connection, (_, self.port) = self._listener.accept()
        with connection:
            asked = b""
            while not asked.endswith(b"\r\n"):
                asked += connection.recv(4096)
            connection.sendall(GRANT)
            connection.setblocking(False)
            try:
                self._send(connection)
            except (ConnectionResetError, BrokenPipeError):
                self.how = "reset"

    def _send(self, connection: socket.socket) -> None:
        block = memoryview(BLOCK)
        while not self._done.is_set():
            readable, writable, _ = select.select([connection], [connection], [], 0.05)
            if readable and not connection.recv(65536):
                self.how = "fin"
                return
            if writable:
                with contextlib.suppress(BlockingIOError):
                    self.sent += connection.send(block[self.sent % len(block) :])

    def stop(self) -> None:
        self._done.set()
        self.join(WITHIN)


class Counter(threading.Thread):
    """A replica that asks for what follows *offset* and keeps what it gets after the grant.

    data: that. how: how the other side ended. slow: takes a little at a time, with pauses.
    """

    def __init__(self, port: int, offset: int = BASE, replid: str = REPLID, *, slow: bool = False) -> None:
        super().__init__(name="counter")
        self.socket = socket.socket()
        if slow:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(WITHIN)
        self.socket.connect((LOCALHOST, port))
        self.port = self.socket.getsockname()[1]
        self.socket.sendall(asks(offset, replid))
        self.data = bytearray()
        self.how = ""
        self._slow = slow
        self._granted = False

    @property
    def count(self) -> int:
        """Bytes of the stream so far."""
        return len(self.data) if self._granted else 0

    def run(self) -> None:
        with self.socket:
            try:
                while piece := self.socket.recv(2048 if self._slow else 65536):
                    self._take(piece)
                    if self._slow:
                        threading.Event().wait(0.0005)
                self.how = "fin"
            except ConnectionResetError:
                self.how = "reset"

    def _take(self, piece: bytes) -> None:
        self.data += piece
        if not self._granted and b"\r\n" in self.data:
            grant, _, rest = bytes(self.data).partition(b"\r\n")
            assert grant.startswith(b"+CONTINUE"), grant
            self.data = bytearray(rest)
            self._granted = True

    def finish(self) -> None:
        self.join(WITHIN)
        assert not self.is_alive(), "the link did not end"


def block_up_to(count: int) -> bytes:
    """What a Flood sends, up to byte number *count*."""
    return BLOCK * (count // len(BLOCK)) + BLOCK[: count % len(BLOCK)]


# ---- real writes ----


@functools.cache
def _writes(first: int) -> tuple[bytes, int]:
    """Of 200 numbers: strings, counters, lists and transactions, and how many replies come."""
    said: list[bytes] = []
    for number in range(first, first + 200):
        said.append(command("SET", f"key:{number}", "v" * (number % 300)))
        said.append(command("INCR", f"counter:{number % 7}"))
        if number % 5 == 0:
            pushes = command("RPUSH", "list", str(number)), command("LTRIM", "list", "-100", "-1")
            said += [command("MULTI"), *pushes, command("EXEC")]
    return b"".join(said), len(said)


class Writes(threading.Thread):
    """Writes to a master, about 10 MB/s, until stopped. At full speed it would take a whole core for nothing."""

    def __init__(self, port: int) -> None:
        super().__init__(name="writes")
        self.failure: Exception | None = None
        self._port = port
        self._done = threading.Event()

    def run(self) -> None:
        try:
            with socket.create_connection((LOCALHOST, self._port), WITHIN) as to:
                for first in itertools.cycle(range(0, 5000, 200)):
                    data, count = _writes(first)
                    to.sendall(data)
                    replies = hiredis.Reader()
                    while count:
                        said = to.recv(65536)
                        assert said, "the master has closed the connection"
                        replies.feed(said)
                        for reply in iter(replies.gets, False):
                            assert not isinstance(reply, Exception), reply
                            count -= 1
                    if self._done.wait(0.004):
                        return
        except Exception as error:
            self.failure = error

    def __enter__(self) -> Writes:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join(WITHIN)
        assert self.failure is None, self.failure


# ---- packets ----


@dataclass(frozen=True)
class Packet:
    source: int
    target: int
    flags: str  # "fin", "reset", or "fin reset"


class Packets(threading.Thread):
    """Captures each packet with FIN or RST on the loopback interface, while the with-block lasts."""

    # struct sock_filter (code, jt, jf, k), from the IP header on: TCP, and a flag of FIN | RST.
    _FILTER = (
        (0xB1, 0, 0, 0),  # ldx 4 * ([0] & 15)
        (0x30, 0, 0, 9),  # ldb [9]
        (0x15, 0, 3, 6),  # jeq TCP
        (0x50, 0, 0, 13),  # ldb [x + 13]
        (0x45, 0, 1, 0x05),  # jset FIN | RST
        (0x06, 0, 0, 0xFFFF),
        (0x06, 0, 0, 0),
    )

    def __init__(self) -> None:
        super().__init__(name="packets")
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
            self._socket.bind(("lo", 0x0800))
        except (AttributeError, OSError) as error:
            pytest.skip(f"no packets can be captured on the loopback interface: {error}")
        program = b"".join(struct.pack("HBBI", *line) for line in self._FILTER)
        held = ctypes.create_string_buffer(program)
        self._socket.setsockopt(
            socket.SOL_SOCKET,
            26,
            struct.pack("HP", len(self._FILTER), ctypes.addressof(held)),  # SO_ATTACH_FILTER
        )
        self._socket.settimeout(0.05)
        self._seen: list[Packet] = []
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.is_set():
            with contextlib.suppress(TimeoutError):
                data, (_, _, kind, *_) = self._socket.recvfrom(256)
                if kind != 4:  # PACKET_OUTGOING: each is seen twice here
                    self._note(data)

    def _note(self, data: bytes) -> None:
        header = 4 * (data[0] & 15)
        source, target = struct.unpack_from("!HH", data, header)
        flags = data[header + 13]
        said = " ".join(name for bit, name in ((1, "fin"), (4, "reset")) if flags & bit)
        self._seen.append(Packet(source, target, said))

    def between(self, port: int, other: int) -> list[tuple[int, str]]:
        """(sender, flags) of the packets of one connection, in order."""
        ports = {port, other}
        return [(packet.source, packet.flags) for packet in tuple(self._seen) if {packet.source, packet.target} == ports]

    def __enter__(self) -> Packets:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join(WITHIN)
        self._socket.close()


def port_of_master(tap: TapThread) -> int:
    master = tap.tap.config.links[0].master
    assert master is not None
    return master.port


def assert_ended_with(how: str, packets: Packets, by: int, other: int) -> None:
    """The connection's end came from the port *by*, in the expected way; with FIN, there was no RST."""
    seen = wait_until(lambda: packets.between(by, other), what="a packet ends the connection")
    assert seen[0] == (by, how)
    if how == "fin":
        assert all(flags == "fin" for _, flags in seen)


# ---- depth ----

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"


def rounds(ordinary: int, deep: int) -> int:
    return deep if DEEP else ordinary


@contextlib.contextmanager
def flooded(config: Callable[[int], Config], *, slow: bool = False) -> Iterator[tuple[TapThread, Counter, Flood]]:
    """A flood through a tap to a counter. config: made for the master's port."""
    with socket.create_server((LOCALHOST, 0)) as listener:
        listener.settimeout(WITHIN)
        with TapThread(config(listener.getsockname()[1])) as tap:
            flood = Flood(listener)
            flood.start()
            counter = Counter(tap.port, slow=slow)
            counter.start()
            try:
                yield tap, counter, flood
            finally:
                flood.stop()
