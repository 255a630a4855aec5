"""Pairs of real servers with one thing wrong: it is found, and what is pasted ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tap.servers.embedded import Server
from tests.conftest import need
from tests.operate.doctor.pasting import codes, examined, finds, paste
from tests.support import MATRIX, Servers, client, follow, is_up, versions, wait_until

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


def test_an_address_where_nothing_answers_is_found(pair: tuple[Server, Server]) -> None:
    master, replica = pair
    client(replica).config_set("replica-announce-port", "1")
    reconnect(master)
    finding = finds("announced_address_unreachable", master.url)
    assert finding.server == "127.0.0.1:1"
    assert "replica_unreachable" not in codes(examined(master.url, replica.url))
    client(replica).config_set("replica-announce-port", "0")
    reconnect(master)
    wait_until(lambda: "announced_address_unreachable" not in codes(examined(master.url)))


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
