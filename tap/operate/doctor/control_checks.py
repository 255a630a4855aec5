"""Who is in charge of the pair, Sentinel or Cluster, and how they see it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tap.operate.doctor.check import Evidence, Finding, check
from tap.operate.doctor.pair_facts import PairFacts
from tap.operate.doctor.sentinel_hello import CHANNEL, Hello
from tap.servers import shell
from tap.url import Url

MAJORITY_OF = 3  # Sentinels: with fewer, no majority is left when one is lost


@check
def cluster_down(facts: PairFacts) -> Iterator[Finding]:
    for server in (facts.master, *(one.server for one in facts.replicas)):
        if server.cluster.get("cluster_state") == "fail":
            shown = ("cluster_state", "cluster_slots_assigned", "cluster_slots_ok", "cluster_slots_fail", "cluster_size")
            yield Finding(
                "cluster_down",
                "broken",
                server.name,
                "the Cluster as this node sees it is down: slots are not served, or it is in the minority",
                tuple(
                    Evidence(name, server.cluster[name], f"CLUSTER INFO of {server.name}")
                    for name in shown
                    if name in server.cluster
                ),
                (shlex.join(["redis-cli", "--cluster", "check", server.name]),),
            )


@check
def sentinels_elsewhere(facts: PairFacts) -> Iterator[Finding]:
    """A master that Sentinel no longer takes for one: two masters, of which clients write to the other."""
    master = facts.master
    ports = {master.url.address.port, master.info.server.tcp_port, master.number("replica-announce-port")}
    elsewhere = [one for one in facts.hellos if one.master.port not in ports]
    if elsewhere and master.replication.master is None:
        yield Finding(
            "sentinel_has_another_master",
            "broken",
            master.name,
            f"Sentinel takes {elsewhere[0].master} for the master {elsewhere[0].name}, and this server is one, too: what "
            "clients write here will be lost when Sentinel makes it a replica",
            _said(elsewhere),
            (shell.redis_cli(Url(elsewhere[0].sentinel), "SENTINEL", "MASTERS"),),
        )


@check
def few_sentinels(facts: PairFacts) -> Iterator[Finding]:
    latest = {one.run_id: one for one in facts.hellos}
    if latest and len(latest) < MAJORITY_OF:
        yield Finding(
            "few_sentinels",
            "warning",
            facts.master.name,
            f"{len(latest)} Sentinel{'s watch' if len(latest) > 1 else ' watches'} this master: when one is lost, no "
            f"majority is left to fail over. Run {MAJORITY_OF}, on machines of their own",
            _said(list(latest.values())),
        )


def _said(hellos: list[Hello]) -> tuple[Evidence, ...]:
    shown = {one.run_id: one for one in hellos}
    return tuple(
        Evidence(f"Sentinel {one.sentinel}", f"{one.name} at {one.master}, epoch {one.epoch}", f"{CHANNEL} on the master")
        for one in shown.values()
    )
