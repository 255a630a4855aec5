"""How Sentinel and Cluster see the pair."""

from __future__ import annotations

from dataclasses import replace

from tap.operate.doctor.sentinel_hello import Hello
from tap.url import Address
from tests.operate.doctor.pairs import found, pair


def hello(number: int, port: int = 6379) -> Hello:
    return Hello(Address("10.0.0.7", 26379 + number), str(number), "orders", Address("10.0.0.5", port), 1)


def test_three_sentinels_that_agree_are_well() -> None:
    assert found(pair(hellos=tuple(map(hello, range(3))))) == {}
    assert found(pair()) == {}


def test_fewer_than_three_leave_no_majority() -> None:
    one = found(pair(hellos=(hello(1), hello(1))))["few_sentinels"]
    assert one.severity == "warning"
    assert one.text.startswith("1 Sentinel watches")
    assert len(one.evidence) == 1
    assert found(pair(hellos=(hello(1), hello(2))))["few_sentinels"].text.startswith("2 Sentinels watch")


def test_a_master_that_sentinel_has_replaced_is_broken() -> None:
    said = (hello(1, 6385), hello(2), hello(3))
    one = found(pair(hellos=said))["sentinel_has_another_master"]
    assert one.severity == "broken"
    assert one.remedy[1] == "redis-cli -h 10.0.0.7 -p 26380 SENTINEL MASTERS"
    assert all(line.startswith("#") for line in (one.remedy[0], *one.remedy[2:]))  # a person decides which data to keep
    upper = {"role": "slave", "master_host": "10.0.0.5", "master_port": 6385, "master_link_status": "up"}
    assert "sentinel_has_another_master" not in found(pair(hellos=said, master=upper))
    assert "sentinel_has_another_master" not in found(pair(hellos=said, of_master={"replica-announce-port": "6385"}))


def test_no_remedy_makes_the_master_that_sentinel_chose_follow_the_old_one() -> None:
    promoted = {"role": "master", "master_host": None}
    said = found(pair(hellos=(hello(1, 6380), hello(2, 6380), hello(3, 6380)), replica=promoted))
    assert said["not_a_replica"].remedy == ()
    assert "# redis-cli -h 10.0.0.5 -p 6379 REPLICAOF 10.0.0.5 6380" in said["sentinel_has_another_master"].remedy


def test_a_sentinel_may_watch_a_replica_as_the_master() -> None:
    one = found(pair(replica_hellos=(hello(1, 6380),)))["sentinel_has_another_master"]
    assert "which is a replica" in one.text
    assert one.remedy[-1].endswith('SENTINEL MONITOR orders 10.0.0.5 6379 "$QUORUM"')


def test_a_cluster_that_is_down_is_broken_and_its_nodes_are_made_to_follow_by_its_own_command() -> None:
    facts = pair(replica={"role": "master", "master_host": None})
    (one,) = facts.replicas
    cluster = {"cluster_state": "fail", "cluster_slots_ok": "0", "myid": "e" * 40}
    facts = replace(
        facts,
        master=replace(facts.master, cluster=cluster),
        replicas=(replace(one, server=replace(one.server, cluster={**cluster, "cluster_state": "ok"})),),
    )
    down = found(facts)["cluster_down"]
    assert (down.severity, down.server, len(down.evidence)) == ("broken", "10.0.0.5:6379", 2)
    assert down.remedy == ("redis-cli --cluster check 10.0.0.5:6379",)
    assert found(facts)["not_a_replica"].remedy[-1].endswith(f"-p 6380 CLUSTER REPLICATE {'e' * 40}")
