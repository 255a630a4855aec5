"""Facts as they are gathered, made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tap.operate.doctor import examination
from tap.operate.doctor.check import Finding
from tap.operate.doctor.pair_facts import Dial, InfoSample, PairFacts, ReplicaFacts, ServerFacts
from tap.servers.info import Info
from tap.url import Address, Url
from tests.servers.infos import slave

MASTER, REPLICA = 6379, 6380
RUN = "c" * 40
HISTORY = "a" * 40

# A pair in which nothing is wrong.
CONFIG = {
    "appendonly": "no",
    "bind": "* -::*",
    "client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    "masterauth": "",
    "masteruser": "",
    "maxmemory": "0",
    "min-replicas-max-lag": "10",
    "min-replicas-to-write": "0",
    "port": "6379",
    "protected-mode": "yes",
    "repl-backlog-size": "104857600",
    "repl-diskless-load": "disabled",
    "repl-diskless-sync": "yes",
    "repl-diskless-sync-delay": "5",
    "repl-ping-replica-period": "10",
    "repl-timeout": "60",
    "replica-ignore-maxmemory": "yes",
    "replica-priority": "100",
    "replica-read-only": "yes",
    "replica-serve-stale-data": "yes",
    "requirepass": "",
    "save": "3600 1",
    "tls-port": "0",
    "tls-replication": "no",
}
COMMON = {"redis_version": "7.0.15", "run_id": RUN, "tcp_port": MASTER, "loading": 0, "used_memory": 10 * 2**20}
MASTER_INFO = {
    **COMMON,
    "role": "master",
    "connected_slaves": 1,
    "master_replid": HISTORY,
    "master_repl_offset": 1000,
    "slave0": slave(REPLICA, 1000),
}
REPLICA_INFO = {
    **COMMON,
    "run_id": "d" * 40,
    "tcp_port": REPLICA,
    "role": "slave",
    "connected_slaves": 0,
    "master_replid": HISTORY,
    "master_repl_offset": 1000,
    "master_host": "10.0.0.5",
    "master_port": MASTER,
    "master_link_status": "up",
    "slave_repl_offset": 1000,
}
DOWN = {"master_link_status": "down", "master_link_down_since_seconds": 7}


def info(fields: Mapping[str, Any]) -> Info:
    return Info({name: str(value) for name, value in fields.items() if value is not None})


def server(port: int, fields: Mapping[str, Any], config: Mapping[str, str | None], **more: Any) -> ServerFacts:
    """None as a value: the server does not have that."""
    options = {name: value for name, value in {**CONFIG, **config}.items() if value is not None}
    return ServerFacts(Url(Address("10.0.0.5", port)), None, info(fields), options, clock=0.0, **more)


def pair(
    *,
    master: Mapping[str, Any] | None = None,
    replica: Mapping[str, Any] | None = None,
    of_master: Mapping[str, str | None] | None = None,
    of_replica: Mapping[str, str | None] | None = None,
    dial: Dial | None = None,
    allowed: Mapping[str, bool | None] | None = None,
    written: Sequence[int] = (0, 0),
    **more: Any,
) -> PairFacts:
    """A pair in which nothing is wrong but this.

    master, replica: fields of INFO. of_master, of_replica: options. written: offsets of the master, one a second. more:
    fields of PairFacts.
    """
    of = server(MASTER, {**MASTER_INFO, **(master or {})}, of_master or {})
    one = ReplicaFacts(
        server(REPLICA, {**REPLICA_INFO, **(replica or {})}, of_replica or {}),
        True,
        of.replication.replicas[0] if of.replication.replicas else None,
        dial or Dial(Address("10.0.0.5", MASTER), run_id=RUN),
        {"ping": True, "replconf": True, "psync": True} if allowed is None else allowed,
    )
    samples = tuple(
        InfoSample(
            float(second),
            info({**of.info.fields, "master_repl_offset": offset, "slave0": slave(REPLICA, offset)}),
        )
        for second, offset in enumerate(written)
    )
    return replace(PairFacts(of, (one,), samples), **more)


def found(facts: PairFacts) -> dict[str, Finding]:
    """By code; no_writes is left out."""
    all_ = {one.code: one for one in examination.judge(facts).findings}
    all_.pop("no_writes", None)
    return all_
