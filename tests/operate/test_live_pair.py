"""What is found of a live pair, and what is refused with a reason before anything changes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tap.errors import ConfigError, EnvironmentFailure, TapError
from tap.operate import live_pair
from tap.operate.live_pair import LivePair, _dialled, examine
from tap.url import Address, Url
from tests.operate.pairs import Pair, load, start_pair
from tests.support import Servers, client, is_up, wait_until


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_pair, "WATCHED_SECONDS", 0.3)


@pytest.fixture
def pair(servers: Servers, any_server: str) -> Pair:
    return start_pair(servers, any_server)


def examined(url: Url, master: str | None = None) -> LivePair:
    return asyncio.run(examine(url, None if master is None else Url.parse(master), {}))


def test_a_pair_is_found_from_its_replica(servers: Servers, server_name: str) -> None:
    pair = start_pair(servers, server_name)
    found = examined(pair.url)
    assert found.followed == found.master.address == pair.master.address
    assert (found.here, found.seen_as) == ("127.0.0.1", "127.0.0.1")
    assert (found.forecast.is_partial, found.is_syncing, found.sub_replicas, found.unseen) == (True, False, 0, ())
    assert found.tls_replication is not True


def test_the_login_of_the_replica_at_its_master_is_tried_first(servers: Servers, any_server: str) -> None:
    pair = start_pair(servers, any_server)
    client(pair.replica).config_set("masterauth", "s3cret")
    client(pair.master).config_set("requirepass", "s3cret")
    found = examined(pair.url)
    assert found.forecast.is_partial
    assert "s3cret" not in repr(found)


def test_a_login_that_may_not_run_info_is_not_enough(pair: Pair) -> None:
    master = client(pair.master)
    master.execute_command("ACL SETUSER repl on >pw +psync +replconf +ping")
    client(pair.replica).config_set("masteruser", "repl")
    client(pair.replica).config_set("masterauth", "pw")
    master.execute_command("ACL SETUSER ops on >pw2 +info +client")
    master.execute_command("ACL SETUSER default resetpass >other")
    found = examined(pair.url)
    assert not found.forecast.is_partial
    assert "has no permissions to run the 'info' command" in found.forecast.text
    assert f"--master redis://USER:PASSWORD@{pair.master.address} gives a login" in found.forecast.text
    assert examined(pair.url, f"redis://ops:pw2@{pair.master.address}").forecast.is_partial


def test_a_backlog_that_is_too_small_for_the_load_is_told_with_the_size_that_would_do(pair: Pair) -> None:
    client(pair.master).config_set("repl-backlog-size", "16kb")
    with load(pair.master):
        found = examined(pair.url).forecast
    assert not found.is_partial
    assert "on the master, CONFIG SET repl-backlog-size" in found.text


def test_a_master_that_needs_its_replicas_is_noticed(pair: Pair) -> None:
    assert not examined(pair.url).needs_replicas
    client(pair.master).config_set("min-replicas-to-write", "1")
    assert examined(pair.url).needs_replicas


def test_another_master_at_that_address_is_noticed(pair: Pair, servers: Servers, any_server: str) -> None:
    other = start_pair(servers, any_server)
    found = examined(pair.url, str(other.master.address)).forecast
    assert "this may not be the master that the replica follows" in found.text


def test_a_full_resync_in_progress_is_seen(servers: Servers, any_server: str) -> None:
    pair = start_pair(servers, any_server)
    late = servers.start(any_server)
    client(pair.master).mset({f"key:{number}": "x" for number in range(500)})
    client(pair.master).config_set("rdb-key-save-delay", "20000")  # 10 s for all
    client(late).execute_command("REPLICAOF", pair.master.host, str(pair.master.port))
    wait_until(lambda: client(late).info("replication").get("master_sync_in_progress") == 1)
    assert not is_up(late)
    assert examined(Url(late.address)).is_syncing


def test_a_master_and_a_server_that_is_not_there_are_refused(pair: Pair, nobody: int) -> None:
    with pytest.raises(ConfigError, match="is a master: give the URL of a replica"):
        examined(Url(pair.master.address))
    with pytest.raises(EnvironmentFailure, match=f"127.0.0.1:{nobody}, the replica: Connection refused"):
        examined(Url(Address("127.0.0.1", nobody)))
    with pytest.raises(EnvironmentFailure, match=f"127.0.0.1:{nobody}, the master of this replica, cannot be reached"):
        examined(pair.url, f"127.0.0.1:{nobody}")


@pytest.mark.parametrize("where", ["master", "replica"])
def test_sentinel_in_charge_is_a_reason_not_to(where: str, pair: Pair) -> None:
    watcher = client(pair.master if where == "master" else pair.replica)
    with watcher.client() as one:
        one.client_setname("sentinel-4063b87f-cmd")
        with pytest.raises(TapError, match=r"Sentinel watches .*back to that, within seconds") as refused:
            examined(pair.url)
    assert refused.value.exit_code == 1


def test_a_node_of_a_cluster_is_refused(servers: Servers, any_server: str) -> None:
    node = servers.start(any_server, "cluster-enabled", "yes")
    with pytest.raises(TapError, match="is a node of a Cluster, which decides itself who follows whom"):
        examined(Url(node.address))


def test_what_may_not_be_looked_at_is_told(pair: Pair) -> None:
    client(pair.replica).execute_command("ACL SETUSER few on >pw +info +replicaof")
    found = examined(replace(pair.url, username="few", password="pw"))
    assert len(found.unseen) == 4
    assert found.unseen[0].startswith(f"CLIENT LIST of {pair.replica.address}, the replica, and so whether Sentinel")
    assert found.tls_replication is None


def test_the_loopback_of_another_machine_is_that_machine() -> None:
    here, there = Address("127.0.0.1", 6379), Address("10.0.0.6", 6380)
    assert _dialled(here, there) == Address("10.0.0.6", 6379)
    assert _dialled(here, Address("127.0.0.2", 1)) == here
    assert _dialled(here, Address(path="/run/redis.sock")) == here
    assert _dialled(Address("10.0.0.5", 6379), there) == Address("10.0.0.5", 6379)
