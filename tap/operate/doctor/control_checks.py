"""Who is in charge of the pair, Sentinel or Cluster, and how they see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
                (shell.cluster_check(server.url),),
            )


@check
def sentinels_elsewhere(facts: PairFacts) -> Iterator[Finding]:
    """A master that Sentinel no longer takes for one: two masters, of which clients write to the other."""
    master = facts.master
    if not facts.hellos_elsewhere or master.replication.master is not None:
        return
    said = facts.hellos_elsewhere
    first, sentinel = said[0], Url(said[0].sentinel)
    follower = next((one for one in facts.replicas if first.master.port in one.server.ports), None)
    if follower is not None and follower.server.is_up and follower.server.replication.master is not None:
        text = f"Sentinel takes {first.master} for the master {first.name}, which is a replica: it cannot fail over"
        remedy: tuple[str, ...] = (
            "# on each Sentinel, with the number of Sentinels that have to agree in the variable QUORUM:",
            shell.redis_cli(sentinel, "SENTINEL", "REMOVE", first.name),
            f'{shell.redis_cli(sentinel, "SENTINEL", "MONITOR", first.name, *_seen_as(facts))} "$QUORUM"',
        )
    else:
        text = (
            f"Sentinel takes {first.master} for the master {first.name}, and this server is one, too: what clients write "
            "here will be lost when Sentinel makes it a replica"
        )
        remedy = (
            "# look first which of the two has the data to keep:",
            shell.redis_cli(sentinel, "SENTINEL", "MASTERS"),
            "# Sentinel makes this server a replica by itself if it reaches it; by hand, and what is only here is lost:",
            f"# {shell.replicaof(master.url, first.master)}",
        )
    yield Finding("sentinel_has_another_master", "broken", master.name, text, _said(said), remedy)


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
            _said(tuple(latest.values())),
        )


def _seen_as(facts: PairFacts) -> tuple[str, str]:
    """Host and port of the master as its replicas know it, which is how a Sentinel elsewhere would."""
    known = [one.server.replication.master for one in facts.replicas if one.link_is_up]
    address = next((one for one in known if one is not None), facts.master.url.address)
    return address.host, str(address.port)


def _said(hellos: Sequence[Hello]) -> tuple[Evidence, ...]:
    shown = {one.run_id: one for one in hellos}
    return tuple(
        Evidence(f"Sentinel {one.sentinel}", f"{one.name} at {one.master}, epoch {one.epoch}", f"published on {CHANNEL}")
        for one in shown.values()
    )
