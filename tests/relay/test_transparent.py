"""A transparent tap between real servers, in network namespaces: masters in one, replicas in another, a router between.

Needs root and iptables; skipped without. Commands and addresses are those of docs/network.md, run as they stand.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support import MATRIX, ROOT, WITHIN, fail_over, programs, wait_until

pytestmark = pytest.mark.servers
MASTER, OTHER_MASTER, REPLICA = "10.0.0.5", "10.0.0.6", "10.0.1.5"
OTHER_MASTER_V6 = "fd00::6"
NOBODY = 65534  # a user of its own for a replica
NUMBERS = itertools.count(1)

NETWORK = """
link add name to-masters netns {router} type veth peer name eth0 netns {masters}
link add name to-replicas netns {router} type veth peer name eth0 netns {replicas}
-n {masters} address add 10.0.0.5/24 dev eth0
-n {masters} address add 10.0.0.6/24 dev eth0
-n {masters} address add fd00::6/64 dev eth0 nodad
-n {replicas} address add 10.0.1.5/24 dev eth0
-n {replicas} address add fd00:0:0:1::5/64 dev eth0 nodad
-n {router} address add 10.0.0.1/24 dev to-masters
-n {router} address add fd00::1/64 dev to-masters nodad
-n {router} address add 10.0.1.1/24 dev to-replicas
-n {router} address add fd00:0:0:1::1/64 dev to-replicas nodad
-n {masters} link set eth0 up
-n {replicas} link set eth0 up
-n {router} link set to-masters up
-n {router} link set to-replicas up
-n {masters} route add default via 10.0.0.1
-n {masters} -6 route add default via fd00::1
-n {replicas} route add default via 10.0.1.1
-n {replicas} -6 route add default via fd00:0:0:1::1
"""


class Network:
    """Three namespaces, the servers and taps in them, and the system's commands there."""

    def __init__(self, server: Path) -> None:
        self.told: list[dict[str, Any]] = []  # by taps
        self._server = server
        self._directory = tempfile.TemporaryDirectory(prefix="redis-tap-network-")
        self._closing = contextlib.ExitStack()
        self._names = {one: f"tap-{os.getpid()}-{next(NUMBERS)}-{one}" for one in ("masters", "router", "replicas")}

    def up(self) -> None:
        for name in self._names.values():
            _ip(f"netns add {name}")
            _ip(f"-n {name} link set lo up")
        for line in NETWORK.strip().splitlines():
            _ip(line.format(**self._names))
        self.run("router", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")

    def down(self) -> None:
        self._closing.close()
        for name in self._names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False)
        self._directory.cleanup()

    def run(self, where: str, command: str) -> str:
        """A line of docs/network.md, with the programs of the tests."""
        path = f"{self._server.parent}:{os.environ['PATH']}"
        words = ["ip", "netns", "exec", self._names[where], "sh", "-ec", command]
        done = subprocess.run(
            words, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=WITHIN, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def server(self, where: str, address: str, *options: str, port: int = 6379, user: int | None = None) -> redis.Redis:
        """A client of a new server."""
        directory = Path(self._directory.name)
        directory.chmod(0o755)
        own = directory / f"{where}-{address}-{port}"
        own.mkdir()
        os.chown(own, user or 0, -1)
        command = [str(self._server), "--port", str(port), "--bind", *address.split(), "--dir", str(own), "--save", ""]
        command += ["--protected-mode", "no", "--unixsocket", str(own / "socket"), "--logfile", "log"]
        command += ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "3600", *options]
        self._start(where, command, user=user)
        client = redis.Redis(unix_socket_path=str(own / "socket"), socket_timeout=WITHIN, decode_responses=True)
        self._closing.callback(client.close)
        wait_until(lambda: _answers(client), what=f"a server on {address}")
        return client

    def tap(self, where: str, *options: str) -> subprocess.Popen[str]:
        process = self._start(where, [sys.executable, "-m", "tap", "run", "--transparent", "--ui", "json", *options])
        assert process.stderr is not None
        said = process.stderr.readline()
        assert "redirected here" in said, said

        def read() -> None:
            assert process.stdout is not None
            self.told.extend(json.loads(line) for line in process.stdout)

        thread = threading.Thread(target=read)
        thread.start()
        self._closing.callback(thread.join)
        self._closing.callback(process.terminate)
        return process

    def _start(self, where: str, command: list[str], user: int | None = None) -> subprocess.Popen[str]:
        words = ["ip", "netns", "exec", self._names[where]]
        if user is not None:
            words += ["setpriv", f"--reuid={user}", "--clear-groups"]
        pipe = subprocess.PIPE
        process = self._closing.enter_context(
            subprocess.Popen([*words, *command], stdout=pipe, stderr=pipe, text=True, cwd=ROOT)
        )
        self._closing.callback(process.terminate)
        return process

    def hear(self, event: str, count: int = 1, **what: object) -> dict[str, Any]:
        """The count-th event of this kind and with these values, once a tap reported it."""

        def heard() -> list[dict[str, Any]]:
            found = [one for one in self.told if one["event"] == event and what.items() <= one.items()]
            return found[count - 1 : count]

        return wait_until(heard, what=f"{count} x {event} {what}")[0]


def _ip(line: str) -> None:
    subprocess.run(["ip", *line.split()], check=True, capture_output=True, text=True)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture(scope="module")
def server() -> Path:
    missing = [one for one in ("ip", "iptables", "setpriv") if shutil.which(one) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"namespaces need root, and {' '.join(missing) or 'iptables'}")
    # redis-cli has to be beside it
    found = {name: path for name, path in programs().items() if path.with_name("redis-cli").exists()}
    name = next((name for name in MATRIX if name in found), None)
    if name is None:
        pytest.skip("no server with its redis-cli at hand; `make servers` fetches some")
    return found[name]


@pytest.fixture
def network(server: Path) -> Iterator[Network]:
    made = Network(server)
    with contextlib.ExitStack() as stack:
        stack.callback(made.down)
        try:
            made.up()
            made.run("router", "iptables -t nat -S")
        except (subprocess.CalledProcessError, AssertionError) as error:
            pytest.skip(f"no namespaces, or no iptables, on this machine: {error}")
        yield made


def is_up(replica: redis.Redis) -> bool:
    return bool(replica.info("replication").get("master_link_status") == "up")


def level(master: redis.Redis, replica: redis.Redis) -> int:
    """Wait until the replica has everything; returns the offset of both."""

    def applied() -> tuple[int] | None:
        offset = master.info("replication")["master_repl_offset"]
        info = replica.info("replication")
        return (offset,) if info.get("slave_repl_offset") == offset and is_up(replica) else None

    found = wait_until(applied, what="the replica is level with the master")
    assert found is not None
    return found[0]


def commands_of_the_page(heading: str) -> list[list[str]]:
    """The blocks of shell lines below the heading."""
    section = (ROOT / "docs" / "network.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [block.strip().splitlines() for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)]


IPTABLES, UNDO_IPTABLES, NFTABLES, UNDO_NFTABLES, OUTPUT = range(5)


@pytest.mark.parametrize("where", ["router", "masters"])
def test_a_pair_is_tapped_and_untapped_with_the_commands_of_the_page(
    network: Network, where: str, tmp_path: Path
) -> None:
    blocks = commands_of_the_page("Without telling the servers")
    run, *set_up = blocks[IPTABLES]
    master, replica = network.server("masters", MASTER), network.server("replicas", REPLICA)
    replica.replicaof(MASTER, "6379")
    wait_until(lambda: is_up(replica))
    recorded = tmp_path / "one.pcapng"
    assert run.split()[:3] == ["redis-tap", "run", "--transparent"]
    tap = network.tap(where, *run.replace("'", "").split()[3:], "-w", str(recorded))
    rule, kill = set_up
    network.run(where, rule)
    for number in range(100):
        master.set(f"before:{number}", "v")
    level(master, replica)
    assert {one["event"] for one in network.told} == {"listening"}, "a connection that was there is let alone"
    network.run(where, kill)
    name = f"{MASTER}:6379"
    assert network.hear("partial_resync")["link"] == name
    master.set("through", "the tap")
    offset = level(master, replica)
    network.hear("ack", offset=offset)
    for line in blocks[UNDO_IPTABLES]:
        network.run(where, line)
    tap.send_signal(signal.SIGINT)
    assert tap.wait(WITHIN) == 0
    wait_until(lambda: master.info("replication").get("slave0", {}).get("ip") == REPLICA, what="it is back, directly")
    level(master, replica)
    stats = master.info("stats")
    assert (stats["sync_full"], stats["sync_partial_ok"]) == (1, 2)
    said = subprocess.run(
        [sys.executable, "-m", "tap", "show", str(recorded), "--link", name, "--commands"],
        capture_output=True, text=True, cwd=ROOT, check=True,
    ).stdout  # fmt: skip
    assert "SET through" in said


def test_one_tap_serves_several_masters_over_both_versions_of_ip(network: Network) -> None:
    blocks = commands_of_the_page("Without telling the servers")
    if shutil.which("nft") is None:
        pytest.skip("no nft on this machine")
    masters = [network.server("masters", MASTER), network.server("masters", f"{OTHER_MASTER} {OTHER_MASTER_V6}")]
    replicas = [network.server("replicas", REPLICA), network.server("replicas", "fd00:0:0:1::5", port=6380)]
    names = [f"{MASTER}:6379", f"[{OTHER_MASTER_V6}]:6379"]
    fault = f"cut at=offset:+20kb link={names[1]} mode=reset times=1"
    network.tap("router", "--announce", "keep", "--fault", fault)
    for line in blocks[NFTABLES]:
        network.run("router", line)
    for replica, address in zip(replicas, (MASTER, OTHER_MASTER_V6), strict=True):
        replica.replicaof(address, "6379")
    for master, replica, name in zip(masters, replicas, names, strict=True):
        resync = network.hear("full_resync", link=name)
        assert resync["replid"] == master.info("replication")["master_replid"]
        network.hear("stream_started", link=name)
        with master.pipeline(transaction=False) as pipe:
            for number in range(1000):
                pipe.set(f"key:{number}", f"of {name}")
            pipe.execute()
        network.hear("ack", link=name, offset=level(master, replica))
        assert replica.get("key:1") == f"of {name}"
    assert masters[0].info("replication")["slave0"]["ip"] == REPLICA
    assert network.hear("fault_fired")["link"] == names[1]
    network.hear("partial_resync", link=names[1])
    assert [one["link"] for one in network.told if one["event"] == "partial_resync"] == [names[1]]
    for line in blocks[UNDO_NFTABLES]:
        network.run("router", line)
    assert network.run("router", "nft list tables").strip() == ""


def test_a_tap_on_a_replicas_machine_takes_the_connections_of_its_user(network: Network) -> None:
    rule = commands_of_the_page("Without telling the servers")[OUTPUT][0].replace("redis ", f"{NOBODY} ")
    master, replica = network.server("masters", MASTER), network.server("replicas", REPLICA, user=NOBODY)
    network.tap("replicas")
    network.run("replicas", rule)
    replica.replicaof(MASTER, "6379")
    network.hear("full_resync", link=f"{MASTER}:6379")
    master.set("key", "value")
    network.hear("ack", offset=level(master, replica))


def test_nodes_of_a_cluster_are_tapped_whichever_is_the_master(network: Network) -> None:
    rule = commands_of_the_page("Without telling the servers")[IPTABLES][1]
    here, there = (
        network.server(where, address, "--cluster-enabled", "yes", "--cluster-announce-ip", address)
        for where, address in (("masters", MASTER), ("replicas", REPLICA))
    )
    network.tap("router")
    network.run("router", rule)
    here.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
    node = here.execute_command("CLUSTER", "MYID")
    there.execute_command("CLUSTER", "MEET", MASTER, "6379")
    wait_until(lambda: node in str(there.execute_command("CLUSTER NODES")), what="the nodes know each other")
    wait_until(lambda: _is_done(there, "CLUSTER", "REPLICATE", node), what="one follows the other")
    network.hear("full_resync", link=f"{MASTER}:6379")
    wait_until(lambda: _is_done(here, "SET", "key", "value"), what="the cluster is up")
    network.hear("ack", link=f"{MASTER}:6379", offset=level(here, there))
    fail_over(there)
    wait_until(lambda: is_up(here), what="the old master follows")
    network.hear("partial_resync", link=f"{REPLICA}:6379", previous_link=f"{MASTER}:6379")
    there.set("key", "another value")
    network.hear("ack", link=f"{REPLICA}:6379", offset=level(there, here))
    assert here.info("stats")["sync_full"] == 1
    assert there.info("stats")["sync_full"] == 0


def _is_done(client: redis.Redis, *command: str) -> bool:
    """Nodes refuse until they have heard enough about each other."""
    try:
        return bool(client.execute_command(*command))
    except redis.ResponseError:
        return False


def test_a_fault_keeps_the_replicas_of_one_master_out(network: Network) -> None:
    rule = commands_of_the_page("Without telling the servers")[IPTABLES][1]
    network.server("masters", MASTER)
    network.server("masters", OTHER_MASTER)
    network.tap("router", "--fault", f"refuse link={MASTER}:6379")
    network.run("router", rule)
    assert network.run("replicas", connect(MASTER, 6379)) == "b''\n"
    assert network.run("replicas", connect(OTHER_MASTER, 6379, r"PING\r\n")) == "b'+PONG\\r\\n'\n"
    assert network.hear("fault_fired")["text"] == "closed at once"


def test_a_connection_that_was_not_redirected_is_closed_with_one_line(network: Network) -> None:
    network.tap("router")
    for address in ("10.0.1.1", "fd00:0:0:1::1"):
        assert network.run("replicas", connect(address, 6400)) == "b''\n"
    for number, peer in enumerate((REPLICA, "fd00:0:0:1::5"), 1):
        closed = network.hear("link_closed", number)
        assert (closed["link"], closed["by"], closed["how"]) == ("transparent", "tap", "error")
        assert closed["replica"] == peer
        assert closed["text"].startswith("it was not redirected by this machine")


def test_a_tap_that_is_redirected_to_itself_says_so_and_loops_only_once(network: Network) -> None:
    network.tap("router")
    network.run("router", "iptables -t nat -A OUTPUT -p tcp --syn --dport 6379 -j REDIRECT --to-ports 6400")
    assert network.run("router", connect(MASTER, 6379)) == "b''\n"
    looped = network.hear("link_closed", how="error")
    assert looped["text"].startswith(f"the tap's own connection to {MASTER}:6379 is redirected back to it")
    network.hear("link_closed", 2)
    assert sum(one["event"] == "link_opened" for one in network.told) == 2


def connect(address: str, port: int, says: str = "") -> str:
    """A command that prints the answer, or nothing if the connection ends."""
    said = f"import socket; s = socket.create_connection(('{address}', {port})); s.send(b'{says}'); print(s.recv(9))"
    return f'{sys.executable} -c "{said}"'
