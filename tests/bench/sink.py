"""The receiving end of the throughput measurement, as replicas would be."""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import time
from collections.abc import Iterator

BUFFER_SIZE = 2**20
PATIENCE = 60.0  # seconds without a byte
PONG = b"+PONG\r\n"

# To which the source grants a partial resync, so that a tap reads what follows as a stream.
PSYNC = f"PSYNC {'0' * 40} 1\r\n".encode()


@contextlib.contextmanager
def connected(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many connections, all the way to the source: it has answered each of them."""
    take_sockets()
    with contextlib.ExitStack() as open_ones:
        connections = []
        for _ in range(count):
            connection = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            connection.sendall(b"PING\r\n")
            assert connection.recv(len(PONG), socket.MSG_WAITALL) == PONG
            connections.append(connection)
        yield connections


def read(connections: list[socket.socket], size: int) -> float:
    """Ask for the stream, and read so many bytes on each: the seconds to the last one."""
    buffer = bytearray(BUFFER_SIZE)
    left = dict.fromkeys(connections, size)
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ, connection)
        begin = time.perf_counter()
        for connection in connections:
            connection.sendall(PSYNC)
        while left:
            ready = selector.select(PATIENCE)
            assert ready, f"{len(left)} connections stand still with {sum(left.values())} bytes left"
            for key, _ in ready:
                connection = key.data
                count = connection.recv_into(buffer)
                assert count, f"a connection ended with {left[connection]} of {size} bytes left"
                left[connection] -= count
                if left[connection] <= 0:
                    selector.unregister(connection)
                    del left[connection]
        return time.perf_counter() - begin


def take_sockets() -> None:
    """As many as the system lets this process have: a thousand links are more than it usually starts with."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
