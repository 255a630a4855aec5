"""A live pair under write load, to step into."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from tap.operate.live_pair import LivePair, examine
from tap.servers.embedded import Server
from tap.url import Url
from tests.support import Servers, client, info_of, is_up, level, wait_until


@dataclass(frozen=True)
class Pair:
    master: Server
    replica: Server

    @property
    def url(self) -> Url:
        return Url(self.replica.address)

    @property
    def full_resyncs(self) -> int:
        return int(info_of(self.master, "stats")["sync_full"])

    @property
    def followed(self) -> int:
        """The port of the master that the replica follows."""
        return int(info_of(self.replica)["master_port"])

    async def examined(self) -> LivePair:
        return await examine(self.url, None, {})

    def check_restored(self, full_resyncs: int) -> None:
        """The replica is back, by partial resyncs only, and gets what is written."""
        wait_until(lambda: self.followed == self.master.port and is_up(self.replica), what="the way back")
        assert self.full_resyncs == full_resyncs
        client(self.master).set("last", "one")
        level(self.master, self.replica)


def start_pair(servers: Servers, name: str, *options: str) -> Pair:
    master = servers.start(name, "repl-backlog-size", "256mb", *options)
    replica = servers.start(name, "replicaof", f"{master.host} {master.port}")
    wait_until(lambda: is_up(replica), what="the first resync")
    return Pair(master, replica)


@contextlib.contextmanager
def load(master: Server) -> Iterator[None]:
    """Write as fast as one client can."""
    stop = threading.Event()

    def write() -> None:
        with client(master) as one:
            while not stop.is_set():
                with one.pipeline(transaction=False) as pipeline:
                    for number in range(100):
                        pipeline.set(f"key:{number}", b"x" * 200)
                    pipeline.execute()

    writer = threading.Thread(target=write, name="load")
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()
