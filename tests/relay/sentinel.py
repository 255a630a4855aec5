"""A real Sentinel that watches one master."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tap.servers.embedded import LOOPBACK, free_port
from tests.support import WITHIN, programs, wait_until


class Sentinel:
    def __init__(self, port: int) -> None:
        self._client = redis.Redis(LOOPBACK, port, socket_timeout=WITHIN, decode_responses=True)

    def ask(self, *words: str) -> Any:
        return self._client.execute_command("SENTINEL", *words)

    @property
    def master(self) -> str:
        host, port = self.ask("GET-MASTER-ADDR-BY-NAME", "pair")
        return f"{host}:{port}"

    @property
    def replicas(self) -> dict[str, str]:
        """Their flags by address; "slave" is one that it reaches."""
        return {one["name"]: one["flags"] for one in self._client.sentinel_slaves("pair")}


@contextlib.contextmanager
def sentinel(name: str, directory: Path, master: int) -> Iterator[Sentinel]:
    """A Sentinel of this server version; master: the port that it watches."""
    port = free_port()
    file = directory / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind {LOOPBACK}\ndir {directory}\nlogfile {directory}/sentinel.log\n"
        f"sentinel monitor pair {LOOPBACK} {master} 1\n"
        "sentinel down-after-milliseconds pair 1000\n"  # with less, a busy machine makes it give up a healthy server
        "sentinel failover-timeout pair 5000\n"
    )
    process = subprocess.Popen([programs()[name], file, "--sentinel"], start_new_session=True)
    try:
        wait_until(lambda: _answers(port), what="the Sentinel answers")
        yield Sentinel(port)
    finally:
        process.terminate()
        process.wait(WITHIN)


def _answers(port: int) -> bool:
    try:
        return bool(redis.Redis(LOOPBACK, port).ping())
    except redis.ConnectionError:
        return False
