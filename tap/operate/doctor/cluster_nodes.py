"""Where a Cluster lists the nodes of a shard: the reply to CLUSTER NODES.

A line is "<id> <ip:port@cport[,hostname...]> <flags> <master, or -> ...", see clusterGenNodeDescription() in cluster.c.
"""

from __future__ import annotations

from tap.url import Address


def shard(said: str, myid: str) -> list[Address]:
    """The addresses of that node and its replicas, except those that are not known yet, or no longer."""
    found = []
    for line in said.splitlines():
        node, at, flags, master = (line.split(" ") + [""] * 4)[:4]
        host, _, port = at.partition("@")[0].rpartition(":")
        is_known = bool(host) and port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536
        if is_known and myid in (node, master) and "noaddr" not in flags.split(","):
            found.append(Address(host, int(port)))
    return found
