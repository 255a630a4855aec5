"""The systemd unit: what systemd says of it, and the service as a machine runs it that systemd has booted."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tap.config import file as config_file
from tap.servers.embedded import Server, free_port
from tests.packaging.machine import Machine
from tests.relay.certificates import Certificates
from tests.support import ROOT, WITHIN, Servers, client, follow, info_of, is_up, level, programs, wait_until

UNITS = ROOT / "packaging" / "systemd"
UNIT = UNITS / "redis-tap@.service"
DROP_INS = sorted(UNITS.glob("*.conf"))
# In tenths: 0 is safe, 100 exposed. What is left is that it uses the network, and with watch.conf that it captures.
EXPOSURE, EXPOSURE_OF_WATCH = 12, 17
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def analyzed(directory: Path, *arguments: str, drop_in: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says of the unit, with this drop-in if there is one, where the tap is installed."""
    tap = directory / "redis-tap"
    shutil.copy("/bin/true", tap)
    unit = directory / "redis-tap@orders.service"
    text = UNIT.read_text()
    if drop_in is not None:  # 252 reads no drop-in of a unit that is not installed; a section may be repeated
        text += drop_in.read_text()
    unit.write_text(text.replace("/opt/redis-tap/bin/redis-tap", str(tap)))
    return subprocess.run(
        ["systemd-analyze", *arguments, str(unit)], capture_output=True, text=True, timeout=30, check=False
    )


@needs_systemd
@pytest.mark.parametrize("drop_in", [None, *DROP_INS], ids=lambda path: path.name if path else "alone")
def test_systemd_finds_nothing_wrong(drop_in: Path | None, tmp_path: Path) -> None:
    done = analyzed(tmp_path, "verify", "--recursive-errors=no", "--man=no", drop_in=drop_in)
    assert not [line for line in done.stderr.splitlines() if "Command /usr/sbin/nft is not executable" not in line]
    assert done.returncode == 0 or done.stderr


@needs_systemd
@pytest.mark.parametrize("drop_in", [None, *DROP_INS], ids=lambda path: path.name if path else "alone")
def test_little_is_exposed(drop_in: Path | None, tmp_path: Path) -> None:
    most = EXPOSURE_OF_WATCH if drop_in is not None and drop_in.name == "watch.conf" else EXPOSURE
    done = analyzed(tmp_path, "security", "--offline=true", f"--threshold={most}", drop_in=drop_in)
    assert done.returncode == 0, done.stdout


def test_the_example_is_a_configuration() -> None:
    (link,) = config_file.load(UNITS / "orders.toml").links
    assert link.listen.port == 6400


# ---- the service ----

API = "/run/redis-tap/orders/api.sock"


class Service:
    """redis-tap@orders in a machine, which has the unit and nothing of the tap's own yet."""

    name = "redis-tap@orders.service"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        units = machine.root / "etc/systemd/system"
        shutil.copy(UNIT, units)
        self._drop_ins = units / "redis-tap@orders.service.d"
        self._drop_ins.mkdir()
        said = "StandardOutput=append:/said\nStandardError=append:/said\n"  # in place of a journal
        (self._drop_ins / "said.conf").write_text(f"[Service]\n{said}")
        self.port = free_port()

    def drop_in(self, path: Path, text: str = "") -> None:
        """text: of the file, if it differs from that of the repository."""
        (self._drop_ins / path.name).write_text(text or path.read_text())

    def configure(self, *links: str, above: str = "") -> None:
        path = self.machine.root / "etc/redis-tap/orders.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join((above, *links)))

    def link(self, master: Server, *more: str) -> str:
        lines = ("[links.orders]", f'listen = "127.0.0.1:{self.port}"', f'master = "{master.address}"', *more)
        return "\n".join(lines)

    def said(self) -> str:
        path = self.machine.root / "said"
        return path.read_text() if path.exists() else ""

    def asked(self, path: str, *headers: str) -> int:
        """The status with which the API answers this GET."""
        with_headers = [word for header in headers for word in ("--header", header)]
        answer = ("--silent", "--output", "/dev/null", "--write-out", "%{http_code}")
        return int(self.machine.run("curl", *answer, "--unix-socket", API, *with_headers, f"http://tap{path}"))

    def shows(self, name: str) -> str:
        return self.machine.shows(self.name, name)

    def wait(self, name: str, value: str) -> None:
        wait_until(lambda: self.shows(name) == value, what=f"{name} {value}")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Machine(tmp_path / "machine") as machine:
        yield Service(machine)


def test_the_service_runs_without_any_privilege_and_comes_back(
    service: Service, servers: Servers, any_server: str
) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    machine = service.machine
    service.configure(service.link(master), above='record_to = "recordings"\nrecord_rotate = ["1gb"]')
    machine.run("systemctl", "start", service.name)
    follow(replica, service.port)
    wait_until(lambda: is_up(replica))

    pid = service.shows("MainPID")
    status = dict(line.split(":\t", 1) for line in machine.run("cat", f"/proc/{pid}/status").splitlines())
    assert "0" not in status["Uid"].split()
    assert {int(status[name], 16) for name in status if name.startswith("Cap")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert service.asked("/readyz") == 200
    assert machine.run("stat", "--format=%a %U", API) == "600 redis-tap\n"
    (recording,) = (machine.root / "var/lib/private/redis-tap/orders").iterdir()
    assert recording.stat().st_mode & 0o777 == 0o600

    full_resyncs = info_of(master, "stats")["sync_full"]
    machine.run("kill", "-9", pid)
    wait_until(lambda: service.shows("MainPID") not in (pid, "0"), what="a new process")
    wait_until(lambda: is_up(replica))
    client(master).set("key", "after")
    level(master, replica)
    assert info_of(master, "stats")["sync_full"] == full_resyncs

    machine.run("systemctl", "stop", service.name)
    assert service.shows("Result") == "success"


def test_a_reload_adds_a_link_and_leaves_the_others_alone(service: Service, servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    service.configure(service.link(master))
    service.machine.run("systemctl", "start", service.name)
    follow(replica, service.port)
    wait_until(lambda: is_up(replica))
    full_resyncs, pid = info_of(master, "stats")["sync_full"], service.shows("MainPID")
    port = free_port()
    another = f'[links.another]\nlisten = "127.0.0.1:{port}"\nmaster = "{master.address}"'
    service.configure(service.link(master), another)
    service.machine.run("systemctl", "reload", service.name)
    wait_until(lambda: service.asked("/v1/links/another") == 200, what="the second link")
    assert client(port).ping()
    level(master, replica)
    stats = info_of(master, "stats")
    assert (stats["sync_full"], stats["sync_partial_ok"]) == (full_resyncs, "0")
    assert service.shows("MainPID") == pid


def test_a_tap_that_hangs_is_started_again(service: Service, servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    service.configure(service.link(master))
    service.drop_in(UNIT.with_name("soon.conf"), "[Service]\nWatchdogSec=1\n")
    service.machine.run("systemctl", "start", service.name)
    follow(replica, service.port)
    wait_until(lambda: is_up(replica))
    full_resyncs, pid = info_of(master, "stats")["sync_full"], service.shows("MainPID")
    service.machine.run("kill", "-STOP", pid)
    wait_until(lambda: service.shows("MainPID") not in (pid, "0"), what="a new process")
    wait_until(lambda: info_of(master, "stats")["sync_partial_ok"] == "1", what="the replica is back")
    assert info_of(master, "stats")["sync_full"] == full_resyncs


def test_a_wrong_configuration_ends_the_service_for_good(service: Service, nobody: int) -> None:
    service.configure(f'[links.orders]\nlisten = "127.0.0.1:{service.port}"\nmaster = "127.0.0.1:{nobody}"\nmaks = "x"')
    service.machine.run("systemctl", "start", service.name, check=False)
    service.wait("ActiveState", "failed")
    assert service.shows("ExecMainStatus") == "2"
    assert service.shows("NRestarts") == "0"
    assert "maks" in service.said()


def test_passwords_and_keys_come_as_credentials(
    service: Service, servers: Servers, any_server: str, tmp_path: Path
) -> None:
    """An encrypted key of the listening side, and its password, in files that only root can read."""
    made = Certificates(tmp_path / "made")
    store = service.machine.root / "etc/credstore"
    certificate, key = made.with_encrypted_key(b"opensesame")
    (store / "redis-tap.orders.listen-cert.pem").write_text(key.read_text() + certificate.read_text())
    (store / "redis-tap.orders.listen-key-password").write_text("opensesame\n")
    (store / "redis-tap.orders.api-token").write_text("0123456789abcdef\n")
    for path in store.iterdir():
        path.chmod(0o600)
    master = servers.start(any_server)
    place = f"/run/credentials/{service.name}/listen-cert.pem"
    service.configure(service.link(master, f'listen_cert = "{place}"'))
    service.machine.run("systemctl", "start", service.name)
    trusting = redis.Redis(port=service.port, ssl=True, ssl_ca_certs=str(made.ca), ssl_check_hostname=False)
    assert trusting.ping()
    assert service.asked("/v1/links") == 401
    assert service.asked("/v1/links", "Authorization: Bearer 0123456789abcdef") == 200


def test_a_configuration_that_only_root_reads(service: Service, servers: Servers, any_server: str) -> None:
    service.drop_in(UNITS / "secret-config.conf")
    service.configure(service.link(servers.start(any_server)))
    (service.machine.root / "etc/redis-tap/orders.toml").chmod(0o600)
    service.machine.run("systemctl", "start", service.name)


def test_watching_needs_no_more_than_to_capture(service: Service, servers: Servers, any_server: str) -> None:
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed")
    master, replica = servers.start(any_server), servers.start(any_server)
    text = (UNITS / "watch.conf").read_text().replace("-i eth0", f"-i lo --port {master.port}")
    service.drop_in(UNITS / "watch.conf", text)
    service.machine.run("systemctl", "start", service.name)
    wait_until(lambda: "watching" in service.said(), what="it captures")
    follow(replica, master.port)
    wait_until(lambda: "the stream begins" in service.said(), what="what it has seen")
    service.machine.run("systemctl", "stop", service.name)
    assert service.shows("Result") == "success"


def test_the_redirecting_rule_exists_as_long_as_the_tap(any_server: str, tmp_path: Path) -> None:
    """A replica on another host, which dials the master at its own address all the time."""
    if any(shutil.which(program) is None for program in ("ip", "nft")):
        pytest.skip("redirecting connections needs ip and nft")
    with contextlib.ExitStack() as closing:
        machine = closing.enter_context(Machine(tmp_path / "machine", has_own_network=True))
        service = Service(machine)
        service.drop_in(UNITS / "transparent.conf")
        service.configure('[links.any]\ntransparent = true\nlisten = "*:6400"')
        there = f"tap-{os.getpid()}-replicas"
        for line in (
            f"netns add {there}",
            f"link add tap-replica netns {there} type veth peer name tap-master netns {machine.init}",
            f"-n {there} addr add 10.9.0.1/24 dev tap-replica",
            f"-n {there} link set tap-replica up",
        ):
            subprocess.run(["ip", *line.split()], check=True)
            if line.startswith("netns"):
                closing.callback(subprocess.run, ["ip", "netns", "delete", there], check=True)
        machine.run("ip", "addr", "add", "10.9.0.2/24", "dev", "tap-master")
        machine.run("ip", "link", "set", "tap-master", "up")
        here = ("nsenter", f"--net=/proc/{machine.init}/ns/net")
        master = closing.enter_context(started(any_server, *here, bind="10.9.0.2"))
        replica = closing.enter_context(started(any_server, "ip", "netns", "exec", there, bind="10.9.0.1"))

        machine.run("systemctl", "start", service.name)
        assert "redirect to :6400" in machine.run("nft", "list", "table", "inet", "redis_tap")
        replica.replicaof("10.9.0.2", "6379")
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up")
        assert "FULL RESYNC" in service.said()

        machine.run("kill", "-9", service.shows("MainPID"))
        wait_until(lambda: master.info("stats")["sync_partial_ok"] == 1, what="the replica's way back")
        machine.run("systemctl", "stop", service.name)
        assert machine.run("nft", "list", "tables") == ""
        assert replica.info("replication")["master_link_status"] == "up"


@contextlib.contextmanager
def started(server: str, *where: str, bind: str) -> Iterator[redis.Redis]:
    """A client of a server in another network, through a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="redis-tap-unit-") as place:
        options = {"port": 6379, "bind": bind, "unixsocket": f"{place}/s", "save": "", "protected-mode": "no"}
        options |= {"repl-diskless-sync-delay": 0, "dir": place}
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        with (
            subprocess.Popen([*where, str(programs()[server]), *words], stdout=subprocess.DEVNULL) as process,
            redis.Redis(unix_socket_path=f"{place}/s", socket_timeout=WITHIN) as client,
        ):
            try:
                wait_until(Path(place, "s").is_socket, what="a server")
                yield client
            finally:
                process.kill()
