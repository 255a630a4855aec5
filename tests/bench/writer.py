"""A client that writes as fast as its server allows: `python -m tests.bench.writer PORT COUNT`.

For where no redis-benchmark lies beside the server. Sends SETs of a 16-byte key and a 64-byte value.
"""

from __future__ import annotations

import socket
import sys

from .commands import set_command

KEYS = 100_000
BATCH = 1_000  # commands sent at once
IN_FLIGHT = 8  # batches without their replies yet
REPLY = b"+OK\r\n"
PATIENCE = 60.0  # seconds without a reply


def main(port: int, count: int) -> None:
    batches = [b"".join(map(set_command, range(first, first + BATCH))) for first in range(0, KEYS, BATCH)]
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        sent = 0
        unanswered = 0  # bytes of replies
        while sent < count or unanswered:
            if sent < count and unanswered < IN_FLIGHT * BATCH * len(REPLY):
                connection.sendall(batches[sent // BATCH % len(batches)])
                sent += BATCH
                unanswered += BATCH * len(REPLY)
                continue
            replies = connection.recv(65536)
            if not replies or b"-" in replies:
                sys.exit(f"the server answered {replies[:200]!r}")
            unanswered -= len(replies)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
