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
PSYNC = f"PSYNC {'0' * 40} 1\r\n".encode()
CONTINUE = b"+CONTINUE\r\n"
ACK = b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n1\r\n"


@contextlib.contextmanager
def connected(port: int, count: int) -> Iterator[list[socket.socket]]:
    """This many connections, all the way to the source, which has granted each of them a partial resync."""
    take_sockets()
    with contextlib.ExitStack() as open_ones:
        connections = []
        for _ in range(count):
            connection = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            connection.sendall(PSYNC)
            granted = connection.recv(len(CONTINUE), socket.MSG_WAITALL)
            assert granted == CONTINUE, granted
            connections.append(connection)
        yield connections


def read(connections: list[socket.socket], size: int) -> float:
    """Acknowledge, which the source waits for, and read this many bytes on each; returns the seconds to the last one."""
    buffer = bytearray(BUFFER_SIZE)
    left = dict.fromkeys(connections, size)
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ, connection)
        begin = time.perf_counter()
        for connection in connections:
            connection.sendall(ACK)
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
    """As many as this process may have: a thousand links are more than the usual limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
