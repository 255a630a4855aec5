"""What a master and its replicas were found to be: immutable records, which the checks judge without a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from tap.operate.doctor.sentinel_hello import Hello
from tap.replication.inspected import BufferLimit, buffer_limit
from tap.servers.answers import number
from tap.servers.info import Info, ListedReplica, ReplicationSection, StatsSection
from tap.url import Address, Url

HIDDEN = "***"  # what ServerFacts.config has in place of a secret that is not empty


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """One server. failure: why it could not be asked; everything below is empty then.

    config: options that could be read, by name; of a secret only whether it is set. refused: what could not be read,
    with the server's answer. cluster: CLUSTER INFO, and myid; empty outside a Cluster. clock: its clock minus ours, in
    seconds, None if unknown; clock_within: how exact that is.
    """

    url: Url
    failure: str | None = None
    info: Info = field(default_factory=lambda: Info({}))
    config: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    cluster: Mapping[str, str] = field(default_factory=dict)
    clock: float | None = None
    clock_within: float = 0.0

    @property
    def name(self) -> str:
        return str(self.url.address)

    @property
    def is_up(self) -> bool:
        return self.failure is None

    @property
    def version(self) -> str:
        return self.info.server.version

    @property
    def replication(self) -> ReplicationSection:
        return self.info.replication

    def number(self, option: str) -> int | None:
        """An option's whole number; None if it could not be read."""
        return number(self.config.get(option))

    def field_number(self, name: str) -> int | None:
        """A field of INFO; None if the server has none of that name."""
        return number(self.info.fields.get(name))

    @property
    def ports(self) -> set[int | None]:
        """Under which others may know it: that of its URL, its own, and the one that it announces."""
        return {self.url.address.port, self.info.server.tcp_port, self.number("replica-announce-port")} - {0, None}

    @property
    def wants_login(self) -> bool:
        """Whether it could not be asked for lack of a login or of rights."""
        return self.failure is not None and ("uthentication" in self.failure or "no permissions" in self.failure)

    @property
    def output_buffer_limit(self) -> BufferLimit | None:
        """client-output-buffer-limit of replicas, as configured."""
        return buffer_limit(self.config.get("client-output-buffer-limit", ""))


@dataclass(frozen=True, slots=True)
class Dial:
    """An address, tried from this machine. failure: why no server could be asked. refused: why the login, or INFO, was.

    run_id: of the process that answers. is_cut_off: it is a replica whose own link is down.
    """

    address: Address
    failure: str | None = None
    refused: str | None = None
    run_id: str | None = None
    with_login: bool = False
    is_cut_off: bool = False


@dataclass(frozen=True, slots=True)
class ReplicaFacts:
    """A replica. given: its URL was typed; otherwise its master lists it. listed: the master's line.

    dial: what answers at the master's address that the replica uses, with the replica's own login. allowed: by command of
    the handshake, whether the master lets the replica's user run it; None if that could not be read.
    """

    server: ServerFacts
    given: bool = True
    listed: ListedReplica | None = None
    dial: Dial | None = None
    allowed: Mapping[str, bool | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def user(self) -> str:
        """The user that it logs in as at its master."""
        return self.server.config.get("masteruser") or "default"

    @property
    def link_is_up(self) -> bool:
        return self.server.replication.master_link_status == "up"


@dataclass(frozen=True, slots=True)
class InfoSample:
    """The master's INFO at one moment. at: seconds since the first sample."""

    at: float
    info: Info

    @property
    def offset(self) -> int:
        return self.info.replication.master_repl_offset

    @property
    def resyncs(self) -> StatsSection | None:
        """Resyncs served until then; None if INFO lacks them."""
        return (
            self.info.stats if {"sync_full", "sync_partial_ok", "sync_partial_err"} <= self.info.fields.keys() else None
        )


@dataclass(frozen=True, slots=True)
class PairFacts:
    """A master, its replicas, and the master's figures once a second for as long as it was watched.

    announced: the addresses in the master's list of replicas, each tried with a bare connection. announced_in_cluster:
    those of its shard in CLUSTER NODES, likewise. hellos: what Sentinels published on the master while it was watched;
    replica_hellos: on the replicas that were given. outage: seconds of the longest outage that should cost no full
    resync.
    """

    master: ServerFacts
    replicas: tuple[ReplicaFacts, ...] = ()
    samples: tuple[InfoSample, ...] = ()
    announced: tuple[Dial, ...] = ()
    hellos: tuple[Hello, ...] = ()
    outage: float = 60.0
    announced_in_cluster: tuple[Dial, ...] = ()
    replica_hellos: tuple[Hello, ...] = ()

    @property
    def hellos_elsewhere(self) -> tuple[Hello, ...]:
        """Those that take another server for the master, the latest of each Sentinel."""
        latest = {one.run_id: one for one in (*self.replica_hellos, *self.hellos)}
        return tuple(one for one in latest.values() if one.master.port not in self.master.ports)

    @property
    def watched(self) -> float:
        """Seconds from the first sample to the last."""
        return self.samples[-1].at - self.samples[0].at if self.samples else 0.0

    @property
    def peak_rate(self) -> float:
        """The most bytes that the master wrote in a second between two samples; 0 if it wrote nothing."""
        return max((_rate(one, next_) for one, next_ in pairwise(self.samples)), default=0.0)

    @property
    def mean_rate(self) -> float:
        return _rate(self.samples[0], self.samples[-1]) if self.watched else 0.0


def tls_mismatch(master: ServerFacts, replica: ServerFacts) -> str | None:
    """If the replica dials a port of the master that speaks otherwise, the tls-replication that this port takes."""
    address, tls = replica.replication.master, replica.config.get("tls-replication")
    if address is None or not address.port:
        return None
    if tls == "no" and address.port == master.number("tls-port"):
        return "yes"
    return "no" if tls == "yes" and address.port == master.number("port") else None


def _rate(first: InfoSample, last: InfoSample) -> float:
    return max(0.0, (last.offset - first.offset) / max(last.at - first.at, 1e-3))
