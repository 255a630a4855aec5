"""INFO as frozen dataclasses, for Redis 6.2 to 8 and Valkey 8 to 9.

A field has the name that INFO gives it, or says which one it stands for. A field that some of these servers lack is None
there. A field that all of them have is not optional: a server without it is refused with InvalidReply, in one sentence,
as is one with text where a number belongs.

Source: genRedisInfoString() and genValkeyInfoString() in server.c of each server, if nothing else is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tap.servers.failures import NO_REPLY, InvalidReply
from tap.url import Address

MAX_INFO = 2**24  # bytes; a server with a thousand replicas, dbs and commands needs less than 1 MB

_NUMBER = re.compile(r"-?[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class ServerSection:
    """Section "server".

    version: as "Redis 7.0.15" or "Valkey 8.1.1". Valkey sends valkey_version, and in redis_version the Redis version that
    it is compatible with. tcp_port: the tls-port where there is no other port. run_id: drawn by each process.
    """

    version: str
    tcp_port: int | None
    run_id: str | None


@dataclass(frozen=True, slots=True)
class ListedReplica:
    """A replica as its master lists it: the line slaveN of section "replication".

    port: as announced with REPLCONF listening-port. state: "wait_bgsave", "send_bulk" or "online", since 8.0 also
    "bg_transfer" (replicas_repl_state, replication.c). offset: last acknowledged. lag: seconds since that ACK.
    """

    host: str
    port: int | None
    state: str
    offset: int
    lag: int | None


@dataclass(frozen=True, slots=True)
class ReplicationSection:
    """Section "replication". Offsets count bytes of the stream.

    role: "master" or "slave". connected_slaves: number of its replicas. master_replid2, second_repl_offset: the history
    before the last failover and the first offset that is not part of it; zeros and -1 without one.
    repl_backlog_active: whether there is a backlog. repl_backlog_first_byte_offset: offset of its oldest byte.

    Of a replica only, else None. master: master_host and master_port. master_link_status: "up" or "down".
    slave_repl_offset: bytes applied. slave_read_repl_offset: bytes received; older servers lack it.

    replicas: the lines slaveN.
    """

    role: str
    connected_slaves: int
    master_replid: str
    master_repl_offset: int
    master_replid2: str | None
    second_repl_offset: int | None
    repl_backlog_active: bool
    repl_backlog_first_byte_offset: int | None
    master: Address | None
    master_link_status: str | None
    slave_repl_offset: int | None
    slave_read_repl_offset: int | None
    replicas: tuple[ListedReplica, ...]

    def acknowledged_by(self, ports: Collection[int]) -> int | None:
        """The highest offset that the replica listening on one of these ports has acknowledged; None if it is not listed.

        A single replica counts whatever its port, which NAT may have changed. After a stalled link the master may list
        the replica twice, with its last connection and the new one.
        """
        mine = self.replicas if len(self.replicas) == 1 else [one for one in self.replicas if one.port in ports]
        return max((one.offset for one in mine), default=None)


@dataclass(frozen=True, slots=True)
class PersistenceSection:
    """Section "persistence".

    loading: the server reads its own data or a full resync's RDB, and refuses most commands. rdb_bgsave_in_progress: a
    child writes an RDB, for a full resync or a save. rdb_last_bgsave_status: "ok" or "err".
    """

    loading: bool
    rdb_bgsave_in_progress: bool
    rdb_last_bgsave_status: str | None


@dataclass(frozen=True, slots=True)
class MemorySection:
    """Section "memory"; all in bytes.

    maxmemory: 0 for no limit. mem_clients_slaves: output buffers of replicas. mem_replication_backlog: the backlog; since
    Redis 7.0 replicas and the backlog share blocks, which mem_total_replication_buffers counts once.
    """

    used_memory: int
    maxmemory: int
    mem_clients_slaves: int | None
    mem_replication_backlog: int | None
    mem_total_replication_buffers: int | None


@dataclass(frozen=True, slots=True)
class StatsSection:
    """Section "stats": resyncs that this process has served since it started or CONFIG RESETSTAT.

    sync_full: full resyncs. sync_partial_ok: partial ones. sync_partial_err: partial ones refused, which became full.
    """

    sync_full: int
    sync_partial_ok: int
    sync_partial_err: int


@dataclass(frozen=True, slots=True)
class Info:
    """One answer to INFO. The sections of one answer belong to one moment: a server answers between two commands.

    fields: by name, as text. Each section raises InvalidReply when the answer lacks it.
    """

    fields: Mapping[str, str]

    @classmethod
    def parse(cls, reply: Any) -> Info:
        """reply: the bulk string that the server sent. Raises InvalidReply for anything else."""
        if not isinstance(reply, bytes | str):
            raise InvalidReply(NO_REPLY)
        if len(reply) > MAX_INFO:
            raise InvalidReply(f"its INFO has {len(reply)} bytes, more than {MAX_INFO}")
        if isinstance(reply, bytes):
            reply = reply.decode("utf-8", "replace")
        lines = (line.partition(":") for line in reply.split("\n"))
        return cls({name: value.removesuffix("\r") for name, colon, value in lines if colon and name[:1] != "#"})

    @property
    def server(self) -> ServerSection:
        valkey = self.fields.get("valkey_version")
        return ServerSection(
            version=f"Valkey {valkey}" if valkey is not None else f"Redis {self._text('redis_version')}",
            tcp_port=self._maybe_number("tcp_port"),
            run_id=self.fields.get("run_id"),
        )

    @property
    def replication(self) -> ReplicationSection:
        role = self._text("role")
        is_replica = role == "slave"
        return ReplicationSection(
            role=role,
            connected_slaves=self._number("connected_slaves"),
            master_replid=self._text("master_replid"),
            master_repl_offset=self._number("master_repl_offset"),
            master_replid2=self.fields.get("master_replid2"),
            second_repl_offset=self._maybe_number("second_repl_offset"),
            repl_backlog_active=self.fields.get("repl_backlog_active", "0") != "0",
            repl_backlog_first_byte_offset=self._maybe_number("repl_backlog_first_byte_offset"),
            master=Address(self._text("master_host"), self._number("master_port")) if is_replica else None,
            master_link_status=self.fields.get("master_link_status"),
            slave_repl_offset=self._maybe_number("slave_repl_offset"),
            slave_read_repl_offset=self._maybe_number("slave_read_repl_offset"),
            replicas=tuple(self._replica(name) for name in self.fields if re.fullmatch(r"slave[0-9]+", name)),
        )

    @property
    def persistence(self) -> PersistenceSection:
        return PersistenceSection(
            loading=self._number("loading") != 0,
            rdb_bgsave_in_progress=self._number("rdb_bgsave_in_progress") != 0,
            rdb_last_bgsave_status=self.fields.get("rdb_last_bgsave_status"),
        )

    @property
    def memory(self) -> MemorySection:
        return MemorySection(
            used_memory=self._number("used_memory"),
            maxmemory=self._number("maxmemory"),
            mem_clients_slaves=self._maybe_number("mem_clients_slaves"),
            mem_replication_backlog=self._maybe_number("mem_replication_backlog"),
            mem_total_replication_buffers=self._maybe_number("mem_total_replication_buffers"),
        )

    @property
    def stats(self) -> StatsSection:
        return StatsSection(
            sync_full=self._number("sync_full"),
            sync_partial_ok=self._number("sync_partial_ok"),
            sync_partial_err=self._number("sync_partial_err"),
        )

    @property
    def keyspace(self) -> dict[int, int]:
        """Section "keyspace": number of keys by db, empty ones left out."""
        found = ((re.fullmatch(r"db([0-9]{1,9})", name), value) for name, value in self.fields.items())
        return {int(name[1]): _number(name[0], _parts(value).get("keys")) for name, value in found if name}

    @property
    def commandstats(self) -> Counter[str]:
        """Section "commandstats": how often each command was executed, by upper-case name, subcommands added up."""
        calls: Counter[str] = Counter()
        for name, value in self.fields.items():
            if name.startswith("cmdstat_"):
                command = name.removeprefix("cmdstat_").partition("|")[0].upper()
                calls[command] += _number(name, _parts(value).get("calls"))
        return calls

    def _replica(self, name: str) -> ListedReplica:
        parts = _parts(self.fields[name])
        port, lag = parts.get("port"), parts.get("lag")
        return ListedReplica(
            host=parts.get("ip", ""),
            port=None if port is None else _number(name, port),
            state=parts.get("state", ""),
            offset=_number(name, parts.get("offset")),
            lag=None if lag is None else _number(name, lag),
        )

    def _text(self, name: str) -> str:
        value = self.fields.get(name)
        if value is None:
            raise InvalidReply(f"its INFO lacks {name}")
        return value

    def _number(self, name: str) -> int:
        return _number(name, self._text(name))

    def _maybe_number(self, name: str) -> int | None:
        value = self.fields.get(name)
        return None if value is None else _number(name, value)


def _parts(value: str) -> dict[str, str]:
    """Split "keys=5,expires=1". A value may hold a colon (IPv6), no comma and no "="."""
    return {name: text for name, _, text in (part.partition("=") for part in value.split(","))}


def _number(field: str, text: str | None) -> int:
    if text is None or not _NUMBER.fullmatch(text):
        raise InvalidReply(f"in its INFO {field} lacks its number")
    return int(text)
