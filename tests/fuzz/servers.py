"""What servers answer to us as their client: to INFO, to SELECT, to the commands of a recording; and what a stream of
theirs makes of an AOF.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import random
import tempfile
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from redis.exceptions import RedisError

from tap.console import send_report
from tap.errors import RecordingError, TapError
from tap.export.append_only import write_commands
from tap.recording.copying import Marks
from tap.recording.history import Stretch
from tap.replay.client_commands import Choice
from tap.replay.sender import Interrupted, Sender
from tap.replay.stream_parts import part_between
from tap.scenario.backlog_commands import read
from tap.scenario.pair import Node, introduced
from tap.scenario.pair_difference import compare
from tap.scenario.stage import applied_by
from tap.servers.failures import InvalidReply
from tap.servers.target import Target
from tap.url import Url
from tests.fuzz.check import pieces
from tests.fuzz.mutate import DEPTHS, damaged, lines
from tests.fuzz.wire import resp, stream
from tests.relay.wire import command

INFOS = [
    "# Server\r\nredis_version:7.0.15\r\nrun_id:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c\r\ntcp_port:6379\r\n",
    "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\ntcp_port:0\r\n",
    "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n"
    "slave0:ip=127.0.0.1,port=6380,state=online,offset=1234,lag=0\r\n"
    "slave1:ip=::1,port=6381,state=wait_bgsave,offset=0,lag=1,type=replica\r\n"
    "master_replid:8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb\r\nmaster_replid2:0000000000000000000000000000000000000000\r\n"
    "master_repl_offset:1234\r\nsecond_repl_offset:-1\r\nrepl_backlog_active:1\r\nrepl_backlog_first_byte_offset:1\r\n",
    "# Replication\r\nrole:slave\r\nmaster_host:10.0.0.5\r\nmaster_port:6379\r\nmaster_link_status:up\r\n"
    "slave_read_repl_offset:99\r\nslave_repl_offset:99\r\nmaster_replid:?\r\nmaster_repl_offset:99\r\n",
    "# Keyspace\r\ndb0:keys=5,expires=1,avg_ttl=10,subexpiry=0\r\ndb15:keys=900000000000000000,expires=0,avg_ttl=0\r\n",
    "# Commandstats\r\ncmdstat_set:calls=5,usec=10,usec_per_call=2.00,rejected_calls=0,failed_calls=0\r\n"
    "cmdstat_replconf|ack:calls=7,usec=1,usec_per_call=0.1\r\nsync_full:1\r\nsync_partial_ok:2\r\nrun_id:7\r\n",
]
REPLIES = [
    b"+OK\r\n",
    b"+QUEUED\r\n",
    b":1\r\n",
    b"$-1\r\n",
    b"$3\r\nabc\r\n",
    b"*2\r\n+OK\r\n:7\r\n",
    b"*1\r\n-ERR in a transaction\r\n",
    b"-ERR unknown command 'SECRET', with args beginning with: 'a'\r\n",
    b"-WRONGTYPE Operation\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b"-MOVED 3999 127.0.0.1:6381\r\n",
    b"-EXECABORT Transaction discarded because of: \x1b[31m\r\n",
    b"-\r\n",
    b"- \xff\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",nan\r\n",
    b"(12345678901234567890123\r\n",
    b"%1\r\n*0\r\n+v\r\n",
    b"~2\r\n*1\r\n:1\r\n%0\r\n",
    b"|1\r\n+a\r\n+b\r\n+OK\r\n",
    b"!5\r\nERR x\r\n",
    b"=7\r\ntxt:abc\r\n",
    b">2\r\n+invalidate\r\n*0\r\n",
    b"$99999999999\r\nabc",
    b"*2147483647\r\n+OK\r\n",
]
MAX_CONNECTIONS = 30
SELECT = command("SELECT", "0")
SENT = [
    SELECT,
    command("SET", "k", "v"),
    command("MULTI"),
    command("INCR", "n"),
    command("DEL", "a", "b"),
    command("EXEC"),
    command("CONFIG", "SET", "requirepass", "SECRET"),
    command("SELECT", "3"),
    command("RPUSH", "l", *(["x"] * 40)),
    command("PING"),
]


def answers(rng: random.Random) -> bytes:
    """A server's answers to any request, the next ones on demand."""
    parts = []
    for _ in range(rng.choice([1, 5, 30])):
        match rng.randrange(6):
            case 0 | 1:
                text = info(rng).encode("utf-8", "surrogateescape")
                parts.append(b"$%d\r\n%b\r\n" % (len(text), text))
            case 2:
                depth = rng.choice(DEPTHS)
                parts.append(rng.choice([b"*1\r\n", b"%1\r\n+k\r\n", b"~1\r\n", b">1\r\n", b"|1\r\n+k\r\n"]) * depth)
            case _:
                parts.append(rng.choice(REPLIES))
    if rng.random() < 0.7:  # what a redis-py client sends about itself first
        parts.insert(0, b"+OK\r\n" * rng.randint(1, 3))
    data = b"".join(parts)
    for _ in range(rng.choice([0, 0, 1, 3])):
        data = resp(data, rng)
    return (damaged(data, rng) if rng.random() < 0.3 else data)[:300_000]


def info(rng: random.Random) -> str:
    text = "".join(rng.sample(INFOS, rng.randint(1, 4)))
    return text if rng.random() < 0.3 else lines(text, rng, INFOS)


def answers_complaints(data: bytes, rng: random.Random) -> Iterator[str]:
    said: list[str] = []
    asyncio.run(_asked(data, rng, said))
    for line in said:
        if "\n" in line.strip():
            yield f"more than a line: {line[:300]!r}"
        if len(line) > 5000 + 10 * len(data):
            yield f"{len(line)} characters in an error: {line[:300]!r}"


async def _asked(data: bytes, rng: random.Random, said: list[str]) -> None:
    async with _server(data, rng) as port:
        url = Url.parse(f"redis://{rng.choice(['', 'SECRET:PASSWORD@'])}127.0.0.1:{port}")
        target, node = Target(url), Node("master", url)
        asks: list[Callable[[], Awaitable[Any]]] = [
            target.keys,
            lambda: target.check_db(3),
            lambda: introduced(node),
            lambda: node.options.get("repl-backlog-size"),
            lambda: _looked_at(node),
            lambda: compare(node, node, debug=rng.random() < 0.5),
            lambda: _sent(target, rng, said),
        ]
        try:
            await rng.choice(asks)()
        except (TapError, RedisError, OSError) as error:
            if isinstance(error, TapError):
                said.append(str(error))
        finally:
            await node.client.close()


async def _looked_at(node: Node) -> None:
    info = await node.client.info("all")
    for section in ("commandstats", "keyspace", "memory", "persistence", "stats"):
        with contextlib.suppress(InvalidReply):
            getattr(info, section)
    replication = info.replication
    applied_by(replication)
    replication.acknowledged_by({6380})
    with contextlib.suppress(EOFError, ValueError, TimeoutError):  # it reports these
        await read(node.client, {replication.master_replid: [1, 1234]})


async def _sent(target: Target, rng: random.Random, said: list[str]) -> None:
    with tempfile.TemporaryFile() as file:
        data = b"".join([SELECT, *rng.choices(SENT, k=rng.choice([3, 30]))])
        file.write(data)
        stretch = Stretch("main", 1, 0, len(data), "a" * 40, 1000, None, 0, 10**9)
        part = part_between(file, [stretch], Marks(array("q", [10**9]), array("q", [1000 + len(data)])), None, None)
        if part is None:
            return
        sender = Sender(target, [part], Choice(), float("inf"))
        try:
            await sender.run()
        except Interrupted:
            pass
        finally:
            said += [*send_report.report(sender, "x").splitlines(), send_report.whereabouts(sender)]
            send_report.as_dict(sender)


@contextlib.asynccontextmanager
async def _server(data: bytes, rng: random.Random) -> AsyncIterator[int]:
    """Returns its port. On each connection it sends all of that after the first request, and then hangs up.

    It ends after this many connections, because a SCAN whose cursor is never 0 has no end.
    """
    left = itertools.count(MAX_CONNECTIONS, -1)
    most = rng.choice([100, 5000, 300_000])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):  # this ends it
            await reader.read(2**16)
            for piece in pieces(data, rng, most) if next(left) > 0 else ():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


# ---- a stream, as an AOF ----


def aof_complaints(data: bytes, rng: random.Random) -> Iterator[str]:
    """Whatever a master sends is written, or refused in a line."""
    out = io.BytesIO()
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            end, _ = write_commands(file, out, rng.choice([None, 0, 3]), lambda position: 10**12)
        except RecordingError as error:
            if "\n" in str(error):
                yield f"more than a line: {error}"
            return
    if not 0 <= end <= len(data):
        yield f"up to {end} of {len(data)}"


TIMED = [
    command("EXPIRE", "k", "100"),
    command("PEXPIRE", "k", "100", "NX"),
    command("SETEX", "k", "10", "v"),
    command("PSETEX", "k", "10", "v"),
    command("SET", "k", "v", "EX", "10"),
    command("SET", "k", "v", "PX", "10", "KEEPTTL"),
    command("GETEX", "k", "EX", "10"),
    command("RESTORE", "k", "10", "x"),
    command("RESTORE", "k", "10", "x", "REPLACE", "ABSTTL"),
    command("SELECT", "3"),
    command("MULTI"),
    command("EXEC"),
]


def timed(rng: random.Random) -> bytes:
    """A stream with commands that an AOF has in another form."""
    data = SELECT + b"".join(rng.choices([*TIMED, *SENT], k=rng.choice([1, 5, 30])))
    for _ in range(rng.choice([0, 1, 1, 2])):
        data = resp(data, rng)
    return data if rng.random() < 0.8 else stream(rng)
