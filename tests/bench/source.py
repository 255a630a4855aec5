"""The sending end of the throughput measurement: `python -m tests.bench.source PORT BYTES VALUE_SIZE RATE`.

A master for any number of connections: grants PSYNC a partial resync, so that a tap reads what follows as a stream. With
the first acknowledgement it sends SET commands, BYTES in all, RATE of them a second or, where that is 0, as fast as the
connection takes them. Ends when it is killed.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path

from .commands import set_command
from .sink import CONTINUE, take_sockets

FILE_SIZE = 64 * 2**20  # about
TICK = 0.002  # seconds between the writes of a stream with a rate; a command a write where they are rarer


class Stream:
    """Sent out of a file in memory by the kernel: this end is to cost the two processors next to nothing."""

    def __init__(self, value_size: int) -> None:
        self.command_size = len(set_command(0, value_size))
        self.file = os.memfd_create("stream")
        self.length = 0
        count = max(1, FILE_SIZE // self.command_size)
        with Path(f"/proc/self/fd/{self.file}").open("wb") as file:
            for first in range(0, count, 1000):
                numbers = range(first, min(first + 1000, count))
                self.length += file.write(b"".join(set_command(number, value_size) for number in numbers))

    def send(self, connection: socket.socket, sent: int, until: int) -> None:
        """Those bytes of the stream without end."""
        while sent < until:
            offset = sent % self.length
            sent += os.sendfile(connection.fileno(), self.file, offset, min(self.length - offset, until - sent))


def main(port: int, size: int, value_size: int, rate: int) -> None:
    take_sockets()
    stream = Stream(value_size)
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection, stream, size, rate), daemon=True).start()


def answer(connection: socket.socket, stream: Stream, size: int, rate: int) -> None:
    with connection, connection.makefile("rb") as lines:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not lines.readline():  # PSYNC; nothing is said by a tap that looks whether its master is there
            return
        connection.sendall(CONTINUE)
        lines.readline()  # of the first acknowledgement
        if rate:
            at_rate(connection, stream, size, rate)
        else:
            stream.send(connection, 0, size)
        lines.read()  # until the other end has it all, and closes


def at_rate(connection: socket.socket, stream: Stream, size: int, rate: int) -> None:
    begin = time.perf_counter()
    sent = 0
    while sent < size:
        time.sleep(max(TICK, 1 / rate))
        due = int((time.perf_counter() - begin) * rate) * stream.command_size
        stream.send(connection, sent, min(due, size))
        sent = max(sent, min(due, size))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
