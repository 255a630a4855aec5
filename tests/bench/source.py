"""The sending end of the throughput measurement: `python -m tests.bench.source PORT BYTES`.

Waits on each connection for a line, then sends a stream of SET commands as fast as the connection takes it. To PSYNC
it grants a partial resync first, so that a tap reads the stream as one of replication. Ends when it is killed.
"""

from __future__ import annotations

import os
import socket
import sys

from .commands import set_command

COMMANDS_IN_FILE = 500_000


def main(port: int, size: int) -> None:
    # Sent out of a file in memory by the kernel: this end is to cost the two processors next to nothing.
    file = os.memfd_create("stream")
    length = os.write(file, b"".join(map(set_command, range(COMMANDS_IN_FILE))))
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                answer(connection, file, length, size)


def answer(connection: socket.socket, file: int, length: int, size: int) -> None:
    asked = b""
    while not asked.endswith(b"\n"):
        data = connection.recv(1024)
        if not data:
            return
        asked += data
    if asked.startswith(b"PSYNC"):
        connection.sendall(b"+CONTINUE\r\n")
        size -= len(b"+CONTINUE\r\n")
    sent = 0
    while sent < size:
        offset = sent % length
        sent += os.sendfile(connection.fileno(), file, offset, min(length - offset, size - sent))
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1024)  # until the other end has it all, and closes


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
