"""TLS between real servers: both legs or one, with everything else as without."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tap import Address, Config, LinkConfig
from tap.replication import events
from tap.replication.events import Role, Side
from tap.servers.embedded import Server, free_port
from tests.conftest import need
from tests.recording.support import followed, packets, tshark
from tests.recording.wires import files, shown
from tests.relay.certificates import Certificates
from tests.relay.wire import Packets, Writes, add, assert_ended_with, only_link, port_of_master
from tests.support import (
    MATRIX,
    OLDEST_AND_NEWEST,
    WITHIN,
    Servers,
    TapThread,
    client,
    digest,
    follow,
    is_up,
    level,
    master_offset,
    programs,
    wait_until,
)


class TlsServers:
    """Servers with a plain port for the test, and a TLS port for replication, which requires client certificates."""

    def __init__(self, servers: Servers, certificates: Certificates) -> None:
        self._servers = servers
        self._options: tuple[str, ...] = ("tls-ca-cert-file", str(certificates.ca))
        self._options += ("tls-cert-file", str(certificates.leaf), "tls-key-file", str(certificates.leaf))
        self._certificates = certificates

    def start(self, name: str, *options: str) -> tuple[Server, int]:
        """The server and its TLS port. Skips the test if it was built without TLS."""
        program = programs()[need(name)]
        said = subprocess.run([program, "--tls-port", "none"], capture_output=True, text=True, timeout=WITHIN).stderr
        if "Bad directive" in said:
            pytest.skip(f"{name} is built without TLS")
        port = free_port()
        return self._servers.start(name, "tls-port", str(port), *self._options, *options), port

    def between(self, port: int, legs: str, **options: Any) -> Config:
        """A tap that speaks TLS on these legs. port: the master's, of the right kind."""
        of_link: dict[str, Any] = {}
        if legs in ("both", "master"):
            of_link |= {"tls": True, "cacert": self._certificates.ca, "cert": self._certificates.leaf}
        if legs in ("both", "replica"):
            of_link |= {"listen_cert": self._certificates.leaf, "listen_cacert": self._certificates.ca}
        return Config(links=(LinkConfig(master=Address("127.0.0.1", port), **of_link),), **options)


@pytest.fixture
def tls_servers(servers: Servers, certificates: Certificates) -> TlsServers:
    return TlsServers(servers, certificates)


def pair(
    tls_servers: TlsServers, name: str, legs: str = "both", *options: str, **of_tap: Any
) -> tuple[Server, Server, Config]:
    master, tls_port = tls_servers.start(name, "repl-backlog-size", "64mb", *options)
    replication = ("tls-replication", "yes" if legs in ("both", "replica") else "no")
    replica, _ = tls_servers.start(name, *replication, *options)
    return master, replica, tls_servers.between(tls_port if legs != "replica" else master.port, legs, **of_tap)


SERVER = "redis-7.0"  # reconnects at once
LEGS = [
    *(pytest.param(name, "both", marks=[] if name in OLDEST_AND_NEWEST else [pytest.mark.slow]) for name in MATRIX),
    ("redis-7.0", "master"),
    ("valkey-newest", "replica"),
]


@pytest.mark.parametrize(("name", "legs"), LEGS)
def test_full_and_partial_resyncs_have_the_masters_offsets(tls_servers: TlsServers, name: str, legs: str) -> None:
    master, replica, config = pair(tls_servers, name, legs)
    client(master).set("large", bytes(range(256)) * 20_000)
    with TapThread(config) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        assert tap.wait_for(events.RdbFinished).checksum == "ok"
        client(master).set("more", "v" * 100_000)
        level(master, replica)
        for number in range(1, 3):
            tap.cut()
            client(master).incr("counter")
            tap.wait_for(events.PartialResync, number)
            offset = level(master, replica)
            wait_until(lambda offset=offset: tap.offset() == offset)  # type: ignore[misc]
        assert digest(master) == digest(replica)
        assert client(master).info("stats")["sync_full"] == 1
        assert not tap.events(events.Opaque)
        sides = {secured.side for secured in tap.events(events.Secured)}
        assert sides == {side for side in (Side.MASTER, Side.REPLICA) if legs in ("both", side.value)}
        assert all(secured.verified for secured in tap.events(events.Secured))


@pytest.mark.parametrize("mode", ["fin", "reset"])
def test_a_cut_under_load_ends_both_legs_as_specified(tls_servers: TlsServers, mode: str) -> None:
    master, replica, config = pair(tls_servers, SERVER)
    with Packets() as packets_seen, TapThread(config) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        link = only_link(tap)
        assert link.replica.transport is not None
        assert link.master.transport is not None
        replica_port = link.replica.transport.get_extra_info("peername")[1]
        tap_port = link.master.transport.get_extra_info("sockname")[1]
        with Writes(master.port):
            add(tap, f"cut at=offset:+3mb mode={mode}")
            fired = tap.wait_for(events.FaultFired)
            tap.wait_for(events.PartialResync)
        level(master, replica)
        assert digest(master) == digest(replica)
        ends = [(closed.how, closed.text) for closed in tap.events(events.LinkClosed) if closed.by is Side.TAP]
        assert ends == [(mode, "cut by fault cut-1")]
        for by, other in ((tap.port, replica_port), (tap_port, port_of_master(tap))):
            if mode == "reset":
                assert_ended_with(mode, packets_seen, by, other)
            else:  # a server that reads close_notify may close before the FIN after it leaves
                ended = wait_until(lambda by=by, other=other: packets_seen.between(by, other))  # type: ignore[misc]
                assert {how for _, how in ended} == {"fin"}
        assert (fired.offset or 0) + 1 >= (tap.events(events.PsyncRequested)[-1].offset or 0)


def test_delay_and_damage_work_on_the_decrypted_bytes(tls_servers: TlsServers) -> None:
    master, replica, config = pair(tls_servers, SERVER, destructive=True)
    client(master).set("large", "v" * 500_000)
    with TapThread(config) as tap:
        add(tap, "delay 20ms from=master")
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        client(master).set("more", "v" * 300_000)
        level(master, replica)
        assert digest(master) == digest(replica)
        add(tap, "corrupt at=rdb:50% times=1")
        other, _ = tls_servers.start(SERVER, "tls-replication", "yes", "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: other.exit_code is not None, what="the replica ends with a damaged RDB")
        assert tap.events(events.FaultFired)[-1].phase == "rdb"


def test_a_recording_holds_the_plain_bytes_and_says_so(tls_servers: TlsServers, tmp_path: Path) -> None:
    path = tmp_path / "tls.pcapng"
    master, replica, config = pair(tls_servers, SERVER, record_to=path)
    with TapThread(config) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        client(master).set("key", "plain enough")
        level(master, replica)
    said = [comment for packet in packets(path) for comment in packet.comments if '"event":"secured"' in comment]
    assert ['"side":"replica"' in said[0], '"side":"master"' in said[1]] == [True, True]
    from_replica, from_master = followed(path)
    assert from_replica.startswith(b"*1\r\n$4\r\nPING\r\n")
    assert b"$12\r\nplain enough\r\n" in from_master
    port = port_of_master(tap)
    assert "RESP" in tshark(path, "-d", f"tcp.port=={port},resp", "-T", "fields", "-e", "_ws.col.Protocol")


def test_every_file_of_a_recording_names_the_verified_peers(tls_servers: TlsServers, tmp_path: Path) -> None:
    day = tmp_path / "day.pcapng"
    master, replica, config = pair(tls_servers, SERVER, record_to=day, record_rotate=("64kb",))
    with TapThread(config) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        writer = client(master)
        for number in range(20):
            writer.set(f"key:{number}", "v" * 30_000)
            level(master, replica)
    live = [(told.time, told.connection, told.event) for told in tap.told if isinstance(told.event, events.Secured)]
    assert len(live) == 2
    found = files(tmp_path)
    assert len(found) > 2
    for first in range(len(found)):
        heard = shown(found[first:])
        secured = [(told.time, told.connection, told.event) for told in heard if isinstance(told.event, events.Secured)]
        assert secured == live
    kinds = [told.event.kind for told in shown(found)]
    assert kinds[:3] == ["link_opened", "secured", "secured"]


TWO_CONNECTIONS = [("redis-8.0", "repl-rdb-channel"), ("valkey-newest", "dual-channel-replication-enabled")]


@pytest.mark.parametrize(("name", "option"), TWO_CONNECTIONS)
def test_a_master_may_end_its_rdb_channel_before_the_replica_has_everything(
    tls_servers: TlsServers, name: str, option: str
) -> None:
    """Redis 8.0 does so with a close_notify that cannot be read."""
    master, replica, config = pair(tls_servers, name, "both", option, "yes", "repl-diskless-load", "swapdb")
    writer = client(master)
    for number in range(10):
        writer.set(f"large:{number}", os.urandom(1_000_000))
    with TapThread(config) as tap:
        add(tap, "delay 500ms from=master channel=rdb")
        follow(replica, tap.port)
        level(master, replica)
        assert digest(master) == digest(replica)
        assert client(master).info("stats")["sync_full"] == 1
        ended = tap.wait_for(events.LinkClosed)
        assert (ended.role, ended.how, ended.text) == (Role.RDB_CHANNEL, "fin", "")


# ---- mistakes ----


def test_a_master_that_requires_a_certificate_is_reported(tls_servers: TlsServers, certificates: Certificates) -> None:
    master, tls_port = tls_servers.start(SERVER)
    link = LinkConfig(master=Address("127.0.0.1", tls_port), tls=True, cacert=certificates.ca)
    with TapThread(Config(links=(link,))) as tap:
        tls_servers.start(SERVER, "replicaof", f"127.0.0.1 {tap.port}")
        closed = tap.wait_for(events.LinkClosed)
        assert closed.by is Side.MASTER
        assert "require" in closed.text
        assert "--cert and --key" in closed.text
    assert master_offset(master) == 0


def test_a_plain_replica_with_a_master_of_tls_is_reported(tls_servers: TlsServers) -> None:
    _, tls_port = tls_servers.start(SERVER)
    with TapThread(tls_servers.between(tls_port, "none")) as tap:
        tls_servers.start(SERVER, "replicaof", f"127.0.0.1 {tap.port}")
        closed = tap.wait_for(events.LinkClosed)
        assert closed.by is Side.MASTER
        assert "--tls" in closed.text


def test_a_mismatch_of_replica_and_listener_is_reported(tls_servers: TlsServers) -> None:
    master, _ = tls_servers.start(SERVER)
    with TapThread(tls_servers.between(master.port, "replica")) as tap:
        tls_servers.start(SERVER, "replicaof", f"127.0.0.1 {tap.port}")
        assert "the replica speaks no TLS" in tap.wait_for(events.LinkClosed).text
    with TapThread(tls_servers.between(master.port, "none")) as tap:
        tls_servers.start(SERVER, "tls-replication", "yes", "replicaof", f"127.0.0.1 {tap.port}")
        assert "--listen-cert" in tap.wait_for(events.Opaque).reason
