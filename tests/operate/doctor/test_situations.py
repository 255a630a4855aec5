"""Pairs of real servers with one thing wrong: it is found, and what is pasted ends it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tap.errors import EnvironmentFailure
from tap.servers.embedded import Server, free_port
from tests.conftest import need
from tests.operate.doctor.pasting import codes, examined, finds, paste
from tests.operate.doctor.surroundings import OUTER, in_own_network, shifted_clock, tls_options
from tests.relay.certificates import Certificates
from tests.relay.sentinel import sentinel
from tests.support import MATRIX, Servers, client, follow, info_of, is_up, level, versions, wait_until

SECRET = "wJalrXUtnFEMI"


@pytest.fixture(params=versions(quick=MATRIX[:1]))
def pair(servers: Servers, request: pytest.FixtureRequest) -> tuple[Server, Server]:
    """Each situation with the oldest server, and in the slow tests with all."""
    name = need(request.param)
    master, replica = servers.start(name), servers.start(name)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))
    return master, replica


def sets(which: str, **options: str) -> Callable[[Server, Server], None]:
    def prepare(master: Server, replica: Server) -> None:
        for name, value in options.items():
            client(master if which == "master" else replica).config_set(name.replace("_", "-"), value)

    return prepare


def no_master(master: Server, replica: Server) -> None:
    client(replica).execute_command("REPLICAOF", "NO", "ONE")


def unwanted_login(master: Server, replica: Server) -> None:
    client(replica).config_set("masterauth", SECRET)
    reconnect(master)


def reconnect(master: Server) -> None:
    client(master).execute_command("CLIENT", "KILL", "TYPE", "replica")


SITUATIONS: dict[str, Callable[[Server, Server], None]] = {
    "master_without_persistence": sets("master", save=""),
    "replica_without_persistence": sets("replica", save=""),
    "min_replicas_not_met": sets("master", min_replicas_to_write="2"),
    "min_replicas_lag_too_short": sets("master", min_replicas_to_write="1", min_replicas_max_lag="1"),
    "timeout_too_short": sets("replica", repl_timeout="5"),
    "replica_memory_smaller": sets("replica", maxmemory="2mb", maxmemory_policy="noeviction"),
    "replica_writable": sets("replica", replica_read_only="no"),
    "not_a_replica": no_master,
    "masterauth_not_wanted": unwanted_login,
}


@pytest.mark.parametrize("code", SITUATIONS)
def test_a_situation_is_found_and_ended(code: str, pair: tuple[Server, Server]) -> None:
    master, replica = pair
    client(master).set("k", "v" * 2**21)  # more than maxmemory of the replica above
    SITUATIONS[code](master, replica)
    finding = finds(code, master.url, replica.url)
    paste(finding.remedy)
    wait_until(lambda: is_up(replica))
    wait_until(lambda: code not in codes(examined(master.url, replica.url)), what=f"the end of {code}")


def test_a_password_that_the_replica_lacks_is_found_and_ended(pair: tuple[Server, Server]) -> None:
    master, replica = pair
    client(master).config_set("requirepass", SECRET)
    reconnect_with_password(master)
    url = f"redis://:{SECRET}@127.0.0.1:{master.port}"
    finding = finds("masterauth_missing", url, replica.url)
    paste(finding.remedy, {"MASTERAUTH": SECRET})
    wait_until(lambda: is_up(replica))
    assert not codes(examined(url, replica.url)) & {"masterauth_missing", "link_down"}
    assert SECRET not in repr(examined(url, replica.url))


def reconnect_with_password(master: Server) -> None:
    paste([f"redis-cli -h 127.0.0.1 -p {master.port} CLIENT KILL TYPE replica"], password=SECRET)


@pytest.fixture
def written(pair: tuple[Server, Server]) -> Iterator[tuple[Server, Server]]:
    """A pair whose master is written to at about 1 MB/s."""
    ended = threading.Event()
    writer = client(pair[0])

    def write() -> None:
        while not ended.wait(0.1):
            writer.set("k", "v" * 100_000)

    thread = threading.Thread(target=write)
    thread.start()
    yield pair
    ended.set()
    thread.join()


def test_a_small_backlog_is_found_while_it_is_written_to_and_ended(written: tuple[Server, Server]) -> None:
    master, replica = written
    finding = finds("backlog_too_small", master.url, replica.url, seconds=1.0)
    paste(finding.remedy)
    assert "backlog_too_small" not in codes(examined(master.url, replica.url, seconds=1.0))


def test_a_small_output_buffer_is_found_while_the_master_is_written_to_and_ended(written: tuple[Server, Server]) -> None:
    master, replica = written
    client(master).config_set("client-output-buffer-limit", "replica 1mb 1mb 60")
    client(master).config_set("repl-backlog-size", "1mb")  # a smaller limit than the backlog does not count
    client(master).config_set("repl-diskless-sync", "yes")
    client(master).config_set("repl-diskless-sync-delay", "5")
    for server in written:
        if server.version.startswith("Redis 8"):
            client(server).config_set("repl-rdb-channel", "no")
    finding = finds("output_buffer_too_small", master.url, replica.url, seconds=1.0)
    assert "x 7 s (5 s delay, 1 s transfer and 1 s load" in finding.text
    paste(finding.remedy)
    # As much again is needed if the next second is twice as busy; the value has that margin.
    assert "output_buffer_too_small" not in codes(examined(master.url, replica.url, seconds=1.0))


def test_a_replica_of_another_master_is_found_and_ended(servers: Servers, any_server: str) -> None:
    master, other, replica = (servers.start(any_server) for _ in range(3))
    follow(replica, other.port)
    wait_until(lambda: is_up(replica))
    finding = finds("follows_another_master", master.url, replica.url)
    paste(finding.remedy)
    wait_until(lambda: is_up(replica))
    assert not codes(examined(master.url, replica.url)) & {"follows_another_master", "other_history"}


def test_a_replica_that_is_older_than_its_master_loops(servers: Servers) -> None:
    master, replica = servers.start(need("redis-8.0")), servers.start(need("redis-7.0"))
    client(master).set("k", "v")
    follow(replica, master.port)
    finding = finds("rdb_not_loadable", master.url, replica.url)
    assert "(version 12)" in finding.text
    assert finding.remedy == ("# it takes Redis 7.4 or later: upgrade replicas before their master",)
    finds("full_resync_loop", master.url, replica.url, seconds=1.5)


def test_a_chain_is_described(servers: Servers, any_server: str) -> None:
    top, middle, bottom = (servers.start(any_server) for _ in range(3))
    follow(middle, top.port)
    wait_until(lambda: is_up(middle))
    follow(bottom, middle.port)
    wait_until(lambda: is_up(bottom))
    assert "sub_replicas" in codes(examined(top.url))
    done = examined(middle.url)
    assert {"master_is_replica": "note"}.items() <= {one.code: one.severity for one in done.findings}.items()
    assert not codes(examined(top.url, bottom.url)) & {"follows_another_master", "other_history", "link_down"}
    top.stop()
    assert finds("master_is_replica", middle.url).severity in ("broken", "note")
    wait_until(lambda: not is_up(middle))
    assert finds("master_is_replica", middle.url).severity == "broken"


@pytest.mark.parametrize(("option", "value"), [("replica-announce-port", "1"), ("replica-announce-ip", "127.99.99.99")])
def test_an_address_where_nothing_answers_is_found(option: str, value: str, pair: tuple[Server, Server]) -> None:
    master, replica = pair
    client(replica).config_set(option, value)
    reconnect(master)
    finding = finds("announced_address_unreachable", master.url)
    assert finding.server == ("127.0.0.1:1" if value == "1" else f"{value}:{replica.port}")
    assert all(line.startswith("#") for line in finding.remedy)
    assert not codes(examined(master.url, replica.url)) & {"replica_unreachable", "replica_not_examined"}
    paste(finds("announced_address_unreachable", master.url, replica.url).remedy)
    wait_until(lambda: is_up(replica))
    wait_until(lambda: "announced_address_unreachable" not in codes(examined(master.url)))
    assert info_of(master, "stats")["sync_full"] == "1"


def test_a_master_that_does_not_answer_at_the_address_of_the_replica(pair: tuple[Server, Server], nobody: int) -> None:
    master, replica = pair
    follow(replica, nobody)
    found = finds("master_address_unreachable", master.url, replica.url)
    assert found.evidence[-1].value == "Connection refused"
    assert {"link_down", "stale_reads"} <= codes(examined(master.url, replica.url))


def test_a_replica_that_is_not_there_is_broken(pair: tuple[Server, Server], nobody: int) -> None:
    done = examined(pair[0].url, f"127.0.0.1:{nobody}")
    assert done.healthy is False
    assert done.findings[0].code == "replica_unreachable"


# ---- network ----


def test_a_master_that_listens_at_another_loopback_address(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server, host="127.0.0.2"), servers.start(any_server)
    follow(replica, master.port)
    finding = finds("master_address_unreachable", master.url, replica.url)
    assert finding.evidence[-1].value == "Connection refused"
    paste(finding.remedy)
    wait_until(lambda: is_up(replica))
    assert not codes(examined(master.url, replica.url)) & {"master_address_unreachable", "link_down"}


@pytest.mark.parametrize("name", versions(quick=MATRIX[:2]))
def test_a_master_that_is_closed_to_others_is_opened_step_by_step(name: str, servers: Servers) -> None:
    def story() -> None:
        master, replica = servers.start(need(name)), servers.start(name)
        client(replica).execute_command("REPLICAOF", OUTER, master.port)
        finding = finds("bound_to_loopback", master.url, replica.url)
        assert "protected_mode" not in codes(examined(master.url, replica.url))
        paste(finding.remedy)
        if master.version.startswith("Redis 6"):  # which a bind exempts from protected-mode
            wait_until(lambda: is_up(replica))
            assert not codes(examined(master.url, replica.url)) & {"bound_to_loopback", "protected_mode"}
            return
        finding = finds("protected_mode", master.url, replica.url)
        # DENIED does not count as a refused login.
        assert not codes(examined(master.url, replica.url)) & {"masterauth_missing", "bound_to_loopback"}
        paste(finding.remedy, {"PASSWORD": SECRET})
        url = f"redis://:{SECRET}@127.0.0.1:{master.port}"
        paste(finds("masterauth_missing", url, replica.url).remedy, {"MASTERAUTH": SECRET})
        wait_until(lambda: is_up(replica))
        assert not codes(examined(url, replica.url)) & {"protected_mode", "masterauth_missing", "link_down"}

    in_own_network(story)


# ---- TLS: the redis-6.2 of a wheel has none ----


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=versions(MATRIX[1:], quick=MATRIX[1:2]))
def tls_pair(servers: Servers, certificates: Certificates, request: pytest.FixtureRequest) -> tuple[Server, Server, int]:
    """A master with a plain port and a TLS port (the third); a replica that does not follow yet, with both as well."""
    port, name, options = free_port(), need(request.param), tls_options(certificates)
    master = servers.start(name, "tls-port", str(port), *options)
    return master, servers.start(name, "tls-port", str(free_port()), *options), port


def ends(code: str, master: str, replica: Server, of_replica: str = "", **variables: object) -> None:
    """It is found, and what is pasted brings the link up."""
    paste(finds(code, master, of_replica or replica.url).remedy, {name: str(one) for name, one in variables.items()})
    wait_until(lambda: is_up(replica))
    left = codes(examined(master, of_replica or replica.url))
    assert not left & {code, "tls_mismatch", "tls_distrust", "link_down", "master_address_unreachable"}


def test_a_replica_without_tls_at_a_tls_port(
    tls_pair: tuple[Server, Server, int], servers: Servers, certificates: Certificates
) -> None:
    master, replica, port = tls_pair
    follow(replica, port)
    files = f"ssl_ca_certs={certificates.ca}&ssl_certfile={certificates.leaf}&ssl_keyfile={certificates.leaf}"
    at = client(replica).config_get("tls-port")["tls-port"]
    ends("tls_mismatch", f"rediss://127.0.0.1:{port}?{files}", replica, f"rediss://127.0.0.1:{at}?{files}")
    bare = servers.start(master.name)
    follow(bare, port)
    leaf = certificates.leaf
    ends("tls_mismatch", master.url, bare, CA=certificates.ca, CERT=leaf, KEY=leaf)


def test_a_replica_with_tls_at_a_plain_port(tls_pair: tuple[Server, Server, int]) -> None:
    master, replica, port = tls_pair
    client(replica).config_set("tls-replication", "yes")
    follow(replica, master.port)
    ends("tls_mismatch", master.url, replica)
    assert info_of(replica)["master_port"] == str(port)


def test_a_replica_that_trusts_another_ca(
    tls_pair: tuple[Server, Server, int], certificates: Certificates, tmp_path: Path
) -> None:
    master, replica, port = tls_pair
    client(replica).config_set("tls-ca-cert-file", str(Certificates(tmp_path / "other").ca))
    client(replica).config_set("tls-replication", "yes")
    follow(replica, port)
    ends("tls_distrust", master.url, replica, CA=certificates.ca)


# ---- silence and clocks ----


def stopped(server: Server) -> Callable[[], None]:
    """Stop it as a debugger does; returns what continues it."""
    os.kill(server.pid, signal.SIGSTOP)
    return lambda: os.kill(server.pid, signal.SIGCONT)


@pytest.mark.long
@pytest.mark.slow
def test_a_replica_that_hangs_is_silent(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))
    go_on = stopped(replica)
    wait_until(lambda: int(client(master).info("replication")["slave0"]["lag"]) > 10)
    done = examined(master.url)
    assert {"replica_silent": "broken", "replica_not_examined": "note"}.items() <= {
        one.code: one.severity for one in done.findings
    }.items()
    assert not any("without a login" in one.text for one in done.findings)
    assert "replica_unreachable" in codes(examined(master.url, replica.url))
    go_on()
    wait_until(lambda: "replica_silent" not in codes(examined(master.url, replica.url)))


@pytest.mark.slow
def test_a_master_that_hangs_is_one_sentence(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    stopped(master)
    with pytest.raises(EnvironmentFailure, match=f"127.0.0.1:{master.port}: no answer within 10 s"):
        examined(master.url)


@pytest.mark.parametrize("name", versions(quick=MATRIX[:1]))
def test_a_clock_that_is_ahead_is_found(
    name: str, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = servers.start(need(name))
    with monkeypatch.context() as patched:
        patched.setenv("LD_PRELOAD", str(shifted_clock(tmp_path, 7)))
        replica = servers.start(name)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))
    finding = finds("clocks_differ", master.url, replica.url)
    assert "its clock is 7.0 s ahead of the master's" in finding.text
    assert "7.0 s behind the master's" in finds("clocks_differ", replica.url, master.url).text


# ---- chains ----


def test_a_replica_of_a_replica_that_is_cut_off_or_hangs(servers: Servers, any_server: str, nobody: int) -> None:
    top, middle, bottom = (servers.start(any_server) for _ in range(3))
    follow(middle, top.port)
    wait_until(lambda: is_up(middle))
    follow(bottom, middle.port)
    level(top, middle, bottom)
    go_on = stopped(bottom)
    client(top).set("k", "v" * 2**21)
    assert finds("sub_replica_distant", top.url).text.startswith("of its own 1 replica, 1 is far behind")
    go_on()
    wait_until(lambda: "sub_replica_distant" not in codes(examined(top.url)))
    follow(middle, nobody)
    assert str(middle.port) in finds("link_down_above", top.url, bottom.url).text
    assert "follows_another_master" not in codes(examined(top.url, bottom.url))
    follow(middle, top.port)
    wait_until(lambda: not codes(examined(top.url, bottom.url)) & {"link_down_above", "link_down"})


# ---- Sentinel and Cluster ----

HELLO_SECONDS = 2.5  # Sentinels publish every 2 s


def test_a_sentinel_that_watches_the_pair(pair: tuple[Server, Server], tmp_path: Path) -> None:
    master, replica = pair
    with sentinel(master.name, tmp_path, master.port) as one:
        wait_until(lambda: one.replicas)
        finding = finds("few_sentinels", master.url, replica.url, seconds=HELLO_SECONDS)
        assert finding.evidence[0].value == f"pair at 127.0.0.1:{master.port}, epoch 0"
        one.ask("FAILOVER", "pair")
        wait_until(lambda: one.master.endswith(f":{replica.port}"))
        # For the next seconds both are masters: nothing may make the new one follow the old one.
        finding = finds("sentinel_has_another_master", master.url, replica.url, seconds=HELLO_SECONDS)
        assert f"Sentinel takes 127.0.0.1:{replica.port} for the master pair" in finding.text
        assert f"# redis-cli -h 127.0.0.1 -p {master.port} REPLICAOF 127.0.0.1 {replica.port}" in finding.remedy


def test_a_sentinel_that_watches_a_replica_as_the_master(pair: tuple[Server, Server], tmp_path: Path) -> None:
    master, replica = pair
    with sentinel(master.name, tmp_path, replica.port) as one:
        finding = finds("sentinel_has_another_master", master.url, replica.url, seconds=HELLO_SECONDS)
        assert "which is a replica" in finding.text
        paste(finding.remedy, {"QUORUM": "1"})
        assert one.master == f"127.0.0.1:{master.port}"
        wait_until(lambda: one.replicas)
        done = codes(examined(master.url, replica.url, seconds=HELLO_SECONDS))
        assert "sentinel_has_another_master" not in done
        assert "few_sentinels" in done


@pytest.mark.parametrize("name", versions(quick=MATRIX[:1]))
def test_nodes_of_a_cluster(name: str, servers: Servers) -> None:
    def node() -> Server:
        port = next(port for port in iter(free_port, None) if port < 55536)  # its bus is at 10000 more
        return servers.start(need(name), "port", str(port), "cluster-enabled", "yes")

    master, replica = node(), node()
    cluster: Callable[..., Any] = client(master).execute_command
    cluster("CLUSTER", "ADDSLOTS", *range(16383))
    client(replica).execute_command("CLUSTER", "MEET", "127.0.0.1", master.port)
    myid = cluster("CLUSTER", "MYID").decode()
    wait_until(lambda: myid in str(client(replica).execute_command("CLUSTER", "NODES")))
    finding = finds("cluster_down", master.url)
    assert ("cluster_slots_assigned", "16383") in [(one.what, one.value) for one in finding.evidence]
    cluster("CLUSTER", "ADDSLOTS", 16383)
    wait_until(lambda: "cluster_down" not in codes(examined(master.url, replica.url)))
    paste(finds("not_a_replica", master.url, replica.url).remedy)
    wait_until(lambda: is_up(replica))
    wait_until(lambda: not any(one.severity == "broken" for one in examined(master.url, replica.url).findings))
    client(replica).config_set("cluster-announce-ip", "127.99.99.99")
    finding = finds("announced_address_unreachable", master.url, replica.url)
    assert finding.server == f"127.99.99.99:{replica.port}"
    assert "# redis-cli CONFIG SET cluster-announce-ip ADDRESS" in finding.remedy
    client(replica).config_set("cluster-announce-ip", "127.0.0.1")
    wait_until(lambda: "announced_address_unreachable" not in codes(examined(master.url, replica.url)))
