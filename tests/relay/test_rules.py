"""What a link changes in every handshake, between real servers: the address they see, the dialect they speak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tap import Address, Config, LinkConfig
from tap.replication import events
from tap.replication.events import Channel, Transfer
from tap.servers.embedded import LOOPBACK, Server, free_port, own_loopback
from tests.conftest import need
from tests.relay.sentinel import sentinel
from tests.support import Servers, TapThread, client, digest, follow, is_up, level, master_offset, wait_until

DUAL = ("dual-channel-replication-enabled", "yes")


def before(master: Server, **options: Any) -> Config:
    return Config(links=(LinkConfig(master=Address(master.host, master.port)),), **options)


def replica_elsewhere(servers: Servers, name: str, *options: str) -> Server:
    """A replica whose connections come from another address than the tap's."""
    host = own_loopback()
    if host == LOOPBACK:
        pytest.skip("this system has one loopback address")
    source = () if name == "redis-6.2" else ("bind-source-addr", host)  # 6.2 uses the address it is bound to
    return servers.start(name, *options, *source, host=host)


def seen_by(master: Server) -> list[str]:
    """The addresses of its replicas."""
    info = client(master).info("replication")
    found = [value for key, value in info.items() if key.startswith("slave") and isinstance(value, dict)]
    return [f"{one['ip']}:{one['port']}" for one in found]


def goes_unread(tap: TapThread) -> bool:
    """Whether bytes pass before they are parsed again: nothing holds them."""
    return all(link.faults is None for link in tap.tap.links)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("redis-6.2", ()),
        ("redis-7.0", ()),
        ("redis-8.0", ()),
        ("redis-newest", ()),
        ("valkey-8.1", DUAL),
        ("valkey-newest", ()),
        ("valkey-newest", DUAL),
    ],
)
def test_the_master_sees_the_replicas_own_address(servers: Servers, name: str, options: tuple[str, ...]) -> None:
    master = servers.start(need(name), *options)
    replica = replica_elsewhere(servers, name, *options)
    client(master).set("key", "value")
    with TapThread(before(master, announce="keep")) as tap:
        follow(replica, tap.port)
        level(master, replica)
        address = f"{replica.host}:{replica.port}"
        wait_until(lambda: seen_by(master) == [address])
        assert digest(master) == digest(replica)
        changed = [event for event in tap.events(events.Handshake) if event.sent is not None]
        assert changed[0].request == ("REPLCONF", "listening-port", str(replica.port))
        assert changed[0].sent == (*changed[0].request, "ip-address", replica.host)
        assert {event.reply for event in changed} == {"+OK"}
        assert len(tap.events(events.FullResync)) == 1
        assert not tap.events(events.FaultFired)
        wait_until(lambda: goes_unread(tap))
        client(master).set("key", "another")
        level(master, replica)
        assert tap.offset() == master_offset(master)


def test_without_keep_the_master_sees_the_tap(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), replica_elsewhere(servers, any_server)
    with TapThread(before(master)) as tap:
        follow(replica, tap.port)
        level(master, replica)
        assert seen_by(master) == [f"{LOOPBACK}:{replica.port}"]


@pytest.mark.parametrize("name", ["redis-7.0", "redis-newest", "valkey-8.1", "valkey-newest"])
def test_an_address_that_the_replica_announces_itself_stays(servers: Servers, name: str) -> None:
    options = DUAL if name.startswith("valkey") else ()
    master = servers.start(need(name), *options)
    replica = replica_elsewhere(servers, name, *options, "replica-announce-ip", "10.1.2.3")
    with TapThread(before(master, announce="keep")) as tap:
        follow(replica, tap.port)
        level(master, replica)
        wait_until(lambda: seen_by(master) == [f"10.1.2.3:{replica.port}"])
        assert digest(master) == digest(replica)


def test_the_address_is_kept_before_a_master_on_a_unix_socket(servers: Servers, any_server: str, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    master, replica = servers.start(any_server, "unixsocket", path), replica_elsewhere(servers, any_server)
    config = Config(links=(LinkConfig(master=Address(path=path), announce="keep"),))
    with TapThread(config) as tap:
        follow(replica, tap.port)
        level(master, replica)
        assert seen_by(master) == [f"{replica.host}:{replica.port}"]


def test_a_replica_on_ipv6_is_seen_as_such(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    config = Config(links=(LinkConfig(master=Address(LOOPBACK, master.port), listen=Address("::1", 0), announce="keep"),))
    with TapThread(config) as tap:
        client(replica).execute_command("REPLICAOF", "::1", str(tap.port))
        level(master, replica)
        assert seen_by(master) == [f"::1:{replica.port}"]


@pytest.mark.parametrize("name", ["redis-7.0", "valkey-newest"])
def test_a_sentinel_finds_and_promotes_the_replica(servers: Servers, name: str, tmp_path: Path) -> None:
    master, replica = servers.start(need(name)), replica_elsewhere(servers, name)
    client(master).set("key", "value")
    address = f"{replica.host}:{replica.port}"
    with TapThread(before(master, announce="keep")) as tap:
        follow(replica, tap.port)
        level(master, replica)
        wait_until(lambda: seen_by(master) == [address])
        with sentinel(name, tmp_path, tap.port) as watch:
            wait_until(lambda: watch.replicas == {address: "slave"}, what="the Sentinel reaches the replica")
            master.kill()
            wait_until(lambda: watch.master == address, what="the replica is promoted")
            wait_until(lambda: client(replica).role()[0] in ("master", b"master"))
            assert client(replica).get("key") == b"value"


@pytest.mark.parametrize("name", ["redis-7.0", "valkey-newest"])
def test_a_cluster_and_its_master_name_the_replica_alike(servers: Servers, name: str) -> None:
    """The cluster has its address from the bus, the master from the replica's handshake through the tap."""
    options = ("cluster-enabled", "yes", "cluster-port")
    master = servers.start(need(name), *options, str(free_port()))
    replica = replica_elsewhere(servers, name, *options, str(free_port()))
    of_master, of_replica = client(master), client(replica)
    bus = str(of_master.config_get("cluster-port")["cluster-port"])
    with TapThread(before(master, announce="keep")) as tap:
        settings: dict[str, str | int] = {
            "cluster-announce-ip": LOOPBACK,
            "cluster-announce-port": tap.port,
            "cluster-announce-bus-port": bus,
        }
        for option, value in settings.items():
            of_master.config_set(option, value)
        of_replica.config_set("cluster-announce-ip", replica.host)
        of_replica.execute_command("CLUSTER", "MEET", LOOPBACK, tap.port, bus)
        number = of_master.execute_command("CLUSTER", "MYID").decode()
        wait_until(lambda: number in str(of_replica.execute_command("CLUSTER", "NODES")))
        of_replica.execute_command("CLUSTER", "REPLICATE", number)
        wait_until(lambda: is_up(replica))
        address = f"{replica.host}:{replica.port}"
        wait_until(lambda: seen_by(master) == [address])
        wait_until(lambda: f"{address}@" in str(of_master.execute_command("CLUSTER", "NODES")))
        assert tap.events(events.FullResync)


# ---- masks ----


def rdbs(tap: TapThread) -> list[tuple[Channel, Transfer]]:
    return [(event.channel, event.transfer) for event in tap.events(events.RdbStarted)]


ON_DISK, DISKLESS = (Channel.MAIN, Transfer.DISK), (Channel.MAIN, Transfer.DISKLESS)


@pytest.mark.parametrize(
    ("name", "options", "mask", "expected"),
    [
        ("redis-6.2", ("repl-diskless-sync", "yes"), "eof", ON_DISK),
        ("redis-7.0", (), "eof", ON_DISK),
        ("redis-8.0", (), "eof", ON_DISK),
        ("redis-newest", (), "rdb-channel-repl", DISKLESS),
        ("redis-8.0", (), "rdb-channel-repl", DISKLESS),
        ("valkey-8.1", DUAL, "eof", ON_DISK),
        ("valkey-newest", DUAL, "eof", ON_DISK),
        ("valkey-8.1", DUAL, "dual-channel", DISKLESS),
        ("valkey-newest", DUAL, "dual-channel", DISKLESS),
    ],
)
def test_a_masked_capability_makes_the_pair_speak_a_plainer_dialect(
    servers: Servers, name: str, options: tuple[str, ...], mask: str, expected: tuple[Channel, Transfer]
) -> None:
    master, replica = servers.start(need(name), *options), servers.start(name, *options)
    client(master).set("key", "value")
    with TapThread(before(master, mask=(f"capa:{mask}",))) as tap:
        follow(replica, tap.port)
        level(master, replica)
        assert rdbs(tap) == [expected]
        assert digest(master) == digest(replica)
        (changed,) = [event for event in tap.events(events.Handshake) if event.sent is not None]
        assert mask in changed.request
        assert mask not in (changed.sent or ())
        wait_until(lambda: goes_unread(tap))
        assert tap.offset() == master_offset(master)


@pytest.mark.parametrize("name", ["redis-7.0", "redis-newest", "valkey-newest"])
def test_a_replica_without_psync2_keeps_the_old_replication_id(servers: Servers, name: str) -> None:
    """It resyncs partially when its master is promoted, and in full the next time, when that ID has ended."""
    top, master, replica = (servers.start(need(name)) for _ in range(3))
    follow(master, top.port)
    level(top, master)
    with TapThread(before(master, mask=("capa:psync2",))) as tap:
        follow(replica, tap.port)
        client(top).set("key", "value")
        level(top, master, replica)
        client(master).execute_command("REPLICAOF", "NO", "ONE")
        first = tap.wait_for(events.PartialResync)
        assert first.previous_replid is None
        wait_until(lambda: is_up(replica))
        client(master).set("key", "another")
        level(master, replica)
        assert client(replica).info("replication")["master_replid"] == first.replid
        assert client(master).info("replication")["master_replid"] != first.replid
        tap.cut()
        assert tap.wait_for(events.FullResync, 2).reason.code == "replication_id_unknown"
        level(master, replica)
        assert digest(master) == digest(replica)
        assert tap.offset() == master_offset(master)
