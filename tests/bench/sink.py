"""The receiving end of the throughput measurement: `python -m tests.bench.sink PORT BYTES LINE`.

Connects as a replica would, says the line, reads so many bytes, and prints the seconds from the line to the last byte.
"""

from __future__ import annotations

import socket
import sys
import time

BUFFER_SIZE = 2**20
PATIENCE = 60.0  # seconds without a byte


def main(port: int, size: int, line: str) -> None:
    buffer = bytearray(BUFFER_SIZE)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        begin = time.perf_counter()
        connection.sendall(line.encode() + b"\r\n")
        received = 0
        while received < size:
            count = connection.recv_into(buffer)
            if not count:
                sys.exit(f"the connection ended after {received} of {size} bytes")
            received += count
        print(time.perf_counter() - begin)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
