"""What docs/outage.md says: a pair whose tap stands on a host of its own, which dies. Seen in network namespaces."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.conftest import need
from tests.support import ROOT, WITHIN, programs, wait_until

TIMEOUT = 3  # seconds of repl-timeout
PAIR, TAP = "10.9.0.1", "10.9.0.2"
NETWORK = f"""
-n {{pair}} link set lo up
-n {{tap}} link set lo up
-n {{pair}} link add pair0 type veth peer name tap0 netns {{tap}}
-n {{pair}} addr add {PAIR}/24 dev pair0
-n {{tap}} addr add {TAP}/24 dev tap0
-n {{pair}} link set pair0 up
-n {{tap}} link set tap0 up
"""
NUMBERS = itertools.count()
page = (ROOT / "docs" / "outage.md").read_text()


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], capture_output=True, check=True)


class Hosts:
    """One host with master and replica, and one with the tap between them; the replica is in step."""

    def __init__(self, server: str, directory: Path, closing: contextlib.ExitStack) -> None:
        self._server, self._directory, self._closing = server, directory, closing
        self._names = {one: f"tap-{os.getpid()}-{next(NUMBERS)}-{one}" for one in ("pair", "tap")}
        for name in self._names.values():
            ip(f"netns add {name}")
            closing.callback(ip, f"netns delete {name}")
        for line in NETWORK.strip().splitlines():
            ip(line.format(**self._names))
        self.master, self.replica = self._start(6379), self._start(6380)
        self.tap = self._run("tap", sys.executable, "-m", "tap", "run", f"--master={PAIR}:6379", f"--listen={TAP}:6400")
        self.replica.replicaof(TAP, "6400")
        self.wait_in_step()
        self.syncs = self._syncs()

    def lose_tap(self, how: str) -> None:
        if how == "gone":
            ip(f"-n {self._names['tap']} link set tap0 down")
        else:
            self.tap.send_signal({"killed": signal.SIGKILL, "hangs": signal.SIGSTOP}[how])

    def return_tap(self) -> None:
        self.tap.send_signal(signal.SIGCONT)

    def write_more_than_the_backlog(self) -> None:
        size = int(self.master.info("replication")["repl_backlog_size"])
        for number in range(8):
            self.master.set(f"large:{number}", "x" * (size // 2))

    def resyncs(self) -> tuple[int, int]:
        """Full and partial ones, since the replica was first in step."""
        now = self._syncs()
        return now[0] - self.syncs[0], now[1] - self.syncs[1]

    def log(self, port: int) -> str:
        return (self._directory / str(port) / "log").read_text().replace("PRIMARY", "MASTER").replace("primary", "master")

    def is_down(self) -> bool:
        return bool(self.replica.info("replication")["master_link_status"] == "down")

    def wait_in_step(self) -> None:
        """Write, and wait for the replica to have it."""
        count = self.master.incr("count")
        wait_until(lambda: self.replica.get("count") == str(count), what="the replica is in step")

    def _syncs(self) -> tuple[int, int]:
        stats = self.master.info("stats")
        return stats["sync_full"], stats["sync_partial_ok"]

    def _start(self, port: int) -> redis.Redis:
        own = self._directory / str(port)
        own.mkdir()
        own.chmod(0o777)
        options = {"port": port, "bind": PAIR, "dir": own, "unixsocket": own / "s", "logfile": "log", "save": ""}
        options |= {"protected-mode": "no", "repl-diskless-sync-delay": 0}
        options |= {"repl-timeout": TIMEOUT, "repl-ping-replica-period": 1}
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        self._run("pair", str(programs()[self._server]), *words)
        client = redis.Redis(unix_socket_path=str(own / "s"), socket_timeout=WITHIN, decode_responses=True)
        self._closing.callback(client.close)
        wait_until(lambda: _answers(client), what=f"a server on port {port}")
        return client

    def _run(self, where: str, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["ip", "netns", "exec", self._names[where], *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        self._closing.callback(process.wait, WITHIN)
        self._closing.callback(process.kill)
        return process


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def hosts(server_name: str) -> Iterator[Hosts]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    need(server_name)
    with contextlib.ExitStack() as closing:
        directory = closing.enter_context(tempfile.TemporaryDirectory(prefix="redis-tap-outage-"))
        yield Hosts(server_name, Path(directory), closing)


# How the tap goes; what the replica says first, and what it says then.
LOSSES = [
    ("killed", "Connection with master lost", "Connection refused"),
    ("gone", "MASTER timeout: no data nor PING received...", "No route to host"),
    ("hangs", "MASTER timeout: no data nor PING received...", "Timeout connecting to the MASTER..."),
]


@pytest.mark.slow  # it waits for timeouts
@pytest.mark.parametrize(("how", "first", "then"), LOSSES)
def test_the_pair_notices_and_resyncs_partially_without_the_tap(hosts: Hosts, how: str, first: str, then: str) -> None:
    assert first in page
    assert then in page
    began = time.monotonic()
    hosts.lose_tap(how)
    wait_until(hosts.is_down, what="the replica has noticed")
    noticed = time.monotonic() - began
    if how == "killed":
        assert noticed < 2
    else:
        assert noticed > TIMEOUT - 1.5  # the last byte came up to a second before
        wait_until(lambda: "Disconnecting timedout replica (streaming sync)" in hosts.log(6379), what="the master, too")
    wait_until(lambda: then in hosts.log(6380), what="the replica has tried again")
    assert first in hosts.log(6380)
    hosts.replica.replicaof(PAIR, "6379")
    hosts.wait_in_step()
    assert hosts.resyncs() == (0, 1)


def test_an_outage_shorter_than_the_timeout_costs_nothing(hosts: Hosts) -> None:
    hosts.lose_tap("hangs")
    hosts.master.set("meanwhile", "1")
    time.sleep(TIMEOUT / 3)
    hosts.return_tap()
    hosts.wait_in_step()
    assert hosts.resyncs() == (0, 0)


def test_replicaof_may_be_sent_before_anybody_has_noticed(hosts: Hosts) -> None:
    hosts.lose_tap("gone")
    hosts.master.set("meanwhile", "1")
    hosts.replica.replicaof(PAIR, "6379")
    hosts.wait_in_step()
    assert hosts.resyncs() == (0, 1)


def test_what_exceeds_the_backlog_is_a_full_resync_once_the_master_has_noticed(hosts: Hosts) -> None:
    hosts.lose_tap("gone")
    hosts.write_more_than_the_backlog()
    wait_until(lambda: "timedout" in hosts.log(6379), what="the master has noticed")
    hosts.master.set("last", "1")
    hosts.replica.replicaof(PAIR, "6379")
    hosts.wait_in_step()
    assert hosts.resyncs() == (1, 0)
