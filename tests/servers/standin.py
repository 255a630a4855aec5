"""A server of a few lines, in the event loop of its test: it answers our clients' requests, and replicates.

A value is the list of all commands that were given its key, so each that is lost, doubled or swapped shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from typing import Any

from tap.url import Address, Url
from tests.relay.wire import command

HOST = "127.0.0.1"
RDB = b"REDIS0009\xff" + bytes(8)
ACK_SECONDS = 0.05
WRITES = frozenset(b"SET HSET RPUSH LTRIM SADD SREM ZADD XADD DEL UNLINK INCR COPY APPEND MULTI EXEC".split())
Words = list[bytes]
Data = dict[int, dict[bytes, list[Words]]]

_numbers = itertools.count(1)


class Refused(Exception):
    """Raised to answer with an error."""


class StandIn:
    """options: as CONFIG has them. heard: all commands of clients but those of replication. refuses: by command, what it
    says instead. tells: what INFO says besides of replication, or instead. silent: it takes commands and answers none.
    """

    def __init__(self, name: str = "redis", version: str = "7.0.15", *, password: str = "") -> None:
        self.options = {"maxmemory": "0", "repl-timeout": "60", "tls-replication": "no", "masterauth": "", "save": ""}
        self.heard: list[tuple[str, ...]] = []
        self.refuses: dict[str, str] = {}
        self.tells: dict[str, Any] = {}
        self.silent = False
        self.password = password
        self.port = 0
        self.host = HOST
        self.data: Data = defaultdict(dict)
        self.stream = b""
        self.replid = f"{next(_numbers):040x}"
        self.counts: Counter[str] = Counter()
        self.calls: Counter[bytes] = Counter()
        self.master: tuple[str, int] | None = None
        self._name, self._version = name, version
        self._run = f"{next(_numbers):040x}"
        self._link = "down"
        self._asks_for: tuple[str, int] | None = None  # of its last master
        self._first = 1  # offset of the first byte of the stream
        self._db = 0  # the db that the stream stands at
        self._replicas: dict[asyncio.StreamWriter, tuple[int, int]] = {}  # port and ACK
        self._news = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._talking: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> Url:
        return Url(Address(self.host, self.port), password=self.password)

    @property
    def offset(self) -> int:
        return self._first - 1 + len(self.stream)

    # ---- starting and ending ----

    async def open(self) -> StandIn:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def begin(self, options: dict[str, str]) -> None:
        """As a new process, with the data of the last one; a replica knows its history."""
        self.options |= options
        self.counts.clear()
        self.calls.clear()
        self._run = f"{next(_numbers):040x}"
        if "replicaof" in options:
            host, port = options["replicaof"].split()
            self.master = (host, int(port))
            self._following = asyncio.create_task(self._be_replica(self.master))
        else:
            self.master = None
            self.replid = f"{next(_numbers):040x}"

    def kill(self) -> None:
        """As a process that dies: all its connections end."""
        if self._server is not None:
            self._server.close()
        for task in [*self._talking, *([self._following] if self._following else [])]:
            task.cancel()
        self._server = self._following = None
        self._link = "down"

    async def close(self) -> None:
        tasks = [*self._talking, *([self._following] if self._following else [])]
        self.kill()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talking.add(task)
        session: dict[str, Any] = {"db": 0, "port": 0, "known": not self.password}
        try:
            while words := await _command(reader):
                await self._say(words, session, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._talking.discard(task)
            self._replicas.pop(writer, None)
            writer.close()

    async def _say(self, words: Words, session: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        name = words[0].upper()
        self.calls[name] += 1
        if name == b"REPLCONF":
            if words[1].lower() == b"ack":
                self._replicas[writer] = (self._replicas[writer][0], int(words[2]))
                self._news.set()
                return
            if words[1] == b"listening-port":
                session["port"] = int(words[2])
        elif name in (b"PSYNC", b"PING"):
            pass
        elif name not in (b"CLIENT", b"SELECT"):
            self.heard.append(tuple(word.decode(errors="replace") for word in words))
        try:
            if self.silent:
                return
            if not session["known"] and name != b"AUTH":
                raise Refused("NOAUTH Authentication required.")
            if said := self.refuses.get(name.decode()):
                raise Refused(said)
            answer = await self._answer(name, words, session, writer)
        except Refused as error:
            answer = f"-{error}\r\n".encode()
        if answer is not None:
            writer.write(answer)

    async def _answer(
        self, name: bytes, words: Words, session: dict[str, Any], writer: asyncio.StreamWriter
    ) -> bytes | None:
        if name in WRITES:
            self._execute(words, session["db"])
            return b"+OK\r\n" if name in (b"SET", b"MULTI", b"EXEC", b"LTRIM") else b":1\r\n"
        match name:
            case b"PING":
                return b"+PONG\r\n"
            case b"AUTH":
                session["known"] = words[-1].decode() == self.password
                if not session["known"]:
                    raise Refused("WRONGPASS invalid username-password pair")
            case b"SELECT":
                session["db"] = int(words[1])
            case b"INFO":
                section = words[1].decode()
                info = self.info(section) if section != "default" else self.info("all") | self.info("replication")
                return _bulk("".join(f"{key}:{value}\r\n" for key, value in info.items()).encode())
            case b"CONFIG":
                return self._config([word.decode() for word in words[1:]])
            case b"REPLICAOF":
                await self._follow(None if words[1].upper() == b"NO" else (words[1].decode(), int(words[2])))
            case b"PSYNC":
                self._grant(words[1].decode(), int(words[2]), session["port"], writer)
                return None
            case b"WAIT":
                return b":%d\r\n" % await self._acknowledged(int(words[2]) / 1000)
            case b"SCAN":
                return b"*2\r\n" + _bulk(b"0") + _array(sorted(self.data[session["db"]]))
            case b"MGET":
                return _array([self._value(session["db"], key) for key in words[1:]])
            case b"GET" | b"DUMP":
                return _bulk(self._value(session["db"], words[1]))
            case b"PTTL":
                return b":-1\r\n"
            case b"TYPE":
                return b"+string\r\n"
            case b"DEBUG":
                everything = repr(sorted((db, sorted(keys.items())) for db, keys in self.data.items() if keys))
                return b"+%b\r\n" % hashlib.sha1(everything.encode()).hexdigest().encode()
            case b"SHUTDOWN":
                raise EOFError
        return b"+OK\r\n"

    def _value(self, db: int, key: bytes) -> bytes | None:
        """The last SET, so that it can be read; otherwise all commands."""
        found = self.data[db].get(key)
        if found is None:
            return None
        return found[-1][2] if found[-1][0].upper() == b"SET" else repr(found).encode()

    def _config(self, words: list[str]) -> bytes:
        if words[0].upper() == "GET":
            found = [words[1], self.options[words[1]]] if words[1] in self.options else []
            return _array([word.encode() for word in found])
        if words[1] not in self.options:
            raise Refused(f"ERR Unknown option or number of arguments for CONFIG SET - '{words[1]}'")
        self.options[words[1]] = words[2]
        return b"+OK\r\n"

    # ---- INFO ----

    def info(self, section: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if section in ("server", "all"):
            found |= {f"{self._name}_version": self._version, "tcp_port": self.port, "run_id": self._run}
        if section in ("stats", "all"):
            found |= {"sync_full": self.counts["full"], "sync_partial_ok": self.counts["partial"]}
            found["sync_partial_err"] = 0
        if section in ("commandstats", "all"):
            found |= {f"cmdstat_{name.decode().lower()}": f"calls={n},usec=0" for name, n in self.calls.items()}
        if section in ("keyspace", "all"):
            found |= {f"db{db}": f"keys={len(keys)},expires=0" for db, keys in self.data.items() if keys}
        if section in ("replication", "all"):
            found |= {"role": "master" if self.master is None else "slave", "connected_slaves": len(self._replicas)}
            if self.master is not None:
                found |= {"master_host": self.master[0], "master_port": self.master[1]}
                found |= {"master_link_status": self._link, "slave_repl_offset": self.offset}
                found |= {"slave_read_repl_offset": self.offset}
            for number, (port, ack) in enumerate(self._replicas.values()):
                found[f"slave{number}"] = f"ip={HOST},port={port},state=online,offset={ack},lag=0"
            found |= {"master_replid": self.replid, "master_replid2": "0" * 40, "second_repl_offset": -1}
            found |= {"master_repl_offset": self.offset, "repl_backlog_active": 1}
            found["repl_backlog_first_byte_offset"] = self._first
        told = {key: value for key, value in self.tells.items() if key in found or section == "replication"}
        return {key: value for key, value in {**found, **told}.items() if value is not None}

    # ---- as a master ----

    def _execute(self, words: Words, db: int) -> None:
        """Execute a client's command."""
        if self.master is not None:
            raise Refused("READONLY You can't write against a read only replica.")
        if db != self._db:
            self._pass_on(command("SELECT", str(db)))
        self._db = db
        self._keep(words, db)
        self._pass_on(command(*words))

    def _keep(self, words: Words, db: int) -> None:
        name = words[0].upper()
        if name in (b"DEL", b"UNLINK"):
            for key in words[1:]:
                self.data[db].pop(key, None)
        elif name in WRITES and len(words) > 1:
            self.data[db].setdefault(words[1], []).append(words)

    def _pass_on(self, data: bytes) -> None:
        self.stream += data
        for writer in self._replicas:
            writer.write(data)

    def _grant(self, replid: str, offset: int, port: int, writer: asyncio.StreamWriter) -> None:
        if replid == self.replid and self._first <= offset <= self.offset + 1:
            self.counts["partial"] += 1
            writer.write(f"+CONTINUE {self.replid}\r\n".encode() + self.stream[offset - self._first :])
        else:
            self.counts["full"] += 1
            self._db = -1  # the stream after it says which db it is for
            _held[self.replid, self.offset] = copy.deepcopy(self.data)
            writer.write(f"+FULLRESYNC {self.replid} {self.offset}\r\n".encode() + b"$%d\r\n" % len(RDB) + RDB)
        self._replicas[writer] = (port, offset - 1)

    async def _acknowledged(self, within: float) -> int:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not (count := sum(ack >= self.offset for _, ack in self._replicas.values())):
                    self._news.clear()
                    await self._news.wait()
                return count
        return 0

    # ---- as a replica ----

    async def _follow(self, master: tuple[str, int] | None) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            self._following, self._link = None, "down"
        self.master = master
        if master is not None:
            self._following = asyncio.create_task(self._be_replica(master))
        else:
            self.replid = f"{next(_numbers):040x}"

    async def _be_replica(self, master: tuple[str, int]) -> None:
        while True:
            with contextlib.suppress(OSError, EOFError):
                reader, writer = await asyncio.open_connection(*master)
                try:
                    await self._replicate(reader, writer)
                finally:
                    self._link = "down"
                    writer.close()
            await asyncio.sleep(0.02)

    async def _replicate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = [command("PING"), command("REPLCONF", "listening-port", str(self.port))]
        if self.options["masterauth"]:
            hello.insert(0, command("AUTH", self.options["masterauth"]))
        for said in [*hello, command("REPLCONF", "capa", "eof", "capa", "psync2")]:
            writer.write(said)
            await reader.readuntil(b"\r\n")
        writer.write(command("PSYNC", self.replid, str(self.offset + 1)))
        granted = (await reader.readuntil(b"\r\n")).decode().split()
        if granted[0] == "+FULLRESYNC":
            size = int((await reader.readuntil(b"\r\n"))[1:])
            await reader.readexactly(size)
            self.data = copy.deepcopy(_held[granted[1], int(granted[2])])
            self.replid, self._first, self.stream = granted[1], int(granted[2]) + 1, b""
        elif granted[0] != "+CONTINUE":
            raise EOFError
        self._link = "up"
        acks = asyncio.create_task(self._acknowledge(writer))
        try:
            while words := await _command(reader):
                name = words[0].upper()
                if name == b"REPLCONF":
                    writer.write(self._ack())
                if name == b"SELECT":
                    self._db = int(words[1])
                self.calls[name] += 1
                self._keep(words, self._db)
                self._pass_on(command(*words))
                writer.write(self._ack())
        finally:
            acks.cancel()

    async def _acknowledge(self, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(self._ack())
            await asyncio.sleep(ACK_SECONDS)

    def _ack(self) -> bytes:
        return command("REPLCONF", "ACK", str(self.offset))


_held: dict[tuple[str, int], Data] = {}  # the data that go with each RDB, which carries none


async def _command(reader: asyncio.StreamReader) -> Words:
    """Empty at the end of the connection."""
    line = await reader.readline()
    while line in (b"\n", b"\r\n"):
        line = await reader.readline()
    if not line:
        return []
    if not line.startswith(b"*"):
        return line.split()
    words = []
    for _ in range(int(line[1:])):
        size = int((await reader.readuntil(b"\r\n"))[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


def _bulk(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


def _array(values: list[Any]) -> bytes:
    return b"*%d\r\n" % len(values) + b"".join(map(_bulk, values))


@contextlib.asynccontextmanager
async def stand_ins(*servers: StandIn) -> AsyncIterator[None]:
    """Open them in turn, and end them all."""
    for server in servers:
        await server.open()
    try:
        yield
    finally:
        for server in servers:
            await server.close()


async def following(replica: StandIn, master: StandIn) -> None:
    """Let it follow, and wait until it is level."""
    await replica._follow((master.host, master.port))
    async with asyncio.timeout(10):
        while replica._link != "up" or replica.offset != master.offset:
            await asyncio.sleep(0.01)
