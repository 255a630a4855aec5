"""INFO of every server, and of things that are not servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tap.servers.client import Client
from tap.servers.failures import InvalidReply
from tap.servers.info import MAX_INFO, Info, ListedReplica, MemorySection, PersistenceSection, StatsSection
from tap.url import Address
from tests.servers.infos import info, replication, slave
from tests.servers.support import with_client
from tests.support import Servers, client, follow, is_up, wait_until

MASTER = """# Replication\r
role:master\r
connected_slaves:2\r
slave0:ip=127.0.0.1,port=6380,state=online,offset=1234,lag=0\r
slave1:ip=::1,port=6381,state=wait_bgsave,offset=0,lag=1,type=replica\r
master_failover_state:no-failover\r
master_replid:8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb\r
master_replid2:0000000000000000000000000000000000000000\r
master_repl_offset:1234\r
second_repl_offset:-1\r
repl_backlog_active:1\r
repl_backlog_first_byte_offset:1\r
"""


# ---- each section ----


def test_a_master_lists_its_replicas() -> None:
    found = Info.parse(MASTER.encode()).replication
    assert (found.role, found.master, found.master_link_status, found.slave_repl_offset) == ("master", None, None, None)
    assert (found.master_repl_offset, found.second_repl_offset, found.repl_backlog_first_byte_offset) == (1234, -1, 1)
    assert found.repl_backlog_active
    assert found.replicas == (
        ListedReplica("127.0.0.1", 6380, "online", 1234, 0),
        ListedReplica("::1", 6381, "wait_bgsave", 0, 1),
    )


def test_a_replica_names_its_master() -> None:
    found = replication(
        {"role": "slave", "master_host": "::1", "master_port": 5, "master_link_status": "up", "slave_repl_offset": 9}
    )
    assert found.master == Address("::1", 5)
    assert (found.master_link_status, found.slave_repl_offset, found.slave_read_repl_offset) == ("up", 9, None)
    assert not found.repl_backlog_active


@pytest.mark.parametrize(
    ("fields", "offset"),
    [
        ({}, None),
        ({"slave0": slave(1, 7)}, 7),  # whatever its port: NAT may have changed it
        ({"slave0": slave(1, 7), "slave1": slave(6380, 5)}, 5),
        ({"slave0": slave(6380, 3), "slave1": slave(6380, "5")}, 5),
        ({"slave0": slave(1, 7), "slave1": slave(2, 9)}, None),
        ({"slave0": slave(1, 7), "slave12": slave(6380, 5), "slaves": slave(6380, 99), "slave_x": slave(6380, 99)}, 5),
    ],
)
def test_the_offset_acknowledged_by_a_replica_is_found(fields: dict[str, Any], offset: int | None) -> None:
    assert replication(fields).acknowledged_by({6380, 6381}) == offset


def test_valkey_is_known_although_it_names_a_redis_version() -> None:
    assert info({"redis_version": "7.2.4", "valkey_version": "8.1.1"}).server.version == "Valkey 8.1.1"
    found = info({"redis_version": "7.2.4", "tcp_port": 5, "run_id": "ab"}).server
    assert (found.version, found.tcp_port, found.run_id) == ("Redis 7.2.4", 5, "ab")
    assert info({"redis_version": "7.2.4"}).server.tcp_port is None


def test_commands_are_counted_by_name_with_their_subcommands() -> None:
    fields = {"cmdstat_set": "calls=5,usec=1", "cmdstat_config|get": "calls=2,usec=1", "cmdstat_config|set": "calls=1"}
    assert info(fields).commandstats == Counter(SET=5, CONFIG=3)
    assert info(fields).commandstats["DEL"] == 0


def test_keys_are_counted_by_db() -> None:
    assert info({"db0": "keys=5,expires=1,avg_ttl=0", "db15": "keys=1,expires=0", "dbx": "1"}).keyspace == {0: 5, 15: 1}


def test_sections_without_replication_are_read() -> None:
    fields = {"loading": 0, "rdb_bgsave_in_progress": 1, "rdb_last_bgsave_status": "ok"}
    assert info(fields).persistence == PersistenceSection(False, True, "ok")
    assert info({"used_memory": 10, "maxmemory": 0, "mem_clients_slaves": 3}).memory == MemorySection(
        10, 0, 3, None, None
    )
    assert info({"sync_full": 1, "sync_partial_ok": 2, "sync_partial_err": 3}).stats == StatsSection(1, 2, 3)


# ---- nonsense ----


@pytest.mark.parametrize("reply", [None, 5, [], {}, [b"role"]])
def test_anything_but_text_is_refused(reply: Any) -> None:
    with pytest.raises(InvalidReply, match="its answer is not a reply of Redis"):
        Info.parse(reply)


SECTIONS: dict[str, Callable[[Info], Any]] = {
    name: getattr(Info, name).fget
    for name in ("server", "replication", "persistence", "memory", "stats", "keyspace", "commandstats")
}


@pytest.mark.parametrize(
    ("section", "fields", "said"),
    [
        ("server", {}, "its INFO lacks redis_version"),
        ("server", {"redis_version": "7", "tcp_port": "many"}, "in its INFO tcp_port lacks its number"),
        ("replication", {"master_repl_offset": "many"}, "in its INFO master_repl_offset lacks its number"),
        ("replication", {"master_repl_offset": "1" * 5000}, "in its INFO master_repl_offset lacks its number"),
        ("replication", {"role": "slave", "master_port": 1}, "its INFO lacks master_host"),
        ("replication", {"role": "slave", "master_host": "a"}, "its INFO lacks master_port"),
        ("replication", {"slave0": "ip=a,port=1,state=online"}, "in its INFO slave0 lacks its number"),
        ("replication", {"slave0": "odd"}, "in its INFO slave0 lacks its number"),
        ("replication", {"slave0": slave(1, "?")}, "in its INFO slave0 lacks its number"),
        ("persistence", {}, "its INFO lacks loading"),
        ("memory", {}, "its INFO lacks used_memory"),
        ("stats", {"sync_full": 1}, "its INFO lacks sync_partial_ok"),
        ("keyspace", {"db3": "5"}, "in its INFO db3 lacks its number"),
        ("commandstats", {"cmdstat_set": "calls=x"}, "in its INFO cmdstat_set lacks its number"),
    ],
)
def test_an_unusable_info_is_refused_in_a_sentence(section: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidReply) as raised:
        SECTIONS[section](info(fields))
    assert str(raised.value) == said


@pytest.mark.parametrize("text", ["", ":", "::\r\n:", "#role:master", "role", "\r\n" * 100, "\x00\udcff", "role:slave"])
def test_any_text_is_an_answer_or_refused(text: str) -> None:
    found = Info.parse(text.encode(errors="surrogateescape"))
    for name, section in SECTIONS.items():
        if name in ("keyspace", "commandstats"):
            assert not section(found)
            continue
        with pytest.raises(InvalidReply, match="its INFO lacks"):
            section(found)


# ---- real servers ----


def test_every_server_says_what_the_dataclasses_hold(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))
    client(master).set("a", "1")
    wait_until(lambda: client(replica).get("a") == b"1")

    async def ask(one: Client) -> Info:
        return await one.info("all")

    of_master, of_replica = with_client(master, ask), with_client(replica, ask)
    for found, server in ((of_master, master), (of_replica, replica)):
        assert (found.server.version, found.server.tcp_port) == (server.version, server.port)
        assert len(found.server.run_id or "") == 40
        assert found.persistence == PersistenceSection(False, False, "ok")
        assert found.memory.used_memory > 0
        assert found.memory.maxmemory == 0
        assert found.memory.mem_clients_slaves is not None
        assert found.memory.mem_replication_backlog is not None
        assert (found.memory.mem_total_replication_buffers is None) == server.version.startswith("Redis 6")
        assert found.keyspace == {0: 1}
        assert found.commandstats["SET"] == 1
    assert (of_master.stats.sync_full, of_replica.stats.sync_full) == (1, 0)
    mine, theirs = of_master.replication, of_replica.replication
    assert (mine.role, mine.master, mine.connected_slaves) == ("master", None, 1)
    assert (theirs.role, theirs.master, theirs.master_link_status) == ("slave", master.address, "up")
    assert mine.master_replid == theirs.master_replid
    assert (mine.master_replid2, mine.second_repl_offset) == ("0" * 40, -1)
    assert mine.repl_backlog_active
    assert mine.repl_backlog_first_byte_offset is not None
    assert [(one.port, one.state) for one in mine.replicas] == [(replica.port, "online")]
    assert theirs.slave_repl_offset is not None
    assert theirs.slave_read_repl_offset is not None


def test_a_text_that_is_much_longer_than_any_servers_is_refused() -> None:
    assert Info.parse(b"a:1\r\n" + b"#" * (MAX_INFO - 5)).fields == {"a": "1"}
    with pytest.raises(InvalidReply, match="its INFO has 16777217 bytes, more than 16777216"):
        Info.parse(b"#" * (MAX_INFO + 1))
